//! What each dialect means: a folder a case, with what a person writes and what becomes of it.
//!
//! A folder holds either `command`, with a command line or several, or files `given.*`, each a
//! configuration for `--config`. What becomes of them is in `expected.model`, where each line is a
//! setting that is not a default, or in `expected.faults`. `REWRITE_EXPECTED=1` writes these files
//! for a person to review.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod model;
#[path = "../support/words.rs"]
mod words;

use ilagent::cli;
use ilagent::config::{Checked, Faults, Surroundings};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};
use words::words;

/// Command lines that have nothing in common but the defaults.
const UNLIKE: [&str; 2] = [
    "ilagent daemon -p 1 -m a -e a --mqtt_qos 1 --kafka_brokers a",
    "ilagent daemon -p 2 -m b -r b --mqtt_qos 2 --kafka_brokers b",
];

#[test]
fn every_case_means_what_is_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialects");
    let mut wrong = Vec::new();
    let defaults = defaults();
    let text = defaults.iter().map(|(path, value)| format!("{path} = {value}\n")).collect();
    compare(&root.join("defaults"), text, &mut wrong);
    for folder in listed(&root).iter().filter(|path| path.is_dir()) {
        let cases = cases(folder);
        let results: Vec<_> = cases.iter().map(|case| run(folder, case)).collect();
        let refused = results.iter().filter(|result| result.is_err()).count();
        assert!([0, cases.len()].contains(&refused), "{}: some are accepted", folder.display());
        let kind = if refused == 0 { "model" } else { "faults" };
        let shown = results.iter().map(|result| shown(result, &defaults));
        let text = match cases.as_slice() {
            [_] => shown.collect(),
            _ => {
                cases.iter().zip(shown).map(|(case, text)| format!("$ {case}\n{text}\n")).collect()
            }
        };
        compare(&folder.join(format!("expected.{kind}")), text, &mut wrong);
    }
    assert!(wrong.is_empty(), "REWRITE_EXPECTED=1 accepts this:\n{}", wrong.join("\n"));
}

/// The command lines of a folder.
fn cases(folder: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(folder.join("command")) else {
        let names = listed(folder)
            .into_iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        let given = names.filter(|name| name.starts_with("given"));
        return given.map(|name| format!("ilagent daemon --config {name}")).collect();
    };
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What `[env NAME=VALUE…] ilagent daemon …` means where the files of `folder` are.
fn run(folder: &Path, line: &str) -> Result<Checked, Faults> {
    let words = words(line);
    let program = words.iter().position(|word| *word == "ilagent").expect("it is for ilagent");
    let variables = words[..program].iter().filter_map(|word| word.split_once('='));
    let variable = |wanted: &str| {
        variables.clone().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
    };
    let read = |path: &Path| Ok(fs::read_to_string(folder.join(path)).ok());
    let around = Surroundings {
        env: &variable,
        read: &read,
        list: &|_| Ok(Vec::new()),
        is_open: &|_| false,
        has_kafka: true,
    };
    let asked = cli::read(words[program + 1..].iter().map(OsString::from));
    let Ok(cli::Command::Daemon(asked)) = asked.map(|asked| asked.command) else {
        panic!("not a command line of `daemon`: {line}");
    };
    cli::daemon::configure(&asked, &around)
}

/// The settings that nobody has to give, and that have a value all the same.
fn defaults() -> BTreeMap<String, String> {
    let [one, other] = UNLIKE.map(|line| {
        let settings = model::settings(&run(Path::new("/"), line).unwrap().config).into_iter();
        let settings = settings.filter(|(_, value)| !model::is_nothing(value));
        settings.map(|(path, value)| (anywhere(&path), value)).collect::<BTreeMap<_, _>>()
    });
    one.into_iter().filter(|(path, value)| other.get(path) == Some(value)).collect()
}

/// The place of a setting, whichever broker or rule it belongs to.
fn anywhere(path: &str) -> String {
    path.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

fn shown(result: &Result<Checked, Faults>, defaults: &BTreeMap<String, String>) -> String {
    match result {
        Err(faults) => faults.0.iter().map(|fault| format!("{fault}\n")).collect(),
        Ok(Checked { config, warnings }) => {
            let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
            let settings = model::settings(config).into_iter();
            let settings = settings.filter(|(path, value)| match defaults.get(&anywhere(path)) {
                Some(default) => default != value,
                None => !model::is_nothing(value),
            });
            warnings.chain(settings.map(|(path, value)| format!("{path} = {value}\n"))).collect()
        }
    }
}

/// Compares with a file, or writes it.
fn compare(expected: &Path, text: String, wrong: &mut Vec<String>) {
    if env::var_os("REWRITE_EXPECTED").is_some() {
        fs::write(expected, text).unwrap();
        return;
    }
    let wanted = fs::read_to_string(expected).unwrap_or_default();
    if wanted != text {
        wrong.push(format!("{}:\n{}", expected.display(), difference(&wanted, &text)));
    }
}

fn difference(wanted: &str, found: &str) -> String {
    let missing = wanted.lines().filter(|line| !found.lines().any(|other| other == *line));
    let new = found.lines().filter(|line| !wanted.lines().any(|other| other == *line));
    let lines = missing.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}")));
    lines.collect::<Vec<_>>().join("\n")
}
