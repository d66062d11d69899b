//! How we recover from a database that cannot be written, or looks damaged.

use super::{REWRITE, Writer};
use crate::queue::change::Change;
use crate::queue::database::Database;
use crate::queue::database::file::DatabaseFile;
use crate::queue::database::moved;
use crate::queue::database::schema;
use crate::queue::database::store::Store;
use crate::queue::database::write::write_all;
use crate::system::threads::lock;
use std::path::Path;
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
        let settled = |change: &mut Change| matches!(change, Change::Delete(_) | Change::Drop(_));
        let deletes: Vec<Change> = self.changes.extract_if(.., settled).collect();
        let fate = match write_all(&mut database.store, &deletes) {
            Ok(fate) => fate,
            Err(error) => {
                database.store.rollback();
                self.changes.extend(deletes);
                return Err(Trouble::from(error));
            }
        };
        database.store.checkpoint();
        let mut board = lock(&self.shared.board);
        board.committed(deletes, fate, Instant::now());
        self.shared.act(board);
        Ok(())
    }

    /// We have recovered only when the spare file is back.
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
        self.shared.unwritable.store(false, Ordering::Release);
        let mut board = lock(&self.shared.board);
        board.can_be_written(Instant::now());
        self.shared.act(board);
        self.shared.health.queue(|queue| queue.error.clear());
        Ok(())
    }

    /// Makes sure that what is committed is in the file that the next start opens.
    pub(super) fn keep_in_place(&mut self) -> Result<(), Trouble> {
        let Some(database) = self.database.as_mut() else { return Ok(()) };
        if self.reopen || database.store.is_in_place() {
            return Ok(());
        }
        let path = &self.settings.path;
        let (before, now) = (self.put_back.take(), Instant::now());
        let put_back = match before {
            Some(failed) if now < failed.again => Err(failed),
            before => database.put_back(path).map_err(|why| {
                let times = before.map_or(0, |failed| failed.times) + 1;
                NotPutBack { why, times, again: now + REWRITE.wait_after(times, 1.0) }
            }),
        };
        let aside = put_back.map_err(|failed| {
            let what = format!(
                "it was deleted or replaced, and what is open cannot be copied back ({}); do \
                 not end the agent before it is, or what waits is lost",
                failed.why
            );
            self.put_back = Some(failed);
            Trouble { what, damaged: false }
        })?;
        report_return(path, aside.as_deref());
        self.reopen = true;
        self.look_again()?;
        self.listen_again();
        let database = self.database.as_ref().expect("it is open");
        database.keep_room().map_err(|what| Trouble { what, damaged: false })
    }

    /// A database that cannot be written is tried again; one that is damaged ends the agent.
    pub(super) fn trouble(&mut self, trouble: &Trouble) -> Result<(), String> {
        let in_place = self.database.as_ref().is_none_or(|open| open.store.is_in_place());
        if trouble.damaged && !self.reopen && in_place {
            // A second look tells damage from a disk that failed for a moment.
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

    /// Opens the database again; what can be read of a damaged one is then in a new file.
    pub(super) fn look_again(&mut self) -> Result<(), Trouble> {
        let Some(database) = self.database.as_mut().filter(|_| self.reopen) else { return Ok(()) };
        database.store.let_go()?;
        let opened = Store::reopen(&self.settings);
        database.store = opened.map_err(|what| Trouble { what, damaged: false })?;
        database.aside = moved::put_aside(&self.settings.path);
        self.reopen = false;
        let (amount, lanes) = (database.store.amount()?, database.store.lanes()?);
        let of_sinks = database.store.counts(&lanes, amount)?;
        lock(&self.shared.board).was_counted(amount, of_sinks);
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

fn report_return(path: &Path, aside: Option<&Path>) {
    match aside {
        None => log::error!(
            "queue: {} was deleted while the agent had it open; it was written again, and \
                 nothing is lost",
            path.display()
        ),
        Some(aside) => log::error!(
            "queue: {} was replaced while the agent had it open; what was put there is {} now, \
                 and what waits was written to a new file; `ilagent queue recover` takes over what \
                 an older file holds",
            path.display(),
            aside.display()
        ),
    }
}

/// A file that could not be put back where it was.
pub(super) struct NotPutBack {
    why: String,
    times: u32,
    pub(super) again: Instant,
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
