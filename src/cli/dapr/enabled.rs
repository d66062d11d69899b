//! What `daprd` is asked for, in its own words: `--flag value`, `--flag=value`, `-flag value`.

use super::PROGRAM;
use crate::cli::{Command, Invocation, Usage, VERSION, help};
use crate::config::Place;
use crate::config::dialects::dapr::{FLAGS, Flag, Given, Use};
use crate::config::dialects::ilagent::Asked;
use std::fmt::Write;
use std::slice::Iter;

/// How much is logged if nobody says, in `-v`: as there, changes of state.
const INFO: u32 = 2;

/// Reads the command line; `verbosity` is what stood before it.
///
/// # Errors
///
/// Says what cannot be understood. A flag that is not known is a fault like others, so that all of
/// them are found together.
pub fn read(words: &[String], verbosity: u32) -> Result<Invocation, Usage> {
    let wrong = |what: String| Usage::Wrong { what, command: PROGRAM.to_owned() };
    let (mut asked, mut given) = (Asked::default(), Vec::new());
    let (mut verbosity, mut level, mut is_check) = (verbosity, INFO, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some((name, value)) = option(word) else {
            return Err(wrong(format!("`{word}` is one word too many; values belong to a flag")));
        };
        match name {
            "h" | "help" => return Ok(say(text())),
            "version" | "build-info" => return Ok(say(format!("{VERSION}\n"))),
            "check" => is_check = true,
            "f" | "file" => {
                asked.database = Some(value_of(name, value, &mut words).map_err(wrong)?);
            }
            _ if !name.is_empty() && name.bytes().all(|letter| letter == b'v') => {
                verbosity += u32::try_from(name.len()).unwrap_or(u32::MAX);
            }
            _ => {
                let value = flag(name, value, &mut words).map_err(wrong)?;
                if name == "log-level" {
                    level = level_of(&value);
                }
                let place = Place::from(format!("--{name}"));
                given.push(Given { name: name.to_owned(), value, place });
            }
        }
    }
    asked.dapr = Some(given);
    let asked = Box::new(asked);
    let command = if is_check { Command::Check(asked) } else { Command::Daemon(asked) };
    Ok(Invocation { verbosity: verbosity.max(level), command })
}

fn say(text: String) -> Invocation {
    Invocation { verbosity: 0, command: Command::Say(text) }
}

/// Name and value of a flag: `--name`, `-name`, `--name=value`.
fn option(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))))
}

/// The value of a flag of Dapr.
fn flag(name: &str, value: Option<&str>, rest: &mut Iter<'_, String>) -> Result<String, String> {
    if let Some(value) = value {
        return Ok(value.to_owned());
    }
    let next = rest.as_slice().first().map(String::as_str);
    let is_taken = match FLAGS.iter().find(|flag| flag.name == name) {
        Some(Flag { value: "", .. }) => matches!(next, Some("true" | "false")),
        Some(_) => return value_of(name, value, rest),
        None => next.is_some_and(|next| !next.starts_with('-')),
    };
    let next = if is_taken { rest.next() } else { None };
    Ok(next.map_or("true", String::as_str).to_owned())
}

fn value_of(
    name: &str,
    value: Option<&str>,
    rest: &mut Iter<'_, String>,
) -> Result<String, String> {
    let value = value.map(str::to_owned).or_else(|| rest.next().cloned());
    value.ok_or_else(|| format!("`--{name}` needs a value"))
}

/// How much is logged, in `-v`.
fn level_of(word: &str) -> u32 {
    match word {
        "debug" => 3,
        "warn" | "error" | "fatal" => 1,
        _ => INFO,
    }
}

/// The help.
fn text() -> String {
    let mut text = format!(
        "Usage: {PROGRAM} --app-id ID [--app-port PORT] --resources-path FOLDER [FLAGS]\n\n\
         Does the work of a Dapr sidecar with MQTT pub/sub over HTTP: docs/dapr.md.\n\nFlags\n"
    );
    let line = |text: &mut String, Flag { name, value, .. }: &Flag, about: &str| {
        let blank = if value.is_empty() { "" } else { " " };
        help::line(text, &format!("      --{name}{blank}{value}"), about);
    };
    for flag in FLAGS {
        if let Use::For(about) = flag.used {
            line(&mut text, flag, about);
        }
    }
    for (flag, about) in [
        ("      --check", "report every fault, or what the agent would do, and end"),
        ("  -f, --file FILE", "database file (./ilagent.db3)"),
        ("  -h, --help", "print this"),
        ("      --version", "print the version"),
    ] {
        help::line(&mut text, flag, about);
    }
    let names = |wanted: fn(&Use) -> bool| {
        let flags = FLAGS.iter().filter(|flag| wanted(&flag.used));
        flags.map(|flag| format!("--{}", flag.name)).collect::<Vec<_>>().join(" ")
    };
    for (heading, names) in [
        ("Accepted, without effect here:", names(|it| matches!(it, Use::Nothing))),
        ("Refused:", names(|it| matches!(it, Use::Refused(_)))),
    ] {
        let _ = write!(text, "\n{heading}\n");
        help::line(&mut text, "", &names);
    }
    text.push_str(
        "\nEnvironment: DAPR_API_TOKEN (what clients show), APP_API_TOKEN (what the application is \
         shown),\nNAMESPACE, POD_NAME, APP_ID. The application's SDK wants to know DAPR_HTTP_PORT.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &str) -> Result<(Vec<String>, Invocation), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let invocation = read(&words, 0).map_err(|usage| usage.to_string())?;
        let (Command::Daemon(asked) | Command::Check(asked)) = &invocation.command else {
            return Ok((Vec::new(), invocation));
        };
        let given = asked.dapr.iter().flatten();
        let given = given.map(|given| format!("{}={}", given.name, given.value)).collect();
        Ok((given, invocation))
    }

    #[test]
    fn flags_are_written_as_in_go() {
        for (line, wanted) in [
            ("--app-id a -app-port 6001", &["app-id=a", "app-port=6001"] as &[_]),
            (
                "--app-id=a --resources-path x --resources-path y",
                &["app-id=a", "resources-path=x", "resources-path=y"],
            ),
            ("--enable-metrics --app-id a", &["enable-metrics=true", "app-id=a"]),
            ("--enable-metrics false --app-id a", &["enable-metrics=false", "app-id=a"]),
            ("--enable-metrics=false", &["enable-metrics=false"]),
            ("--app-prot 1 --app-idd", &["app-prot=1", "app-idd=true"]),
            ("--max-body-size -1", &["max-body-size=-1"]),
        ] {
            assert_eq!(given(line).unwrap().0, wanted, "{line}");
        }
        for (line, words) in [
            ("--app-id", "`--app-id` needs a value"),
            ("run --app-id a", "`run` is one word too many"),
        ] {
            let why = given(line).err().expect(line);
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn what_is_logged_and_where_the_queue_is_can_be_said() {
        for (line, verbosity, is_check, file) in [
            ("--app-id a", 2, false, None),
            ("--log-level debug", 3, false, None),
            ("--log-level error --check", 1, true, None),
            ("-vvv --log-level info -f x", 3, false, Some("x")),
        ] {
            let invocation = given(line).unwrap().1;
            assert_eq!(invocation.verbosity, verbosity, "{line}");
            assert_eq!(matches!(invocation.command, Command::Check(_)), is_check, "{line}");
            let (Command::Daemon(asked) | Command::Check(asked)) = invocation.command else {
                panic!("{line}");
            };
            assert_eq!(asked.database.as_deref(), file, "{line}");
        }
    }

    #[test]
    fn the_help_names_every_flag() {
        let text = text();
        for flag in FLAGS {
            assert!(text.contains(&format!("--{}", flag.name)), "{}", flag.name);
        }
    }
}
