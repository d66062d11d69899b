//! The database as a file: where it is, whether it is ours, and which process has it.
//!
//! People mistype `-f`, and some mean the configuration by it. A file that is not ours is never
//! made, renamed, emptied or given other permissions: it is refused by name.

use super::schema::{APPLICATION_ID, beside};
use super::{salvage, wal};
use crate::system::files::open_private;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a lock that somebody else has is waited for, and how often it is looked at.
pub(in crate::queue) const LOCK_PATIENCE: Duration = Duration::from_secs(2);
pub(in crate::queue) const LOCK_LOOK: Duration = Duration::from_millis(20);

/// What a database of SQLite begins with, and where its header has the application's number
/// (<https://sqlite.org/fileformat2.html>, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER: usize = 100;
const APPLICATION_ID_AT: usize = 68;

/// Tables that tell a database of this agent, or of upstream's.
const OUR_TABLES: [&str; 4] = ["lanes", "deliveries", "event_items", "mqtt_queue"];

/// A path that may be used for the database.
#[derive(Clone, Debug)]
pub(in crate::queue) struct DatabaseFile {
    path: PathBuf,
    is_there: bool,
}

/// Holds the database for this process until it is dropped.
#[derive(Debug)]
pub(in crate::queue) struct Lock {
    file: File,
    /// Set when the database has several names, each with its own lock file.
    _database: Option<File>,
}

impl Lock {
    /// Takes it again if its file is gone, or another one.
    pub(in crate::queue) fn take_again(&mut self, database: &Path) -> Result<(), String> {
        let path = beside(database, ".lock");
        let of = |file: fs::Metadata| (file.dev(), file.ino());
        let (held, there) = (self.file.metadata().map(of), path.symlink_metadata().map(of));
        if held.is_ok_and(|held| there.is_ok_and(|there| held == there)) {
            return Ok(());
        }
        let file = DatabaseFile { path: database.to_owned(), is_there: true };
        *self = file.try_lock()?.ok_or_else(|| file.in_use())?;
        Ok(())
    }
}

impl DatabaseFile {
    /// Looks at the path and changes nothing.
    ///
    /// Links are resolved, so that two names of one database are one.
    ///
    /// # Errors
    ///
    /// Says in words why it cannot be the database: the folder is missing, it is no regular file,
    /// or a file of somebody else.
    pub(in crate::queue) fn at(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(DatabaseFile { path: future(path)?, is_there: false });
            }
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        if let Some(kind) = no_regular_file(&metadata) {
            return Err(format!("{shown} is {kind}, not a file that could hold the queue"));
        }
        let path = path.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
        // To open and close a file here would end the locks SQLite has on it in this process
        // (<https://sqlite.org/howtocorrupt.html>, 2.2), so what is in use is not looked into.
        let ours = is_in_use(&path)
            || is_ours(&path, metadata.len()).map_err(|error| format!("{shown}: {error}"))?;
        if !ours {
            return Err(format!(
                "{shown} is not a database of ilagent, so it is left as it is; name another file \
                 for the queue"
            ));
        }
        Ok(DatabaseFile { path, is_there: true })
    }

    /// The path without links.
    pub(in crate::queue) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::queue) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Makes the file if it is not there. It may hold keys and alarms: nobody else may read it.
    pub(in crate::queue) fn make(path: &Path) -> io::Result<()> {
        let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::open(path)?,
            made => made?,
        };
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            match file.set_permissions(fs::Permissions::from_mode(0o600)) {
                Ok(()) => log::info!("queue: only its owner may read {} now", path.display()),
                Err(error) => {
                    log::warn!("queue: others may read {}: {error}", path.display());
                }
            }
        }
        Ok(())
    }

    /// Locks the database; dropping the lock releases it.
    ///
    /// A look at the queue holds it for a moment, so this waits a little.
    pub(in crate::queue) fn lock(&self) -> Result<Lock, String> {
        let give_up = Instant::now() + LOCK_PATIENCE;
        loop {
            match self.try_lock()? {
                Some(lock) => return Ok(lock),
                None if give_up <= Instant::now() => return Err(self.in_use()),
                None => thread::sleep(LOCK_LOOK),
            }
        }
    }

    /// Whether an agent has the database, this one maybe.
    pub(in crate::queue) fn is_in_use(&self) -> bool {
        is_in_use(&self.path)
    }

    pub(in crate::queue) fn in_use(&self) -> String {
        format!("{} is in use by another ilagent", self.path.display())
    }

    pub(in crate::queue) fn try_lock(&self) -> Result<Option<Lock>, String> {
        let path = beside(&self.path, ".lock");
        let file = open_private(&path, OpenOptions::new().read(true).write(true))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.give_to_owner(&file, &path);
        if !locked(&file, &path)? {
            return Ok(None);
        }
        let several = fs::metadata(&self.path).is_ok_and(|database| database.nlink() > 1);
        let database = match several {
            true => File::open(&self.path).map_err(|error| self.words(&error)).map(Some)?,
            false => None,
        };
        if let Some(file) = &database
            && !locked(file, &self.path)?
        {
            return Ok(None);
        }
        Ok(Some(Lock { file, _database: database }))
    }

    /// When root looks at the queue of an agent that does not run, the agent has to be able to
    /// start again.
    fn give_to_owner(&self, file: &File, path: &Path) {
        let (Ok(owner), Ok(own)) = (self.path.metadata(), file.metadata()) else { return };
        if owner.uid() != own.uid()
            && let Err(error) = fchown(file, Some(owner.uid()), Some(owner.gid()))
        {
            log::debug!("queue: {}: {error}", path.display());
        }
    }

    fn words(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.path.display())
    }
}

/// Where a file that is not there will be.
fn future(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    if path.symlink_metadata().is_ok() {
        return Err(format!("{shown} is a link to a file that is not there"));
    }
    let Some(name) = path.file_name() else {
        return Err(format!("{shown} is not the name of a file"));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("{shown}: its folder {}: {error}", folder.display()))?;
    Ok(folder.join(name))
}

fn no_regular_file(metadata: &fs::Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_fifo() => Some("a named pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

fn is_in_use(path: &Path) -> bool {
    File::open(beside(path, ".lock"))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether a file may be a database of ours, or the log of one; looks, and changes nothing.
pub(in crate::queue) fn could_be_ours(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    if let Some(kind) = no_regular_file(&metadata) {
        return Err(io::Error::other(format!("it is {kind}")));
    }
    Ok(wal::is_log(path) || is_ours(path, metadata.len())?)
}

/// Whether the agent may write to the file: it is empty, or has or had our tables.
fn is_ours(path: &Path, bytes: u64) -> io::Result<bool> {
    if bytes == 0 {
        return Ok(true);
    }
    let mut header = Vec::with_capacity(HEADER);
    File::open(path)?.take(HEADER as u64).read_to_end(&mut header)?;
    if header.get(APPLICATION_ID_AT..APPLICATION_ID_AT + 4) == Some(&APPLICATION_ID.to_be_bytes()) {
        return Ok(true);
    }
    if header.starts_with(MAGIC)
        && let Ok(tables) = tables(path)
    {
        let ours = |table: &String| OUR_TABLES.contains(&table.as_str());
        // The tables of one that was just made are still in its log.
        return Ok(tables.is_empty() || tables.iter().any(ours));
    }
    // Damaged where it would say so; nobody else keeps such files beside it.
    let beside_it = |suffix| beside(path, suffix).symlink_metadata().is_ok();
    Ok(beside_it(".spare") || beside_it("-wal") || salvage::holds_our_rows(path))
}

/// The names of the tables in the file itself, looked at without a trace.
fn tables(path: &Path) -> rusqlite::Result<Vec<String>> {
    look_only(path, "immutable=1")?
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Opens a database so that nothing is written, with what SQLite calls parameters of the URI.
pub(in crate::queue) fn look_only(path: &Path, parameters: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri(path, parameters), flags)
}

fn uri(path: &Path, parameters: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
    use std::os::unix::ffi::OsStrExt;
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_');
    format!("file:{}?{parameters}", percent_encode(path.as_os_str().as_bytes(), PLAIN))
}

fn locked(file: &File, path: &Path) -> Result<bool, String> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
    }
}
