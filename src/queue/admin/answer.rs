//! What `ilagent queue` prints, and what it sets off.

use super::command::{Chosen, Command};
use super::count::{Count, Counts};
use super::recover::Recovery;
use super::sweep::{Sweep, Verb};
use super::work::Work;
use crate::config::values::age_words;
use crate::message::{Delivery, Errand, LaneName, SinkName, masked};
use crate::queue::board::Board;
use crate::queue::database::dead_letters::Stored;
use crate::queue::database::moved;
use crate::queue::database::store::{Shown, Store, wall_clock};
use crate::queue::push::DeadLetter;
use crate::system::plain::{self, plain, plain_bytes};
use crate::system::threads::lock;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// Seconds of ten years: what is older was stored before the clock was set.
const AGE_MAX: u64 = 315_360_000;

/// Most characters of a reason, and of a body, that are printed for people.
const REASON_CHARS_MAX: usize = 1_000;
const BODY_CHARS_MAX: usize = 16 * 1024;

/// What comes of a command.
pub(in crate::queue) enum Answer {
    /// This is to be printed.
    Text(String),
    /// There is something to do first.
    Work(Work),
}

/// Finds the answer.
pub(in crate::queue) fn carry_out(
    store: &Store,
    board: &Mutex<Board>,
    command: &Command,
) -> Result<Answer, String> {
    let sweep = |verb, chosen: &Chosen| match chosen {
        Chosen::All => Sweep::all(verb, None, store, board).map(Work::Sweep),
        Chosen::OfSink(name) => {
            let sink = known(name, store, board)?;
            Sweep::all(verb, Some(sink), store, board).map(Work::Sweep)
        }
        Chosen::Ids(texts) => Sweep::of(verb, &ids(texts)?, store).map(Work::Sweep),
    };
    let done = match command {
        Command::List { limit, json, sink } => list(store, board, sink.as_deref(), *limit, *json),
        Command::Show { id, raw } => show(store, board, Id::parse(id)?, *raw).map(Answer::Text),
        Command::Retry(chosen) => sweep(Verb::Retry, chosen).map(Answer::Work),
        Command::Drop(chosen) => sweep(Verb::Drop, chosen).map(Answer::Work),
        Command::Recover(path) => Recovery::of(path, store)
            .map(|recovery| Answer::Work(Work::Recovery(Box::new(recovery))))
            .map_err(Refusal::Words),
    };
    done.map_err(words)
}

/// Why there is no answer, in words.
pub(in crate::queue) fn words(refusal: Refusal) -> String {
    match refusal {
        Refusal::Sqlite(error) => format!("the database says: {error}"),
        Refusal::Words(words) => words,
    }
}

/// Why there is no answer.
pub(in crate::queue) enum Refusal {
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

pub(in crate::queue) type Done<T> = Result<T, Refusal>;

/// What a person calls a delivery or dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::queue) enum Id {
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

/// A sink that has deliveries or dead letters, or that claims.
fn known(name: &str, store: &Store, board: &Mutex<Board>) -> Done<SinkName> {
    let mut names = BTreeSet::new();
    names.extend(store.letters.of_sinks.keys().map(|name| SinkName::from(name.clone())));
    names.extend(lock(board).standings(Instant::now()).into_iter().map(|one| one.name));
    let found = names.iter().find(|known| known.as_str() == name).cloned();
    found.ok_or_else(|| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Refusal::Words(format!("there is no sink `{}`; the queue knows {names}", plain(name)))
    })
}

/// The lines below a list: how much waits for each sink, and why; how much there is in all. `counts`
/// has the rows of each sink where the board knows them only roughly.
pub(super) fn counts_of_sinks(
    only: Option<&SinkName>,
    shown: (usize, usize),
    counts: Option<&Counts>,
    store: &Store,
    board: &Mutex<Board>,
) -> String {
    let (standings, stored, transit) = {
        let board = lock(board);
        (board.standings(Instant::now()), board.stored, board.transit)
    };
    let mut out = String::new();
    for one in standings.iter().filter(|one| only.is_none_or(|only| *only == one.name)) {
        let counted = |counts: &Counts| one.transit + counts.get(&one.name).copied().unwrap_or(0);
        let count = counts.map_or(one.waiting, counted);
        let dead = store.letters.of_sinks.get(one.name.as_str()).copied().unwrap_or(0);
        let _ =
            write!(out, "{}: {count} waiting, {} in flight, {dead} dead", one.name, one.in_flight);
        if let Some((since, probe)) = one.closed {
            let (since, probe) = (since.as_secs(), probe.as_secs());
            let _ = write!(out, "; held back for {since} s, next attempt in {probe} s");
        }
        if one.lanes_closed > 0 {
            let _ = write!(out, "; {} of its keys held back", one.lanes_closed);
        }
        out.push('\n');
    }
    if only.is_none() {
        let rows = counts.map_or(stored.count, |counts| counts.values().sum());
        let waiting = counted(rows + transit.count, shown.0);
        let dead = counted(store.letters.count, shown.1);
        let _ = writeln!(out, "{} waiting{}, {} dead{}", waiting.0, waiting.1, dead.0, dead.1);
    }
    out
}

fn list(
    store: &Store,
    board: &Mutex<Board>,
    only: Option<&str>,
    limit: usize,
    as_json: bool,
) -> Done<Answer> {
    let only = only.map(|name| known(name, store, board)).transpose()?;
    let waiting = store.listed(only.as_ref(), limit)?;
    let dead = match &only {
        Some(sink) => store.letters_of(sink, limit)?,
        None => store.letters_shown(None, limit)?,
    };
    let lines =
        waiting.iter().map(|shown| waiting_line(shown, board)).chain(dead.iter().map(dead_line));
    if as_json {
        let lines = lines.map(|line| plain::json(&line.to_string()).into_owned() + "\n");
        return Ok(Answer::Text(lines.collect()));
    }
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<8} {:<9} {:<14} {:<9} {:<10} {:>8} {:>9} {:>7}  {:<24} REASON",
        "ID", "STATE", "SINK", "KIND", "KEY", "ATTEMPTS", "AGE", "BYTES", "ORIGIN"
    );
    for line in lines {
        let text = |name: &str| {
            let text = line[name].as_str().unwrap_or("-");
            plain(text).within(REASON_CHARS_MAX).to_string()
        };
        let _ = writeln!(
            out,
            "{:<8} {:<9} {:<14} {:<9} {:<10} {:>8} {:>9} {:>7}  {:<24} {}",
            text("id"),
            text("state"),
            text("sink"),
            text("kind"),
            text("key"),
            line["attempts"].as_u64().map_or("-".to_owned(), |attempts| attempts.to_string()),
            age(line["time"].as_i64().unwrap_or(0)),
            line["bytes"],
            text("origin"),
            text("reason"),
        );
    }
    let database = store.connection.path().map(Path::new);
    let aside = database.map(moved::put_aside).unwrap_or_default();
    for file in &aside {
        let _ = writeln!(
            out,
            "put aside: {}; `queue recover` takes its rows",
            plain(&file.to_string_lossy())
        );
    }
    let shown = (waiting.len(), dead.len());
    if lock(board).stored.roughly {
        let count = Count::new(out, only, shown, board);
        return Ok(Answer::Work(Work::Count(Box::new(count))));
    }
    out.push_str(&counts_of_sinks(only.as_ref(), shown, None, store, board));
    Ok(Answer::Text(out))
}

/// How many there are, and how many of them are shown if those are not all.
fn counted(all: u64, shown: usize) -> (u64, String) {
    let all = all.max(shown as u64);
    let words = if all > shown as u64 { format!(" ({shown} shown)") } else { String::new() };
    (all, words)
}

fn waiting_line(shown: &Shown, board: &Mutex<Board>) -> Value {
    let in_flight = lock(board).is_in_flight(shown.seq);
    json!({
        "id": shown.seq.to_string(),
        "state": match (in_flight, shown.damaged) {
            (true, _) => "in flight",
            (false, None) => "waiting",
            (false, Some(_)) => "damaged",
        },
        "reason": shown.damaged,
        "sink": shown.delivery.lane.sink.as_str(),
        "kind": shown.delivery.errand.kind(),
        "key": shown.delivery.lane.shown_key(),
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
        "sink": stored.letter.lane.as_ref().map(|lane| lane.sink.as_str()).filter(|sink| !sink.is_empty()),
        "kind": stored.letter.errand.as_ref().map(Errand::kind),
        "key": stored.letter.lane.as_ref().map_or_else(|| masked(""), LaneName::shown_key),
        "time": stored.buried_at,
        "bytes": stored.letter.body.len(),
        "origin": stored.letter.origin,
        "reason": stored.letter.reason,
    })
}

/// How long ago, as the wall clock has it; a clock that was set makes it meaningless.
fn age(at: i64) -> String {
    let seconds = u64::try_from(wall_clock() - at).ok().filter(|seconds| *seconds <= AGE_MAX);
    seconds.map_or_else(|| "?".to_owned(), age_words)
}

fn show(store: &Store, board: &Mutex<Board>, id: Id, raw: bool) -> Done<String> {
    let (line, order_key, errand, body) = match id {
        Id::Waiting(seq) => {
            let shown = one_waiting(store, seq)?;
            let line = waiting_line(&shown, board);
            let Delivery { order_key, errand, body, .. } = shown.delivery;
            (line, order_key, Some(errand), body)
        }
        Id::Dead(id) => {
            let stored = one_dead(store, id)?;
            let line = dead_line(&stored);
            let DeadLetter { order_key, errand, body, .. } = stored.letter;
            (line, order_key, errand, body)
        }
    };
    if raw {
        return Ok(as_characters(&body));
    }
    let mut out = String::new();
    for name in ["id", "state", "sink", "kind", "key", "attempts", "origin", "reason"] {
        if let Some(value) = line.get(name).filter(|value| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let _ = writeln!(out, "{name:<10} {}", plain(&text).within(REASON_CHARS_MAX));
        }
    }
    let _ = writeln!(out, "{:<10} {}", "age", age(line["time"].as_i64().unwrap_or(0)));
    if let Some(key) = order_key {
        let name = errand.as_ref().map_or("order key", Errand::order_key_name);
        let _ = writeln!(out, "{name:<10} {}", plain(&key).within(REASON_CHARS_MAX));
    }
    if let Some(errand) = errand {
        let _ = writeln!(out, "{:<10} {}", "target", errand.masked_target());
        if let Some(note) = errand.note().filter(|note| !note.is_empty()) {
            let _ = writeln!(out, "{:<10} {}", "note", plain(&note).within(REASON_CHARS_MAX));
        }
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
