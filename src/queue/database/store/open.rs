//! How the database is opened, and opened again when it looks damaged.

use super::Store;
use crate::config;
use crate::queue::database::moved::{self, Place};
use crate::queue::database::salvage;
use crate::queue::database::schema::{self, Unusable};
use crate::queue::database::{look, orphans};
use crate::queue::row::Unchecked;
use std::path::{Path, PathBuf};

impl Store {
    /// Opens the file, and makes it if it is not there. What is damaged is looked at again, and
    /// if it still is, what can be read of it is carried over into a new file.
    pub(in crate::queue) fn open(settings: &config::Queue) -> Result<Self, String> {
        let shown = settings.path.display();
        let log = moved::tidy(&settings.path)?;
        match Store::try_open(settings, false) {
            Ok(store) => return store.with_log(log, settings),
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
        if let Err(error) = orphans::adopt(&mut store) {
            store.rollback();
            if schema::is_corrupt(&error) {
                return Err(error.into());
            }
            log::error!("queue: rows of no lane stay where they are: {error}");
        }
        // Whatever the start has to read is read here, so that damage is found in time.
        store.lanes()?;
        store.amount()?;
        // A process that was killed may have left what a power cut would undo: rows that ended would
        // go out again, behind what is acknowledged from now on.
        store.checkpoint();
        store.place = Place::of(&settings.path).ok();
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

    /// Takes over what a log holds whose database is gone.
    fn with_log(mut self, log: Option<PathBuf>, settings: &config::Queue) -> Result<Self, String> {
        let Some(log) = log else { return Ok(self) };
        match salvage::carry_over(&log, &mut self) {
            Ok(salvaged) => log::error!("queue: {salvaged} from {}", log.display()),
            Err(error) => log::error!("queue: nothing could be carried over: {error}"),
        }
        drop(self);
        Store::reopen(settings)
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
            Ok(salvaged) => log::error!("queue: {told}, and {salvaged}"),
            Err(error) => log::error!("queue: {told}, and nothing could be carried over: {error}"),
        }
        drop(store);
        Store::try_open(settings, false).map_err(again)
    }
}
