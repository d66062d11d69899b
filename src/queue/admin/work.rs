//! What a command sets off that takes its time: it is done in pieces.

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
        }
    }

    /// What to say of it when it is done.
    pub(in crate::queue) fn text(&self) -> String {
        match self {
            Work::Sweep(sweep) => sweep.text(),
            Work::Recovery(recovery) => recovery.text(),
        }
    }
}
