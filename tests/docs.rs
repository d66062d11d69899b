//! The documents are true: every flag and variable of `--help` is there, every key of the examples,
//! commands and files that are shown are accepted, links lead somewhere. So are the manual pages,
//! which are made from them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken test may panic")]

mod support;

use argh::ArgsInfo;
use ilagent::config::dialects::ilagent::Flags;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::Folder;

const BINARY: &str = env!("CARGO_BIN_EXE_ilagent");
const COMMANDS: [&[&str]; 10] = [
    &["status"],
    &["tail"],
    &["daemon"],
    &["check"],
    &["event"],
    &["heartbeat"],
    &["queue", "list"],
    &["queue", "show"],
    &["queue", "retry"],
    &["queue", "drop"],
];

/// Lines of prose are no longer than this; rows of tables cannot be wrapped.
const WIDTH: usize = 100;
/// A newcomer reads no more.
const README_LINES: usize = 220;

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

/// Every document of ours for people: README.md and its like, and `docs/`.
fn documents() -> Vec<PathBuf> {
    let folders = [project("."), project("docs")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect()
}

/// The blocks of code of one language, and the lines between all of them.
fn blocks(text: &str, language: &str) -> (Vec<String>, Vec<String>) {
    let (mut code, mut prose) = (Vec::new(), Vec::new());
    let mut fence = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(name), None) => {
                fence = Some(name == language);
                code.extend((name == language).then(String::new));
            }
            (Some(_), Some(_)) => fence = None,
            (None, Some(true)) => *code.last_mut().unwrap() += &format!("{line}\n"),
            (None, Some(false)) => (),
            (None, None) => prose.push(line.to_owned()),
        }
    }
    (code, prose)
}

#[test]
fn prose_is_wrapped_and_the_readme_is_short() {
    // Each line of the changelog is somebody else's.
    for path in documents().iter().filter(|path| !path.ends_with("CHANGELOG.md")) {
        let (_, prose) = blocks(&fs::read_to_string(path).unwrap(), "");
        for line in prose.iter().filter(|line| !line.starts_with('|')) {
            assert!(line.chars().count() <= WIDTH, "{}: {line}", path.display());
        }
    }
    let lines = fs::read_to_string(project("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines");
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") {
                continue;
            }
            let to = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(to.exists(), "{}: {target}", path.display());
            let found = heading.is_empty() || anchors(&to).contains(heading);
            assert!(found, "{}: no heading for {target}", path.display());
            links += 1;
        }
    }
    assert!(links > 30, "only {links} links were found");
}

#[test]
fn files_that_the_architecture_names_are_there() {
    let mut files = Vec::new();
    let mut folders = vec![project("src"), project("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let page = fs::read_to_string(project("ARCHITECTURE.md")).unwrap();
    let named: BTreeSet<&str> = page
        .split(['`', '\n'])
        .filter(|code| code.ends_with(".rs") && !code.contains(' '))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(files.iter().any(|file| file.ends_with(name)), "there is no {name}");
    }
}

/// The headings of a document, as links name them.
fn anchors(path: &Path) -> BTreeSet<String> {
    let (_, prose) = blocks(&fs::read_to_string(path).unwrap(), "");
    let headings = prose.iter().filter(|line| line.starts_with('#'));
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

/// The rows of the tables in a part of a document: their cells.
fn rows(part: &str) -> Vec<Vec<&str>> {
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(str::trim).skip(1).collect()).collect()
}

/// A flag as it is documented.
fn documented(long: &str) -> String {
    format!("--{}", long.trim_start_matches('-').replace('-', "_"))
}

#[test]
fn every_flag_of_the_daemon_has_a_row() {
    let options = fs::read_to_string(project("docs/options.md")).unwrap();
    let (_, after) = options.split_once("\n## Flags of `daemon` and `check`\n").unwrap();
    let rows = rows(after.split("\n## ").next().unwrap());
    let found: BTreeSet<String> =
        rows.iter().flat_map(|row| flags(row[0])).map(str::to_owned).collect();
    let infos = Flags::get_args_info().flags.iter();
    // What is refused in words needs no row.
    let infos = infos.filter(|flag| flag.long != "--help" && !flag.long.starts_with("--edge-"));
    assert_eq!(found, infos.clone().map(|flag| documented(flag.long)).collect());
    for flag in infos {
        let Some((_, default)) = flag.description.split_once("(default: ") else { continue };
        let (default, name) = (default.split(')').next().unwrap(), documented(flag.long));
        let row = rows.iter().find(|row| flags(row[0]).contains(name.as_str())).unwrap();
        assert!(row[1].replace('`', "").starts_with(default), "{name}: {default}, or {}", row[1]);
    }
}

#[test]
fn every_key_has_an_example() {
    let page = fs::read_to_string(project("docs/configuration.md")).unwrap();
    let examples = ["examples/ilagent.toml", "examples/kafka.toml"];
    let examples = examples.map(|name| fs::read_to_string(project(name)).unwrap()).concat();
    let rows = rows(page.split_once("\n## Keys\n").unwrap().1);
    let keys: Vec<&str> =
        rows.iter().flat_map(|row| row[0].split('`').skip(1).step_by(2)).collect();
    for key in &keys {
        let name = key.rsplit('.').next().unwrap();
        assert!(words(&examples).contains(name), "{key} is in no example");
    }
    assert!(keys.len() > 70, "only {} keys were found", keys.len());
}

#[test]
fn every_key_that_is_read_is_documented() {
    let page = fs::read_to_string(project("docs/configuration.md")).unwrap();
    let page = words(&page);
    let mut found = 0;
    for entry in fs::read_dir(project("src/config/dialects/native")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for name in lines.flat_map(|line| line.split('"').skip(1).step_by(2)) {
            // Keys, and the values that have names.
            if name.is_empty() || !name.chars().all(|it| it.is_ascii_lowercase() || it == '-') {
                continue;
            }
            assert!(page.contains(name), "{}: {name} is not documented", path.display());
            found += 1;
        }
    }
    assert!(found > 80, "only {found} names were found");
}

#[test]
fn every_variable_is_in_the_help() {
    let options = fs::read_to_string(project("docs/options.md")).unwrap();
    let (_, after) = options.split_once("\n## Environment variables\n").unwrap();
    let rows = rows(after.split("\n#").next().unwrap());
    let ours = rows.iter().filter(|row| row[1].contains("daemon") || row[1] == "all");
    let names: Vec<&str> = ours.flat_map(|row| row[0].split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 15, "{names:?}");
    let output = Command::new(BINARY).args(["daemon", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = help.split(|c: char| !c.is_ascii_uppercase() && c != '_').collect();
    for name in names {
        assert!(words.contains(&name), "{name} is not in `daemon --help`");
    }
}

/// Runs what a document shows, with its files in a folder of the test and nobody at ilert's end.
fn shown(folder: &Folder, command: &str) -> Output {
    let home = folder.path().display().to_string();
    let command = command.replace("/etc/ilagent", &home);
    for word in command.split_whitespace().filter(|word| word.starts_with(&home)) {
        if !Path::new(word).exists() {
            fs::write(word, "secret\n").unwrap();
        }
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &command.replacen("ilagent", BINARY, 1)]).current_dir(folder.path());
    shell.env_remove("ILERT_API_KEY").env("ILERT_API_HOST", "http://127.0.0.1:1");
    shell.env("ILERT_HBT_HOST", "http://127.0.0.1:1").output().unwrap()
}

#[test]
fn commands_that_are_shown_are_accepted() {
    let mut commands = 0;
    for path in documents() {
        let (code, _) = blocks(&fs::read_to_string(&path).unwrap(), "sh");
        let lines = code.iter().flat_map(|block| {
            let joined = block.replace("\\\n", " ");
            joined.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        for line in lines.filter(|line| line.starts_with("ilagent ")) {
            // The file that is named here is the subject of the next test.
            if line.contains("--config") || line.contains("--kafka") && !cfg!(feature = "kafka") {
                continue;
            }
            let daemon = line.starts_with("ilagent daemon ");
            let ran = shown(&Folder::new(), &line.replacen(" daemon ", " check ", 1));
            let words = String::from_utf8_lossy(&ran.stderr);
            // One-shots find nobody, and there is no queue.
            let wanted = if daemon && !line.contains("_ca ") { 0..=0 } else { 0..=1 };
            let code = ran.status.code().unwrap();
            assert!(wanted.contains(&code), "{}: {line}: {words}", path.display());
            commands += 1;
        }
    }
    assert!(commands > 15, "only {commands} commands were found");
}

#[test]
fn files_and_answers_that_are_shown_are_right() {
    let mut files = 0;
    for path in documents() {
        let (texts, _) = blocks(&fs::read_to_string(&path).unwrap(), "toml");
        // Lines without a table are a part of one.
        for text in texts.iter().filter(|text| text.starts_with('[')) {
            let (folder, name) = (Folder::new(), path.display());
            let home = folder.path().display().to_string();
            for secret in ["mqtt-password", "event-key"] {
                fs::write(folder.join(secret), "secret\n").unwrap();
            }
            fs::write(folder.join("ilagent.toml"), text.replace("/etc/ilagent", &home)).unwrap();
            let ran = shown(&folder, "ilagent check --config /etc/ilagent/ilagent.toml");
            let words = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{name}: {words}in:\n{text}");
            files += 1;
        }
    }
    assert!(files > 1, "only {files} files were found");
    let (shells, _) = blocks(&fs::read_to_string(project("README.md")).unwrap(), "console");
    let (command, answer) = shells[0].split_once('\n').unwrap();
    let ran = shown(&Folder::new(), command.strip_prefix("$ ").unwrap());
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), answer);
}
