//! A router without the hardware: busybox, the package as it would be installed, and stand-ins for
//! what OpenWrt's init scripts expect of it, in a folder that is made the root.

use super::Folder;
use ilagent::config::dialects::uci;
use ilagent::config::document::{Node, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The user the agent runs as, and its number.
pub const OWNER: u32 = 897;

pub struct Router {
    root: Folder,
}

/// What a command said, and whether it went well.
#[derive(Debug)]
pub struct Said {
    pub right: bool,
    pub out: String,
    pub err: String,
}

impl Router {
    /// `None` where a root cannot be changed, which takes the rights of root.
    pub fn new() -> Option<Self> {
        if !can_change_root() {
            return None;
        }
        let router = Router { root: Folder::new() };
        router.install_busybox();
        router.install_stand_ins();
        router.install_package();
        Some(router)
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    pub fn write(&self, inside: &str, text: &str) {
        fs::write(self.path(inside), text).unwrap();
    }

    pub fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap()
    }

    /// `/etc/config/ilagent`, as `uci export` shows it.
    pub fn configure(&self, uci: &str) {
        self.write("/etc/config/ilagent", uci);
    }

    /// `/etc/init.d/ilagent ACTION`
    pub fn service(&self, action: &str) -> Said {
        self.run(&["/etc/init.d/ilagent", action])
    }

    /// A command on the router, as root.
    pub fn run(&self, command: &[&str]) -> Said {
        let output = Command::new("chroot")
            .arg(self.root.path())
            .args(command)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        Said::of(&output)
    }

    /// What the init script said to procd last, one call a line.
    pub fn procd(&self) -> Vec<String> {
        self.read("/tmp/procd").lines().map(str::to_owned).collect()
    }

    /// What procd has done to processes since this was asked last: `start`, `stop`, `signal HUP`.
    pub fn acts(&self) -> Vec<String> {
        let path = self.path("/tmp/procd.acts");
        let acts = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        acts.lines().map(str::to_owned).collect()
    }

    /// What the process was started with that runs now; nothing when none does.
    pub fn process(&self) -> Option<String> {
        fs::read_to_string(self.path("/tmp/procd.process")).ok()
    }

    /// The process that procd has started: its id, and `/proc/ID/status`.
    pub fn show_process(&self, id: u32, status: &str) {
        self.write("/tmp/procd.pid", &id.to_string());
        fs::create_dir_all(self.path(&format!("/proc/{id}"))).unwrap();
        self.write(&format!("/proc/{id}/status"), status);
    }

    /// What is in memory is gone, and procd begins with nothing.
    pub fn reboot(&self) {
        for folder in ["/tmp", "/var/run", "/var/lib"] {
            fs::remove_dir_all(self.path(folder)).unwrap();
            fs::create_dir_all(self.path(folder)).unwrap();
        }
    }

    /// The words of a parameter that was set for procd.
    pub fn parameter(&self, name: &str) -> Vec<String> {
        let begin = format!("set_param {name} ");
        let lines = self.procd();
        let line = lines.iter().find_map(|line| line.strip_prefix(&begin));
        let line = line.unwrap_or_else(|| panic!("no parameter {name} in {lines:?}"));
        line.split(' ').map(str::to_owned).collect()
    }

    /// What procd would run.
    pub fn command(&self) -> Command {
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={OWNER}:{OWNER}"))
            .arg(self.root.path())
            .args(self.parameter("command"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        for pair in self.parameter("env") {
            let (name, value) = pair.split_once('=').unwrap();
            command.env(name, value);
        }
        command
    }

    /// What the copy of the settings that the agent was given means, as our own keys.
    pub fn made(&self) -> serde_json::Value {
        as_json(&uci::tree(&self.read("/var/run/ilagent/ilagent.uci")).unwrap())
    }

    fn install_busybox(&self) {
        for folder in [
            "bin",
            "sbin",
            "usr/bin",
            "usr/sbin",
            "etc/config",
            "etc/init.d",
            "var/run",
            "var/lib",
            "tmp",
            "dev",
            "lib",
            "proc",
        ] {
            fs::create_dir_all(self.path(folder)).unwrap();
        }
        copy_program(Path::new("/bin/busybox"), &self.path("bin/busybox"));
        let busybox = |arguments: &[&str]| {
            let status = Command::new("chroot")
                .arg(self.root.path())
                .arg("/bin/busybox")
                .args(arguments)
                .status();
            assert!(status.unwrap().success(), "busybox {arguments:?}");
        };
        busybox(&["--install", "-s"]);
        busybox(&["mknod", "-m", "666", "/dev/null", "c", "1", "3"]);
        let nobody = format!("ilagent:x:{OWNER}:{OWNER}:ilagent:/var/run:/bin/false\n");
        self.write("/etc/passwd", &format!("root:x:0:0:root:/root:/bin/ash\n{nobody}"));
        self.write("/etc/group", &format!("root:x:0:\nilagent:x:{OWNER}:\n"));
    }

    fn install_stand_ins(&self) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openwrt");
        for file in [
            "bin/ubus",
            "etc/rc.common",
            "lib/config/uci.sh",
            "lib/functions.sh",
            "lib/functions/procd.sh",
            "sbin/uci",
            "usr/bin/jsonfilter",
            "usr/bin/wget",
            "usr/share/libubox/jshn.sh",
        ] {
            fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
            // Not into busybox, to which the link of the same name leads.
            let _ = fs::remove_file(self.path(file));
            copy_program(&from.join(file), &self.path(file));
        }
    }

    /// Unpacks what `build-ipk` makes of the agent under test, and the libraries it needs, which
    /// the static one of a router does not.
    fn install_package(&self) {
        static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
        let data = PACKAGE.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("router");
            let _ = fs::remove_dir_all(&folder);
            let package = build("build-ipk", &folder, "x86_64-unknown-linux-musl");
            unpack(&package, &folder);
            folder.join("data.tar.gz")
        });
        unpack(data, self.root.path());
        let libraries = Command::new("ldd").arg(super::agent::BINARY).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            fs::create_dir_all(self.path(library).parent().unwrap()).unwrap();
            fs::copy(library, self.path(library)).unwrap();
        }
    }
}

fn as_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Text(text) => text.as_str().into(),
        Value::Truth(truth) => (*truth).into(),
        Value::List(nodes) => nodes.iter().map(as_json).collect(),
        Value::Table(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), as_json(&entry.node))).collect()
        }
        other => panic!("settings have no {}", other.kind()),
    }
}

/// Whether this process has the rights to; says so if not.
pub fn can_change_root() -> bool {
    let able = Command::new("chroot").args(["/", "/bin/true"]).status().unwrap().success();
    if !able {
        super::not_tested("the root cannot be changed here");
    }
    able
}

impl Said {
    pub fn of(output: &Output) -> Self {
        Said {
            right: output.status.success(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

/// Makes a package of the agent under test, as if it had been built for `target`, below `folder`.
pub fn build(script: &str, folder: &Path, target: &str) -> PathBuf {
    let dist = folder.join("dist");
    fs::create_dir_all(&dist).unwrap();
    let binary = dist.join(format!("ilagent-{target}"));
    let strip = Command::new("strip").arg("-o").arg(&binary).arg(super::agent::BINARY).status();
    assert!(strip.unwrap().success());
    let said = package(script, &dist, &[target]);
    assert!(said.right, "{script} {target}: {}", said.err);
    let made = fs::read_dir(&dist).unwrap().map(|entry| entry.unwrap().path());
    made.into_iter().find(|path| *path != binary).expect("a package was made")
}

/// `openwrt/SCRIPT ARGUMENTS…` on the binaries in a folder.
pub fn package(script: &str, dist: &Path, arguments: &[&str]) -> Said {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt").join(script);
    Said::of(&Command::new(script).args(arguments).env("ILAGENT_DIST", dist).output().unwrap())
}

/// Unpacks a `.tar.gz`, with modes and owners.
pub fn unpack(archive: &Path, folder: &Path) {
    let status = Command::new("tar").arg("-C").arg(folder).arg("-xzpf").arg(archive).status();
    assert!(status.unwrap().success(), "{}", archive.display());
}

/// Not copied by this process: while it writes, a child that another test starts may hold the file
/// open, and then nobody can run it.
fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status().unwrap();
    assert!(copied.success(), "{} is copied", from.display());
}
