//! The manual pages say what the agent can do: every flag of `--help`, every key of the example.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_ilagent");
const COMMANDS: [&[&str]; 8] = [
    &["daemon"],
    &["check"],
    &["event"],
    &["heartbeat"],
    &["queue", "list"],
    &["queue", "show"],
    &["queue", "retry"],
    &["queue", "drop"],
];

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Makes the pages in a folder of the test; gives the folder.
fn pages(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let made = Command::new(project("man/make")).arg(&folder).status().unwrap();
    assert!(made.success());
    folder
}

/// A page as a person reads it, without line breaks.
fn read(page: &Path) -> String {
    let output = Command::new("mandoc").args(["-T", "ascii"]).arg(page).output().unwrap();
    assert!(output.status.success(), "{}", page.display());
    let text = String::from_utf8(output.stdout).unwrap();
    // Bold and underlined letters are written over.
    let mut plain: Vec<char> = Vec::new();
    for letter in text.chars() {
        if letter == '\u{8}' {
            plain.pop();
        } else {
            plain.push(letter);
        }
    }
    plain.into_iter().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || "_-".contains(letter))).collect()
}

/// The long flags that a text names.
fn flags(text: &str) -> BTreeSet<&str> {
    words(text).into_iter().filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[test]
fn the_page_of_the_command_has_every_flag_of_the_help_and_no_other() {
    let page = read(&pages("man-flags").join("ilagent.1"));
    let mut helps = String::from("--help --version --flag\n");
    for command in COMMANDS {
        let output = Command::new(BINARY).args(command).arg("--help").output().unwrap();
        assert!(output.status.success(), "{command:?}");
        helps.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    let top = Command::new(BINARY).arg("--help").output().unwrap();
    helps.push_str(&String::from_utf8(top.stdout).unwrap());
    let missing: Vec<_> = flags(&helps).difference(&flags(&page)).copied().collect();
    assert!(missing.is_empty(), "not in ilagent.1: {missing:?}");
    let unknown: Vec<_> = flags(&page).difference(&flags(&helps)).copied().collect();
    assert!(unknown.is_empty(), "in no --help: {unknown:?}");
    for command in COMMANDS {
        assert!(words(&page).contains(command.last().unwrap()), "{command:?}");
    }
}

#[test]
fn the_page_of_the_file_has_every_key_of_the_examples() {
    let page = read(&pages("man-keys").join("ilagent.toml.5"));
    let examples = ["examples/ilagent.toml", "examples/kafka.toml"];
    let example = examples.map(|name| fs::read_to_string(project(name)).unwrap()).concat();
    let mut keys = 0;
    for line in example.lines() {
        let bare = line.trim_start_matches('#').trim_start();
        let Some((key, _)) = bare.split_once(" = ") else { continue };
        // Names in quotes are librdkafka's.
        if key.contains([' ', '"']) {
            continue;
        }
        assert!(words(&page).contains(key), "{key} is not in ilagent.toml.5");
        keys += 1;
    }
    assert!(keys > 50, "only {keys} keys were found in the example");
}

#[test]
fn mandoc_finds_nothing_wrong() {
    let folder = pages("man-lint");
    for page in ["ilagent.1", "ilagent.toml.5"] {
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(folder.join(page))
            .output()
            .unwrap();
        assert!(lint.stdout.is_empty(), "{}", String::from_utf8_lossy(&lint.stdout));
    }
}
