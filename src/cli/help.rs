//! The help texts, rendered from the same tables that the command line is parsed with.

use crate::cli::normalize::{VERSION_FLAG, documented};
use crate::cli::{COMMANDS, Entry, Globals, NAME, VERSION};
use argh::{ArgsInfo, FlagInfo, FlagInfoKind, Optionality};
use std::fmt::Write;

/// Where descriptions begin.
const COLUMN: usize = 34;
/// Where lines end.
const WIDTH: usize = 80;

const ROUTES: &str = "
Called kapacitord, kapacitor or daprd, or with that as the first word, it does the work of these
programs: docs/kapacitor.md, docs/dapr.md.

Messages go to ilert and, with routes in a file (daemon --config), to other brokers and to
applications: docs/routes.md has examples.
";

/// The help of the program.
pub(super) fn of_all() -> String {
    let mut text = format!(
        "{VERSION}: takes messages in, keeps them safe and hands them on\n\n\
         Usage: {NAME} [-v]… [-f FILE] COMMAND [FLAGS]\n\nCommands\n"
    );
    for entry in &COMMANDS {
        line(&mut text, &format!("  {}", entry.name), entry.about);
    }
    line(&mut text, "  help [COMMAND]", "print this, or the help of a command");
    text.push_str("\nFlags of every command\n");
    globals(&mut text);
    flag(&mut text, &VERSION_FLAG);
    text.push_str(ROUTES);
    text.push_str("\nExit codes: 0 all went well; 1 it failed; 2 the command line or the configuration is wrong.\n");
    text
}

/// The help of `queue`, which is four commands.
pub(super) fn of_queue() -> String {
    let mut text = format!("Usage: {NAME} queue COMMAND [FLAGS]\n\nCommands\n");
    for entry in COMMANDS.iter().filter(|entry| entry.name.starts_with("queue ")) {
        line(&mut text, &format!("  {}", entry.name), entry.about);
    }
    text.push_str("\nFlags of every command\n");
    globals(&mut text);
    text
}

/// The help of one command.
pub(super) fn of_one(entry: &Entry) -> String {
    let info = (entry.info)();
    let mut text = format!("Usage: {NAME} {} [FLAGS]", entry.name);
    for words in info.positionals {
        let many = if words.optionality == Optionality::Repeating { "…" } else { "" };
        let _ = write!(text, " {}{many}", words.name);
    }
    let _ = write!(text, "\n\n{}\n", sentence(entry.about));
    if !info.positionals.is_empty() {
        text.push_str("\nArguments\n");
        for words in info.positionals {
            line(&mut text, &format!("  {}", words.name), words.description);
        }
    }
    let own = info.flags.iter().filter(|flag| flag.long != "--help");
    let mut headed = false;
    for own in own {
        let name = own.long.trim_start_matches('-');
        if let Some((heading, _)) = entry.groups.iter().find(|(_, first)| *first == name) {
            let _ = write!(text, "\n{heading}\n");
        } else if !headed {
            text.push_str("\nFlags\n");
        }
        headed = true;
        flag(&mut text, own);
    }
    text.push_str("\nFlags of every command\n");
    globals(&mut text);
    if !entry.groups.is_empty() {
        text.push_str(NOTES);
    }
    text
}

const NOTES: &str = "
Names may be written with dashes or underscores, values as `--flag value` or `--flag=value`.
SIZE: 65536, 64 KB, 1 MB. TIME: 30 s, 5 min. PATH: names with dots between them, such as
data.sensors.0.name.

Environment: ILERT_API_KEY (policy updates), ILERT_HEARTBEAT_KEY, ILAGENT_MQTT_PASSWORD,
ILAGENT_KAFKA_PASSWORD, ILAGENT_HTTP_TOKEN, ILAGENT_PARAMETER_name (a parameter of a service),
ILERT_API_HOST and ILERT_HBT_HOST (another API),
HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (the way to it), SSL_CERT_FILE and SSL_CERT_DIR
(CAs to trust), RUST_LOG (a level), ILAGENT_LOG (streams, for procd), CREDENTIALS_DIRECTORY (set
by systemd; files api_key, heartbeat_key, mqtt_password, kafka_password, event_key, http_token),
JOURNAL_STREAM, NOTIFY_SOCKET and WATCHDOG_USEC (set by systemd). A file may be written as
$CREDENTIALS_DIRECTORY/NAME.
";

fn globals(text: &mut String) {
    for global in Globals::get_args_info().flags.iter().filter(|flag| flag.long != "--help") {
        flag(text, global);
    }
    line(text, "  -h, --help", "print the help of a command");
}

fn flag(text: &mut String, flag: &FlagInfo<'_>) {
    let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let value = match flag.kind {
        FlagInfoKind::Switch => String::new(),
        FlagInfoKind::Option { arg_name } => format!(" {arg_name}"),
    };
    line(text, &format!("  {short}{}{value}", documented(flag)), flag.description);
}

/// A name and, wrapped beside it, its meaning.
pub(super) fn line(text: &mut String, name: &str, meaning: &str) {
    text.push_str(name);
    let mut at = name.chars().count();
    // A name that is too long for its column gets its own line.
    if at + 2 > COLUMN {
        text.push('\n');
        at = 0;
    }
    let _ = write!(text, "{:1$}", "", COLUMN - at);
    at = COLUMN;
    for word in meaning.split_whitespace() {
        let length = word.chars().count();
        if at > COLUMN && at + 1 + length > WIDTH {
            let _ = write!(text, "\n{:COLUMN$}", "");
            at = COLUMN;
        }
        if at > COLUMN {
            text.push(' ');
            at += 1;
        }
        text.push_str(word);
        at += length;
    }
    text.push('\n');
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}
