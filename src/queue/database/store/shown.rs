//! Rows as `ilagent queue` shows them.

use super::Store;
use crate::message::{Delivery, LaneName, SinkName};
use crate::queue::database::dead_letters;
use crate::queue::row;
use crate::queue::row::RowId;
use rusqlite::OptionalExtension;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A row, as it is shown.
pub(in crate::queue) struct Shown {
    pub(in crate::queue) seq: u64,
    pub(in crate::queue) delivery: Delivery,
    /// The size of its body, which may have been left out.
    pub(in crate::queue) bytes: u64,
    pub(in crate::queue) attempts: u32,
    pub(in crate::queue) stored_at: i64,
    /// Why it cannot be delivered as it is.
    pub(in crate::queue) damaged: Option<&'static str>,
}

impl Store {
    /// The waiting delivery with this number.
    pub(in crate::queue) fn shown(&self, seq: u64) -> rusqlite::Result<Option<Shown>> {
        let Some((id, _)) = self.find(seq)? else { return Ok(None) };
        let lane = self.lane(id.lane)?.unwrap_or_default();
        self.show(id, lane)
    }

    fn show(&self, id: RowId, lane: LaneName) -> rusqlite::Result<Option<Shown>> {
        self.connection
            .prepare_cached(&format!("SELECT {} FROM deliveries WHERE id = ?1", row::DELIVERY))?
            .query_row([id.rowid()], |found| {
                let columns = row::columns(found, row::DELIVERY_COLUMNS)?;
                let damaged = row::delivery(&columns, lane.clone(), self.unchecked).err();
                let delivery = row::remains(&columns, lane);
                let attempts = row::integer(columns[5]).and_then(|count| u32::try_from(count).ok());
                Ok(Shown {
                    seq: id.seq,
                    bytes: delivery.body.len() as u64,
                    delivery,
                    attempts: attempts.unwrap_or(0),
                    stored_at: row::integer(columns[6]).unwrap_or(0),
                    damaged,
                })
            })
            .optional()
    }

    /// The oldest waiting deliveries, for people, without their bodies. Each lane is in order, so
    /// no more rows are read than are shown, and one of each lane.
    pub(in crate::queue) fn listed(
        &self,
        sink: Option<&SinkName>,
        limit: usize,
    ) -> rusqlite::Result<Vec<Shown>> {
        let mut lanes = self.lane_names()?;
        lanes.retain(|_, name| sink.is_none_or(|sink| is_of(name.as_ref(), sink)));
        let mut fronts = BinaryHeap::new();
        for number in lanes.keys() {
            if let Some(first) = self.first(*number, 0)? {
                fronts.push(Reverse((first.seq, *number)));
            }
        }
        let mut listed = Vec::new();
        while listed.len() < limit
            && let Some(Reverse((seq, number))) = fronts.pop()
        {
            let lane = lanes[&number].clone().unwrap_or_default();
            if let Some(mut shown) = self.show(RowId { lane: number, seq }, lane)? {
                shown.delivery.body = Vec::new();
                listed.push(shown);
            }
            if let Some(next) = self.first(number, seq + 1)? {
                fronts.push(Reverse((next.seq, number)));
            }
        }
        Ok(listed)
    }

    /// Whether there is a row with this number that is the same but for its attempts.
    pub(in crate::queue) fn has_row(
        &self,
        is_letter: bool,
        id: i64,
        sum: i64,
    ) -> rusqlite::Result<bool> {
        let (columns, count, table) = match is_letter {
            true => (row::LETTER, row::LETTER_COLUMNS, "dead_letters"),
            false => (row::DELIVERY, row::DELIVERY_COLUMNS, "deliveries"),
        };
        let found = self
            .connection
            .prepare_cached(&format!("SELECT {columns} FROM {table} WHERE id = ?1"))?
            .query_row([id], |found| {
                let columns = row::columns(found, count)?;
                let of = if is_letter { row::letter_sum } else { row::lasting_sum };
                Ok(of(&columns))
            })
            .optional()?;
        Ok(found == Some(sum))
    }

    /// Dead letters of a sink, for people.
    pub(in crate::queue) fn letters_of(
        &self,
        sink: &SinkName,
        limit: usize,
    ) -> rusqlite::Result<Vec<dead_letters::Stored>> {
        self.letters_piece(Some(sink), i64::MIN, i64::MAX, limit, u64::MAX)
    }

    /// How many deliveries wait for a sink: no more are counted than this.
    pub(in crate::queue) fn count_of(&self, sink: &SinkName, most: i64) -> rusqlite::Result<i64> {
        let mut count = 0;
        for (lane, _) in self.lane_names()?.iter().filter(|(_, name)| is_of(name.as_ref(), sink)) {
            let lane = RowId { lane: *lane, seq: 0 };
            count += self
                .connection
                .prepare_cached(
                    "SELECT COUNT(*) FROM
                     (SELECT 1 FROM deliveries WHERE id >= ?1 AND id < ?2 LIMIT ?3)",
                )?
                .query_row([lane.rowid(), lane.lane_end(), most - count], |found| {
                    found.get::<_, i64>(0)
                })?;
            if count >= most {
                break;
            }
        }
        Ok(count)
    }

    /// How many rows there are between two ids, but at most so many, and the last of them.
    pub(in crate::queue) fn count_between(
        &self,
        from: i64,
        end: i64,
        most: u64,
    ) -> rusqlite::Result<(u64, Option<i64>)> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached(
                "SELECT COUNT(*), MAX(id) FROM
                 (SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)",
            )?
            .query_row([from, end, most], |found| {
                Ok((u64::try_from(found.get::<_, i64>(0)?).unwrap_or(0), found.get(1)?))
            })
    }

    /// Dead letters for people, oldest first; `only` picks one.
    pub(in crate::queue) fn letters_shown(
        &self,
        only: Option<i64>,
        limit: usize,
    ) -> rusqlite::Result<Vec<dead_letters::Stored>> {
        dead_letters::shown(&self.connection, only, limit, self.unchecked)
    }

    /// Dead letters behind a number and up to another one, as [`dead_letters::piece`] bounds them.
    pub(in crate::queue) fn letters_piece(
        &self,
        sink: Option<&SinkName>,
        after: i64,
        until: i64,
        count_max: usize,
        bytes_max: u64,
    ) -> rusqlite::Result<Vec<dead_letters::Stored>> {
        let connection = &self.connection;
        dead_letters::piece(connection, sink, (after, until), count_max, bytes_max, self.unchecked)
    }
}

fn is_of(name: Option<&LaneName>, sink: &SinkName) -> bool {
    name.is_some_and(|name| name.sink == *sink)
}
