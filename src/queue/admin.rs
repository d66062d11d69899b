//! `ilagent queue …`: looks at what is stuck, and sets it free.
//!
//! A running agent is asked over its control socket; otherwise the file is opened.

use super::board::Board;
use super::change::write_all;
use super::control;
use super::dead_letters::Stored;
use super::file::{DatabaseFile, LOCK_LOOK, LOCK_PATIENCE};
use super::store::{Shown, Store, wall_clock};
use super::sweep::{Sweep, Verb};
use crate::config;
use crate::message::masked;
use crate::system::plain::{plain, plain_bytes};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// Most characters of a reason, and of a body, that are printed for people.
const REASON_CHARS_MAX: usize = 1_000;
const BODY_CHARS_MAX: usize = 16 * 1024;

/// What to do. Ids are as `list` shows them: a number for a waiting delivery, `d` and a number
/// for a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All waiting deliveries and dead letters, oldest first, at most `limit` of each.
    List {
        /// Most lines of each kind.
        limit: usize,
        /// As JSON lines.
        json: bool,
    },
    /// One of them, with its body.
    Show {
        /// Which.
        id: String,
        /// The body alone, byte for byte.
        raw: bool,
    },
    /// Waiting deliveries are tried now; dead letters go back to the queue.
    Retry(Chosen),
    /// They are deleted.
    Drop(Chosen),
}

/// Which ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// These.
    Ids(Vec<String>),
    /// All of them, waiting and dead.
    All,
}

/// Does it, and returns what to print.
///
/// # Errors
///
/// In words: no such file, no such id, or the daemon that does not answer.
pub fn run(database: &Path, command: &Command) -> Result<String, String> {
    let file = DatabaseFile::at(database)?;
    let database = file.path();
    let give_up = Instant::now() + LOCK_PATIENCE;
    let changes = command.changes_something();
    let _lock = loop {
        if let Some(answer) = control::ask(database, command) {
            return answer;
        }
        if !file.is_there() {
            return Err(format!("{}: there is no such file", database.display()));
        }
        // An agent that is just starting has the lock before it listens.
        let held = match changes {
            true => file.try_lock()?.map(Some),
            // To look needs no lock, and leaves none behind.
            false => (!file.is_in_use()).then_some(None),
        };
        match held {
            Some(lock) => break lock,
            None if give_up <= Instant::now() => return Err(file.in_use()),
            None => thread::sleep(LOCK_LOOK),
        }
    };
    let settings = config::Queue {
        path: database.to_owned(),
        dead_letters_max: u64::MAX,
        ..config::Queue::default()
    };
    let mut store = if changes { Store::open(&settings)? } else { Store::look(database)? };
    let trouble = |error: rusqlite::Error| format!("{}: {error}", database.display());
    let mut board = Board::new(None);
    board.restore(store.lanes().map_err(trouble)?);
    board.stored = store.amount().map_err(trouble)?;
    let board = Mutex::new(board);
    let mut sweep = match carry_out(&store, &board, command)? {
        Answer::Text(text) => return Ok(text),
        Answer::Sweep(sweep) => sweep,
    };
    let mut changes = Vec::new();
    while sweep.piece(&store, &board, &mut changes).map_err(trouble)? {
        write_all(&mut store, &changes).map_err(trouble)?;
        changes.clear();
    }
    Ok(sweep.text())
}

/// What comes of a command.
pub(super) enum Answer {
    /// This is to be printed.
    Text(String),
    /// There is something to do first.
    Sweep(Sweep),
}

/// Finds the answer.
pub(super) fn carry_out(
    store: &Store,
    board: &Mutex<Board>,
    command: &Command,
) -> Result<Answer, String> {
    let sweep = |verb, chosen: &Chosen| match chosen {
        Chosen::All => Sweep::all(verb, store, board),
        Chosen::Ids(texts) => Sweep::of(verb, &ids(texts)?, store),
    };
    let done = match command {
        Command::List { limit, json } => list(store, board, *limit, *json).map(Answer::Text),
        Command::Show { id, raw } => show(store, board, Id::parse(id)?, *raw).map(Answer::Text),
        Command::Retry(chosen) => sweep(Verb::Retry, chosen).map(Answer::Sweep),
        Command::Drop(chosen) => sweep(Verb::Drop, chosen).map(Answer::Sweep),
    };
    done.map_err(|refusal| match refusal {
        Refusal::Sqlite(error) => format!("the database says: {error}"),
        Refusal::Words(words) => words,
    })
}

/// Why there is no answer.
pub(super) enum Refusal {
    Sqlite(rusqlite::Error),
    Words(String),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Refusal::Sqlite(error)
    }
}

impl From<String> for Refusal {
    fn from(words: String) -> Self {
        Refusal::Words(words)
    }
}

pub(super) type Done<T> = Result<T, Refusal>;

/// What a person calls a delivery or dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Waiting(u64),
    Dead(i64),
}

impl Id {
    fn parse(text: &str) -> Result<Self, String> {
        let id = match text.strip_prefix('d') {
            Some(number) => number.parse().ok().map(Id::Dead),
            None => text.parse().ok().map(Id::Waiting),
        };
        id.ok_or_else(|| format!("`{}` is no id; `ilagent queue list` shows them", plain(text)))
    }
}

/// Each of them once.
fn ids(texts: &[String]) -> Result<Vec<Id>, String> {
    let mut seen = HashSet::new();
    let mut ids = texts.iter().map(|id| Id::parse(id)).collect::<Result<Vec<_>, _>>()?;
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

fn list(store: &Store, board: &Mutex<Board>, limit: usize, as_json: bool) -> Done<String> {
    let waiting = store.listed(limit)?;
    let dead = store.letters_shown(None, limit)?;
    let lines =
        waiting.iter().map(|shown| waiting_line(shown, board)).chain(dead.iter().map(dead_line));
    if as_json {
        return Ok(lines.map(|line| format!("{line}\n")).collect());
    }
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<8} {:<9} {:<9} {:<10} {:>8} {:>9} {:>7}  {:<24} REASON",
        "ID", "STATE", "KIND", "KEY", "ATTEMPTS", "AGE", "BYTES", "ORIGIN"
    );
    for line in lines {
        let text = |name: &str| {
            let text = line[name].as_str().unwrap_or("-");
            plain(text).within(REASON_CHARS_MAX).to_string()
        };
        let _ = writeln!(
            out,
            "{:<8} {:<9} {:<9} {:<10} {:>8} {:>9} {:>7}  {:<24} {}",
            text("id"),
            text("state"),
            text("kind"),
            text("key"),
            line["attempts"].as_u64().map_or("-".to_owned(), |attempts| attempts.to_string()),
            age(line["time"].as_i64().unwrap_or(0)),
            line["bytes"],
            text("origin"),
            text("reason"),
        );
    }
    let (stored, transit) = {
        let board = super::lock(board);
        (board.stored, board.transit)
    };
    let roughly = if stored.roughly { "about " } else { "" };
    let waiting = counted(stored.count + transit.count, waiting.len());
    let dead = counted(store.letters.count, dead.len());
    let _ = writeln!(out, "{roughly}{} waiting{}, {} dead{}", waiting.0, waiting.1, dead.0, dead.1);
    Ok(out)
}

/// How many there are, and how many of them are shown if those are not all.
fn counted(all: u64, shown: usize) -> (u64, String) {
    let all = all.max(shown as u64);
    let words = if all > shown as u64 { format!(" ({shown} shown)") } else { String::new() };
    (all, words)
}

fn waiting_line(shown: &Shown, board: &Mutex<Board>) -> Value {
    let in_flight = super::lock(board).is_in_flight(shown.seq);
    json!({
        "id": shown.seq.to_string(),
        "state": match (in_flight, shown.damaged) {
            (true, _) => "in flight",
            (false, None) => "waiting",
            (false, Some(_)) => "damaged",
        },
        "reason": shown.damaged,
        "kind": shown.delivery.kind.as_str(),
        "key": masked(&shown.delivery.lane.key),
        "attempts": shown.attempts,
        "time": shown.stored_at,
        "bytes": shown.bytes,
        "origin": shown.delivery.origin,
    })
}

fn dead_line(stored: &Stored) -> Value {
    json!({
        "id": format!("d{}", stored.id),
        "state": "dead",
        "kind": stored.letter.kind.map(crate::message::Kind::as_str),
        "key": masked(&stored.letter.lane_key),
        "time": stored.buried_at,
        "bytes": stored.letter.body.len(),
        "origin": stored.letter.origin,
        "reason": stored.letter.reason,
    })
}

/// How long ago, as the wall clock has it; a clock that was set makes it meaningless.
fn age(at: i64) -> String {
    match wall_clock() - at {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds @ 172_800..=315_360_000 => format!("{} d", seconds / 86_400),
        _ => "?".to_owned(),
    }
}

fn show(store: &Store, board: &Mutex<Board>, id: Id, raw: bool) -> Done<String> {
    let (line, order_key, target, body) = match id {
        Id::Waiting(seq) => {
            let shown = one_waiting(store, seq)?;
            let line = waiting_line(&shown, board);
            (line, shown.delivery.order_key, shown.delivery.target, shown.delivery.body)
        }
        Id::Dead(id) => {
            let stored = one_dead(store, id)?;
            let line = dead_line(&stored);
            (line, stored.letter.order_key, stored.letter.target, stored.letter.body)
        }
    };
    if raw {
        return Ok(as_characters(&body));
    }
    let mut out = String::new();
    for name in ["id", "state", "kind", "key", "attempts", "origin", "reason"] {
        if let Some(value) = line.get(name).filter(|value| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let _ = writeln!(out, "{name:<10} {}", plain(&text).within(REASON_CHARS_MAX));
        }
    }
    let _ = writeln!(out, "{:<10} {}", "age", age(line["time"].as_i64().unwrap_or(0)));
    if let Some(key) = order_key {
        let _ = writeln!(out, "{:<10} {}", "alert key", plain(&key).within(REASON_CHARS_MAX));
    }
    if !target.is_empty() {
        // The last part of an event's path is its integration key.
        let shown = target.rsplit_once('/').map_or_else(
            || masked(&target),
            |(path, last)| {
                if last == "events" { target.clone() } else { format!("{path}/{}", masked(last)) }
            },
        );
        let _ = writeln!(out, "{:<10} {}", "target", plain(&shown));
    }
    let shown = plain_bytes(&body).within(BODY_CHARS_MAX);
    let _ = writeln!(out, "{:<10} {} bytes\n{shown}", "body", body.len());
    Ok(out)
}

/// Bytes as a text that any of them may stand in: the character of the same number for each.
fn as_characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn one_waiting(store: &Store, seq: u64) -> Result<Shown, Refusal> {
    store.shown(seq)?.ok_or_else(|| Refusal::Words(format!("there is no waiting delivery {seq}")))
}

fn one_dead(store: &Store, id: i64) -> Result<Stored, Refusal> {
    store
        .letters_shown(Some(id), 1)?
        .pop()
        .ok_or_else(|| Refusal::Words(format!("there is no dead letter d{id}")))
}

impl Command {
    /// What to print of the text that [`run`] gave, in bytes.
    #[must_use]
    pub fn output(&self, text: &str) -> Vec<u8> {
        match self {
            // As `as_characters` wrote them; there are no others.
            Command::Show { raw: true, .. } => {
                text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
            }
            Command::Show { .. } | Command::List { .. } | Command::Retry(_) | Command::Drop(_) => {
                text.as_bytes().to_vec()
            }
        }
    }

    /// Whether the database is written for it.
    pub(super) fn changes_something(&self) -> bool {
        matches!(self, Command::Retry(_) | Command::Drop(_))
    }

    /// As it travels over the control socket.
    pub(super) fn to_json(&self) -> Value {
        let chosen = |chosen: &Chosen| match chosen {
            Chosen::All => Value::Null,
            Chosen::Ids(ids) => json!(ids),
        };
        match self {
            Command::List { limit, json } => json!({ "list": { "limit": limit, "json": json } }),
            Command::Show { id, raw: false } => json!({ "show": id }),
            Command::Show { id, raw: true } => json!({ "show raw": id }),
            Command::Retry(which) => json!({ "retry": chosen(which) }),
            Command::Drop(which) => json!({ "drop": chosen(which) }),
        }
    }

    /// The reverse of [`Command::to_json`].
    pub(super) fn from_json(json: &Value) -> Option<Self> {
        let (word, value) = json.as_object()?.iter().next()?;
        let chosen = || match value {
            Value::Null => Some(Chosen::All),
            ids => Some(Chosen::Ids(
                ids.as_array()?
                    .iter()
                    .filter_map(|id| id.as_str().map(ToOwned::to_owned))
                    .collect(),
            )),
        };
        Some(match word.as_str() {
            "list" => Command::List {
                limit: usize::try_from(value["limit"].as_u64()?).ok()?,
                json: value["json"].as_bool()?,
            },
            "show" => Command::Show { id: value.as_str()?.to_owned(), raw: false },
            "show raw" => Command::Show { id: value.as_str()?.to_owned(), raw: true },
            "retry" => Command::Retry(chosen()?),
            "drop" => Command::Drop(chosen()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_travel_unchanged() {
        for command in [
            Command::List { limit: 20, json: true },
            Command::Show { id: "d7".to_owned(), raw: false },
            Command::Show { id: "d7".to_owned(), raw: true },
            Command::Retry(Chosen::All),
            Command::Drop(Chosen::Ids(vec!["1".to_owned(), "d2".to_owned()])),
        ] {
            assert_eq!(Command::from_json(&command.to_json()), Some(command));
        }
    }
}
