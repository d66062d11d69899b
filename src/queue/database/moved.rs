//! A database that was deleted, moved or replaced, by hand or by a backup that was restored.
//!
//! An open file goes on without a name, and SQLite writes to it without a complaint, but with the
//! process it is gone. So it is looked at before anything counts as safe, and a copy of what is
//! open takes the place again. The copy has another name until it is whole: an agent that is
//! killed meanwhile leaves either nothing or all of it, and the next one finds it.
//!
//! The same deletion may leave the log of a database that is not there. SQLite would delete it,
//! and the rows that are only there with it.

use super::file::DatabaseFile;
use super::schema::{BESIDE, CORRUPT, beside};
use super::store::Store;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A copy that is not whole yet, and one that is.
const PART: &str = ".part";
const WHOLE: &str = ".new";

/// What was found in the place of the database or of its log, with a number behind it.
pub(in crate::queue) const ASIDE: &str = ".aside-";

/// What tells a file from others.
type Identity = (u64, u64);

/// The file that is open, by its name.
pub(in crate::queue) struct Place {
    path: PathBuf,
    database: Identity,
    log: Option<Identity>,
    index: Option<Identity>,
}

impl Place {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let beside_it = |suffix| identity(&beside(path, suffix)).ok();
        Ok(Place {
            path: path.to_owned(),
            database: identity(path)?,
            log: beside_it("-wal"),
            index: beside_it("-shm"),
        })
    }

    /// Whether the next start would open this file and this log.
    fn holds(&self) -> bool {
        let log = || identity(&beside(&self.path, "-wal"));
        is_still(&identity(&self.path), self.database)
            && self.log.is_none_or(|ours| is_still(&log(), ours))
    }

    /// Moves aside what is in the way of the copy, with what belongs to it, and says where it is.
    fn clear(&self) -> io::Result<Option<PathBuf>> {
        let there = match identity(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            there => Some(there?),
        };
        let aside = free_name(&self.path)?;
        let foreign = there.is_some_and(|there| there != self.database);
        if foreign {
            fs::rename(&self.path, &aside)?;
        }
        for (suffix, ours) in [("-wal", self.log), ("-shm", self.index), ("-journal", None)] {
            let file = beside(&self.path, suffix);
            match identity(&file) {
                Ok(found) if Some(found) == ours => fs::remove_file(&file)?,
                // An empty one holds nothing of anybody.
                Ok(_) if has_content(&file) => fs::rename(&file, beside(&aside, suffix))?,
                Ok(_) | Err(_) => {}
            }
        }
        Ok(foreign.then_some(aside))
    }
}

impl Store {
    /// Whether what is committed is where the next start looks for it.
    pub(in crate::queue) fn is_in_place(&self) -> bool {
        self.place.as_ref().is_none_or(Place::holds)
    }

    /// Whether this is the file that is open.
    pub(in crate::queue) fn is_at(&self, path: &Path) -> bool {
        let named = path.metadata().map(|file| (file.dev(), file.ino()));
        self.place.as_ref().is_some_and(|place| named.is_ok_and(|named| named == place.database))
    }

    /// Puts a copy of what is open where it should be, and says where it moved what was there. The
    /// store has to be opened again then.
    pub(in crate::queue) fn put_back(&self) -> Result<Option<PathBuf>, String> {
        let Some(place) = &self.place else { return Ok(None) };
        let (part, whole) = (beside(&place.path, PART), beside(&place.path, WHOLE));
        let words = |error: io::Error| error.to_string();
        let _ = fs::remove_file(&part);
        DatabaseFile::make(&part).map_err(words)?;
        let name = part.to_str().ok_or("its name is no text")?;
        let copied = self.connection.execute("VACUUM INTO ?1", [name]);
        let copied = copied.map_err(|error| error.to_string());
        if let Err(error) = copied.and_then(|_| sync(&part).map_err(words)) {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        fs::rename(&part, &whole).map_err(words)?;
        let aside = place.clear().map_err(words)?;
        settle(&whole, &place.path).map_err(words)?;
        Ok(aside)
    }
}

/// Whether a path has something that an agent or a database left there without the database.
pub(in crate::queue) fn has_remains(path: &Path) -> bool {
    identity(path).is_err()
        && (has_content(&beside(path, WHOLE)) || has_content(&beside(path, "-wal")))
}

/// Sees to what is left of a database before one is opened: a copy that a killed agent had made
/// takes the place of a database that is gone, and a log without its database is moved aside.
/// Returns the log, if its rows may be nowhere else.
pub(super) fn tidy(path: &Path) -> Result<Option<PathBuf>, String> {
    let words = |error: io::Error| format!("{}: {error}", path.display());
    let _ = fs::remove_file(beside(path, PART));
    let whole = beside(path, WHOLE);
    let copy = has_content(&whole).then(|| DatabaseFile::at(&whole).ok()).flatten();
    if identity(path).is_ok() {
        if copy.is_some() {
            let aside = free_name(path).map_err(words)?;
            fs::rename(&whole, &aside).map_err(words)?;
            log::error!(
                "queue: another file took the place of {} before the agent could write it again; \
                 what it wrote is in {}: `ilagent queue recover` takes it from there",
                path.display(),
                aside.display()
            );
        }
        return Ok(None);
    }
    let log = without_database(path).map_err(words)?;
    if copy.is_some() {
        settle(&whole, path).map_err(words)?;
        log::error!(
            "queue: {} was deleted; the copy that the agent had made of it is used",
            path.display()
        );
        return Ok(None);
    }
    Ok(log)
}

/// Moves aside what a database left that is not there, and returns its log.
fn without_database(path: &Path) -> io::Result<Option<PathBuf>> {
    let left = |suffix| Some(beside(path, suffix)).filter(|file| has_content(file));
    let (log, journal) = (left("-wal"), left("-journal"));
    let Some(found) = log.as_ref().or(journal.as_ref()) else { return Ok(None) };
    let aside = free_name(path)?;
    log::error!(
        "queue: {} is there without its database; it was moved to {}",
        found.display(),
        beside(&aside, if log.is_some() { "-wal" } else { "-journal" }).display()
    );
    if let Some(journal) = journal {
        fs::rename(journal, beside(&aside, "-journal"))?;
    }
    let Some(log) = log else { return Ok(None) };
    let aside = beside(&aside, "-wal");
    fs::rename(log, &aside)?;
    Ok(Some(aside))
}

/// Files that were moved aside, without what only belongs to one of them.
pub(in crate::queue) fn put_aside(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let name = name.to_string_lossy();
    let ours = |file: &str| {
        let behind = file.strip_prefix(&*name).unwrap_or_default();
        behind.starts_with(ASIDE) || behind.starts_with(CORRUPT)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<String> = names.filter(|file| ours(file)).collect();
    found.sort_unstable();
    let all = found.clone();
    let is_there = |base: &str| all.iter().any(|file| file == base);
    found.retain(|file| {
        !BESIDE.iter().any(|suffix| file.strip_suffix(suffix).is_some_and(is_there))
    });
    found.into_iter().map(|file| folder.join(file)).collect()
}

/// Gives a file its place for good.
fn settle(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(folder) => sync(folder),
        None => Ok(()),
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The first number under which nothing was put aside.
fn free_name(path: &Path) -> io::Result<PathBuf> {
    const NUMBERS: u32 = 10_000;
    let taken = |aside: &Path| {
        let is_there = |suffix: &str| identity(&beside(aside, suffix)).is_ok();
        is_there("") || BESIDE.iter().any(|suffix| is_there(suffix))
    };
    (1..NUMBERS)
        .map(|number| beside(path, &format!("{ASIDE}{number}")))
        .find(|aside| !taken(aside))
        .ok_or_else(|| io::Error::other("too much was put aside"))
}

/// Of the name itself: a link that takes the place of a file is not that file.
fn identity(path: &Path) -> io::Result<Identity> {
    path.symlink_metadata().map(|file| (file.dev(), file.ino()))
}

/// Whether a look found our file. One that failed for another reason tells nothing.
fn is_still(found: &io::Result<Identity>, ours: Identity) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    match found {
        Ok(found) => *found == ours,
        Err(error) => !matches!(error.kind(), NotFound | NotADirectory),
    }
}

fn has_content(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|file| file.is_file() && file.len() > 0)
}
