//! The durable store: rows in, rows out. Only the queue thread has one.

use super::dead_letters;
use super::salvage::{self, Salvaged};
use super::schema::{self, Unusable};
use super::{look, recover};
use crate::config;
use crate::message::{Delivery, LaneName};
use crate::queue::DeadLetter;
use crate::queue::board::{Amount, ReadRow, RowId};
use crate::queue::row::{self, Unchecked};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::Path;
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

/// Fewer free pages are not worth the writing.
const SHRINK_PAGES_MIN: i64 = 64;

/// Statements kept ready.
const STATEMENTS: usize = 16;

/// An open database.
pub(in crate::queue) struct Store {
    pub(in crate::queue) connection: Connection,
    pub(in crate::queue) letters: dead_letters::Bounds,
    unchecked: Unchecked,
}

/// Rows of a lane.
#[derive(Default)]
pub(in crate::queue) struct Read {
    pub(in crate::queue) rows: Vec<ReadRow>,
    /// Rows that cannot be delivered as they are, and why.
    pub(in crate::queue) damaged: Vec<(RowId, &'static str)>,
    /// Where others follow, if they do.
    pub(in crate::queue) next: Option<u64>,
}

/// A lane with rows.
pub(in crate::queue) struct StoredLane {
    pub(in crate::queue) number: u32,
    pub(in crate::queue) name: LaneName,
    /// The numbers of its first and last row.
    pub(in crate::queue) seqs: (u64, u64),
}

/// A row, as it is shown.
pub(in crate::queue) struct Shown {
    pub(in crate::queue) seq: u64,
    pub(in crate::queue) delivery: Delivery,
    /// The size of its body, which may have been left out.
    pub(in crate::queue) bytes: u64,
    pub(in crate::queue) attempts: u32,
    pub(in crate::queue) stored_at: i64,
    /// Why it cannot be delivered as it is.
    pub(in crate::queue) damaged: Option<&'static str>,
}

impl Store {
    /// Opens the file, and makes it if it is not there. What is damaged is looked at again, and
    /// if it still is, what can be read of it is carried over into a new file.
    pub(in crate::queue) fn open(settings: &config::Queue) -> Result<Self, String> {
        let shown = settings.path.display();
        match Store::try_open(settings, false) {
            Ok(store) => return Ok(store),
            Err(Unusable::Other(what)) => return Err(format!("{shown}: {what}")),
            Err(Unusable::Corrupt(what)) => log::warn!("queue: {shown}: {what}; looking again"),
        }
        Store::reopen(settings)
    }

    /// The same after something that looked like damage.
    pub(in crate::queue) fn reopen(settings: &config::Queue) -> Result<Self, String> {
        let shown = settings.path.display();
        match Store::try_open(settings, true) {
            Ok(store) => Ok(store),
            Err(Unusable::Other(what)) => Err(format!("{shown}: {what}")),
            Err(Unusable::Corrupt(what)) => Store::salvage(settings, &what),
        }
    }

    fn try_open(settings: &config::Queue, check: bool) -> Result<Self, Unusable> {
        let connection = schema::open(&settings.path, settings.sync, check)?;
        let mut store = Store::of(connection, settings.dead_letters_max)?;
        if let Err(error) = recover::orphans(&mut store) {
            store.rollback();
            if schema::is_corrupt(&error) {
                return Err(error.into());
            }
            log::debug!("queue: rows of no lane stay where they are: {error}");
        }
        // Whatever the start has to read is read here, so that damage is found in time.
        store.lanes()?;
        store.amount()?;
        Ok(store)
    }

    /// Opens the file of an agent that does not run and changes nothing.
    pub(in crate::queue) fn look(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let (connection, version) = look::open(path).map_err(|what| format!("{shown}: {what}"))?;
        let mut store =
            Store::of(connection, u64::MAX).map_err(|error| format!("{shown}: {error}"))?;
        if version == 1 {
            store.unchecked = Unchecked::ALL;
        }
        Ok(store)
    }

    fn salvage(settings: &config::Queue, what: &str) -> Result<Self, String> {
        let shown = settings.path.display();
        let aside = schema::move_aside(&settings.path).map_err(|error| {
            format!("{shown} is damaged ({what}) and cannot be moved aside: {error}")
        })?;
        let again = |unusable| match unusable {
            Unusable::Corrupt(what) | Unusable::Other(what) => format!("{shown}: {what}"),
        };
        let mut store = schema::open(&settings.path, settings.sync, false)
            .and_then(|connection| Ok(Store::of(connection, settings.dead_letters_max)?))
            .map_err(again)?;
        let told = format!("{shown} is damaged ({what}); it was moved to {}", aside.display());
        match salvage::carry_over(&aside, &mut store) {
            Ok(Salvaged { deliveries, letters, altered, rows_lost, pages_lost }) => log::error!(
                "queue: {told}, and {deliveries} deliveries and {letters} dead letters were \
                 carried over into a new file; {altered} rows are not what was written and are \
                 dead letters, {rows_lost} rows and {pages_lost} pages cannot be read"
            ),
            Err(error) => log::error!("queue: {told}, and nothing could be carried over: {error}"),
        }
        drop(store);
        Store::try_open(settings, false).map_err(again)
    }

    fn of(connection: Connection, letters_max: u64) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let letters = dead_letters::Bounds::of(&connection, letters_max)?;
        let mut store = Store { connection, letters, unchecked: Unchecked::default() };
        let (scope, key) = Unchecked::RECORD;
        let unchecked = store.record(scope, key)?;
        store.unchecked = unchecked.as_deref().and_then(Unchecked::parse).unwrap_or_default();
        Ok(store)
    }

    /// Closes the file; the store has to be replaced before it is used again.
    pub(in crate::queue) fn let_go(&mut self) -> rusqlite::Result<()> {
        self.connection = Connection::open_in_memory()?;
        Ok(())
    }

    pub(in crate::queue) fn begin(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(|_| ())
    }

    pub(in crate::queue) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())
    }

    /// Undoes what was begun, if anything was.
    pub(in crate::queue) fn rollback(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::debug!("queue: rollback: {error}");
        }
        if let Err(error) = self.letters.recount(&self.connection) {
            log::debug!("queue: dead letters cannot be counted: {error}");
        }
    }

    pub(in crate::queue) fn add_lane(&self, number: u32, name: &LaneName) -> rusqlite::Result<()> {
        let sum = row::lane_sum(number.into(), name.sink.as_str().as_bytes(), name.key.as_bytes());
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO lanes (number, sink, key, sum) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![number, name.sink.as_str(), name.key, sum])
            .map(|_| ())
    }

    pub(in crate::queue) fn forget_lane(&self, number: u32) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM lanes WHERE number = ?1")?
            .execute([number])
            .map(|_| ())
    }

    pub(in crate::queue) fn insert(
        &self,
        row: RowId,
        delivery: &Delivery,
        attempts: u32,
    ) -> rusqlite::Result<()> {
        let columns = [
            ValueRef::Integer(row.rowid()),
            ValueRef::from(delivery.kind.as_str()),
            delivery.order_key.as_deref().map_or(ValueRef::Null, ValueRef::from),
            ValueRef::from(delivery.target.as_str()),
            ValueRef::from(delivery.origin.as_str()),
            ValueRef::Integer(attempts.into()),
            ValueRef::Integer(wall_clock()),
            ValueRef::Blob(&delivery.body),
            ValueRef::Null,
            ValueRef::Null,
        ];
        self.insert_row(&columns)
    }

    /// Writes a delivery whose columns are at hand, with a new sum.
    pub(in crate::queue) fn insert_row(&self, columns: &[ValueRef]) -> rusqlite::Result<()> {
        let sum = ValueRef::Integer(row::delivery_sum(columns));
        let values = columns[..row::DELIVERY_COLUMNS - 1].iter().chain([&sum]);
        self.connection
            .prepare_cached(&format!(
                "INSERT INTO deliveries ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                row::DELIVERY
            ))?
            .execute(params_from_iter(values.map(|value| ToSqlOutput::Borrowed(*value))))
            .map(|_| ())
    }

    pub(in crate::queue) fn delete(&self, row: RowId) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
            .execute([row.rowid()])
            .map(|_| ())
    }

    pub(in crate::queue) fn attempts(&self, row: RowId, attempts: u32) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE deliveries SET attempts = ?2, sum = (sum + ?2 - attempts) & ?3 WHERE id = ?1",
            )?
            .execute(params![row.rowid(), attempts, row::SUM_MASK])
            .map(|_| ())
    }

    pub(in crate::queue) fn bury(&mut self, letter: &DeadLetter) -> rusqlite::Result<()> {
        self.letters.bury(&self.connection, letter, wall_clock())
    }

    /// Puts a row that cannot be delivered as it is away, with what can be read of it.
    pub(in crate::queue) fn put_away(&mut self, id: i64, reason: &str) -> rusqlite::Result<()> {
        let name = RowId::of(id).map_or(Ok(None), |row| self.lane(row.lane))?;
        let remains = self
            .connection
            .prepare_cached(&format!("SELECT {} FROM deliveries WHERE id = ?1", row::DELIVERY))?
            .query_row([id], |row| {
                let lane = name.unwrap_or_else(|| unnamed(String::new()));
                Ok(row::remains(&row::columns(row, row::DELIVERY_COLUMNS)?, lane))
            })
            .optional()?;
        let Some(remains) = remains else { return Ok(()) };
        let letter = DeadLetter::of(remains, format!("a damaged row, {id}: {reason}"));
        self.letters.bury_damaged(&self.connection, &letter, wall_clock())?;
        self.connection
            .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
            .execute([id])
            .map(|_| ())
    }

    /// Keeps a row of a damaged file that is not what was written, among the dead letters.
    pub(in crate::queue) fn keep_altered(
        &mut self,
        columns: &[ValueRef],
        reason: &str,
    ) -> rusqlite::Result<()> {
        let remains = row::remains(columns, unnamed(String::new()));
        let id = row::lossy(columns[0]);
        let letter = DeadLetter::of(remains, format!("a damaged row, {id}: {reason}"));
        self.letters.bury_damaged(&self.connection, &letter, wall_clock())
    }

    /// Keeps a dead letter of a damaged file, with its number.
    pub(in crate::queue) fn keep_letter(
        &mut self,
        columns: &mut [ValueRef],
        sound: bool,
    ) -> rusqlite::Result<()> {
        let reason = format!("{} ({})", row::lossy(columns[1]), row::ALTERED);
        if !sound {
            columns[2] = ValueRef::Text(row::DAMAGED.as_bytes());
        }
        let mut kept = columns.to_vec();
        for at in [1, 3, 5, 6] {
            if !matches!(kept[at], ValueRef::Text(_)) {
                kept[at] = ValueRef::Text(b"?");
            }
        }
        if !sound {
            kept[1] = ValueRef::from(reason.as_str());
            kept[8] = ValueRef::Blob(row::bytes(columns[8]));
            kept[7] = ValueRef::Integer(row::integer(columns[7]).unwrap_or(0));
        }
        dead_letters::insert_row(&self.connection, &kept)
    }

    /// # Errors
    ///
    /// A record that is not what was written is none.
    pub(in crate::queue) fn record(
        &self,
        scope: &str,
        key: &str,
    ) -> rusqlite::Result<Option<String>> {
        let found = self
            .connection
            .prepare_cached("SELECT value, sum FROM records WHERE scope = ?1 AND key = ?2")?
            .query_row([scope, key], |found| {
                let value = row::text(found.get_ref(0)?);
                let sum = row::integer(found.get_ref(1)?);
                Ok(value.filter(|value| sum == Some(row::record_sum(scope, key, value.as_bytes()))))
            })
            .optional()?;
        if found == Some(None) {
            log::error!("queue: what was remembered of {scope} is damaged and not used");
        }
        Ok(found.flatten())
    }

    pub(in crate::queue) fn remember(
        &self,
        scope: &str,
        key: &str,
        value: Option<&str>,
    ) -> rusqlite::Result<()> {
        schema::remember(&self.connection, scope, key, value)
    }

    /// Rows of a lane in order, from `from` on: at most `limit` of them.
    pub(in crate::queue) fn read(
        &self,
        lane: u32,
        name: &LaneName,
        from: u64,
        limit: usize,
    ) -> rusqlite::Result<Read> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {} FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id",
            row::DELIVERY
        ))?;
        let first = RowId { lane, seq: from }.rowid();
        let end = first_of(lane + 1);
        let mut rows = statement.query(params![first, end])?;
        let (mut read, mut bytes) = (Read::default(), 0);
        while let Some(row) = rows.next()? {
            let Some(id) = RowId::of(row.get(0)?) else { continue };
            if read.rows.len() + read.damaged.len() >= limit || bytes >= READ_BYTES_MAX {
                read.next = Some(id.seq);
                break;
            }
            let columns = row::columns(row, row::DELIVERY_COLUMNS)?;
            match row::delivery(&columns, name.clone(), self.unchecked) {
                Ok(row) => {
                    bytes += row.delivery.body.len();
                    read.rows.push(row);
                }
                Err(why) => read.damaged.push((id, why)),
            }
        }
        Ok(read)
    }

    /// All lanes that have rows; rows of lanes that have none are forgotten.
    pub(in crate::queue) fn lanes(&self) -> rusqlite::Result<Vec<StoredLane>> {
        let mut stored = Vec::new();
        let mut names = self.lane_names()?;
        let mut from = 0;
        while let Some(first) = self.first_from(from)? {
            let Some(RowId { lane: number, seq: first }) = RowId::of(first) else { break };
            let last = self.last_before(first_of(number + 1))?.and_then(RowId::of);
            let name = match names.remove(&number).flatten() {
                Some(name) => name,
                None => {
                    let name = self.name_after_rows(number)?;
                    log::error!("queue: lane {number} lost its name, it is called {name} now");
                    // On a disk that cannot be written its name is found the same way each time.
                    if let Err(error) = self.add_lane(number, &name) {
                        log::debug!("queue: lane {number}: {error}");
                    }
                    name
                }
            };
            stored.push(StoredLane {
                number,
                name,
                seqs: (first, last.map_or(first, |row| row.seq)),
            });
            from = first_of(number + 1);
        }
        if !names.is_empty() {
            let forget = || {
                self.begin()?;
                names.keys().try_for_each(|number| self.forget_lane(*number))?;
                self.commit()
            };
            // They do no harm, so a disk that cannot be written is no reason not to start.
            if let Err(error) = forget() {
                log::debug!("queue: lanes cannot be forgotten: {error}");
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        Ok(stored)
    }

    /// The lanes that have a row of their own, and their names unless those are damaged.
    fn lane_names(&self) -> rusqlite::Result<BTreeMap<u32, Option<LaneName>>> {
        let mut statement = self.connection.prepare("SELECT number, sink, key, sum FROM lanes")?;
        let mut rows = statement.query([])?;
        let mut names = BTreeMap::new();
        while let Some(row) = rows.next()? {
            if let Ok(number) = u32::try_from(row.get::<_, i64>(0)?) {
                names.insert(number, lane_name(row)?);
            }
        }
        Ok(names)
    }

    fn lane(&self, number: u32) -> rusqlite::Result<Option<LaneName>> {
        let found = self
            .connection
            .prepare_cached("SELECT number, sink, key, sum FROM lanes WHERE number = ?1")?
            .query_row([number], lane_name)
            .optional()?;
        Ok(found.flatten())
    }

    fn name_after_rows(&self, number: u32) -> rusqlite::Result<LaneName> {
        const LOOKED_AT: usize = 16;
        let read = self.read(number, &unnamed(String::new()), 0, LOOKED_AT)?;
        let key = read.rows.first().map(|row| row::lane_key(&row.delivery));
        Ok(unnamed(key.unwrap_or_default()))
    }

    fn first_from(&self, id: i64) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT id FROM deliveries WHERE id >= ?1 ORDER BY id LIMIT 1")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    fn last_before(&self, id: i64) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT id FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    /// How many rows there are and how large they are, at a cost that does not grow with them.
    pub(in crate::queue) fn amount(&self) -> rusqlite::Result<Amount> {
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
    pub(in crate::queue) fn sizes(
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
    pub(in crate::queue) fn find(&self, seq: u64) -> rusqlite::Result<Option<(RowId, u64)>> {
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
    pub(in crate::queue) fn shown(&self, seq: u64) -> rusqlite::Result<Option<Shown>> {
        let Some((id, _)) = self.find(seq)? else { return Ok(None) };
        let lane = self.lane(id.lane)?.unwrap_or_else(|| unnamed(String::new()));
        self.show(id, lane)
    }

    fn show(&self, id: RowId, lane: LaneName) -> rusqlite::Result<Option<Shown>> {
        self.connection
            .prepare_cached(&format!("SELECT {} FROM deliveries WHERE id = ?1", row::DELIVERY))?
            .query_row([id.rowid()], |found| {
                let columns = row::columns(found, row::DELIVERY_COLUMNS)?;
                let damaged = row::delivery(&columns, lane.clone(), self.unchecked).err();
                let delivery = row::remains(&columns, lane);
                let attempts = row::integer(columns[5]).and_then(|count| u32::try_from(count).ok());
                Ok(Shown {
                    seq: id.seq,
                    bytes: delivery.body.len() as u64,
                    delivery,
                    attempts: attempts.unwrap_or(0),
                    stored_at: row::integer(columns[6]).unwrap_or(0),
                    damaged,
                })
            })
            .optional()
    }

    /// The oldest waiting deliveries, for people, without their bodies. Each lane is in order, so
    /// no more rows are read than are shown, and one of each lane.
    pub(in crate::queue) fn listed(&self, limit: usize) -> rusqlite::Result<Vec<Shown>> {
        let lanes = self.lane_names()?;
        let mut fronts = BinaryHeap::new();
        for number in lanes.keys() {
            if let Some(first) = self.first(*number, 0)? {
                fronts.push(Reverse((first.seq, *number)));
            }
        }
        let mut listed = Vec::new();
        while listed.len() < limit
            && let Some(Reverse((seq, number))) = fronts.pop()
        {
            let lane = lanes[&number].clone().unwrap_or_else(|| unnamed(String::new()));
            if let Some(mut shown) = self.show(RowId { lane: number, seq }, lane)? {
                shown.delivery.body = Vec::new();
                listed.push(shown);
            }
            if let Some(next) = self.first(number, seq + 1)? {
                fronts.push(Reverse((next.seq, number)));
            }
        }
        Ok(listed)
    }

    /// Dead letters for people, oldest first; `only` picks one.
    pub(in crate::queue) fn letters_shown(
        &self,
        only: Option<i64>,
        limit: usize,
    ) -> rusqlite::Result<Vec<dead_letters::Stored>> {
        dead_letters::shown(&self.connection, only, limit, self.unchecked)
    }

    /// Dead letters behind a number and up to another one, as [`dead_letters::piece`] bounds them.
    pub(in crate::queue) fn letters_piece(
        &self,
        after: i64,
        until: i64,
        count_max: usize,
        bytes_max: u64,
    ) -> rusqlite::Result<Vec<dead_letters::Stored>> {
        let connection = &self.connection;
        dead_letters::piece(connection, after, until, count_max, bytes_max, self.unchecked)
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

    /// Gives room that rows have left back to the disk, if what is left is at most `bytes_max`:
    /// it is written to the journal whole.
    pub(in crate::queue) fn shrink(&self, bytes_max: u64) -> rusqlite::Result<()> {
        let pragma = |name: &str| {
            self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
        };
        let (pages, free) = (pragma("page_count")?, pragma("freelist_count")?);
        let left = u64::try_from((pages - free) * pragma("page_size")?).unwrap_or(u64::MAX);
        if free < SHRINK_PAGES_MIN || left > bytes_max {
            return Ok(());
        }
        self.connection.execute_batch("VACUUM")?;
        self.checkpoint();
        Ok(())
    }

    /// Copies the journal into the database and truncates it.
    pub(in crate::queue) fn checkpoint(&self) {
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = done {
            log::debug!("queue: checkpoint: {error}");
        }
    }
}

/// The name in a row of `lanes`, unless it is damaged. Version 1 wrote no sums.
fn lane_name(found: &Row) -> rusqlite::Result<Option<LaneName>> {
    let (number, sum) = (found.get_ref(0)?, found.get_ref(3)?);
    let Some((sink, key)) = row::text(found.get_ref(1)?).zip(row::text(found.get_ref(2)?)) else {
        return Ok(None);
    };
    let wanted =
        row::lane_sum(row::integer(number).unwrap_or_default(), sink.as_bytes(), key.as_bytes());
    let fits = matches!(sum, ValueRef::Null) || row::integer(sum) == Some(wanted);
    Ok(fits.then_some(LaneName { sink: sink.into(), key }))
}

/// A lane of the only sink there is, whose name is not known for certain.
fn unnamed(key: String) -> LaneName {
    LaneName { sink: dead_letters::SINK.into(), key }
}

/// The smallest id of a lane.
fn first_of(lane: u32) -> i64 {
    RowId { lane, seq: 0 }.rowid()
}

fn amount(count: i64, bytes: i64, roughly: bool) -> Amount {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    Amount { count: whole(count), bytes: whole(bytes), roughly }
}

/// Seconds since 1970 as the machine believes; written down for people, never compared.
pub(in crate::queue) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
