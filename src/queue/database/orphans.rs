//! Rows that no lane knows are found again.
//!
//! Version 0.12.0 let the numbers of lanes grow beyond what fits into the id of a row. What was
//! stored then has a negative id, or that of lane 0, and was never read again. A damaged table of
//! lanes would have the same effect. Such rows get a lane, by the integration key they are for.

use super::store::Store;
use crate::message::{Errand, Keep, LaneName};
use crate::queue::row::{self, LANE_MAX, RowId, SEQ_BITS, SEQ_MAX};
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};
use std::collections::HashMap;

/// Rows that get their new id in one transaction.
const CHUNK: i64 = 500;

/// A row without a lane.
struct Orphan {
    id: i64,
    kind: String,
    target: String,
    body: Vec<u8>,
    note: Option<String>,
}

/// Gives rows a lane that have none.
pub(super) fn adopt(store: &mut Store) -> rusqlite::Result<()> {
    let lanes = nameless(store)?;
    if lanes.is_empty() {
        return Ok(());
    }
    let mut numbers: HashMap<LaneName, u32> = HashMap::new();
    let mut found = 0;
    for lane in lanes {
        loop {
            let rows = rows(store, lane)?;
            if rows.is_empty() {
                break;
            }
            store.begin()?;
            for orphan in &rows {
                let Some(name) = name(store, lane, orphan)? else {
                    store.put_away(orphan.id, "nothing says to which sink it goes")?;
                    continue;
                };
                let number = number(store, &name, &mut numbers)?;
                if !take_in(store, orphan.id, number)? {
                    store.put_away(orphan.id, row::ALTERED)?;
                }
            }
            store.commit()?;
            found += rows.len();
        }
    }
    store.connection.execute("DELETE FROM lanes WHERE number > ?1", [LANE_MAX])?;
    log::warn!("queue: {found} deliveries were found again that belonged to no lane");
    Ok(())
}

/// The numbers, as they stand in ids, of lanes that have rows and no name. One look for each lane.
fn nameless(store: &Store) -> rusqlite::Result<Vec<i64>> {
    let mut next = store
        .connection
        .prepare("SELECT id >> ?2 FROM deliveries WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    let mut named = store.connection.prepare("SELECT 1 FROM lanes WHERE number = ?1")?;
    let (mut from, mut nameless) = (i64::MIN, Vec::new());
    while let Some(lane) =
        next.query_row(params![from, SEQ_BITS], |row| row.get::<_, i64>(0)).optional()?
    {
        if !(1..=i64::from(LANE_MAX)).contains(&lane) || !named.exists([lane])? {
            nameless.push(lane);
        }
        let Some(end) = (lane + 1).checked_mul(1 << SEQ_BITS) else { break };
        from = end;
    }
    Ok(nameless)
}

fn rows(store: &Store, lane: i64) -> rusqlite::Result<Vec<Orphan>> {
    let first = lane << SEQ_BITS;
    let last = first | SEQ_MAX.cast_signed();
    store
        .connection
        .prepare_cached(
            "SELECT id, kind, target, CAST(COALESCE(body, '') AS BLOB), note
             FROM deliveries WHERE id BETWEEN ?1 AND ?2
             ORDER BY id LIMIT ?3",
        )?
        .query_map([first, last, CHUNK], |found| {
            Ok(Orphan {
                id: found.get(0)?,
                kind: row::lossy(found.get_ref(1)?),
                target: row::lossy(found.get_ref(2)?),
                body: found.get(3)?,
                note: row::text(found.get_ref(4)?),
            })
        })?
        .collect()
}

/// The name of a row's lane: by the name of the lane whose number did not fit, or from what the
/// row holds.
fn name(store: &Store, lane: i64, orphan: &Orphan) -> rusqlite::Result<Option<LaneName>> {
    const FITTED: i64 = (1 << (64 - SEQ_BITS)) - 1;
    let named = store
        .connection
        .prepare_cached("SELECT sink, key FROM lanes WHERE number > ?1 AND number & ?2 = ?3 & ?2")?
        .query_row([i64::from(LANE_MAX), FITTED, lane], |row| {
            Ok(LaneName { sink: row.get::<_, String>(0)?.into(), key: row.get(1)? })
        })
        .optional()?;
    if named.is_some() {
        return Ok(named);
    }
    let (_, note) = Keep::of_note(orphan.note.as_deref());
    match Errand::of(&orphan.kind, orphan.target.clone(), note) {
        Some(errand) => Ok(errand.lane_after(&orphan.body)),
        None => Ok(Some(LaneName::default())),
    }
}

/// The number of the lane with this name, which is made if it is not there.
pub(super) fn number(
    store: &Store,
    name: &LaneName,
    numbers: &mut HashMap<LaneName, u32>,
) -> rusqlite::Result<u32> {
    if let Some(number) = numbers.get(name) {
        return Ok(*number);
    }
    let number = find_number(store, name)?;
    numbers.insert(name.clone(), number);
    Ok(number)
}

fn find_number(store: &Store, name: &LaneName) -> rusqlite::Result<u32> {
    let known = store
        .connection
        .query_row(
            "SELECT number FROM lanes WHERE sink = ?1 AND key = ?2 AND number <= ?3",
            params![name.sink.as_str(), name.key, LANE_MAX],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(number) = known {
        return Ok(number);
    }
    let free = match gap(store)? {
        Some(free) => free,
        None => unused(store)?,
    };
    store.add_lane(free, name)?;
    Ok(free)
}

/// The first number behind a known lane that nobody has. It is not far: there are fewer lanes than
/// numbers. `None` when rows of lanes that are not known lie behind each of them.
fn gap(store: &Store) -> rusqlite::Result<Option<u32>> {
    store
        .connection
        .query_row(
            "SELECT n FROM (SELECT 1 AS n UNION ALL SELECT number + 1 FROM lanes WHERE number < ?1)
             WHERE n NOT IN (SELECT number FROM lanes)
               AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id >= n << ?2 AND id < (n + 1) << ?2)
             ORDER BY n LIMIT 1",
            params![LANE_MAX, SEQ_BITS],
            |row| row.get(0),
        )
        .optional()
}

/// The first number that neither a lane nor a row has.
fn unused(store: &Store) -> rusqlite::Result<u32> {
    let mut used = store.connection.prepare(
        "SELECT 1 FROM lanes WHERE number = ?1
         UNION ALL SELECT 1 FROM deliveries WHERE id >= ?1 << ?2 AND id < (?1 + 1) << ?2",
    )?;
    for number in 1..=LANE_MAX {
        if !used.exists(params![number, SEQ_BITS])? {
            return Ok(number);
        }
    }
    Err(rusqlite::Error::QueryReturnedNoRows)
}

/// Gives a row its new id, with its own number unless another row of the lane has that. `false`
/// says that the row is not what was written; its id may be what was altered.
fn take_in(store: &Store, id: i64, lane: u32) -> rusqlite::Result<bool> {
    let seq = u64::try_from(id & SEQ_MAX.cast_signed()).unwrap_or(1).max(1);
    let own = RowId { lane, seq };
    let taken = store
        .connection
        .prepare_cached("SELECT 1 FROM deliveries WHERE id = ?1")?
        .exists([own.rowid()])?;
    let to = if taken {
        store.connection.query_row(
            "SELECT MAX(id) + 1 FROM deliveries WHERE id >= ?1 AND id < ?2",
            [own.rowid(), own.lane_end()],
            |row| row.get(0),
        )?
    } else {
        own.rowid()
    };
    let sum = store
        .connection
        .prepare_cached(&format!("SELECT {} FROM deliveries WHERE id = ?1", row::DELIVERY))?
        .query_row([id], |found| {
            let mut columns = row::columns(found, row::DELIVERY_COLUMNS)?;
            let written = row::integer(columns[9]);
            let sound = written.is_none_or(|sum| sum == row::delivery_sum(&columns));
            columns[0] = ValueRef::Integer(to);
            Ok(sound.then(|| row::delivery_sum(&columns)))
        })?;
    let Some(sum) = sum else { return Ok(false) };
    store
        .connection
        .prepare_cached("UPDATE deliveries SET id = ?2, sum = ?3 WHERE id = ?1")?
        .execute([id, to, sum])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const ROWS: &str = r#"
        INSERT INTO lanes (number, sink, key) VALUES (1, 'ilert', 'k1'), (8388608, 'ilert', 'named');
        INSERT INTO deliveries (id, kind, order_key, target, origin, attempts, stored_at, body) VALUES
          ((1 << 40) | 5, 'event', NULL, '/api/events', 'old', 0, 0, '{}'),
          ((8388608 << 40) | 6, 'event', NULL, '/api/events', 'old', 0, 0, '{}'),
          ((8388609 << 40) | 7, 'event', NULL, '/api/events', 'old', 0, 0, '{"integrationKey":"k1"}'),
          ((8388610 << 40) | 5, 'event', NULL, '/api/events', 'old', 0, 0, '{"integrationKey":"k1"}'),
          ((8388611 << 40) | 8, 'event', NULL, '/api/v1/events/mqtt/k%2F2', 'old', 0, 0, 'no'),
          (9, 'policy', NULL, 'A', 'old', 0, 0, '{}'),
          ((77 << 40) | 10, 'event', NULL, '/api/events', 'old', 0, 0, '{"integrationKey":"k3"}');"#;

    /// Neither a lane nor the number behind one is free: all lanes have lost their numbers.
    #[test]
    fn rows_are_found_again_when_no_lane_is_known() {
        let dir = std::env::temp_dir().join(format!("ilagent-unknown-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let settings = config::Queue { path: dir.join("q.db3"), ..config::Queue::default() };
        let store = Store::open(&settings).unwrap();
        let row = |lane: u32, key: &str| {
            format!(
                "INSERT INTO deliveries (id, kind, target, origin, attempts, stored_at, body) VALUES
                 (({lane} << 40) | 1, 'event', '/api/events', 'o', 0, 0,
                  '{{\"integrationKey\":\"{key}\"}}');"
            )
        };
        let rows = [row(1, "k1"), row(LANE_MAX + 1, "k2")].concat();
        store.connection.execute_batch(&rows).unwrap();
        drop(store);
        let store = Store::open(&settings).unwrap();
        let listed = store.listed(None, 100).unwrap();
        let mut found: Vec<&str> =
            listed.iter().map(|one| one.delivery.lane.key.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["k1", "k2"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn rows_whose_lane_did_not_fit_are_found_again() {
        let dir = std::env::temp_dir().join(format!("ilagent-recover-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let settings = config::Queue { path: dir.join("q.db3"), ..config::Queue::default() };
        let store = Store::open(&settings).unwrap();
        store.connection.execute_batch(ROWS).unwrap();
        drop(store);
        for time in ["first", "second"] {
            let store = Store::open(&settings).unwrap();
            let listed = store.listed(None, 100).unwrap();
            let mut found: Vec<(u64, &str)> =
                listed.iter().map(|one| (one.seq, one.delivery.lane.key.as_str())).collect();
            found.sort_unstable();
            let wanted = [
                (5, "k1"),
                (6, "named"),
                (7, "k1"),
                (8, "k/2"),
                (8, "k1"),
                (9, "policies"),
                (10, "k3"),
            ];
            assert_eq!(found, wanted, "the {time} time");
            let lanes = store.lanes().unwrap();
            assert!(lanes.iter().all(|lane| lane.number <= LANE_MAX));
            assert_eq!(lanes.len(), 5);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
