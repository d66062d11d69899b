//! `ilagent queue …`: looks at what is stuck, and sets it free.
//!
//! A running agent is asked over its control socket; otherwise the file is opened.

use super::board::{Board, RowId};
use super::store::{Shown, Store, wall_clock};
use super::{control, dead_letters, schema};
use crate::config;
use crate::message::{Delivery, Lane, masked};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// How long a lock that somebody else has is waited for, and how often it is looked at.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_LOOK: Duration = Duration::from_millis(20);

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
    let give_up = Instant::now() + LOCK_PATIENCE;
    let _lock = loop {
        if let Some(answer) = control::ask(database, command) {
            return answer;
        }
        if !database.exists() {
            return Err(format!("{}: there is no such file", database.display()));
        }
        // An agent that is just starting has the lock before it listens.
        match try_lock(database)? {
            Some(lock) => break lock,
            None if give_up <= Instant::now() => return Err(in_use(database)),
            None => thread::sleep(LOCK_LOOK),
        }
    };
    let settings = config::Queue {
        path: database.to_owned(),
        dead_letters_max: u64::MAX,
        ..config::Queue::default()
    };
    carry_out(&mut Store::open(&settings)?, None, command)
}

/// Takes the lock that says who has the database; it goes with the file that is returned.
///
/// Somebody who looks at the queue has it for a moment, so it is waited for a little.
pub(super) fn lock(database: &Path) -> Result<File, String> {
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        match try_lock(database)? {
            Some(lock) => return Ok(lock),
            None if give_up <= Instant::now() => return Err(in_use(database)),
            None => thread::sleep(LOCK_LOOK),
        }
    }
}

fn in_use(database: &Path) -> String {
    format!("{} is in use by another ilagent", database.display())
}

fn try_lock(database: &Path) -> Result<Option<File>, String> {
    let path = schema::beside(database, ".lock");
    let shown = path.display();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| format!("{shown}: {error}"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(format!("{shown}: {error}")),
    }
}

/// Does it on an open database; `board` is that of the running agent.
pub(super) fn carry_out(
    store: &mut Store,
    board: Option<&Mutex<Board>>,
    command: &Command,
) -> Result<String, String> {
    let done = match command {
        Command::List { limit, json } => list(store, board, *limit, *json),
        Command::Show { id } => show(store, board, Id::parse(id)?),
        Command::Retry(chosen) => retry(store, board, &ids(chosen)?),
        Command::Drop(chosen) => delete(store, board, &ids(chosen)?),
    };
    done.map_err(|refusal| match refusal {
        Refusal::Sqlite(error) => {
            store.rollback();
            format!("the database says: {error}")
        }
        Refusal::Words(words) => {
            store.rollback();
            words
        }
    })
}

enum Refusal {
    Sqlite(rusqlite::Error),
    Words(String),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Refusal::Sqlite(error)
    }
}

type Done = Result<String, Refusal>;

/// What a person calls a delivery or dead letter.
#[derive(Clone, Copy)]
enum Id {
    Waiting(u64),
    Dead(i64),
}

impl Id {
    fn parse(text: &str) -> Result<Self, String> {
        let id = match text.strip_prefix('d') {
            Some(number) => number.parse().ok().map(Id::Dead),
            None => text.parse().ok().map(Id::Waiting),
        };
        id.ok_or_else(|| format!("`{text}` is no id; `ilagent queue list` shows them"))
    }
}

/// `None` means all of them.
fn ids(chosen: &Chosen) -> Result<Option<Vec<Id>>, String> {
    match chosen {
        Chosen::All => Ok(None),
        Chosen::Ids(ids) => ids.iter().map(|id| Id::parse(id)).collect::<Result<_, _>>().map(Some),
    }
}

fn list(store: &Store, board: Option<&Mutex<Board>>, limit: usize, as_json: bool) -> Done {
    let waiting = store.shown(None, limit)?;
    let dead = dead_letters::shown(&store.connection, None, limit)?;
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
        let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
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
    let _ = writeln!(out, "{} waiting, {} dead", waiting.len(), dead.len());
    Ok(out)
}

fn waiting_line(shown: &Shown, board: Option<&Mutex<Board>>) -> Value {
    let in_flight = board.is_some_and(|board| super::lock(board).is_in_flight(shown.row.seq));
    json!({
        "id": shown.row.seq.to_string(),
        "state": if in_flight { "in flight" } else { "waiting" },
        "kind": shown.delivery.kind.as_str(),
        "key": masked(&shown.lane.key),
        "attempts": shown.attempts,
        "time": shown.stored_at,
        "bytes": shown.delivery.body.len(),
        "origin": shown.delivery.origin,
    })
}

fn dead_line(stored: &dead_letters::Stored) -> Value {
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

fn show(store: &Store, board: Option<&Mutex<Board>>, id: Id) -> Done {
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
    let mut out = String::new();
    for name in ["id", "state", "kind", "key", "attempts", "origin", "reason"] {
        if let Some(value) = line.get(name).filter(|value| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let _ = writeln!(out, "{name:<10} {text}");
        }
    }
    let _ = writeln!(out, "{:<10} {}", "age", age(line["time"].as_i64().unwrap_or(0)));
    if let Some(key) = order_key {
        let _ = writeln!(out, "{:<10} {key}", "alert key");
    }
    if !target.is_empty() {
        // The last part of an event's path is its integration key.
        let shown = target.rsplit_once('/').map_or_else(
            || masked(&target),
            |(path, last)| {
                if last == "events" { target.clone() } else { format!("{path}/{}", masked(last)) }
            },
        );
        let _ = writeln!(out, "{:<10} {shown}", "target");
    }
    let _ =
        writeln!(out, "{:<10} {} bytes\n{}", "body", body.len(), String::from_utf8_lossy(&body));
    Ok(out)
}

fn one_waiting(store: &Store, seq: u64) -> Result<Shown, Refusal> {
    store
        .shown(Some(seq), 1)?
        .pop()
        .ok_or_else(|| Refusal::Words(format!("there is no waiting delivery {seq}")))
}

fn one_dead(store: &Store, id: i64) -> Result<dead_letters::Stored, Refusal> {
    dead_letters::shown(&store.connection, Some(id), 1)?
        .pop()
        .ok_or_else(|| Refusal::Words(format!("there is no dead letter d{id}")))
}

fn retry(store: &mut Store, board: Option<&Mutex<Board>>, ids: &Option<Vec<Id>>) -> Done {
    let (mut hurried, mut raised) = (0_u64, Vec::new());
    let dead: Vec<dead_letters::Stored> = match ids {
        None => {
            if let Some(board) = board {
                let mut board = super::lock(board);
                board.hurry();
                hurried = board.stored.count;
            }
            let all = dead_letters::shown(&store.connection, None, usize::MAX)?;
            all.into_iter().filter(|stored| stored.letter.kind.is_some()).collect()
        }
        Some(ids) => {
            let mut dead = Vec::new();
            for id in ids {
                match id {
                    Id::Waiting(seq) => {
                        let shown = one_waiting(store, *seq)?;
                        if let Some(board) = board {
                            super::lock(board).hurry_one(shown.row, Instant::now());
                        }
                        hurried += 1;
                    }
                    Id::Dead(id) => dead.push(one_dead(store, *id)?),
                }
            }
            dead
        }
    };
    store.begin()?;
    for stored in dead {
        let (id, bytes) = (stored.id, stored.letter.body.len() as u64);
        let Some(delivery) = stored.letter.into_delivery() else {
            return Err(Refusal::Words(format!(
                "d{id} never became a delivery, so there is nothing to try again; drop it, or \
                 correct its source and publish it again"
            )));
        };
        store.letters.delete(&store.connection, id, bytes)?;
        let row = insert_at_end(store, board, &delivery)?;
        raised.push((row, delivery));
    }
    store.commit()?;
    let count = raised.len();
    if let Some(board) = board {
        let mut board = super::lock(board);
        for (row, delivery) in raised {
            board.add_stored(row, delivery, 0, Instant::now());
        }
    }
    Ok(format!("{hurried} waiting deliveries are tried now, {count} dead letters wait again\n"))
}

/// Stores a delivery behind all others, with the numbers of the running agent if there is one.
fn insert_at_end(
    store: &Store,
    board: Option<&Mutex<Board>>,
    delivery: &Delivery,
) -> Result<RowId, Refusal> {
    let row = match board {
        Some(board) => {
            let mut board = super::lock(board);
            let (lane, new) = board.lane_to_store(&delivery.lane);
            if new {
                store.add_lane(lane, &delivery.lane)?;
            }
            RowId { lane, seq: board.next_seq() }
        }
        None => free_row(store, &delivery.lane)?,
    };
    store.insert(row, delivery, 0)?;
    Ok(row)
}

fn free_row(store: &Store, name: &Lane) -> Result<RowId, Refusal> {
    let (lane, new): (u32, bool) = store.connection.query_row(
        "SELECT COALESCE((SELECT number FROM lanes WHERE sink = ?1 AND key = ?2),
                         (SELECT COALESCE(MAX(number), 0) + 1 FROM lanes)),
                NOT EXISTS (SELECT 1 FROM lanes WHERE sink = ?1 AND key = ?2)",
        [&name.sink, &name.key],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if new {
        store.add_lane(lane, name)?;
    }
    let seq: i64 = store.connection.query_row(
        "SELECT COALESCE(MAX(id & ((1 << 40) - 1)), 0) + 1 FROM deliveries",
        [],
        |row| row.get(0),
    )?;
    Ok(RowId { lane, seq: u64::try_from(seq).unwrap_or(1) })
}

fn delete(store: &mut Store, board: Option<&Mutex<Board>>, ids: &Option<Vec<Id>>) -> Done {
    let (waiting, dead) = match ids {
        None => (
            store.shown(None, usize::MAX)?,
            dead_letters::shown(&store.connection, None, usize::MAX)?,
        ),
        Some(ids) => {
            let (mut waiting, mut dead) = (Vec::new(), Vec::new());
            for id in ids {
                match id {
                    Id::Waiting(seq) => waiting.push(one_waiting(store, *seq)?),
                    Id::Dead(id) => dead.push(one_dead(store, *id)?),
                }
            }
            (waiting, dead)
        }
    };
    store.begin()?;
    let (mut dropped, mut kept) = (0, 0);
    for shown in &waiting {
        let free = board.is_none_or(|board| super::lock(board).withdraw(shown.row, shown.bytes()));
        if free {
            store.delete(shown.row)?;
            dropped += 1;
        } else {
            kept += 1;
        }
    }
    for stored in &dead {
        store.letters.delete(&store.connection, stored.id, stored.letter.body.len() as u64)?;
    }
    store.commit()?;
    log::warn!("queue: {dropped} deliveries and {} dead letters were dropped by hand", dead.len());
    let in_flight = match kept {
        0 => String::new(),
        kept => format!("; {kept} are in flight at this moment and were left alone"),
    };
    Ok(format!("{dropped} waiting deliveries and {} dead letters dropped{in_flight}\n", dead.len()))
}

impl Command {
    /// As it travels over the control socket.
    pub(super) fn to_json(&self) -> Value {
        let chosen = |chosen: &Chosen| match chosen {
            Chosen::All => Value::Null,
            Chosen::Ids(ids) => json!(ids),
        };
        match self {
            Command::List { limit, json } => json!({ "list": { "limit": limit, "json": json } }),
            Command::Show { id } => json!({ "show": id }),
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
            "show" => Command::Show { id: value.as_str()?.to_owned() },
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
            Command::Show { id: "d7".to_owned() },
            Command::Retry(Chosen::All),
            Command::Drop(Chosen::Ids(vec!["1".to_owned(), "d2".to_owned()])),
        ] {
            assert_eq!(Command::from_json(&command.to_json()), Some(command));
        }
    }
}
