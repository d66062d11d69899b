//! The command line: what the user asked for. Errors are words they can act on.

pub mod daemon;
pub mod dapr;
pub mod describe;
pub mod event;
pub mod heartbeat;
mod help;
pub mod kapacitor;
mod normalize;
mod queue;
pub mod status;
mod tail;

use crate::config::dialects::ilagent::{Asked, Flags};
use crate::config::hush::hushed;
use crate::config::suggest;
use crate::queue::{Wanted, admin};
use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs, Optionality};
use normalize::{Given, Item, Scan};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What the program calls itself.
pub const NAME: &str = "ilagent";

/// The line that `--version` prints.
pub const VERSION: &str = concat!("ilagent ", env!("CARGO_PKG_VERSION"));

/// What was asked for.
pub struct Invocation {
    /// How often `-v` was given; the count after the command replaces the one before it.
    pub verbosity: u32,
    /// What to do.
    pub command: Command,
}

/// What to do.
pub enum Command {
    /// Run the agent.
    Daemon(Box<Asked>),
    /// Report what is wrong, or what the agent would do.
    Check(Box<Asked>),
    /// Send one event.
    Event(event::Event),
    /// Ping one heartbeat monitor.
    Heartbeat(heartbeat::Heartbeat),
    /// Look at the queue, or change it.
    Queue {
        /// The database file.
        database: PathBuf,
        /// What to do with it.
        command: admin::Command,
    },
    /// Show how a running agent is.
    Status {
        /// Its database file.
        database: PathBuf,
        /// In what form.
        asked: status::Status,
    },
    /// Follow what passes.
    Tail {
        /// The database file of the agent.
        database: PathBuf,
        /// What of it.
        wanted: Wanted,
    },
    /// Do what Kapacitor's client does.
    Kapacitor(kapacitor::Ask),
    /// Print this: a help text, or the version.
    Say(String),
}

/// A command line that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// There is no command; this is the help text.
    Nothing(String),
    /// The command line is wrong.
    Wrong {
        /// What is wrong.
        what: String,
        /// The command whose help says more, such as `ilagent daemon`.
        command: String,
    },
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Usage::Nothing(help) => f.write_str(help.trim_end()),
            Usage::Wrong { what, command } => {
                write!(f, "ilagent: {}; see `{command} --help`", hushed(what))
            }
        }
    }
}

impl std::error::Error for Usage {}

/// flags of every command
#[derive(ArgsInfo, FromArgs)]
struct Globals {
    /// say more: -v -v for changes of state and each message, -v -v -v for everything
    #[argh(switch, short = 'v')]
    verbose: u32,
    /// database file (default: ./ilagent.db3)
    #[argh(option, short = 'f', arg_name = "FILE")]
    file: Option<String>,
}

/// One command, as the command line and the help know it.
struct Entry {
    /// The words that call it.
    name: &'static str,
    /// What it does, in one line.
    about: &'static str,
    /// Its flags and arguments.
    info: fn() -> CommandInfoWithArgs,
    /// What it asks for. There is no default, so a command without one does not compile.
    make: Make,
    /// Headings of its help, each with the flag that it stands before.
    groups: &'static [(&'static str, &'static str)],
}

const COMMANDS: [Entry; 11] = [
    Entry {
        name: "daemon",
        about: "run the agent until it is stopped",
        info: Flags::get_args_info,
        make: daemon,
        groups: &crate::config::dialects::ilagent::GROUPS,
    },
    Entry {
        name: "check",
        about: "report every fault of the same flags, or what the agent would do",
        info: Flags::get_args_info,
        make: check,
        groups: &crate::config::dialects::ilagent::GROUPS,
    },
    Entry {
        name: "event",
        about: "send one event to ilert",
        info: event::Event::get_args_info,
        make: event,
        groups: &[],
    },
    Entry {
        name: "heartbeat",
        about: "ping one heartbeat monitor",
        info: heartbeat::Heartbeat::get_args_info,
        make: heartbeat,
        groups: &[],
    },
    Entry {
        name: "status",
        about: "show how the running agent is",
        info: status::Status::get_args_info,
        make: show_status,
        groups: &[],
    },
    Entry {
        name: "tail",
        about: "follow messages as they pass, one line each",
        info: tail::Tail::get_args_info,
        make: follow,
        groups: &[],
    },
    Entry {
        name: "queue list",
        about: "list what waits, and the dead letters",
        info: queue::List::get_args_info,
        make: list,
        groups: &[],
    },
    Entry {
        name: "queue show",
        about: "show one delivery or dead letter with its body",
        info: queue::Show::get_args_info,
        make: show,
        groups: &[],
    },
    Entry {
        name: "queue retry",
        about: "try deliveries now, or put dead letters back",
        info: queue::Chosen::get_args_info,
        make: retry,
        groups: &[],
    },
    Entry {
        name: "queue drop",
        about: "delete deliveries or dead letters",
        info: queue::Chosen::get_args_info,
        make: drop_chosen,
        groups: &[],
    },
    Entry {
        name: "queue recover",
        about: "take over what a file that was put aside holds",
        info: queue::Recover::get_args_info,
        make: recover,
        groups: &[],
    },
];

/// The words of a command line. Called by the name of a program whose work it does, the first of
/// them is that name.
#[must_use]
pub fn words(mut args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let program = args.next().map(PathBuf::from).unwrap_or_default();
    let name = program.file_name().unwrap_or_default();
    let called = programs().find(|known| name == *known);
    called.map(OsString::from).into_iter().chain(args).collect()
}

/// The programs whose work this one does, by their names.
fn programs() -> impl Iterator<Item = &'static str> {
    kapacitor::PROGRAMS.into_iter().chain([dapr::PROGRAM])
}

/// What another program's command line asks for: verbosity, the name of the program, its words.
fn of_another(args: &[OsString]) -> Option<Result<Invocation, Usage>> {
    let is_count = |word: &&OsString| {
        let letters = word.to_str().and_then(|word| word.strip_prefix('-')).unwrap_or_default();
        letters == "-verbose" || !letters.is_empty() && letters.bytes().all(|it| it == b'v')
    };
    let before: Vec<_> = args.iter().take_while(is_count).collect();
    let verbosity = before.iter().map(|word| match word.to_str() {
        Some(word) if !word.starts_with("--") => word.len() - 1,
        _ => 1,
    });
    let rest = &args[before.len()..];
    let program = programs().find(|known| rest.first().is_some_and(|it| it == known))?;
    let words: Vec<String> =
        rest[1..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let verbosity = u32::try_from(verbosity.sum::<usize>()).unwrap_or(u32::MAX);
    if program == dapr::PROGRAM {
        return Some(dapr::read(&words, verbosity));
    }
    Some(kapacitor::read(program, &words).map(|command| Invocation { verbosity, command }))
}

/// Parses a command line without the name of the program.
///
/// # Errors
///
/// Says on one line what cannot be understood; that is exit code 2.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, Usage> {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(invocation) = of_another(&args) {
        return invocation;
    }
    let mut scan = Scan::new(args)?;
    let globals = Globals::get_args_info().flags;
    let mut before = Given::default();
    let Some(name) = command_name(&mut scan, globals, &mut before)? else {
        return Err(Usage::Nothing(help::of_all()));
    };
    let name = match name {
        Named::Command(name) => name,
        Named::Say(text) => {
            return Ok(Invocation { verbosity: 0, command: Command::Say(text) });
        }
    };
    let Some(entry) = COMMANDS.iter().find(|entry| entry.name == name) else {
        return Err(unknown_command(&name));
    };
    let info = (entry.info)();
    let Some((own, after)) = flags(&mut scan, entry, info.flags, globals)? else {
        let command = Command::Say(help::of_one(entry));
        return Ok(Invocation { verbosity: 0, command });
    };
    complete(entry, &info, &own)?;
    let globals = merge(before, after, entry)?;
    let command = (entry.make)(entry, &own, globals.file)?;
    Ok(Invocation { verbosity: globals.verbose, command })
}

/// What follows a command: its own flags and words, and flags of every command. `None` if help is
/// wanted.
fn flags(
    scan: &mut Scan,
    entry: &Entry,
    flags: &'static [FlagInfo<'static>],
    globals: &'static [FlagInfo<'static>],
) -> Result<Option<(Given, Given)>, Usage> {
    let (mut own, mut after) = (Given::default(), Given::default());
    while let Some(item) = scan.next(&[flags, globals], &format!("{NAME} {}", entry.name))? {
        match item {
            Item::Help => return Ok(None),
            Item::Word(word) => own.words.push(word),
            Item::Flag(flag, value) if globals.iter().any(|g| g.long == flag.long) => {
                after.add(flag, value);
            }
            Item::Flag(flag, value) => own.add(flag, value),
        }
    }
    Ok(Some((own, after)))
}

/// What the words before the flags of a command mean.
enum Named {
    Command(String),
    Say(String),
}

/// Reads up to the command: one word, or two where the first is `queue`.
fn command_name(
    scan: &mut Scan,
    globals: &'static [FlagInfo<'static>],
    before: &mut Given,
) -> Result<Option<Named>, Usage> {
    let mut first: Option<String> = None;
    loop {
        let place = first.as_ref().map_or(NAME.to_owned(), |word| format!("{NAME} {word}"));
        match scan.next(&[globals], &place)? {
            None if first.is_some() => return Err(Usage::Nothing(help::of_queue())),
            None => return Ok(None),
            Some(Item::Help) if first.is_some() => return Ok(Some(Named::Say(help::of_queue()))),
            Some(Item::Help) => return Ok(Some(Named::Say(help::of_all()))),
            Some(Item::Flag(flag, _)) if flag.long == normalize::VERSION_FLAG.long => {
                return Ok(Some(Named::Say(format!("{VERSION}\n"))));
            }
            Some(Item::Flag(flag, value)) => before.add(flag, value),
            Some(Item::Word(word)) if first.is_some() => {
                return Ok(Some(Named::Command(format!("queue {word}"))));
            }
            Some(Item::Word(word)) => match word.as_str() {
                "queue" => first = Some(word),
                "help" => return help_of(&scan.rest()).map(|text| Some(Named::Say(text))),
                _ => return Ok(Some(Named::Command(word))),
            },
        }
    }
}

fn help_of(words: &[String]) -> Result<String, Usage> {
    let name = words.join(" ");
    match name.as_str() {
        "" | "help" => Ok(help::of_all()),
        "queue" => Ok(help::of_queue()),
        _ => match COMMANDS.iter().find(|entry| entry.name == name) {
            Some(entry) => Ok(help::of_one(entry)),
            None => Err(unknown_command(&name)),
        },
    }
}

fn unknown_command(name: &str) -> Usage {
    if name == "cleanup" {
        let what = "`cleanup` was removed upstream in 0.9.0; `ilagent queue` shows and drops \
                    what is stuck";
        return Usage::Wrong { what: what.to_owned(), command: format!("{NAME} queue") };
    }
    let hint = match suggest::nearest(name, COMMANDS.iter().map(|entry| entry.name)) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    let what = format!("there is no command `{name}`{hint}");
    Usage::Wrong { what, command: NAME.to_owned() }
}

/// Checks that nothing is missing and nothing is given twice.
fn complete(entry: &Entry, info: &CommandInfoWithArgs, own: &Given) -> Result<(), Usage> {
    let wrong = |what| Usage::Wrong { what, command: format!("{NAME} {}", entry.name) };
    own.check_repeats().map_err(wrong)?;
    for flag in info.flags {
        if flag.optionality == Optionality::Required && !own.has(flag) {
            return Err(wrong(format!("`{}` is missing", normalize::documented(flag))));
        }
    }
    let repeating = |optionality: &Optionality| *optionality == Optionality::Repeating;
    let many = info.positionals.iter().any(|words| repeating(&words.optionality));
    match own.words.get(info.positionals.len()) {
        Some(word) if !many => {
            Err(wrong(format!("`{word}` is one word too many; values belong to a flag")))
        }
        _ if own.words.is_empty() && !many && !info.positionals.is_empty() => {
            Err(wrong(format!("{} is missing", info.positionals[0].name)))
        }
        _ => Ok(()),
    }
}

/// The count of `-v` after the command replaces the one before it, as upstream.
fn merge(mut before: Given, after: Given, entry: &Entry) -> Result<Globals, Usage> {
    if after.flags.iter().any(|(flag, _)| flag.kind == FlagInfoKind::Switch) {
        before.flags.retain(|(flag, _)| flag.kind != FlagInfoKind::Switch);
    }
    before.flags.extend(after.flags);
    let wrong = |what| Usage::Wrong { what, command: format!("{NAME} {}", entry.name) };
    before.check_repeats().map_err(wrong)?;
    parse(entry, &before)
}

/// Hands the words to argh, which finds nothing wrong with them by now.
fn parse<T: FromArgs>(entry: &Entry, given: &Given) -> Result<T, Usage> {
    let words = given.for_argh();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    T::from_args(&[NAME, entry.name], &words).map_err(|exit| Usage::Wrong {
        what: exit.output.trim().replace('\n', " "),
        command: format!("{NAME} {}", entry.name),
    })
}

/// What a complete command line of this entry asks for.
type Make = fn(&Entry, &Given, Option<String>) -> Result<Command, Usage>;

fn daemon(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    asked(entry, own, database).map(Command::Daemon)
}

fn check(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    asked(entry, own, database).map(Command::Check)
}

fn asked(entry: &Entry, own: &Given, database: Option<String>) -> Result<Box<Asked>, Usage> {
    Ok(Box::new(Asked {
        flags: parse(entry, own)?,
        given: own.names(),
        database,
        ..Asked::default()
    }))
}

fn event(entry: &Entry, own: &Given, _: Option<String>) -> Result<Command, Usage> {
    let event = parse::<event::Event>(entry, own)?.check();
    event.map(Command::Event).map_err(|what| wrong(entry, what))
}

fn heartbeat(entry: &Entry, own: &Given, _: Option<String>) -> Result<Command, Usage> {
    Ok(Command::Heartbeat(parse::<heartbeat::Heartbeat>(entry, own)?))
}

fn show_status(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    Ok(Command::Status { database: path_of(database), asked: parse(entry, own)? })
}

fn follow(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    let wanted = parse::<tail::Tail>(entry, own)?.wanted().map_err(|what| wrong(entry, what))?;
    Ok(Command::Tail { database: path_of(database), wanted })
}

fn list(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    on_queue(entry, database, parse::<queue::List>(entry, own)?.command())
}

fn show(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    on_queue(entry, database, Ok(parse::<queue::Show>(entry, own)?.command()))
}

fn retry(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    let chosen = parse::<queue::Chosen>(entry, own)?.choice();
    on_queue(entry, database, chosen.map(admin::Command::Retry))
}

fn drop_chosen(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    let chosen = parse::<queue::Chosen>(entry, own)?.choice();
    on_queue(entry, database, chosen.map(admin::Command::Drop))
}

fn recover(entry: &Entry, own: &Given, database: Option<String>) -> Result<Command, Usage> {
    on_queue(entry, database, Ok(parse::<queue::Recover>(entry, own)?.command()))
}

fn on_queue(
    entry: &Entry,
    database: Option<String>,
    command: Result<admin::Command, String>,
) -> Result<Command, Usage> {
    let command = command.map_err(|what| wrong(entry, what))?;
    Ok(Command::Queue { database: path_of(database), command })
}

fn path_of(database: Option<String>) -> PathBuf {
    database.map_or_else(|| crate::config::defaults::DATABASE.into(), PathBuf::from)
}

fn wrong(entry: &Entry, what: String) -> Usage {
    Usage::Wrong { what, command: format!("{NAME} {}", entry.name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(line: &str) -> Invocation {
        match read(line.split_whitespace().map(OsString::from)) {
            Ok(invocation) => invocation,
            Err(usage) => panic!("{line}: {usage}"),
        }
    }

    #[test]
    fn the_count_after_the_command_replaces_the_one_before_it() {
        for (line, wanted) in [
            ("daemon", 0),
            ("-v daemon", 1),
            ("daemon -v -v", 2),
            ("daemon -vvv", 3),
            ("-vv daemon -v", 1),
            ("-v queue list -vv", 2),
            ("--verbose --verbose daemon -f x", 2),
        ] {
            assert_eq!(invocation(line).verbosity, wanted, "{line}");
        }
    }

    #[test]
    fn the_database_may_be_named_before_or_after_the_command() {
        for line in ["-f x daemon", "daemon -f x", "--file=x daemon", "daemon -fx", "daemon -f=x"] {
            let Command::Daemon(asked) = invocation(line).command else { panic!("{line}") };
            assert_eq!(asked.database.as_deref(), Some("x"), "{line}");
        }
    }

    #[test]
    fn every_daemon_flag_is_listed_as_given_once() {
        let line = "daemon -e a --event-topic=b --mqtt_tls --mqtt_tls -p=1";
        let Command::Daemon(asked) = invocation(line).command else { panic!("{line}") };
        assert_eq!(asked.given, ["event_topic", "mqtt_tls", "port"]);
        assert_eq!(asked.flags.event_topic, ["a", "b"]);
        assert_eq!(asked.flags.port.as_deref(), Some("1"));
    }

    #[test]
    fn queue_commands_become_what_the_queue_does() {
        use admin::{Chosen, Command as Do};
        let ids = |ids: &[&str]| Chosen::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        for (line, file, wanted) in [
            ("queue list", "./ilagent.db3", Do::List { limit: 100, json: false, sink: None }),
            (
                "queue list --json --limit 5 -f x",
                "x",
                Do::List { limit: 5, json: true, sink: None },
            ),
            ("-f x queue show d7", "x", Do::Show { id: "d7".to_owned(), raw: false }),
            ("-f x queue show --raw d7", "x", Do::Show { id: "d7".to_owned(), raw: true }),
            ("queue retry 1 d2", "./ilagent.db3", Do::Retry(ids(&["1", "d2"]))),
            ("queue retry --all", "./ilagent.db3", Do::Retry(Chosen::All)),
            ("queue drop --sink s", "./ilagent.db3", Do::Drop(Chosen::OfSink("s".to_owned()))),
            ("-f x queue recover y", "x", Do::Recover("y".to_owned())),
            ("queue drop help", "./ilagent.db3", Do::Drop(ids(&["help"]))),
        ] {
            let Command::Queue { database, command } = invocation(line).command else {
                panic!("{line}")
            };
            assert_eq!((database, command), (PathBuf::from(file), wanted), "{line}");
        }
    }
}
