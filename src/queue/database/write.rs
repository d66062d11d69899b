//! Changes go into the database.

use super::store::Store;
use super::upstream;
use crate::queue::change::Change;
use crate::queue::row::RowId;

/// Writes changes in one transaction; after an error the caller rolls back.
pub(in crate::queue) fn write_all(store: &mut Store, changes: &[Change]) -> rusqlite::Result<()> {
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
            Change::ForgetUpstream(table, rows) => upstream::forget(store, *table, rows)?,
            Change::Remember(record) | Change::Store(record, ..) => store.remember(record)?,
            Change::Sign(_) => {}
        }
    }
    store.commit()
}
