//! What is written to the database: one change, and what follows from it once it is committed.

use super::board::lane::{Entry, Head};
use super::database::store::Store;
use super::database::upstream;
use super::row::{RowId, weight};
use super::{DeadLetter, Store as Kept};
use crate::message::{Delivery, LaneName, Receipt};
use std::time::Instant;

/// One change.
pub(super) enum Change {
    AddLane(u32, LaneName),
    /// A delivery that was pushed; where its source would have it wait.
    Insert(RowId, Delivery, Kept, Option<Receipt>),
    /// An entry that waited in memory. It goes back to the board, to its place.
    SetAside(u32, Entry, Head, Instant),
    Bury(Buried, DeadLetter, Option<Receipt>),
    Unbury(i64, u64),
    Delete(RowId),
    /// Deletes a row whose heir is stored in the same transaction.
    GiveWay(RowId),
    Attempts(RowId, u32),
    ForgetLane(u32),
    ForgetUpstream(Vec<String>),
    /// A row that cannot be delivered as it is goes to the dead letters, for this reason.
    PutAway(RowId, &'static str),
    /// Scope, key, and the value, or `None` to forget it.
    Remember(String, String, Option<String>),
    /// Nothing is written; what was settled before it is committed when this is signed.
    Sign(Receipt),
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
    /// How many bytes of a delivery it brings in.
    pub(super) fn bytes_arriving(&self) -> u64 {
        if let Change::Insert(_, delivery, ..) = self { weight(delivery) } else { 0 }
    }
}

/// Writes them in one transaction; after an error the caller rolls back.
pub(super) fn write_all(store: &mut Store, changes: &[Change]) -> rusqlite::Result<()> {
    store.begin()?;
    for change in changes {
        match change {
            Change::AddLane(number, name) => store.add_lane(*number, name)?,
            Change::Insert(row, delivery, ..) => store.insert(*row, delivery, 0)?,
            Change::SetAside(lane, entry, ..) => {
                let row = RowId { lane: *lane, seq: entry.seq };
                store.insert(row, &entry.delivery, entry.attempts)?;
            }
            Change::Bury(from, letter, _) => {
                if let Some(row) = from.row() {
                    store.delete(row)?;
                }
                store.bury(letter)?;
            }
            Change::Delete(row) | Change::GiveWay(row) => store.delete(*row)?,
            Change::Attempts(row, attempts) => store.attempts(*row, *attempts)?,
            Change::Unbury(id, bytes) => store.letters.delete(&store.connection, *id, *bytes)?,
            Change::ForgetLane(number) => store.forget_lane(*number)?,
            Change::PutAway(row, reason) => store.put_away(row.rowid(), reason)?,
            Change::ForgetUpstream(rows) => upstream::forget(store, rows)?,
            Change::Remember(scope, key, value) => store.remember(scope, key, value.as_deref())?,
            Change::Sign(_) => {}
        }
    }
    store.commit()
}
