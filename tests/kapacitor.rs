//! What scripts make of points: the folders of `tests/kapacitor`, each through `kapacitor replay`.
//!
//! A folder holds `script.tick`, `points.lp` and what is printed (`expected`), or what is wrong
//! with the script (`fault`). There may be `vars.json`, `handlers/*.yaml`, the value of `TZ` in
//! `zone`, and more options of the command in `options`. `REWRITE_EXPECTED=1` writes down what the
//! test finds; read the difference before you commit it.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

use ilagent::cli::{Command, kapacitor};
use ilagent::config::Surroundings;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn scripts_make_of_points_what_they_are_expected_to() {
    let mut wrong = Vec::new();
    let folders = folders();
    for folder in &folders {
        let (file, found) = match replay(folder) {
            Ok(found) => ("expected", found),
            Err(fault) => ("fault", fault.replace(&format!("{}/", folder.display()), "") + "\n"),
        };
        let other = folder.join(if file == "fault" { "expected" } else { "fault" });
        if std::env::var_os("REWRITE_EXPECTED").is_some() {
            fs::write(folder.join(file), &found).unwrap();
            let _ = fs::remove_file(other);
            continue;
        }
        let wanted = fs::read_to_string(folder.join(file)).unwrap_or_default();
        if wanted != found || other.exists() {
            let name = folder.file_name().unwrap().to_string_lossy();
            wrong.push(format!("{name}: {file}\n--- wanted\n{wanted}--- found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!folders.is_empty(), "the folders are found");
}

fn folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kapacitor");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

fn replay(folder: &Path) -> Result<String, String> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let mut words: Vec<String> =
        ["replay", "-tick", &path("script.tick"), "-points"].map(str::to_owned).to_vec();
    words.push(path("points.lp"));
    if folder.join("vars.json").exists() {
        words.extend(["-vars".to_owned(), path("vars.json")]);
    }
    if let Ok(handlers) = fs::read_dir(folder.join("handlers")) {
        let mut files: Vec<PathBuf> = handlers.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            words.extend(["-handler".to_owned(), file.to_string_lossy().into_owned()]);
        }
    }
    if let Ok(options) = fs::read_to_string(folder.join("options")) {
        words.extend(options.split_whitespace().map(str::to_owned));
    }
    // Without a zone it is UTC, whatever the machine has.
    let zone = fs::read_to_string(folder.join("zone")).unwrap_or_default();
    let env = |name: &str| (name == "TZ").then(|| zone.clone());
    let around = Surroundings {
        env: &env,
        read: &|_| Ok(None),
        list: &|_| Ok(Vec::new()),
        is_open: &|_| false,
        has_kafka: false,
    };
    match kapacitor::read("kapacitor", &words) {
        Ok(Command::Kapacitor(ask)) => {
            kapacitor::run(&ask, &around).map_err(|failure| failure.to_string())
        }
        Ok(_) => Err("another command".to_owned()),
        Err(usage) => Err(usage.to_string()),
    }
}
