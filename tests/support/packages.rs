//! Programs and libraries from the registries of other languages, fetched once for all runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of packages that `fetch` puts there.
///
/// # Errors
///
/// Says in words why there is none.
pub fn fetched(name: &str, fetch: impl FnOnce(&Path) -> Command) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let done = folder.join("done");
    if !done.exists() {
        fs::create_dir_all(&folder).unwrap();
        let mut command = fetch(&folder);
        let tool = command.get_program().to_string_lossy().into_owned();
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("there is no {tool}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{tool} cannot fetch the libraries"));
        }
        fs::write(done, "").unwrap();
    }
    Ok(folder)
}

/// Where `node` finds these packages of npm.
///
/// # Errors
///
/// Says in words what this machine lacks.
pub fn npm(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    node.map_err(|error| format!("there is no node: {error}"))?;
    let folder = fetched(name, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        npm.arg(folder).args(packages);
        npm
    });
    folder.map(|folder| folder.join("node_modules"))
}
