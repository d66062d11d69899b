//! The durable store: rows in, rows out. Only the queue thread has one.

use super::board::{Amount, ReadRow, RowId};
use super::dead_letters;
use super::{DeadLetter, recover, schema};
use crate::config;
use crate::message::{Delivery, Kind, Lane};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

/// Rows are counted one by one at the start only in a database of at most this many bytes; in a
/// larger one the count is an estimate until it has drained once.
const COUNT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Rows an estimate is made from.
const SAMPLE: i64 = 200;

/// Most bytes of bodies read at a time.
const READ_BYTES_MAX: usize = 512 * 1024;

/// What a row counts for, as `lane::weight` has it.
const WEIGHT: &str = "40 + octet_length(body) + octet_length(target) + octet_length(origin)
    + COALESCE(octet_length(order_key), 0)";

/// The row with the number `?1`, looked up in one lane after the other.
const ONE_ROW: &str = "lanes l JOIN deliveries d ON d.id = (l.number << 40) | ?1";

/// Statements kept ready.
const STATEMENTS: usize = 16;

/// An open database.
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) letters: dead_letters::Bounds,
}

/// A lane with rows.
pub(super) struct StoredLane {
    pub(super) number: u32,
    pub(super) name: Lane,
    /// The numbers of its first and last row.
    pub(super) seqs: (u64, u64),
}

/// A row, as it is shown.
pub(super) struct Shown {
    pub(super) seq: u64,
    pub(super) delivery: Delivery,
    /// The size of its body, which may have been left out.
    pub(super) bytes: u64,
    pub(super) attempts: u32,
    pub(super) stored_at: i64,
}

impl Store {
    /// Opens the file, and makes it if it is not there.
    pub(super) fn open(settings: &config::Queue) -> Result<Self, String> {
        let connection = schema::open(&settings.path, settings.sync)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let letters = dead_letters::Bounds::of(&connection, settings.dead_letters_max)
            .map_err(|error| format!("{}: {error}", settings.path.display()))?;
        let mut store = Store { connection, letters };
        recover::orphans(&mut store)
            .map_err(|error| format!("{}: {error}", settings.path.display()))?;
        Ok(store)
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(|_| ())
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())
    }

    /// Undoes what was begun, if anything was.
    pub(super) fn rollback(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::debug!("queue: rollback: {error}");
        }
        if let Err(error) = self.letters.recount(&self.connection) {
            log::debug!("queue: dead letters cannot be counted: {error}");
        }
    }

    pub(super) fn add_lane(&self, number: u32, name: &Lane) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO lanes (number, sink, key) VALUES (?1, ?2, ?3)")?
            .execute(params![number, name.sink, name.key])
            .map(|_| ())
    }

    pub(super) fn forget_lane(&self, number: u32) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM lanes WHERE number = ?1")?
            .execute([number])
            .map(|_| ())
    }

    pub(super) fn insert(
        &self,
        row: RowId,
        delivery: &Delivery,
        attempts: u32,
    ) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO deliveries (id, kind, order_key, target, origin, attempts, stored_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                row.rowid(),
                delivery.kind.as_str(),
                delivery.order_key,
                delivery.target,
                delivery.origin,
                attempts,
                wall_clock(),
                delivery.body,
            ])
            .map(|_| ())
    }

    pub(super) fn delete(&self, row: RowId) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
            .execute([row.rowid()])
            .map(|_| ())
    }

    pub(super) fn attempts(&self, row: RowId, attempts: u32) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE deliveries SET attempts = ?2 WHERE id = ?1")?
            .execute(params![row.rowid(), attempts])
            .map(|_| ())
    }

    pub(super) fn bury(&mut self, letter: &DeadLetter) -> rusqlite::Result<()> {
        self.letters.bury(&self.connection, letter, wall_clock())
    }

    pub(super) fn record(&self, scope: &str, key: &str) -> rusqlite::Result<Option<String>> {
        self.connection
            .prepare_cached("SELECT value FROM records WHERE scope = ?1 AND key = ?2")?
            .query_row([scope, key], |row| row.get(0))
            .optional()
    }

    pub(super) fn remember(
        &self,
        scope: &str,
        key: &str,
        value: Option<&str>,
    ) -> rusqlite::Result<()> {
        let Some(value) = value else {
            return self
                .connection
                .prepare_cached("DELETE FROM records WHERE scope = ?1 AND key = ?2")?
                .execute([scope, key])
                .map(|_| ());
        };
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO records (scope, key, value) VALUES (?1, ?2, ?3)",
            )?
            .execute([scope, key, value])
            .map(|_| ())
    }

    /// Rows of a lane in order, from `from` on: at most `limit` of them. The second value says
    /// whether others follow.
    pub(super) fn read(
        &self,
        lane: u32,
        name: &Lane,
        from: u64,
        limit: usize,
    ) -> rusqlite::Result<(Vec<ReadRow>, bool)> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, kind, order_key, target, origin, attempts, body FROM deliveries
             WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )?;
        let first = RowId { lane, seq: from }.rowid();
        let end = RowId { lane: lane + 1, seq: 0 }.rowid();
        let mut rows = statement.query(params![first, end])?;
        let (mut read, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if read.len() >= limit || bytes >= READ_BYTES_MAX {
                return Ok((read, true));
            }
            let Some(id) = RowId::of(row.get(0)?) else { continue };
            let delivery = delivery(row, name.clone(), 1)?;
            bytes += delivery.body.len();
            read.push(ReadRow { seq: id.seq, delivery, attempts: row.get(5)? });
        }
        Ok((read, false))
    }

    /// All lanes that have rows; rows of lanes that have none are forgotten.
    pub(super) fn lanes(&self) -> rusqlite::Result<Vec<StoredLane>> {
        let named: Vec<(u32, Lane)> = self
            .connection
            .prepare("SELECT number, sink, key FROM lanes ORDER BY number")?
            .query_map([], |row| Ok((row.get(0)?, Lane { sink: row.get(1)?, key: row.get(2)? })))?
            .collect::<Result<_, _>>()?;
        let mut stored = Vec::new();
        let mut empty = Vec::new();
        for (number, name) in named {
            match self.ends(number)? {
                Some(seqs) => stored.push(StoredLane { number, name, seqs }),
                None => empty.push(number),
            }
        }
        if !empty.is_empty() {
            self.begin()?;
            for number in empty {
                self.forget_lane(number)?;
            }
            self.commit()?;
        }
        Ok(stored)
    }

    fn ends(&self, lane: u32) -> rusqlite::Result<Option<(u64, u64)>> {
        let (first, end) =
            (RowId { lane, seq: 0 }.rowid(), RowId { lane: lane + 1, seq: 0 }.rowid());
        let one = |order: &str| {
            self.connection
                .prepare_cached(&format!(
                    "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id {order} LIMIT 1"
                ))?
                .query_row([first, end], |row| row.get::<_, i64>(0))
                .optional()
        };
        Ok(match (one("ASC")?.and_then(RowId::of), one("DESC")?.and_then(RowId::of)) {
            (Some(first), Some(last)) => Some((first.seq, last.seq)),
            _ => None,
        })
    }

    /// How many rows there are and how large they are, at a cost that does not grow with them.
    pub(super) fn amount(&self) -> rusqlite::Result<Amount> {
        let pragma = |name: &str| {
            self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
        };
        let pages = pragma("page_count")? - pragma("freelist_count")?;
        let file = u64::try_from(pages * pragma("page_size")?).unwrap_or(0);
        let sized = |from: &str| {
            self.connection.query_row(
                &format!("SELECT COUNT(*), COALESCE(SUM({WEIGHT}), 0) FROM {from}"),
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )
        };
        if file <= COUNT_BYTES_MAX {
            let (count, bytes) = sized("deliveries")?;
            return Ok(amount(count, bytes, false));
        }
        let (count, bytes) = sized(&format!("(SELECT * FROM deliveries LIMIT {SAMPLE})"))?;
        let file = i64::try_from(file).unwrap_or(i64::MAX);
        Ok(amount(file / (bytes / count.max(1)).max(1), file, true))
    }

    /// Ids and sizes of rows from an id on: so many rows, or as many as have so many bytes.
    pub(super) fn sizes(
        &self,
        from: i64,
        rows_max: usize,
        bytes_max: u64,
    ) -> rusqlite::Result<Vec<(RowId, u64)>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id, {WEIGHT} FROM deliveries WHERE id >= ?1 ORDER BY id"
        ))?;
        let mut rows = statement.query([from])?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < rows_max
            && bytes < bytes_max
            && let Some(row) = rows.next()?
        {
            let Some(id) = RowId::of(row.get(0)?) else { continue };
            let size = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            bytes += size;
            found.push((id, size));
        }
        Ok(found)
    }

    /// Where the row with this number is, and its size.
    pub(super) fn find(&self, seq: u64) -> rusqlite::Result<Option<(RowId, u64)>> {
        self.connection
            .prepare_cached(&format!("SELECT d.id, {WEIGHT} FROM {ONE_ROW}"))?
            .query_row([seq.cast_signed()], |row| {
                let size = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                Ok(RowId::of(row.get(0)?).map(|id| (id, size)))
            })
            .optional()
            .map(Option::flatten)
    }

    /// The waiting delivery with this number.
    pub(super) fn shown(&self, seq: u64) -> rusqlite::Result<Option<Shown>> {
        self.connection
            .prepare_cached(&format!(
                "SELECT d.id, d.kind, d.order_key, d.target, d.origin, d.attempts, d.body,
                        d.stored_at, l.sink, l.key FROM {ONE_ROW}"
            ))?
            .query_row([seq.cast_signed()], |row| {
                let lane = Lane { sink: row.get(8)?, key: row.get(9)? };
                let delivery = delivery(row, lane, 1)?;
                let bytes = delivery.body.len() as u64;
                Ok(Shown { seq, delivery, bytes, attempts: row.get(5)?, stored_at: row.get(7)? })
            })
            .optional()
    }

    /// The oldest waiting deliveries, for people, without their bodies. Each lane is in order, so
    /// no more rows are read than are shown, and one of each lane.
    pub(super) fn listed(&self, limit: usize) -> rusqlite::Result<Vec<Shown>> {
        let mut lanes: HashMap<u32, Lane> = HashMap::new();
        let mut fronts = BinaryHeap::new();
        let mut named = self.connection.prepare("SELECT number, sink, key FROM lanes")?;
        let mut rows = named.query([])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            if let Some(first) = self.first(number, 0)? {
                fronts.push(Reverse((first.seq, number)));
                lanes.insert(number, Lane { sink: row.get(1)?, key: row.get(2)? });
            }
        }
        let mut one = self.connection.prepare(
            "SELECT id, kind, order_key, target, origin, attempts, x'', stored_at,
                    octet_length(body) FROM deliveries WHERE id = ?1",
        )?;
        let mut listed = Vec::new();
        while listed.len() < limit
            && let Some(Reverse((seq, number))) = fronts.pop()
        {
            let id = RowId { lane: number, seq }.rowid();
            let lane = lanes[&number].clone();
            let shown = one.query_row([id], |row| {
                let bytes = u64::try_from(row.get::<_, i64>(8)?).unwrap_or(0);
                let delivery = delivery(row, lane, 1)?;
                Ok(Shown { seq, delivery, bytes, attempts: row.get(5)?, stored_at: row.get(7)? })
            });
            listed.push(shown?);
            if let Some(next) = self.first(number, seq + 1)? {
                fronts.push(Reverse((next.seq, number)));
            }
        }
        Ok(listed)
    }

    /// The first row of a lane from a number on.
    fn first(&self, lane: u32, seq: u64) -> rusqlite::Result<Option<RowId>> {
        let from = RowId { lane, seq };
        self.connection
            .prepare_cached(
                "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1",
            )?
            .query_row([from.rowid(), from.lane_end()], |row| row.get(0))
            .optional()
            .map(|id| id.and_then(RowId::of))
    }

    /// Copies the journal into the database and truncates it.
    pub(super) fn checkpoint(&self) {
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = done {
            log::debug!("queue: checkpoint: {error}");
        }
    }
}

/// A delivery from a row whose columns kind, order_key, target, origin, attempts, body begin at
/// `at`.
fn delivery(row: &Row, lane: Lane, at: usize) -> rusqlite::Result<Delivery> {
    let kind: String = row.get(at)?;
    Ok(Delivery {
        lane,
        kind: Kind::parse(&kind).unwrap_or(Kind::Event),
        order_key: row.get(at + 1)?,
        target: row.get(at + 2)?,
        origin: row.get(at + 3)?,
        body: row.get(at + 5)?,
    })
}

fn amount(count: i64, bytes: i64, roughly: bool) -> Amount {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    Amount { count: whole(count), bytes: whole(bytes), roughly }
}

/// Seconds since 1970 as the machine believes; written down for people, never compared.
pub(super) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
