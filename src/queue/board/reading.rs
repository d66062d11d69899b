//! Lanes longer than their windows are read on as they drain.

use super::Board;
use super::lane::Lane;
use crate::message::Delivery;
use crate::queue::entry::Entry;
use crate::queue::push::Storing;
use crate::queue::row::{ReadRow, RowId, StoredLane, weight};
use std::collections::BTreeSet;
use std::time::Instant;

/// Most entries a lane has on the board before it is read from disk only as it drains.
const WINDOW: usize = 256;

/// A lane is read on when it has fewer entries left.
const WINDOW_LOW: usize = 64;

/// Most entries of a lane that wait or stand behind one that does; beyond it the lane is not read on.
const WAITING_MAX: usize = 1_024;

/// Most bytes of stored deliveries on the board; beyond it lanes keep only a few entries.
const BOARD_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What a lane may have on the board however full it is.
const WINDOW_LEAST: usize = 4;

impl Board {
    /// Makes lanes known that have rows in the database, to be read.
    pub(in crate::queue) fn restore(&mut self, lanes: Vec<StoredLane>) {
        for StoredLane { number, name, seqs: (first, last) } in lanes {
            self.next_seq = self.next_seq.max(last + 1);
            let mut lane = Lane::new(name.clone(), self.sink_id(&name.sink));
            lane.stored = true;
            lane.unread_from = Some(first);
            lane.reading = true;
            self.lanes.insert(number, lane);
            self.numbers.insert(name, number);
        }
    }

    /// Lanes that were restored and have to be read.
    pub(in crate::queue) fn lanes_to_read(&self) -> BTreeSet<u32> {
        self.lanes.iter().filter(|(_, lane)| lane.reading).map(|(number, _)| *number).collect()
    }

    /// How much of a lane is to be read now: from which number on, and how many rows.
    pub(in crate::queue) fn to_read(&self, number: u32) -> Option<(u64, usize)> {
        let lane = self.lanes.get(&number)?;
        let from = lane.unread_from?;
        let most = if self.on_board >= BOARD_BYTES_MAX { WINDOW_LEAST } else { WINDOW };
        Some((from, most.saturating_sub(lane.ready.len()).max(1)))
    }

    /// Rows of a lane that were read, in order; others follow from `next` on.
    pub(in crate::queue) fn add_read(
        &mut self,
        number: u32,
        rows: Vec<ReadRow>,
        next: Option<u64>,
        since: Instant,
    ) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let beside = lane.is_read(next);
        for ReadRow { seq, delivery, attempts } in rows {
            if beside.contains(&seq) {
                continue;
            }
            self.put_stored(RowId { lane: number, seq }, delivery, attempts, since);
        }
        self.rotate(number);
        self.note_idle(number);
    }

    /// A row was stored.
    pub(in crate::queue) fn add_stored(
        &mut self,
        row: RowId,
        delivery: Delivery,
        attempts: u32,
        now: Instant,
    ) {
        self.comes(row.lane, weight(&delivery), true);
        let Some(lane) = self.lanes.get_mut(&row.lane) else { return };
        lane.has_come(delivery.order_key.as_deref());
        let crowded = lane.len() >= WINDOW
            || (self.on_board >= BOARD_BYTES_MAX && lane.len() >= WINDOW_LEAST);
        if lane.unread_from.is_some() || crowded {
            lane.unread_from.get_or_insert(row.seq);
            lane.fill_front(delivery.order_key.as_deref());
            self.read_on(row.lane);
            return;
        }
        self.put_stored(row, delivery, attempts, now);
    }

    pub(super) fn put_stored(
        &mut self,
        row: RowId,
        delivery: Delivery,
        attempts: u32,
        since: Instant,
    ) {
        self.on_board += weight(&delivery);
        self.ages.insert(row.seq, since);
        let seq = row.seq;
        let entry = Entry {
            seq,
            delivery,
            attempts,
            stored: true,
            storing: Storing::AtOnce,
            doubt: None,
            receipt: None,
            since,
        };
        self.put(row.lane, entry);
    }

    /// Has a lane read on whose entries on the board run low.
    pub(super) fn read_on(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let enough = if self.on_board >= BOARD_BYTES_MAX { WINDOW_LEAST } else { WINDOW_LOW };
        let low = lane.ready.len() < enough && lane.len() < WAITING_MAX;
        if lane.unread_from.is_none() || lane.reading || !low {
            return;
        }
        lane.reading = true;
        self.outbox.reads.insert(number);
    }
}
