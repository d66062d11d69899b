//! What comes in: to be stored, or to wait in memory.

use super::chain::Chain;
use super::lane::Lane;
use super::{Board, SinkId};
use crate::message::{Delivery, Receipt};
use crate::queue::change::Change;
use crate::queue::entry::Entry;
use crate::queue::push::Storing;
use crate::queue::row::{RowId, weight};
use std::time::Instant;

/// Bounds of the transit store.
const TRANSIT_MAX: usize = 4_096;
const TRANSIT_BYTES_MAX: u64 = 8 * 1024 * 1024;

impl Board {
    /// A delivery is on its way to be stored behind all others, with [`Board::insert`]: what comes
    /// meanwhile of its order key may not go out before it.
    pub(in crate::queue) fn expect(&mut self, delivery: &Delivery) {
        let number = self.number(&delivery.lane);
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.expect(delivery.order_key.as_deref());
        }
    }

    /// Adds the writes for an expected delivery.
    pub(in crate::queue) fn insert(
        &mut self,
        delivery: Delivery,
        storing: Storing,
        receipt: Option<Receipt>,
        changes: &mut Vec<Change>,
    ) {
        let (lane, new) = self.lane_to_store(&delivery.lane);
        if new {
            changes.push(Change::AddLane(lane, delivery.lane.clone()));
        }
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.is_seen(delivery.order_key.as_deref());
        }
        let row = RowId { lane, seq: self.next_seq() };
        changes.push(Change::Insert(row, delivery, storing, receipt));
    }

    /// Whether a delivery has to be stored now: its source wants it, it is no use to hold it, rows of
    /// its lane go before it, or its lane or order key is held back while the sink takes others. Not
    /// while one that goes before it has no row: after a restart it would go out before that one.
    pub(in crate::queue) fn needs_storing(
        &mut self,
        delivery: &Delivery,
        storing: Storing,
        now: Instant,
    ) -> bool {
        if storing == Storing::AtOnce {
            return true;
        }
        let is_held = matches!(storing, Storing::Within(_));
        let at_once = is_held && !self.unwritable && !self.may_hold(delivery);
        if at_once {
            // What came before it is stored before it.
            self.end_hold(now);
        }
        let number = self.numbers.get(&delivery.lane);
        let Some(lane) = number.and_then(|number| self.lanes.get(number)) else {
            // The first of its lane: its sink may be away all the same.
            let sink = self.sinks.iter().position(|sink| sink.name == delivery.lane.sink);
            return at_once || sink.is_some_and(|at| self.holds_up_others(SinkId(at), storing));
        };
        let chain = delivery.order_key.as_ref().and_then(|key| lane.chains.get(key));
        if chain.is_some_and(Chain::has_unstored) {
            return false;
        }
        // It would go out before those that are on their way. But a disk that cannot be written stops
        // nothing that is not meant for it.
        let may_wait = !self.unwritable || is_held || storing == Storing::IfAway;
        at_once
            || lane.unread_from.is_some()
            || chain.is_some_and(Chain::is_being_stored)
            || (chain.is_some_and(Chain::is_stored)
                && self.takes_others(lane, storing)
                && !self.unwritable)
            || (lane.storing > 0 && self.keeps_order(lane.sink) && may_wait)
            || self.holds_up_others(lane.sink, storing)
            || (lane.gate.is_closed() && self.takes_others(lane, storing) && !self.unwritable)
    }

    /// Whether a sink hands over all of a lane in order. One that has not said so yet may.
    pub(super) fn keeps_order(&self, SinkId(at): SinkId) -> bool {
        self.sinks[at].terms.as_ref().is_none_or(|terms| terms.in_order)
    }

    /// Whether the sink of a lane takes deliveries of others.
    fn takes_others(&self, lane: &Lane, storing: Storing) -> bool {
        let sink = &self.sinks[lane.sink.0];
        match lane.failing_since {
            Some(since) if storing == Storing::IfOthersPass => sink.last_taken >= Some(since),
            _ => !sink.gate.is_closed(),
        }
    }

    /// Whether a delivery of this size may wait in memory.
    pub(in crate::queue) fn transit_has_room(&self, bytes: u64) -> bool {
        let used = self.transit.bytes + self.burying;
        self.transit.count < TRANSIT_MAX as u64 && (used == 0 || used + bytes <= TRANSIT_BYTES_MAX)
    }

    /// Takes a transit delivery in.
    pub(in crate::queue) fn add_transit(
        &mut self,
        delivery: Delivery,
        storing: Storing,
        receipt: Option<Receipt>,
        now: Instant,
    ) {
        let number = self.number(&delivery.lane);
        let mut receipt = receipt;
        if delivery.keep.is_perishable() {
            // Nothing waits for a perishable delivery.
            self.effects.receipts.extend(receipt.take());
            if self.has_another(number, &delivery) {
                return;
            }
        }
        let row = RowId { lane: number, seq: self.next_seq() };
        self.add_unstored(row, delivery, storing, receipt, now);
    }

    pub(super) fn add_unstored(
        &mut self,
        row: RowId,
        delivery: Delivery,
        storing: Storing,
        receipt: Option<Receipt>,
        now: Instant,
    ) {
        let seq = row.seq;
        self.comes(row.lane, weight(&delivery), false);
        self.ages.insert(seq, now);
        let entry = Entry {
            seq,
            delivery,
            attempts: 0,
            stored: false,
            storing,
            doubt: None,
            receipt,
            since: now,
        };
        self.hold(row.lane, &entry, now);
        self.put(row.lane, entry);
    }

    /// Whether another one like a perishable delivery waits.
    fn has_another(&self, number: u32, delivery: &Delivery) -> bool {
        self.lanes.get(&number).is_some_and(|lane| {
            lane.ready.iter().chain(lane.waiting.values()).any(|entry| {
                entry.delivery.errand == delivery.errand && entry.delivery.body == delivery.body
            })
        })
    }

    pub(super) fn put(&mut self, number: u32, entry: Entry) {
        let lane = self.lanes.get_mut(&number).expect("a lane with a number is known");
        let before = lane.ready.len();
        lane.add(entry);
        if lane.ready.len() > before {
            self.effects.calls.insert(lane.sink);
        }
        self.rotate(number);
    }
}
