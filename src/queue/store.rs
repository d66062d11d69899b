//! The durable store: rows in, rows out. Only the queue thread has one.

use super::board::{Amount, ReadRow, RowId};
use super::dead_letters;
use super::lane::weight;
use super::{DeadLetter, schema};
use crate::config;
use crate::message::{Delivery, Kind, Lane};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::time::{SystemTime, UNIX_EPOCH};

/// Rows are counted one by one at the start only in a database of at most this many bytes; in a
/// larger one the count is an estimate until it has drained once.
const COUNT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Rows an estimate is made from.
const SAMPLE: i64 = 200;

/// Most bytes of bodies read at a time.
const READ_BYTES_MAX: usize = 512 * 1024;

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
    pub(super) row: RowId,
    pub(super) lane: Lane,
    pub(super) delivery: Delivery,
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
        Ok(Store { connection, letters })
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
                &format!(
                    "SELECT COUNT(*), COALESCE(SUM(40 + LENGTH(body) + LENGTH(target) + LENGTH(origin)
                     + LENGTH(COALESCE(order_key, ''))), 0) FROM {from}"
                ),
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )
        };
        if file <= COUNT_BYTES_MAX {
            let (count, bytes) = sized("deliveries")?;
            return Ok(amount(count, bytes));
        }
        let (count, bytes) = sized(&format!("(SELECT * FROM deliveries LIMIT {SAMPLE})"))?;
        let file = i64::try_from(file).unwrap_or(i64::MAX);
        Ok(amount(file / (bytes / count.max(1)).max(1), file))
    }

    /// Waiting rows for people, oldest first; `only` picks one by its number.
    pub(super) fn shown(&self, only: Option<u64>, limit: usize) -> rusqlite::Result<Vec<Shown>> {
        let mut statement = self.connection.prepare(
            "SELECT d.id, d.kind, d.order_key, d.target, d.origin, d.attempts, d.body, d.stored_at,
                    l.sink, l.key
             FROM deliveries d JOIN lanes l ON l.number = d.id >> 40
             WHERE ?1 < 0 OR (d.id & ((1 << 40) - 1)) = ?1
             ORDER BY d.id & ((1 << 40) - 1) LIMIT ?2",
        )?;
        let only = only.map_or(-1, |seq| i64::try_from(seq).unwrap_or(i64::MAX));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![only, limit], |row| {
            let lane = Lane { sink: row.get(8)?, key: row.get(9)? };
            Ok(Shown {
                row: RowId::of(row.get(0)?).unwrap_or(RowId { lane: 0, seq: 0 }),
                delivery: delivery(row, lane.clone(), 1)?,
                lane,
                attempts: row.get(5)?,
                stored_at: row.get(7)?,
            })
        })?;
        rows.collect()
    }

    /// Copies the journal into the database and truncates it.
    pub(super) fn checkpoint(&self) {
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = done {
            log::debug!("queue: checkpoint: {error}");
        }
    }
}

impl Shown {
    pub(super) fn bytes(&self) -> u64 {
        weight(&self.delivery)
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

fn amount(count: i64, bytes: i64) -> Amount {
    Amount { count: u64::try_from(count).unwrap_or(0), bytes: u64::try_from(bytes).unwrap_or(0) }
}

/// Seconds since 1970 as the machine believes; written down for people, never compared.
pub(super) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
