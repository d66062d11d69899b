//! What is done about a database that cannot be written, or looks damaged.

use super::Writer;
use crate::queue::change::{Change, write_all};
use crate::queue::database::Database;
use crate::queue::database::file::DatabaseFile;
use crate::queue::database::schema;
use crate::queue::database::store::Store;
use crate::queue::lock;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Writer {
    /// Whether a database is wanted only to remember something: that is no reason to stop reading.
    pub(super) fn can_do_without(&self) -> bool {
        let remembers = |change: &Change| matches!(change, Change::Remember(..));
        self.database.is_none() && self.failures == 0 && self.changes.iter().all(remembers)
    }

    /// On a full disk there is no room for what is new, but maybe for what makes room: the spare
    /// room is given up, the journal is emptied, and rows that are settled go first.
    pub(super) fn make_room(&mut self) -> Result<(), Trouble> {
        let Some(database) = &mut self.database else { return Ok(()) };
        database.spare.give_up();
        database.store.checkpoint();
        let settled = |change: &mut Change| matches!(change, Change::Delete(_));
        let deletes: Vec<Change> = self.changes.extract_if(.., settled).collect();
        if let Err(error) = write_all(&mut database.store, &deletes) {
            database.store.rollback();
            self.changes.extend(deletes);
            return Err(Trouble::from(error));
        }
        database.store.checkpoint();
        let mut board = lock(&self.shared.board);
        let _ = board.committed(deletes, Instant::now());
        self.shared.act(board);
        Ok(())
    }

    /// All is well again when the spare room could be had again.
    pub(super) fn works_again(&mut self) -> Result<(), String> {
        if self.failures == 0 {
            return Ok(());
        }
        if let Some(database) = &self.database {
            database.store.checkpoint();
            if let Err(what) = database.keep_room() {
                return self.trouble(&Trouble { what, damaged: false });
            }
        }
        log::info!("queue: the database can be written again");
        self.failures = 0;
        lock(&self.shared.board).can_be_written();
        self.shared.unwritable.store(false, Ordering::Release);
        self.shared.health.queue(|queue| queue.error.clear());
        Ok(())
    }

    /// A database that cannot be written is tried again; one that is damaged ends the agent.
    pub(super) fn trouble(&mut self, trouble: &Trouble) -> Result<(), String> {
        if trouble.damaged && !self.reopen {
            // Whether it is damaged or was a moment's trouble of the disk shows in a new look.
            log::warn!("queue: {}; looking again", trouble.what);
            self.reopen = true;
            if self.look_again().is_ok() {
                self.failures = self.failures.max(1);
                return Ok(());
            }
        }
        let what = format!("{} cannot be written: {}", self.settings.path.display(), trouble.what);
        if self.failures == 0 {
            log::error!("queue: {what}; nothing is lost, it is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        self.shared.unwritable.store(true, Ordering::Release);
        let mut board = lock(&self.shared.board);
        let back = board.cannot_be_written(&mut self.changes, Instant::now());
        self.shared.on_the_way.fetch_sub(back, Ordering::AcqRel);
        self.shared.act(board);
        self.shared.health.queue(|queue| queue.error = what);
        Ok(())
    }

    /// Opens the database anew; what can be read of a damaged one is in a new file then.
    pub(super) fn look_again(&mut self) -> Result<(), Trouble> {
        let Some(database) = self.database.as_mut().filter(|_| self.reopen) else { return Ok(()) };
        database.store.let_go()?;
        let opened = Store::reopen(&self.settings);
        database.store = opened.map_err(|what| Trouble { what, damaged: false })?;
        self.reopen = false;
        let amount = database.store.amount();
        lock(&self.shared.board).stored = amount?;
        Ok(())
    }

    /// Opens a database that was not needed before.
    pub(super) fn open(&mut self) -> Result<Database, Trouble> {
        let trouble = |what| Trouble { what, damaged: false };
        let lock = match self.door.take() {
            Some(lock) => lock,
            None => DatabaseFile::at(&self.settings.path)
                .and_then(|file| file.lock())
                .map_err(trouble)?,
        };
        let (database, waiting) = Database::open(&self.settings, lock).map_err(trouble)?;
        if !waiting.lanes.is_empty() {
            // Their numbers may be those of lanes that are in use.
            let what = "deliveries lie in it that were not there at the start: start it again";
            return Err(trouble(what.to_owned()));
        }
        Ok(database)
    }
}

/// Why the database could not be written.
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) damaged: bool,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble { damaged: schema::is_corrupt(&error), what: error.to_string() }
    }
}
