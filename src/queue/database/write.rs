//! Changes go into the database.

use super::store::Store;
use super::upstream;
use crate::queue::change::{Change, Fate};
use crate::queue::row::RowId;

/// Writes changes in one transaction; after an error the caller rolls back.
///
/// What may be undone is not waited for until it is on the disk: on a slow one little would come
/// of the time, and whatever is delivered meanwhile is repeated after a crash.
pub(in crate::queue) fn write_all(store: &mut Store, changes: &[Change]) -> rusqlite::Result<Fate> {
    let fate = store.begin_to_write(changes.iter().all(Change::may_be_undone))?;
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
            Change::Delete(row) | Change::Drop(row) | Change::GiveWay(row) => {
                store.delete(*row)?;
            }
            Change::Attempts(row, attempts) => store.attempts(*row, *attempts)?,
            Change::Unbury(id, bytes) => store.letters.delete(&store.connection, *id, *bytes)?,
            Change::ForgetLane(number) => store.forget_lane(*number)?,
            Change::PutAway(row, reason) => store.put_away(row.rowid(), reason)?,
            Change::ForgetUpstream(table, rows) => upstream::forget(store, *table, rows)?,
            Change::Remember(record) | Change::Store(record, ..) => store.remember(record)?,
            Change::Sign(_) => {}
        }
    }
    store.commit_written(fate)?;
    Ok(fate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Safety};
    use crate::message::{Desk, Receipt, Record};
    use std::sync::Arc;

    struct Nobody;

    impl Desk for Nobody {
        fn signed(&self, _: u64) {}
        fn room(&self) {}
    }

    fn record() -> Change {
        let value = Some("value".to_owned());
        Change::Remember(Record { scope: "test".into(), key: "key".to_owned(), value })
    }

    /// What may be undone is not waited for, unless something in the same commit may not.
    #[test]
    fn only_what_may_be_undone_does_without_the_disk() {
        let deleted = || Change::Delete(RowId { lane: 1, seq: 1 });
        let signed = || Change::Sign(Receipt::new(Arc::new(Nobody), 1, 1));
        for (sync, loose) in [(Safety::Full, Fate::MayBeUndone), (Safety::Normal, Fate::Stays)] {
            let name = format!("ilagent-write-{}-{sync:?}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("q.db3");
            let log = || folder.join("q.db3-wal").metadata().unwrap().len();
            let settings = config::Queue { path, sync, ..config::Queue::default() };
            let mut store = Store::open(&settings).unwrap();
            let mut write = |changes: &[Change]| write_all(&mut store, changes).unwrap();
            assert_eq!(write(&[deleted(), record()]), Fate::Stays);
            assert_eq!(write(&[deleted(), Change::Attempts(RowId { lane: 1, seq: 2 }, 1)]), loose);
            // A commit waits for the disk only if it writes something.
            let before = log();
            assert_eq!(write(&[signed()]), Fate::Stays);
            assert_eq!(log() > before, loose == Fate::MayBeUndone);
            let before = log();
            assert_eq!(write(&[signed()]), Fate::Stays);
            assert_eq!(log(), before, "everything is there already");
            drop(store);
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}
