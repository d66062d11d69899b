//! The database file: how it is opened, made, repaired, and which journal it gets.
//!
//! | table | what |
//! |---|---|
//! | `lanes` | the number, sink and key of each lane |
//! | `deliveries` | one row a delivery; `id` is the lane's number times 2^40 plus a sequence number |
//! | `dead_letters` | what was given up |
//! | `records` | small things that parts of the agent remember over restarts |
//!
//! The id makes one b-tree serve as table and index: rows of a lane lie together, in order, so a
//! push appends, a claim reads a range and a settlement deletes, each in about one page, however
//! many rows there are.

use super::file::DatabaseFile;
use super::journal::Journal;
use crate::config::Safety;
use crate::queue::row::{DELIVERY, LETTER, Unchecked, record_sum};
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, ffi, params};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version this build writes, in `user_version`. Upstream's files have 0.
pub(in crate::queue) const VERSION: usize = STEPS.len();

/// Says in the header of a file whose it is, from version 2 on: `ilag`.
pub(in crate::queue) const APPLICATION_ID: u32 = 0x696C_6167;

/// Every page that a commit touches is written whole, twice: to the journal and later to the
/// database. Small pages halve what a small delivery costs; a large one takes several.
pub(in crate::queue) const PAGE_BYTES: u32 = 1_024;

/// How often a file is looked at before what was found is believed, and how long in between.
const LOOKS: u32 = 3;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How SQLite words a read or write that failed.
const IO_ERROR: &str = "disk I/O error";

/// The database is checked at the start when it is not larger than this.
const CHECK_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What leads from each version to the next. No step reads rows, so a full queue is taken over
/// as fast as an empty one.
const STEPS: [&str; 2] = [VERSION_1, VERSION_2];

const VERSION_1: &str = "
CREATE TABLE IF NOT EXISTS lanes (
  number INTEGER PRIMARY KEY,
  sink   TEXT NOT NULL,
  key    TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
  id        INTEGER PRIMARY KEY,
  kind      TEXT NOT NULL,
  order_key TEXT,
  target    TEXT NOT NULL,
  origin    TEXT NOT NULL,
  attempts  INTEGER NOT NULL,
  stored_at INTEGER NOT NULL,
  body      BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS dead_letters (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  reason    TEXT NOT NULL,
  kind      TEXT,
  lane_key  TEXT NOT NULL,
  order_key TEXT,
  target    TEXT NOT NULL,
  origin    TEXT NOT NULL,
  buried_at INTEGER NOT NULL,
  body      BLOB NOT NULL
);";

/// A `sum` is a row's checksum; rows of version 1 have none.
const VERSION_2: &str = "
ALTER TABLE lanes ADD COLUMN sum INTEGER;
ALTER TABLE deliveries ADD COLUMN note TEXT;
ALTER TABLE deliveries ADD COLUMN sum INTEGER;
ALTER TABLE dead_letters ADD COLUMN note TEXT;
ALTER TABLE dead_letters ADD COLUMN sum INTEGER;
ALTER TABLE dead_letters ADD COLUMN sink TEXT NOT NULL DEFAULT 'ilert';
CREATE TABLE records (
  scope TEXT NOT NULL,
  key   TEXT NOT NULL,
  value TEXT NOT NULL,
  sum   INTEGER,
  PRIMARY KEY (scope, key)
) WITHOUT ROWID;";

/// Why the file cannot be used, in words that follow its name.
pub(in crate::queue) enum Unusable {
    /// Its content is damaged; it may be moved aside.
    Corrupt(String),
    /// Anything else.
    Other(String),
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        if is_corrupt(&error) {
            Unusable::Corrupt(error.to_string())
        } else {
            Unusable::Other(error.to_string())
        }
    }
}

/// SQLite's words for a schema format other than 1 to 4. There is no other, so a bit has flipped.
const UNKNOWN_FORMAT: &str = "unsupported file format";

pub(in crate::queue) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || error.to_string().contains(UNKNOWN_FORMAT)
}

/// Opens the file, and makes it if it is not there. With `whole` all of it is checked.
///
/// A read that fails once is no damage: a stick whose plug moved, a card that needs a second try.
pub(in crate::queue) fn open(
    path: &Path,
    sync: Safety,
    whole: bool,
) -> Result<Connection, Unusable> {
    let mut looks = LOOKS;
    loop {
        DatabaseFile::make(path).map_err(|error| Unusable::Other(error.to_string()))?;
        let opened = open_once(path, sync, whole);
        looks -= 1;
        let again = match &opened {
            Ok(_) => false,
            Err(Unusable::Corrupt(_)) => whole,
            Err(Unusable::Other(what)) => what.contains(IO_ERROR),
        };
        if !again || looks == 0 {
            return opened;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn open_once(path: &Path, sync: Safety, whole: bool) -> Result<Connection, Unusable> {
    let mut opened = Err(Unusable::Other("no journal can be made".to_owned()));
    for journal in Journal::choices(path) {
        opened = connect(path, *journal, sync);
        match &opened {
            Err(Unusable::Other(what)) => log::debug!("queue: {journal:?}: {what}"),
            Ok(_) | Err(Unusable::Corrupt(_)) => break,
        }
    }
    let (connection, version) = opened?;
    if whole || path.metadata().is_ok_and(|file| file.len() <= CHECK_BYTES_MAX) {
        check(&connection)?;
    }
    if version != VERSION && is_of_this_version(&connection)? {
        connection.execute_batch(&format!("PRAGMA user_version={VERSION}"))?;
    } else if version < VERSION {
        climb(&connection, version).map_err(misshapen)?;
    }
    has_our_columns(&connection).map_err(misshapen)?;
    has_our_keys(&connection)?;
    takes_writes(&connection, path)?;
    Ok(connection)
}

/// Writes a page, with what it says already.
pub(super) fn touch(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA user_version={VERSION}"))
}

/// Asks for every column there should be: a bit that flips in the text of a table gives it another
/// name, which is no damage for SQLite.
fn has_our_columns(connection: &Connection) -> rusqlite::Result<()> {
    for (columns, table) in [
        ("number, sink, key, sum", "lanes"),
        (DELIVERY, "deliveries"),
        (LETTER, "dead_letters"),
        ("scope, key, value, sum", "records"),
    ] {
        connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
    }
    Ok(())
}

/// Looks whether the numbers of rows are still their keys: a bit that flips in `PRIMARY KEY` makes a
/// part of a type of it, and then no row has a number.
fn has_our_keys(connection: &Connection) -> Result<(), Unusable> {
    for (key, table) in [("number", "lanes"), ("id", "deliveries"), ("id", "dead_letters")] {
        let mut columns = connection.prepare(&format!("PRAGMA table_info({table})"))?;
        let mut columns = columns.query([])?;
        let mut is_there = false;
        while let Some(column) = columns.next()? {
            // Their texts may be no UTF-8 any more.
            let is = |of: &str, wanted: &str| -> rusqlite::Result<bool> {
                Ok(column.get_ref(of)?.as_bytes().is_ok_and(|found| found == wanted.as_bytes()))
            };
            is_there |= is("name", key)? && is("type", "INTEGER")? && column.get("pk") == Ok(1_i64);
        }
        if !is_there {
            return Err(Unusable::Corrupt(format!("{key} is not the key of {table}")));
        }
    }
    Ok(())
}

/// A bit that flips in the header, where it says which SQLite may write, makes a file read-only that
/// the system lets us write.
fn takes_writes(connection: &Connection, path: &Path) -> Result<(), Unusable> {
    if connection.is_readonly(MAIN_DB)? && OpenOptions::new().write(true).open(path).is_ok() {
        return Err(Unusable::Corrupt("its header allows no writing".to_owned()));
    }
    Ok(())
}

/// A table or column that is not there is damage.
fn misshapen(error: rusqlite::Error) -> Unusable {
    match Unusable::from(error) {
        Unusable::Other(what) if what.contains("no such ") || what.contains("already exists") => {
            Unusable::Corrupt(what)
        }
        unusable => unusable,
    }
}

/// Whether the tables are word for word those of this version, so that another one in the header
/// is a bit that flipped.
fn is_of_this_version(connection: &Connection) -> rusqlite::Result<bool> {
    let texts = |connection: &Connection| -> rusqlite::Result<Vec<String>> {
        connection
            .prepare(
                "SELECT sql FROM sqlite_master WHERE name IN
                   ('lanes', 'deliveries', 'dead_letters', 'records') ORDER BY name",
            )?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    let found = texts(connection)?;
    if found.is_empty() {
        return Ok(false);
    }
    let made = Connection::open_in_memory()?;
    made.execute_batch(&STEPS.concat())?;
    Ok(found == texts(&made)?)
}

/// A connection with this journal, and the version of the file.
fn connect(path: &Path, journal: Journal, sync: Safety) -> Result<(Connection, usize), Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    journal.prepare(&connection)?;
    connection.execute_batch(
        "PRAGMA busy_timeout=5000; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-256;
         PRAGMA trusted_schema=OFF;",
    )?;
    // Of effect on a new file only.
    connection.execute_batch(&format!("PRAGMA page_size={PAGE_BYTES}"))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > VERSION && !is_of_this_version(&connection)? {
        return Err(Unusable::Other(format!(
            "it was written by a later version of ilagent (schema {version}, this one knows {VERSION})"
        )));
    }
    journal.set(&connection, path, sync)?;
    Ok((connection, version))
}

/// Takes the file from a version to this one.
fn climb(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    let steps = STEPS[version..].concat();
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {steps}"))?;
    let newest = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    let deliveries = newest(
        "SELECT COALESCE(MAX((SELECT MAX(id) FROM deliveries
                              WHERE id >= number << 40 AND id < (number + 1) << 40)
                             & ((1 << 40) - 1)), 0) FROM lanes",
    )?;
    let letters = newest("SELECT COALESCE(MAX(id), 0) FROM dead_letters")? + 1;
    let unchecked = Unchecked { deliveries: deliveries.cast_unsigned() + 1, letters };
    let (scope, key) = Unchecked::RECORD;
    remember(connection, scope, key, Some(&unchecked.to_text()))?;
    connection.execute_batch(&format!(
        "PRAGMA user_version={VERSION}; PRAGMA application_id={APPLICATION_ID}; COMMIT"
    ))
}

/// Writes a record, or deletes it.
pub(in crate::queue) fn remember(
    connection: &Connection,
    scope: &str,
    key: &str,
    value: Option<&str>,
) -> rusqlite::Result<()> {
    let Some(value) = value else {
        return connection
            .prepare_cached("DELETE FROM records WHERE scope = ?1 AND key = ?2")?
            .execute([scope, key])
            .map(|_| ());
    };
    let sum = record_sum(scope, key, value.as_bytes());
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO records (scope, key, value, sum) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![scope, key, value, sum])
        .map(|_| ())
}

fn check(connection: &Connection) -> Result<(), Unusable> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // A page that could not be read, with the code of SQLite; the low byte says of what kind.
    let code = verdict.rsplit_once("error code=").and_then(|(_, code)| code.parse::<i32>().ok());
    match code {
        Some(code) if code & 0xff == ffi::SQLITE_IOERR => {
            Err(Unusable::Other(format!("{IO_ERROR} ({verdict})")))
        }
        // A column of the wrong type is the matter of its row.
        _ if verdict == "ok" || verdict.contains(" value in ") => Ok(()),
        _ => Err(Unusable::Corrupt(verdict)),
    }
}

/// What a damaged file is called, with a number behind it.
pub(super) const CORRUPT: &str = ".corrupt-";

/// What SQLite keeps beside a database.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Renames the file and what SQLite keeps beside it to `….corrupt-1`, or to `….corrupt-2` when
/// there is one. There are never more: the older one goes.
pub(in crate::queue) fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let numbered = |number| beside(path, &format!("{CORRUPT}{number}"));
    let (first, second) = (numbered(1), numbered(2));
    if second.exists() {
        rename_all(&second, &first)?;
    }
    let aside = if first.exists() { second } else { first };
    rename_all(path, &aside)?;
    Ok(aside)
}

fn rename_all(path: &Path, to: &Path) -> io::Result<()> {
    fs::rename(path, to)?;
    for suffix in BESIDE {
        let (from, to) = (beside(path, suffix), beside(to, suffix));
        if from.exists() {
            fs::rename(from, to)?;
        } else if to.exists() {
            fs::remove_file(to)?;
        }
    }
    Ok(())
}

/// A path with something added to its last part.
pub(in crate::queue) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(suffix);
    PathBuf::from(whole)
}
