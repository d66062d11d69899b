//! What can be read of a damaged file is carried over into a new one.
//!
//! Its pages are looked at one by one; a row is recognised by its columns and its sum.

use super::pages::{Found, Pages, Value};
use super::schema;
use super::store::Store;
use super::wal::is_log;
use crate::message::LaneName;
use crate::queue::row::RowId;
use crate::queue::row::{self, Unchecked};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, params_from_iter};
use std::fmt;
use std::io;
use std::path::Path;

/// Rows that are carried over in one transaction.
const ROWS_IN_COMMIT: usize = 1_000;

/// How far a file is looked into to find out whose it is.
const PAGES_LOOKED_AT: u32 = 64;

/// The columns of the tables of iLert's agent in the order in which its versions added them.
const MESSAGES: [&str; 4] = ["id", "topic", "payload", "inserted_at"];
const EVENTS: [&str; 17] = [
    "id",
    "integration_key",
    "event_type",
    "alert_key",
    "summary",
    "created_at",
    "priority",
    "images",
    "links",
    "custom_details",
    "details",
    "inserted_at",
    "event_api_path",
    "labels",
    "severity",
    "routing_key",
    "services",
];
const CREATED_AT: usize = 5;
const INSERTED_AT: usize = 11;

/// What became of the file.
#[derive(Debug, Default)]
pub(in crate::queue) struct Salvaged {
    pub(in crate::queue) deliveries: usize,
    pub(in crate::queue) letters: usize,
    /// Rows that are not what was written; they are dead letters now.
    pub(in crate::queue) altered: usize,
    /// Rows and pages that cannot be read at all.
    pub(in crate::queue) rows_lost: usize,
    pub(in crate::queue) pages_lost: usize,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Salvaged { deliveries, letters, altered, rows_lost, pages_lost } = self;
        write!(
            f,
            "{deliveries} deliveries and {letters} dead letters were carried over into a new file; \
             {altered} rows are not what was written and are dead letters, {rows_lost} rows and \
             {pages_lost} pages cannot be read"
        )
    }
}

/// Carries over what can be read of the file at `damaged`.
pub(in crate::queue) fn carry_over(damaged: &Path, store: &mut Store) -> Result<Salvaged, String> {
    if !is_log(damaged) {
        settle_journal(damaged);
    }
    let words = |error: io::Error| format!("{}: {error}", damaged.display());
    let mut pages = Pages::open(damaged).map_err(words)?;
    let mut unchecked = Unchecked::default();
    while let Some(found) = pages.next_row().map_err(words)? {
        unchecked = bounds(&found).unwrap_or(unchecked);
    }
    pages.rewind();
    let mut salvaged = Salvaged::default();
    let carried = carry_rows(&mut pages, unchecked, store, &mut salvaged);
    if carried.is_err() {
        store.rollback();
    }
    (salvaged.rows_lost, salvaged.pages_lost) = (pages.rows_lost, pages.pages_lost());
    carried.map(|()| salvaged)
}

fn carry_rows(
    pages: &mut Pages,
    unchecked: Unchecked,
    store: &mut Store,
    salvaged: &mut Salvaged,
) -> Result<(), String> {
    let words = |error: rusqlite::Error| error.to_string();
    let mut kept = 0;
    store.begin().map_err(words)?;
    while let Some(found) = pages.next_row().map_err(|error| error.to_string())? {
        kept += 1;
        if kept % ROWS_IN_COMMIT == 0 {
            store.commit().and_then(|()| store.begin()).map_err(words)?;
        }
        keep(&found, unchecked, store, salvaged).map_err(words)?;
    }
    store.commit().map_err(words)
}

/// Whether the file, however it begins, holds a record that this agent wrote: every file of
/// version 2 does, near its beginning.
pub(in crate::queue) fn holds_our_rows(path: &Path) -> bool {
    let Ok(mut pages) = Pages::open(path) else { return false };
    pages.look_at_first(PAGES_LOOKED_AT);
    while let Ok(Some(found)) = pages.next_row() {
        if record(&found).is_some() {
            return true;
        }
    }
    false
}

/// What the journal holds goes into the file first, as far as SQLite finds its way.
fn settle_journal(damaged: &Path) {
    let settled = Connection::open(damaged).and_then(|connection| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    });
    if let Err(error) = settled {
        log::debug!("queue: the journal of {}: {error}", damaged.display());
    }
}

/// Which rows have no sum, if this is the record that says so.
pub(in crate::queue) fn bounds(found: &Found) -> Option<Unchecked> {
    let (scope, key, value) = record(found)?;
    ((scope.as_str(), key.as_str()) == Unchecked::RECORD).then(|| Unchecked::parse(&value))?
}

/// A record, if the row is one that is what was written.
fn record(found: &Found) -> Option<(String, String, String)> {
    let [scope, key, value, sum] = found.columns.as_slice() else { return None };
    let (scope, key) = (row::text(scope.as_ref())?, row::text(key.as_ref())?);
    let value = row::text(value.as_ref())?;
    let wanted = row::record_sum(&scope, &key, value.as_bytes());
    (found.id.is_none() && row::integer(sum.as_ref())? == wanted).then_some((scope, key, value))
}

/// Writes a row to the table it is of.
fn keep(
    found: &Found,
    unchecked: Unchecked,
    store: &mut Store,
    salvaged: &mut Salvaged,
) -> rusqlite::Result<()> {
    let Some(id) = found.id else {
        let Some((scope, key, value)) = record(found) else { return Ok(()) };
        return schema::remember(&store.connection, &scope, &key, Some(&value));
    };
    let mut columns: Vec<ValueRef> = found.columns.iter().map(Value::as_ref).collect();
    // The column of the id is empty in rows of ours, as the id is the key.
    if !matches!(columns[0], ValueRef::Null) {
        return keep_upstream(id, &columns, store, salvaged);
    }
    let count = columns.len();
    columns[0] = ValueRef::Integer(id);
    let written = match count {
        3 | 4 => match lane_of(found) {
            Some((number, name)) => store.add_lane(number, &name),
            None => Ok(()),
        },
        8 | row::DELIVERY_COLUMNS => {
            row::complete(&mut columns);
            // A row of so few columns was written by version 1.
            let unchecked = if count == 8 { Unchecked::ALL } else { unchecked };
            keep_delivery(&columns, unchecked, store, salvaged)
        }
        9 | row::LETTER_COLUMNS => {
            let sound = match columns.get(10) {
                None => true,
                Some(ValueRef::Null) => id < unchecked.letters,
                Some(sum) => row::integer(*sum) == Some(row::letter_sum(&columns)),
            };
            row::complete(&mut columns);
            salvaged.letters += 1;
            store.keep_letter(&mut columns, sound)
        }
        _ => Ok(()),
    };
    match written {
        // An older copy of a row that was found already.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(()),
        other => other,
    }
}

/// The number and the name of a lane, if the row is that of one.
pub(in crate::queue) fn lane_of(found: &Found) -> Option<(u32, LaneName)> {
    let id = found.id.filter(|_| matches!(found.columns.len(), 3 | 4))?;
    let text = |at: usize| row::text(found.columns[at].as_ref());
    let (sink, key) = text(1).zip(text(2))?;
    let fits = match found.columns.get(3).map(Value::as_ref) {
        None | Some(ValueRef::Null) => true,
        Some(sum) => row::integer(sum) == Some(row::lane_sum(id, sink.as_bytes(), key.as_bytes())),
    };
    let number = u32::try_from(id).ok().filter(|_| fits)?;
    Some((number, LaneName { sink: sink.into(), key }))
}

/// Writes a row of iLert's agent to a table like its own, from which it is taken over.
fn keep_upstream(
    id: i64,
    columns: &[ValueRef],
    store: &Store,
    salvaged: &mut Salvaged,
) -> rusqlite::Result<()> {
    let (table, names) = match columns.len() {
        4 => ("mqtt_queue", &MESSAGES[..]),
        11..=17 => ("event_items", &EVENTS[..]),
        _ => return Ok(()),
    };
    let mut columns = columns.to_vec();
    columns.resize(names.len(), ValueRef::Null);
    if names == EVENTS && matches!(columns[INSERTED_AT], ValueRef::Null) {
        columns[INSERTED_AT] = columns[CREATED_AT];
    }
    columns.push(ValueRef::Integer(id));
    let names = names.join(", ");
    let places = vec!["?"; columns.len()].join(", ");
    store.connection.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {table} ({names})"))?;
    salvaged.deliveries += 1;
    store
        .connection
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO {table} ({names}, rowid) VALUES ({places})"
        ))?
        .execute(params_from_iter(columns.into_iter().map(ToSqlOutput::Borrowed)))
        .map(|_| ())
}

fn keep_delivery(
    columns: &[ValueRef],
    unchecked: Unchecked,
    store: &mut Store,
    salvaged: &mut Salvaged,
) -> rusqlite::Result<()> {
    // Ids of version 0.12.0 that do not fit are found again later, see `orphans`.
    let unfitting = row::integer(columns[0]).and_then(RowId::of).is_none();
    match row::delivery(columns, LaneName::default(), unchecked) {
        Err(why) if !unfitting => {
            salvaged.altered += 1;
            store.keep_altered(columns, why)
        }
        _ => {
            store.insert_row(columns)?;
            salvaged.deliveries += 1;
            Ok(())
        }
    }
}
