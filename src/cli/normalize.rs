//! Turns every documented spelling of a flag into the one that argh reads.
//!
//! `--mqtt_host x`, `--mqtt-host=x`, `-p8977`, `-p=8977`, `-vv` and `-vf x` are understood. A
//! value that begins with a dash is only accepted after `=`, so that a forgotten value is noticed.

use crate::cli::Usage;
use crate::config::suggest;
use argh::{FlagInfo, FlagInfoKind, Optionality};
use std::collections::VecDeque;
use std::ffi::OsString;

/// The flags that may stand at a place of the command line.
pub(super) type Flags = &'static [FlagInfo<'static>];

/// `--version`, which argh does not know.
pub(super) const VERSION_FLAG: FlagInfo<'static> = FlagInfo {
    kind: FlagInfoKind::Switch,
    optionality: Optionality::Optional,
    long: "--version",
    short: Some('V'),
    description: "print the version",
    hidden: false,
};

/// The same, as a `'static` reference.
static VERSION: FlagInfo<'static> = VERSION_FLAG;

/// A flag as it is documented: with underscores.
pub(super) fn documented(flag: &FlagInfo<'_>) -> String {
    format!("--{}", underscored(flag.long))
}

fn underscored(long: &str) -> String {
    long.trim_start_matches('-').replace('-', "_")
}

/// What comes next on the command line.
pub(super) enum Item {
    Flag(&'static FlagInfo<'static>, Option<String>),
    Word(String),
    Help,
}

/// The command line, read from left to right.
pub(super) struct Scan {
    args: VecDeque<String>,
    /// The rest of a cluster such as `-vvf`.
    cluster: String,
    /// After `--` everything is a word.
    only_words: bool,
}

impl Scan {
    pub(super) fn new(args: impl IntoIterator<Item = OsString>) -> Result<Self, Usage> {
        let text = |arg: OsString| {
            arg.into_string().map_err(|arg| Usage::Wrong {
                what: format!("`{}` is not UTF-8", arg.to_string_lossy()),
                command: super::NAME.to_owned(),
            })
        };
        let args = args.into_iter().map(text).collect::<Result<_, Usage>>()?;
        Ok(Scan { args, cluster: String::new(), only_words: false })
    }

    /// Everything that has not been read.
    pub(super) fn rest(&mut self) -> Vec<String> {
        self.args.drain(..).collect()
    }

    /// Reads one flag or word. `command` is named in faults, as the one whose help says more.
    pub(super) fn next(&mut self, known: &[Flags], command: &str) -> Result<Option<Item>, Usage> {
        self.step(known).map_err(|what| Usage::Wrong { what, command: command.to_owned() })
    }

    fn step(&mut self, known: &[Flags]) -> Result<Option<Item>, String> {
        if !self.cluster.is_empty() {
            return self.short(known).map(Some);
        }
        let Some(arg) = self.args.pop_front() else {
            return Ok(None);
        };
        if self.only_words || !arg.starts_with('-') || arg == "-" {
            return Ok(Some(Item::Word(arg)));
        }
        if arg == "--" {
            self.only_words = true;
            return self.step(known);
        }
        match arg.strip_prefix("--") {
            Some(long) => self.long(long, known).map(Some),
            None => {
                self.cluster = arg[1..].to_owned();
                self.short(known).map(Some)
            }
        }
    }

    fn long(&mut self, arg: &str, known: &[Flags]) -> Result<Item, String> {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg, None),
        };
        let name = name.replace('_', "-");
        if name == "help" {
            return Ok(Item::Help);
        }
        let matching = |flag: &&FlagInfo<'_>| flag.long.strip_prefix("--") == Some(name.as_str());
        match all(known).find(matching) {
            Some(flag) => self.value(flag, &documented(flag), value),
            None => {
                let names: Vec<String> = all(known).map(|flag| underscored(flag.long)).collect();
                let hint = match suggest::nearest(&name, names.iter().map(String::as_str)) {
                    Some(meant) => format!("; did you mean `--{meant}`?"),
                    None => String::new(),
                };
                Err(format!("there is no flag `--{}` here{hint}", underscored(&name)))
            }
        }
    }

    /// Reads one letter of a cluster; what follows a letter that takes a value is its value.
    fn short(&mut self, known: &[Flags]) -> Result<Item, String> {
        let cluster = std::mem::take(&mut self.cluster);
        let mut letters = cluster.chars();
        let letter = letters.next().unwrap_or_default();
        let rest = letters.as_str();
        if letter == 'h' {
            return Ok(Item::Help);
        }
        let Some(flag) = all(known).find(|flag| flag.short == Some(letter)) else {
            return Err(format!("there is no flag `-{letter}` here"));
        };
        if flag.kind == FlagInfoKind::Switch {
            rest.clone_into(&mut self.cluster);
            if rest.starts_with('=') {
                return Err(format!("`-{letter}` takes no value"));
            }
            return self.value(flag, &format!("-{letter}"), None);
        }
        let value = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest).to_owned());
        self.value(flag, &format!("-{letter}"), value)
    }

    fn value(
        &mut self,
        flag: &'static FlagInfo<'static>,
        written: &str,
        value: Option<String>,
    ) -> Result<Item, String> {
        if flag.kind == FlagInfoKind::Switch {
            return match value {
                None => Ok(Item::Flag(flag, None)),
                Some(_) => Err(format!("`{written}` takes no value")),
            };
        }
        if value.is_some() {
            return Ok(Item::Flag(flag, value));
        }
        match self.args.front() {
            Some(next) if next == "-" || !next.starts_with('-') => {
                Ok(Item::Flag(flag, self.args.pop_front()))
            }
            Some(next) if next != "--" => Err(format!(
                "`{written}` needs a value; one that begins with a dash is written \
                 `{written}={next}`"
            )),
            _ => Err(format!("`{written}` needs a value")),
        }
    }
}

fn all<'k>(known: &'k [Flags]) -> impl Iterator<Item = &'static FlagInfo<'static>> + use<'k> {
    known.iter().flat_map(|flags| flags.iter()).chain([&VERSION])
}

/// Flags and words that belong together.
#[derive(Default)]
pub(super) struct Given {
    pub(super) flags: Vec<(&'static FlagInfo<'static>, Option<String>)>,
    pub(super) words: Vec<String>,
}

impl Given {
    pub(super) fn add(&mut self, flag: &'static FlagInfo<'static>, value: Option<String>) {
        self.flags.push((flag, value));
    }

    pub(super) fn has(&self, wanted: &FlagInfo<'_>) -> bool {
        self.flags.iter().any(|(flag, _)| flag.long == wanted.long)
    }

    /// The names of the flags, with underscores, each once.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (flag, _) in &self.flags {
            let name = underscored(flag.long);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Only repeatable flags may be given twice. A switch may, because it makes no difference.
    pub(super) fn check_repeats(&self) -> Result<(), String> {
        for (index, (flag, value)) in self.flags.iter().enumerate() {
            let before = self.flags[..index].iter().any(|(other, _)| other.long == flag.long);
            if before && value.is_some() && flag.optionality != Optionality::Repeating {
                return Err(format!("`{}` can be given only once", documented(flag)));
            }
        }
        Ok(())
    }

    /// The words for argh: each flag and then its value, whatever that looks like.
    pub(super) fn for_argh(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (flag, value) in &self.flags {
            words.push(flag.long.to_owned());
            words.extend(value.clone());
        }
        words.push("--".to_owned());
        words.extend(self.words.iter().cloned());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dialects::ilagent;
    use argh::ArgsInfo;

    fn scanned(args: &[&str]) -> Result<Vec<String>, String> {
        let known =
            [ilagent::Flags::get_args_info().flags, super::super::Globals::get_args_info().flags];
        let mut scan = Scan::new(args.iter().map(OsString::from)).unwrap();
        let mut found = Vec::new();
        while let Some(item) = scan.step(&known)? {
            found.push(match item {
                Item::Flag(flag, None) => documented(flag),
                Item::Flag(flag, Some(value)) => format!("{}={value}", documented(flag)),
                Item::Word(word) => word,
                Item::Help => "help!".to_owned(),
            });
        }
        Ok(found)
    }

    #[test]
    fn every_spelling_is_understood() {
        for (args, wanted) in [
            (&["--mqtt_host", "b"][..], &["--mqtt_host=b"][..]),
            (&["--mqtt-host=b"], &["--mqtt_host=b"]),
            (&["--mqtt_host=a=b"], &["--mqtt_host=a=b"]),
            (&["--mqtt_host="], &["--mqtt_host="]),
            (&["-p8977"], &["--port=8977"]),
            (&["-p=8977"], &["--port=8977"]),
            (&["-p", "8977"], &["--port=8977"]),
            (&["-vv"], &["--verbose", "--verbose"]),
            (&["-vvp8977", "-v"], &["--verbose", "--verbose", "--port=8977", "--verbose"]),
            (&["-vf", "x.db3"], &["--verbose", "--file=x.db3"]),
            (&["--shift_offset=-1"], &["--shift_offset=-1"]),
            (&["--event_key=--help"], &["--event_key=--help"]),
            (&["-e=-x", "-e", "#"], &["--event_topic=-x", "--event_topic=#"]),
            (&["-e", "-"], &["--event_topic=-"]),
            (&["a", "--", "-v", "--", "b"], &["a", "-v", "--", "b"]),
            (&["--mqtt_tls", "-h"], &["--mqtt_tls", "help!"]),
        ] {
            let wanted: Vec<String> = wanted.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(scanned(args), Ok(wanted), "{args:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_in_words() {
        for (args, wanted) in [
            (
                &["--mqtt_hots", "b"][..],
                "there is no flag `--mqtt_hots` here; did you mean `--mqtt_host`?",
            ),
            (&["--frobnicate"], "there is no flag `--frobnicate` here"),
            (&["-x"], "there is no flag `-x` here"),
            (&["-vx"], "there is no flag `-x` here"),
            (&["-p"], "`-p` needs a value"),
            (&["--port"], "`--port` needs a value"),
            (&["--port", "--"], "`--port` needs a value"),
            (
                &["--shift_offset", "-1"],
                "`--shift_offset` needs a value; one that begins with a dash is written \
                 `--shift_offset=-1`",
            ),
            (&["--mqtt_tls=yes"], "`--mqtt_tls` takes no value"),
            (&["-v=2"], "`-v` takes no value"),
        ] {
            assert_eq!(scanned(args), Err(wanted.to_owned()), "{args:?}");
        }
    }
}
