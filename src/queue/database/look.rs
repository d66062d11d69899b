//! The database of an agent that does not run, opened to be looked at: nothing is made, converted
//! or repaired.

use super::file::look_only;
use super::schema::{VERSION, beside};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// What version 1 lacks, as views that stand in front of its tables. They are in memory.
const VERSION_1: &str = "
CREATE TEMP VIEW lanes AS SELECT *, NULL AS sum FROM main.lanes;
CREATE TEMP VIEW deliveries AS SELECT *, NULL AS note, NULL AS sum FROM main.deliveries;
CREATE TEMP VIEW dead_letters AS
  SELECT *, NULL AS note, NULL AS sum, 'ilert' AS sink FROM main.dead_letters;
CREATE TEMP VIEW records AS
  SELECT NULL AS scope, NULL AS key, NULL AS value, NULL AS sum WHERE 0;";

/// Opens it, and says which version its tables are of.
///
/// # Errors
///
/// Says in words, which follow the name of the file, why it cannot be looked at.
pub(in crate::queue) fn open(path: &Path) -> Result<(Connection, usize), String> {
    let connection = connect(path).map_err(|error| words(path, &error))?;
    let version = |row: &rusqlite::Row| row.get::<_, i64>(0);
    let version = connection
        .query_row("PRAGMA user_version", [], version)
        .map_err(|error| words(path, &error))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    match version {
        0 => Err("nothing of ilagent is in it yet; what iLert's agent left there is taken over \
                  when ilagent starts"
            .to_owned()),
        1 => match connection.execute_batch(VERSION_1) {
            Ok(()) => Ok((connection, version)),
            Err(error) => Err(words(path, &error)),
        },
        _ if version <= VERSION => Ok((connection, version)),
        _ => Err(format!(
            "it was written by a later version of ilagent (schema {version}, this one knows \
             {VERSION})"
        )),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = match has_content(path, "-wal") {
        // Without a log the file is all there is, and SQLite need not make anything beside it.
        false if !has_content(path, "-journal") => look_only(path, "immutable=1")?,
        _ => with_others(path).or_else(|error| alone(path).map_err(|_| error))?,
    };
    connection.execute_batch("PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF")?;
    Ok(connection)
}

/// Reads the log as SQLite does.
fn with_others(path: &Path) -> rusqlite::Result<Connection> {
    keeping_the_log(look_only(path, "mode=ro")?)
}

/// Where files cannot be mapped shared, only a process that has the file for itself can read a log,
/// and for that SQLite must be able to write; see `journal`.
fn alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=ON")?;
    keeping_the_log(connection)
}

/// The log stays for the agent, too. The first thing that is read tells whether it can be.
fn keeping_the_log(connection: Connection) -> rusqlite::Result<Connection> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row("SELECT COUNT(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(connection)
}

fn has_content(path: &Path, suffix: &str) -> bool {
    beside(path, suffix).metadata().is_ok_and(|file| file.len() > 0)
}

fn words(path: &Path, error: &rusqlite::Error) -> String {
    if has_content(path, "-wal") || has_content(path, "-journal") {
        return format!(
            "it was not closed, and cannot be looked at before the agent has started again: {error}"
        );
    }
    error.to_string()
}
