//! The durable store: rows in, rows out. Only the queue thread has one.

mod open;
mod read;
mod shown;

use super::dead_letters;
use super::journal;
use super::moved::Place;
use super::schema;
use crate::message::{Delivery, LaneName, Record};
use crate::queue::change::Fate;
use crate::queue::push::DeadLetter;
use crate::queue::row::{self, RowId, Unchecked};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

pub(in crate::queue) use read::Read;
pub(in crate::queue) use shown::Shown;

/// With fewer free pages than this, shrinking the file is not worth the writing.
const SHRINK_PAGES_MIN: i64 = 64;

/// Statements kept ready.
const STATEMENTS: usize = 16;

/// An open database.
pub(in crate::queue) struct Store {
    pub(in crate::queue) connection: Connection,
    pub(in crate::queue) letters: dead_letters::Bounds,
    unchecked: Unchecked,
    /// A commit that waits for the disk can do without.
    has_choice: bool,
    /// Commits do without at present.
    hurries: bool,
    /// The last one did.
    is_loose: bool,
    /// Where the file is, if it is one that is written to.
    pub(super) place: Option<Place>,
}

impl Store {
    fn of(connection: Connection, letters_max: u64) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let letters = dead_letters::Bounds::of(&connection, letters_max)?;
        let has_choice = journal::has_choice(&connection)?;
        let mut store = Store {
            connection,
            letters,
            unchecked: Unchecked::default(),
            has_choice,
            hurries: false,
            is_loose: false,
            place: None,
        };
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

    /// Begins a transaction that a power cut may undo or may not, and says if one can.
    pub(super) fn begin_to_write(&mut self, may_be_undone: bool) -> rusqlite::Result<Fate> {
        let hurries = may_be_undone && self.has_choice;
        if hurries != self.hurries {
            journal::hurry(&self.connection, hurries)?;
            self.hurries = hurries;
        }
        self.begin()?;
        if hurries {
            return Ok(Fate::MayBeUndone);
        }
        if self.is_loose {
            // A commit that turns out to have nothing to write would wait for nothing.
            schema::touch(&self.connection)?;
        }
        Ok(Fate::Stays)
    }

    pub(super) fn commit_written(&mut self, fate: Fate) -> rusqlite::Result<()> {
        self.commit()?;
        self.is_loose = fate == Fate::MayBeUndone;
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
        let note = delivery.note();
        let columns = [
            ValueRef::Integer(row.rowid()),
            ValueRef::from(delivery.errand.kind()),
            delivery.order_key.as_deref().map_or(ValueRef::Null, ValueRef::from),
            ValueRef::from(delivery.errand.target()),
            ValueRef::from(delivery.origin.as_str()),
            ValueRef::Integer(attempts.into()),
            ValueRef::Integer(wall_clock()),
            ValueRef::Blob(&delivery.body),
            note.as_deref().map_or(ValueRef::Null, ValueRef::from),
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
                let lane = name.unwrap_or_default();
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
        let remains = row::remains(columns, LaneName::default());
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

    /// All keys and values of a scope, except for damaged ones.
    pub(in crate::queue) fn records(
        &self,
        scope: &str,
    ) -> rusqlite::Result<BTreeMap<String, String>> {
        let mut statement =
            self.connection.prepare("SELECT key, value, sum FROM records WHERE scope = ?1")?;
        let mut rows = statement.query([scope])?;
        let (mut records, mut damaged) = (BTreeMap::new(), 0);
        while let Some(row) = rows.next()? {
            let text = |column| row.get_ref(column).map(row::text);
            let sum = row::integer(row.get_ref(2)?);
            match text(0)?.zip(text(1)?) {
                Some((key, value))
                    if sum == Some(row::record_sum(scope, &key, value.as_bytes())) =>
                {
                    records.insert(key, value);
                }
                _ => damaged += 1,
            }
        }
        if damaged > 0 {
            log::error!(
                "queue: {damaged} things that were remembered of {scope} are damaged and not used"
            );
        }
        Ok(records)
    }

    pub(in crate::queue) fn remember(&self, record: &Record) -> rusqlite::Result<()> {
        let Record { scope, key, value } = record;
        schema::remember(&self.connection, scope, key, value.as_deref())
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

/// Seconds since 1970 by the machine's clock; shown to people, never compared.
pub(in crate::queue) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
