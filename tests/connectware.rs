//! What service files of Connectware become: the folders of `tests/connectware`, as `ilagent check`
//! shows them.
//!
//! A folder holds `command`, with a command line or several, and the files that these name. What
//! `check` prints, or every fault, is in `expected`. `REWRITE_EXPECTED=1` writes down what the test
//! finds; read the difference before you commit it.

#![cfg(feature = "connectware")]
#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

#[path = "support/words.rs"]
mod words;

use ilagent::cli::{self, describe};
use ilagent::config::Surroundings;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use words::words;

#[test]
fn service_files_become_what_they_are_expected_to() {
    let mut wrong = Vec::new();
    let folders = folders();
    for folder in &folders {
        let commands = fs::read_to_string(folder.join("command")).unwrap().replace("\\\n", " ");
        let commands: Vec<&str> = commands.lines().filter(|line| !line.is_empty()).collect();
        let found: Vec<String> = commands.iter().map(|line| shown(folder, line)).collect();
        let found = match found.as_slice() {
            [one] => one.clone(),
            _ => commands
                .iter()
                .zip(&found)
                .map(|(line, text)| format!("$ {line}\n{text}\n"))
                .collect(),
        };
        let expected = folder.join("expected");
        if std::env::var_os("REWRITE_EXPECTED").is_some() {
            fs::write(expected, &found).unwrap();
            continue;
        }
        let wanted = fs::read_to_string(expected).unwrap_or_default();
        if wanted != found {
            let name = folder.file_name().unwrap().to_string_lossy();
            wrong.push(format!("{name}\n--- wanted\n{wanted}--- found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!folders.is_empty(), "the folders are found");
}

fn folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connectware");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

/// What `[NAME=VALUE…] ilagent check …` prints where the files of `folder` are.
fn shown(folder: &Path, line: &str) -> String {
    let words = words(line);
    let program = words.iter().position(|word| *word == "ilagent").expect("it is for ilagent");
    let variables = words[..program].iter().filter_map(|word| word.split_once('='));
    let variable = |wanted: &str| {
        variables.clone().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
    };
    let read = |path: &Path| Ok(fs::read_to_string(folder.join(path)).ok());
    let is_open = |path: &Path| path.to_string_lossy().contains("open");
    let around = Surroundings {
        env: &variable,
        read: &read,
        list: &|_| Ok(Vec::new()),
        is_open: &is_open,
        has_kafka: true,
    };
    let asked = cli::read(words[program + 1..].iter().map(OsString::from));
    let Ok(cli::Command::Check(asked)) = asked.map(|asked| asked.command) else {
        panic!("not a command line of `check`: {line}");
    };
    match cli::daemon::configure(&asked, &around) {
        Err(faults) => faults.0.iter().map(|fault| format!("{fault}\n")).collect(),
        Ok(checked) => {
            let warnings = checked.warnings.iter().map(|warning| format!("warning: {warning}\n"));
            // The queue is the same for all.
            let text = describe::describe(&checked.config);
            let lines = text.lines().filter(|line| !line.starts_with("queue "));
            warnings.chain(lines.map(|line| format!("{line}\n"))).collect()
        }
    }
}
