//! What a command sets off that takes its time: it is done in pieces.

use super::answer::words;
use super::count::Count;
use super::recover::Recovery;
use super::sweep::Sweep;
use crate::queue::board::Board;
use crate::queue::change::Change;
use crate::queue::database::store::Store;
use std::sync::Mutex;

/// A command under way.
pub(in crate::queue) enum Work {
    Sweep(Sweep),
    Recovery(Box<Recovery>),
    Count(Box<Count>),
}

impl Work {
    /// Adds what is to be written for the next piece; says whether there may be another one.
    pub(in crate::queue) fn piece(
        &mut self,
        store: &Store,
        board: &Mutex<Board>,
        changes: &mut Vec<Change>,
    ) -> Result<bool, String> {
        match self {
            Work::Sweep(sweep) => sweep
                .piece(store, board, changes)
                .map_err(|error| format!("the database says: {error}")),
            Work::Recovery(recovery) => recovery.piece(store, board, changes),
            Work::Count(count) => count.piece(store, board).map_err(words),
        }
    }

    /// Whether the database is written for it.
    pub(in crate::queue) fn changes_something(&self) -> bool {
        !matches!(self, Work::Count(_))
    }

    /// What to say of it when it is done.
    pub(in crate::queue) fn text(&self) -> String {
        match self {
            Work::Sweep(sweep) => sweep.text(),
            Work::Recovery(recovery) => recovery.text(),
            Work::Count(count) => count.text(),
        }
    }
}
