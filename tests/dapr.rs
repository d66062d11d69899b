//! What the files of a Dapr sidecar mean: the folders of `tests/dapr`.
//!
//! A folder holds what a person writes, in `res/` (or where the file `command` says), and what it
//! means: `expected.model`, where each line is a setting that is not a default, or
//! `expected.faults`. Warnings come first in both. `REWRITE_EXPECTED=1` writes down what the test
//! finds; read the difference before you commit it.

#![cfg(feature = "dapr")]
#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

#[path = "dialects/model.rs"]
mod model;
#[path = "support/words.rs"]
mod words;

use ilagent::cli;
use ilagent::config::{Checked, Faults, Surroundings};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The command of a folder without one.
const COMMAND: &str = "daprd --app-id press7 --app-port 6001 --resources-path res";

/// The folder whose resources have nothing in common with others but the defaults.
const DEFAULTS: &str = "defaults";

#[test]
fn files_mean_what_is_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dapr");
    let mut wrong = Vec::new();
    let plain = run(&root.join(DEFAULTS), COMMAND).unwrap().config;
    let plain = model::settings(&plain).into_iter();
    let defaults: BTreeMap<_, _> = plain.map(|(path, value)| (anywhere(&path), value)).collect();
    let folders: Vec<PathBuf> = listed(&root).into_iter().filter(|path| path.is_dir()).collect();
    assert!(!folders.is_empty(), "the folders are found");
    for folder in folders {
        fastrand::seed(7);
        let command = fs::read_to_string(folder.join("command"));
        let command = command.unwrap_or_else(|_| COMMAND.to_owned()).replace("\\\n", " ");
        let (kind, text) = match run(&folder, command.trim()) {
            Ok(checked) if folder.ends_with(DEFAULTS) => {
                ("model", shown(&checked, &BTreeMap::new()))
            }
            Ok(checked) => ("model", shown(&checked, &defaults)),
            Err(faults) => ("faults", faults.0.iter().map(|fault| format!("{fault}\n")).collect()),
        };
        let other = if kind == "model" { "faults" } else { "model" };
        let (file, other) =
            (folder.join(format!("expected.{kind}")), folder.join(format!("expected.{other}")));
        if env::var_os("REWRITE_EXPECTED").is_some() {
            fs::write(file, text).unwrap();
            let _ = fs::remove_file(other);
            continue;
        }
        let wanted = fs::read_to_string(&file).unwrap_or_default();
        if wanted != text || other.exists() {
            wrong.push(format!("{}:\n--- wanted\n{wanted}--- found\n{text}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "REWRITE_EXPECTED=1 accepts this:\n{}", wrong.join("\n"));
}

#[test]
fn the_example_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let command = fs::read_to_string(root.join("examples/dapr/plantbus.yaml")).unwrap();
    let command = command.lines().find_map(|line| line.strip_prefix("#   ")).unwrap();
    let Checked { config, warnings } = run(root, command).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let dapr = config.dapr.unwrap();
    assert_eq!((dapr.components.len(), dapr.subscriptions.len()), (1, 1));
}

#[test]
fn what_the_page_shows_is_right() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dapr.md");
    let page = fs::read_to_string(page).unwrap();
    let shown: Vec<&str> = page.split("\n```yaml\n").skip(1).collect();
    let shown: Vec<&str> = shown.iter().map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(shown.len() > 1, "{shown:?}");
    let folder = env::temp_dir().join(format!("ilagent-dapr-page-{}", std::process::id()));
    fs::create_dir_all(folder.join("components")).unwrap();
    fs::write(folder.join("components/page.yaml"), shown.join("---\n")).unwrap();
    let commands = page.lines().filter(|line| line.starts_with("daprd "));
    let checked = commands.map(|line| {
        let line = line.split(['#', '&']).next().unwrap();
        let Checked { config, warnings } = run(&folder, line.trim()).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        config.dapr.unwrap().subscriptions.len()
    });
    assert_eq!(checked.collect::<Vec<_>>(), [1, 1]);
    fs::remove_dir_all(folder).unwrap();
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What `[NAME=VALUE…] daprd …` means where the files of `folder` are.
fn run(folder: &Path, line: &str) -> Result<Checked, Faults> {
    let words = words::words(line);
    let program = words.iter().position(|word| !word.contains('=')).expect("there is a program");
    let variables = words[..program].iter().filter_map(|word| word.split_once('='));
    let variable = |wanted: &str| {
        variables.clone().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
    };
    let read = |path: &Path| match path.to_str() {
        // This machine has IPv6, whichever runs the test.
        Some("/proc/net/if_inet6") => Ok(Some(format!("{:032x} 01 80 10 80 lo\n", 1))),
        _ => read(&folder.join(path)),
    };
    let list = |path: &Path| {
        let names = fs::read_dir(folder.join(path));
        let names = names.map_err(|_| format!("there is no folder {}", path.display()))?;
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    };
    let around = Surroundings {
        env: &variable,
        read: &read,
        list: &list,
        is_open: &|path| path.ends_with("open.json"),
        has_kafka: false,
    };
    let asked = cli::read(cli::words(words[program..].iter().map(OsString::from)));
    match asked.map(|asked| asked.command) {
        Ok(cli::Command::Daemon(asked) | cli::Command::Check(asked)) => {
            cli::daemon::configure(&asked, &around)
        }
        Ok(_) => panic!("another command: {line}"),
        Err(usage) => Err(Faults::one("command", usage.to_string())),
    }
}

/// The place of a setting, whichever component it belongs to.
fn anywhere(path: &str) -> String {
    path.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(_) => Err(format!("cannot read {}", path.display())),
    }
}

fn shown(Checked { config, warnings }: &Checked, defaults: &BTreeMap<String, String>) -> String {
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
    let settings = model::settings(config).into_iter();
    let settings = settings.filter(|(path, value)| {
        !model::is_nothing(value) && defaults.get(&anywhere(path)) != Some(value)
    });
    warnings.chain(settings.map(|(path, value)| format!("{path} = {value}\n"))).collect()
}
