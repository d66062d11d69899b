//! The database: its file, its tables, its rows.

pub(in crate::queue) mod dead_letters;
pub(in crate::queue) mod file;
mod journal;
mod look;
pub(in crate::queue) mod moved;
mod orphans;
pub(in crate::queue) mod pages;
pub(in crate::queue) mod salvage;
pub(in crate::queue) mod schema;
pub(in crate::queue) mod spare;
pub(in crate::queue) mod store;
pub(in crate::queue) mod upstream;
mod wal;
pub(in crate::queue) mod write;

use crate::config;
use crate::message::SinkName;
use crate::queue::row::{Amount, StoredLane};
use file::Lock;
use spare::Spare;
use std::path::{Path, PathBuf};
use store::Store;

/// The open database and the lock on it.
pub(in crate::queue) struct Database {
    pub(in crate::queue) store: Store,
    pub(in crate::queue) spare: Spare,
    /// Why it cannot be written, though what is in it can be delivered.
    pub(in crate::queue) trouble: Option<String>,
    /// What was moved aside and is still there.
    pub(in crate::queue) aside: Vec<PathBuf>,
    lock: Lock,
}

impl Database {
    /// Opens the file; the lock on it is the caller's. No board is held meanwhile, since that may
    /// take its time. Without room on the disk it is opened all the same: what is delivered makes
    /// room.
    pub(in crate::queue) fn open(
        settings: &config::Queue,
        lock: Lock,
    ) -> Result<(Self, Waiting), String> {
        let shown = settings.path.display();
        let spare = Spare::beside(&settings.path);
        let store = Store::open(settings).or_else(|what| {
            // To make a new version of it may need the room.
            if spare.give_up() { Store::open(settings) } else { Err(what) }
        })?;
        let trouble = |error: rusqlite::Error| format!("{shown}: {error}");
        let lanes = store.lanes().map_err(trouble)?;
        let amount = store.amount().map_err(trouble)?;
        let of_sinks = store.counts(&lanes, amount).map_err(trouble)?;
        let waiting = Waiting { lanes, amount, of_sinks };
        if waiting.amount.count > 0 {
            log::info!("queue: about {} deliveries wait in {shown}", waiting.amount.count);
        }
        let mut database =
            Database { store, spare, trouble: None, aside: moved::put_aside(&settings.path), lock };
        database.trouble = database.keep_room().err();
        Ok((database, waiting))
    }

    /// Puts a copy of what is open where the file should be that was deleted or replaced, and says
    /// where it moved what was there. The store has to be opened again then.
    pub(in crate::queue) fn put_back(&mut self, path: &Path) -> Result<Option<PathBuf>, String> {
        // With its folder the lock may be gone, and another agent have taken one there.
        self.lock.take_again(path)?;
        self.spare.give_up();
        self.store.put_back()
    }

    /// Keeps the spare room. Where there is none the database is made smaller first: it may be
    /// what took the room, and be empty now.
    pub(in crate::queue) fn keep_room(&self) -> Result<(), String> {
        if self.spare.hold().is_ok() {
            return Ok(());
        }
        if let Err(error) = self.store.shrink(spare::BYTES as u64) {
            log::debug!("queue: the database cannot be made smaller: {error}");
        }
        self.spare.hold().map_err(|error| format!("no room beside it: {error}"))
    }
}

/// What an opened database holds, for the board.
pub(in crate::queue) struct Waiting {
    pub(in crate::queue) lanes: Vec<StoredLane>,
    pub(in crate::queue) amount: Amount,
    /// How many for each sink.
    pub(in crate::queue) of_sinks: Vec<(SinkName, u64)>,
}
