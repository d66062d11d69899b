//! Which journal the database has: what the file system can do decides.
//!
//! A write-ahead log costs the least. SQLite keeps an index of it in a map of a file that
//! processes share, and JFFS2, the overlay of most routers, has no such maps, nor have some FUSE
//! and network file systems. There the index is kept in memory, and the agent has the file for
//! itself. SQLite does that only on a connection that was set so before it looked at the file,
//! and a first attempt that failed has changed the file's header. So each attempt is a connection
//! by itself, and whether a log can be made at all is found out before SQLite is asked.

use super::schema::{Unusable, beside};
use crate::config::Safety;
use rusqlite::Connection;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The journal is copied into the database when it has this many pages; see `spare`.
const CHECKPOINT_PAGES: u32 = 1_000;

/// Where the header of a database says that it has a log, and what it says then.
const LOG_MARK: (usize, [u8; 2]) = (18, [2, 2]);

/// How a connection keeps its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queue) enum Journal {
    /// A log whose index is a file that processes share.
    SharedLog,
    /// A log whose index is in memory: nobody else can open the file.
    OwnLog,
    /// A rollback journal, which writes more.
    Rollback,
}

impl Journal {
    /// What may work for this file, best first.
    pub(in crate::queue) fn choices(path: &Path) -> &'static [Journal] {
        if has_log(path) || can_have_log(path) {
            &[Journal::SharedLog, Journal::OwnLog]
        } else {
            &[Journal::Rollback]
        }
    }

    /// To be said before the connection looks at the file.
    pub(in crate::queue) fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(match self {
            Journal::OwnLog => "PRAGMA locking_mode=EXCLUSIVE",
            Journal::SharedLog | Journal::Rollback => "PRAGMA locking_mode=NORMAL",
        })
    }

    /// Gives the file this journal.
    pub(in crate::queue) fn set(
        self,
        connection: &Connection,
        path: &Path,
        sync: Safety,
    ) -> Result<(), Unusable> {
        let wanted = match self {
            Journal::SharedLog | Journal::OwnLog => "wal",
            Journal::Rollback => "truncate",
        };
        let set = format!("PRAGMA journal_mode={wanted}");
        let found: String = connection.query_row(&set, [], |row| row.get(0))?;
        if found != wanted {
            let what = format!("its journal is '{found}' and cannot be '{wanted}'");
            return Err(Unusable::Other(what));
        }
        // The index of a log is not looked for before something is read.
        connection.query_row("PRAGMA user_version", [], |_| Ok(()))?;
        let sync = match sync {
            Safety::Full => "FULL",
            Safety::Normal => "NORMAL",
        };
        connection.execute_batch(&format!(
            "PRAGMA synchronous={sync}; PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES};
                 PRAGMA journal_size_limit=1048576;"
        ))?;
        self.tell(path);
        Ok(())
    }

    fn tell(self, path: &Path) {
        let shown = path.display();
        match self {
            Journal::SharedLog => {}
            Journal::OwnLog => {
                // Left over from the attempt that failed, or from another file system.
                let _ = fs::remove_file(beside(path, "-shm"));
                log::info!(
                    "queue: {shown} is where files cannot be mapped shared, or there is no room for \
                     that; nobody else can open it while the agent runs"
                );
            }
            Journal::Rollback => log::warn!(
                "queue: {shown} cannot have a write-ahead log here; its journal is 'truncate', \
                 which writes more"
            ),
        }
    }
}

/// Whether commits wait for the disk and can do without: in a log what was written first is never
/// lost before what was written later, so that a power cut leaves what was once true. A rollback
/// journal that is not waited for would leave a damaged file.
pub(super) fn has_choice(connection: &Connection) -> rusqlite::Result<bool> {
    const FULL: i64 = 2;
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let sync: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    Ok(journal == "wal" && sync == FULL)
}

/// From the next commit on does without the disk, or waits for it again: for what that commit
/// brings and for all before it.
pub(super) fn hurry(connection: &Connection, hurries: bool) -> rusqlite::Result<()> {
    let sync = if hurries { "NORMAL" } else { "FULL" };
    connection.execute_batch(&format!("PRAGMA synchronous={sync}"))
}

/// Whether the file says that it has a log.
fn has_log(path: &Path) -> bool {
    let (at, mark) = LOG_MARK;
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[at..] == mark
}

/// Whether the file of a log can be made; asked of a database that has none.
fn can_have_log(path: &Path) -> bool {
    let log = beside(path, "-wal");
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&log) {
        Ok(_) => fs::remove_file(&log).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::AlreadyExists,
    }
}
