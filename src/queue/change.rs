//! What is written to the database: one change, and what follows from it once it is committed.

use crate::message::{Delivery, LaneName, Receipt, Record};
use crate::queue::entry::{Entry, Position};
use crate::queue::push::{DeadLetter, Storing, Upstream};
use crate::queue::row::{RowId, weight};
use std::time::Instant;

/// One change.
pub(super) enum Change {
    AddLane(u32, LaneName),
    /// A delivery that was pushed, and when its source would have it stored.
    Insert(RowId, Delivery, Storing, Option<Receipt>),
    /// An entry that waited in memory. It goes back to the board, to its place.
    SetAside(u32, Entry, Position, Instant),
    Bury(Buried, DeadLetter, Option<Receipt>),
    Unbury(i64, u64),
    /// Deletes a row that was delivered.
    Delete(RowId),
    /// Deletes a row that a person wants gone.
    Drop(RowId),
    /// Deletes a row whose heir is stored in the same transaction.
    GiveWay(RowId),
    Attempts(RowId, u32),
    ForgetLane(u32),
    ForgetUpstream(Upstream, Vec<String>),
    /// A row that cannot be delivered as it is goes to the dead letters, for this reason.
    PutAway(RowId, &'static str),
    Remember(Record),
    /// Something to remember that was pushed, with the bytes it counted for on its way.
    Store(Record, u64, Option<Receipt>),
    /// Nothing is written; what was settled before it is committed when this is signed.
    Sign(Receipt),
}

/// What becomes of a commit when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is on the disk, and so is everything committed before it.
    Stays,
    /// It survives the end of the agent, and may be undone by a power cut.
    MayBeUndone,
}

/// What a dead letter was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buried {
    /// A delivery with a row, which goes in the same transaction.
    Row(RowId),
    /// A delivery that waited in memory.
    Memory,
    /// A message that never became a delivery.
    Message,
}

impl Buried {
    pub(super) fn row(self) -> Option<RowId> {
        if let Buried::Row(row) = self { Some(row) } else { None }
    }
}

impl Change {
    /// What it has the database remember.
    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Change::Remember(record) | Change::Store(record, ..) => Some(record),
            _ => None,
        }
    }

    /// How many bytes of a delivery it brings in.
    pub(super) fn bytes_arriving(&self) -> u64 {
        if let Change::Insert(_, delivery, ..) = self { weight(delivery) } else { 0 }
    }

    /// Whether no more comes of it than a repeated attempt if a power cut undoes it.
    pub(super) fn may_be_undone(&self) -> bool {
        matches!(self, Change::Delete(_) | Change::Attempts(..) | Change::ForgetLane(_))
    }
}
