//! `ilagent queue …`, as written on the command line.

use crate::config::values;
use crate::queue::admin::{self, Command};
use argh::{ArgsInfo, FromArgs};

/// Lines of each kind that `list` prints by default.
const LIMIT: usize = 100;

/// List what waits, and the dead letters.
#[derive(ArgsInfo, FromArgs)]
pub(super) struct List {
    /// most lines of each kind (default: 100)
    #[argh(option, arg_name = "NUMBER")]
    limit: Option<String>,
    /// print JSON, one object a line
    #[argh(switch)]
    json: bool,
    /// only those of this sink, such as ilert or 'mqtt plant'
    #[argh(option, arg_name = "NAME")]
    sink: Option<String>,
}

/// Show one delivery or dead letter with its body.
#[derive(ArgsInfo, FromArgs)]
pub(super) struct Show {
    /// a number, or d and a number for a dead letter, as `list` prints it
    #[argh(positional, arg_name = "ID")]
    id: String,
    /// print the body alone, byte for byte, for a file or a pipe
    #[argh(switch)]
    raw: bool,
}

/// Take over what a file that was put aside holds; may repeat deliveries.
#[derive(ArgsInfo, FromArgs)]
pub(super) struct Recover {
    /// a database of ilagent, damaged or old, or the -wal of one; it is left as it is. What is in
    /// the queue already is skipped, what was delivered since is delivered again
    #[argh(positional, arg_name = "FILE")]
    file: String,
}

/// Choose deliveries and dead letters.
#[derive(ArgsInfo, FromArgs)]
pub(super) struct Chosen {
    /// all of them, deliveries and dead letters
    #[argh(switch)]
    all: bool,
    /// all of this sink, such as ilert or 'mqtt plant'
    #[argh(option, arg_name = "NAME")]
    sink: Option<String>,
    /// numbers, or d and a number for dead letters, as `list` prints them
    #[argh(positional, arg_name = "ID")]
    ids: Vec<String>,
}

impl List {
    pub(super) fn command(self) -> Result<Command, String> {
        let most = u64::from(admin::LIST_MAX);
        let limit = self.limit.as_deref().map(|text| values::count_usize(text, 1..=most));
        let limit = limit.transpose().map_err(|why| format!("`--limit`: {why}"))?;
        Ok(Command::List { limit: limit.unwrap_or(LIMIT), json: self.json, sink: self.sink })
    }
}

impl Show {
    pub(super) fn command(self) -> Command {
        Command::Show { id: self.id, raw: self.raw }
    }
}

impl Recover {
    pub(super) fn command(self) -> Command {
        Command::Recover(self.file)
    }
}

impl Chosen {
    pub(super) fn choice(self) -> Result<admin::Chosen, String> {
        match (self.all, self.sink, self.ids.is_empty()) {
            (true, None, true) => Ok(admin::Chosen::All),
            (false, Some(sink), true) => Ok(admin::Chosen::OfSink(sink)),
            (false, None, false) => Ok(admin::Chosen::Ids(self.ids)),
            (false, None, true) => Err("give ids, `--sink` or `--all`".to_owned()),
            (true, None, false) => Err("give ids or `--all`, not both".to_owned()),
            _ => Err("give `--sink` alone, without ids or `--all`".to_owned()),
        }
    }
}
