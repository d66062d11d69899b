//! `demo` and `tests/run` look at the compiler before they install anything.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use support::Folder;

/// What a machine has besides.
const TOOLS: [&str; 9] = ["bash", "env", "sed", "awk", "sort", "head", "dirname", "cat", "rm"];

/// A machine with a cargo of some version, or none, and packages of some versions.
struct Machine {
    folder: Folder,
}

impl Machine {
    fn new(cargo: Option<&str>, packages: &[(&str, &str)]) -> Self {
        let machine = Machine { folder: Folder::new() };
        for tool in TOOLS {
            let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
            let found = found.iter().find(|path| path.exists()).unwrap();
            symlink(found, machine.folder.join(tool)).unwrap();
        }
        if let Some(version) = cargo {
            machine.program("cargo", &format!("echo 'cargo {version} (abc 2026-01-01)'"));
        }
        let candidates: String = packages
            .iter()
            .map(|(name, version)| format!("{name}) echo '  Candidate: {version}+dfsg1' ;;\n"))
            .collect();
        machine.program("apt-cache", &format!("case $2 in\n{candidates}esac"));
        // The first installation is as far as it goes.
        let told = machine.folder.join("installed").display().to_string();
        machine.program(
            "apt-get",
            &format!("[ \"$1\" = update ] && exit 0; echo \"$@\" >>'{told}'; exit 77"),
        );
        machine
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What was to be installed, and the last line that was said.
    fn run(&self, script: &str) -> (String, String) {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("bash")
            .arg(project.join(script))
            .env_clear()
            .env("PATH", self.folder.path())
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        let installed = fs::read_to_string(self.folder.join("installed")).unwrap_or_default();
        (installed, said.lines().last().unwrap_or_default().to_owned())
    }
}

#[test]
fn rust_is_looked_at_before_anything_is_installed() {
    let new = [("cargo", "1.65.0"), ("cargo-web", "1.96.0")];
    let old = [("cargo", "1.85.0")];
    for script in ["demo", "tests/run"] {
        // One that is too old is reported, with what to do, and nothing is installed.
        for (cargo, packages, wanted) in [
            (Some("1.65.0"), &new[..], "apt-get install cargo-web rustc-web ca-certificates"),
            (Some("1.85.1"), &old[..], "https://rustup.rs"),
            (None, &old[..], "https://rustup.rs"),
            (None, &[][..], "https://rustup.rs"),
        ] {
            let (installed, said) = Machine::new(cargo, packages).run(script);
            assert_eq!(installed, "", "{script} {cargo:?}");
            let begin = format!("{script}: cargo is ");
            assert!(
                said.starts_with(&begin) && said.contains(wanted),
                "{script} {cargo:?}: {said}"
            );
            assert!(said.contains("1.89"), "{script} {cargo:?}: {said}");
        }
        // Where there is none, Debian's comes first, if it is new enough.
        let (installed, _) = Machine::new(None, &new).run(script);
        assert!(
            installed.contains(" cargo-web rustc-web ca-certificates"),
            "{script}: {installed}"
        );
        // One that is new enough is no reason to install another.
        let (installed, _) = Machine::new(Some("1.89.0"), &new).run(script);
        assert!(!installed.contains("cargo"), "{script}: {installed}");
    }
}
