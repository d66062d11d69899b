//! What `kapacitord` and `kapacitor` are asked for, in their own words: `-url X`, `-url=X` or
//! `--url X`.

mod client;
mod replay;
mod show;

use crate::cli::{Command, Usage};
use crate::config::Surroundings;
use crate::config::dialects::ilagent::{Asked, Flags};
use std::collections::VecDeque;
use std::fmt;

/// Where the server is if nobody says.
const URL: &str = "http://localhost:9092";

const HELP: &str = "\
Usage: kapacitor [-url URL] COMMAND [ARGUMENTS]

  define ID [-tick FILE] [-dbrp \"DB\".\"RP\"]… [-template ID] [-vars FILE] [-file FILE] [-no-reload]
                                     create a task, or change it; reload it if it is enabled
  define-template ID [-tick FILE]    create a template of tasks, or change it and its tasks
  define-topic-handler FILE          create a handler of a topic, or replace it
  enable|disable|reload ID…          tasks, also by patterns such as cpu_*
  list tasks|templates|topics|service-tests [PATTERN…]
  list topic-handlers [TOPIC [ID…]]
  show ID                            a task
  show-template ID
  show-topic TOPIC
  show-topic-handler TOPIC ID
  delete tasks|templates|topics ID…
  delete topic-handlers TOPIC ID…
  replay -tick FILE -points FILE     print what a script would publish, without a server:
         [-handler FILE]… [-vars FILE] [-dbrp \"DB\".\"RP\"] [-precision n|u|ms|s|m|h]
         [-after 10m] [-recover] [-json]
  level error|warn|info|debug        how much the server logs
  stats general|ingress
  service-tests NAME…
  vars                               what the server counts, as JSON
  version

The server is at http://localhost:9092, or where -url or KAPACITOR_URL says; the URL may hold a user
and a password.
";

const DAEMON_HELP: &str = "\
Usage: kapacitord [-config FILE] [-hostname NAME] [-log-level LEVEL]

Runs ilagent with a kapacitor.conf: FILE, or else KAPACITOR_CONFIG_PATH, ~/.kapacitor/kapacitor.conf
or /etc/kapacitor/kapacitor.conf.

  kapacitord config                  print an example of the file
";

const SAMPLE: &str = "\
# What ilagent understands of a kapacitor.conf. It names other tables in a warning.

hostname = \"localhost\"
# Where the queue and what tasks remember are kept.
data_dir = \"/var/lib/kapacitor\"
# The retention policy of points that name none.
default-retention-policy = \"\"

[http]
  bind-address = \"127.0.0.1:9092\"   # \":9092\" is all addresses
  # auth-enabled = true
  # username = \"me\"
  # password-file = \"/etc/kapacitor/password\"

[alert]
  # Whether a point that lacks a field of an alert ends it.
  missing-fields-recover = false
  # How long an alert that goes on may wait for its delivery before it is stored.
  # hold = \"50 ms\"

[load]
  enabled = false
  dir = \"/etc/kapacitor/load\"

[[mqtt]]
  enabled = true
  name = \"localhost\"
  default = true
  url = \"tcp://localhost:1883\"
  # ssl-ca = \"/etc/kapacitor/ca.pem\"
  # ssl-cert = \"/etc/kapacitor/cert.pem\"
  # ssl-key = \"/etc/kapacitor/key.pem\"
  # client-id = \"\"
  # username = \"\"
  # password = \"\"

[[udp]]
  enabled = false
  bind-address = \"127.0.0.1:9100\"
  database = \"game\"
  retention-policy = \"autogen\"
";

/// What the client was asked for.
#[derive(Debug)]
pub struct Ask {
    /// The server, if the command line names it.
    url: Option<String>,
    command: String,
    words: Vec<String>,
}

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    words: String,
}

impl Failure {
    /// The command line is wrong.
    fn arguments(words: impl Into<String>) -> Self {
        Failure { code: 2, words: words.into() }
    }

    /// The command could not be carried out.
    fn command(words: impl fmt::Display) -> Self {
        Failure { code: 3, words: format!("Error: {words}") }
    }

    /// The exit code, as the real client has it.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// Reads the command line of one of the programs.
///
/// # Errors
///
/// Says what cannot be understood.
pub fn read(program: &str, words: &[String]) -> Result<Command, Usage> {
    let wrong = |what: String| Usage::Wrong { what, command: program.to_owned() };
    if program == "kapacitord" {
        return daemon(words).map_err(wrong);
    }
    let mut given = Options::new(words);
    let mut url = None;
    while let Some(word) = given.next() {
        match option(&word) {
            Some(("url", value)) => {
                let value = value.map(str::to_owned).or_else(|| given.next());
                url = Some(value.ok_or_else(|| wrong("`-url` needs a value".to_owned()))?);
            }
            // Certificates are judged in any case, which is the default there, too.
            Some(("skipVerify", Some("false"))) => (),
            Some(("h" | "help", _)) => return Ok(Command::Say(HELP.to_owned())),
            Some((name, _)) => return Err(wrong(format!("there is no option `-{name}`"))),
            None if word == "help" => return Ok(Command::Say(HELP.to_owned())),
            None => {
                let words = given.rest();
                return Ok(Command::Kapacitor(Ask { url, command: word, words }));
            }
        }
    }
    Err(Usage::Nothing(HELP.to_owned()))
}

/// The agent with a `kapacitor.conf`.
fn daemon(words: &[String]) -> Result<Command, String> {
    let mut asked = Asked {
        flags: Flags { kapacitor: Some(String::new()), ..Flags::default() },
        given: vec!["kapacitor".to_owned()],
        ..Asked::default()
    };
    let mut given = Options::new(words);
    while let Some(word) = given.next() {
        let Some((name, value)) = option(&word) else {
            return match word.as_str() {
                "run" => continue,
                "config" => Ok(Command::Say(SAMPLE.to_owned())),
                "version" => Ok(Command::Say(format!("{}\n", crate::cli::VERSION))),
                "help" => Ok(Command::Say(DAEMON_HELP.to_owned())),
                other => Err(format!("`{other}` is one word too many")),
            };
        };
        if matches!(name, "h" | "help") {
            return Ok(Command::Say(DAEMON_HELP.to_owned()));
        }
        let value = value.map(str::to_owned).or_else(|| given.next());
        let value = value.ok_or_else(|| format!("`-{name}` needs a value"))?;
        match name {
            "config" => asked.flags.kapacitor = Some(value),
            "hostname" => asked.hostname = Some(value),
            // The log is collected by whatever starts us, and so is the number of the process.
            "pidfile" | "log-file" | "log-level" | "cpuprofile" | "memprofile" => (),
            _ => return Err(format!("there is no option `-{name}`")),
        }
    }
    Ok(Command::Daemon(Box::new(asked)))
}

/// Carries out what the client was asked for; what it says goes to the standard output.
///
/// # Errors
///
/// Says what did not work, with the exit code.
pub fn run(ask: &Ask, around: &Surroundings<'_>) -> Result<String, Failure> {
    let url = ask.url.clone().or_else(|| around.variable("KAPACITOR_URL"));
    let words: Vec<&str> = ask.words.iter().map(String::as_str).collect();
    let api = || client::Api::new(url.as_deref().unwrap_or(URL));
    match (ask.command.as_str(), words.as_slice()) {
        ("replay", words) => replay::run(words, around),
        ("version", _) => Ok(format!("{} (speaks for Kapacitor)\n", crate::cli::VERSION)),
        ("define", [id, options @ ..]) => {
            api()?.define("tasks", id, options, around).map(|()| String::new())
        }
        ("define-template", [id, options @ ..]) => {
            api()?.define("templates", id, options, around).map(|()| String::new())
        }
        ("define-topic-handler", [file]) => {
            api()?.define_handler(file, around).map(|()| String::new())
        }
        ("enable", [_, ..]) => api()?.set_status(&words, "enabled").map(|()| String::new()),
        ("disable", [_, ..]) => api()?.set_status(&words, "disabled").map(|()| String::new()),
        ("reload", [_, ..]) => {
            let api = api()?;
            api.set_status(&words, "disabled")?;
            api.set_status(&words, "enabled").map(|()| String::new())
        }
        ("list", [kind, patterns @ ..]) => show::list(&api()?, kind, patterns),
        ("show", [id]) => show::task(&api()?, "tasks", id),
        ("show-template", [id]) => show::task(&api()?, "templates", id),
        ("show-topic", [topic]) => show::topic(&api()?, topic),
        ("show-topic-handler", [topic, id]) => show::handler(&api()?, topic, id),
        ("delete", [kind, first, rest @ ..]) => {
            api()?.delete(kind, first, rest).map(|()| String::new())
        }
        ("level", [level]) => api()?.level(level).map(|()| String::new()),
        ("stats", [kind]) => show::stats(&api()?, kind),
        ("service-tests", [_, ..]) => show::service_tests(&api()?, &words),
        ("vars", []) => show::vars(&api()?),
        (command, _) if HELP.lines().any(|line| line.trim_start().starts_with(command)) => {
            Err(Failure::arguments(format!("kapacitor {command}: wrong arguments\n\n{HELP}")))
        }
        (
            "record" | "replay-live" | "replays" | "recordings" | "logs" | "watch" | "backup"
            | "push",
            _,
        ) => Err(Failure::command(format!("`{}` is not supported by ilagent", ask.command))),
        (command, _) => {
            Err(Failure { code: 1, words: format!("Unknown command '{command}'\n\n{HELP}") })
        }
    }
}

/// Words, one after the other.
struct Options {
    words: VecDeque<String>,
}

impl Options {
    fn new(words: &[String]) -> Self {
        Options { words: words.iter().cloned().collect() }
    }

    fn next(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    fn rest(self) -> Vec<String> {
        self.words.into()
    }
}

/// Name and value of an option as Go writes it: `-name`, `--name`, `-name=value`.
fn option(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    if name.is_empty() {
        return None;
    }
    Some(name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(program: &str, line: &str) -> Result<Command, Usage> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        read(program, &words)
    }

    #[test]
    fn the_daemon_takes_kapacitors_flags() {
        for (line, file, hostname) in [
            ("", "", None),
            ("-config /a", "/a", None),
            ("--config=/a -hostname h", "/a", Some("h")),
            ("run -config /a -pidfile /p -log-level DEBUG", "/a", None),
        ] {
            let Ok(Command::Daemon(asked)) = command("kapacitord", line) else { panic!("{line}") };
            assert_eq!(asked.flags.kapacitor.as_deref(), Some(file), "{line}");
            assert_eq!(asked.hostname.as_deref(), hostname, "{line}");
        }
        for line in ["-confg /a", "-config", "walk"] {
            assert!(command("kapacitord", line).is_err(), "{line}");
        }
        assert!(
            matches!(command("kapacitord", "config"), Ok(Command::Say(text)) if text == SAMPLE)
        );
    }

    #[test]
    fn the_client_takes_options_before_the_command() {
        for (line, url, name, count) in [
            ("list tasks", None, "list", 1),
            ("-url http://h:1 enable a b", Some("http://h:1"), "enable", 2),
            ("--url=http://h:1 show a", Some("http://h:1"), "show", 1),
        ] {
            let Ok(Command::Kapacitor(ask)) = command("kapacitor", line) else { panic!("{line}") };
            let found = (ask.url.as_deref(), ask.command.as_str(), ask.words.len());
            assert_eq!(found, (url, name, count), "{line}");
        }
        assert!(command("kapacitor", "").is_err());
        assert!(command("kapacitor", "-bogus list").is_err());
    }
}
