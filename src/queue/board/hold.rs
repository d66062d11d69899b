//! Deliveries that their sink may take before they have to be stored.
//!
//! A held delivery has no row, and its receipt is not signed. When its time is over, or when holding
//! it is no use, everything that is held is set aside in one commit. That includes what is in the
//! hands of a worker: a copy with the receipt stays here, so that a slow attempt does not keep a
//! broker waiting.

use super::claim::is_withdrawn;
use super::{Board, SinkId};
use crate::config::defaults;
use crate::message::{Delivery, Outcome, Receipt};
use crate::queue::claim::Claim;
use crate::queue::entry::{Entry, Position};
use crate::queue::push::Storing;
use crate::queue::row::weight;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Most deliveries of a sink that are held. With more of them under way the sink is behind, and a
/// broker that sends 20 at a time (mosquitto's default) would wait for it.
const HELD_MAX: usize = 16;

/// Most bytes of them.
const HELD_BYTES_MAX: u64 = 256 * 1024;

/// What is held, and what was while a worker had it.
#[derive(Default)]
pub(super) struct Hold {
    held: BTreeMap<u64, Held>,
    copies: BTreeMap<u64, Copied>,
    /// What the queue thread's timer is set to.
    timer: Option<Instant>,
    /// The timer has to be set again.
    wants_timer: bool,
}

struct Held {
    lane: u32,
    sink: SinkId,
    bytes: u64,
    hold: Duration,
    until: Instant,
    /// What is stored if its time is over while a worker has it.
    copy: Option<Box<Entry>>,
}

/// The copy of a delivery that a worker has.
enum Copied {
    /// On its way to the database, with the end of the attempt if that came first.
    OnItsWay(Option<Box<Settled>>),
    Stored,
}

struct Settled {
    claim: Claim,
    outcome: Outcome,
    dice: f64,
}

impl Hold {
    fn add(&mut self, entry: &Entry, lane: u32, sink: SinkId, since: Instant) {
        let Storing::Within(hold) = entry.storing else { return };
        let until = since + hold;
        let held = Held { lane, sink, bytes: entry.bytes(), hold, until, copy: None };
        self.held.insert(entry.seq, held);
        self.wants_timer |= self.timer.is_none_or(|timer| until < timer);
    }

    /// It is delivered, forgotten or on its way to the database.
    pub(super) fn remove(&mut self, seq: u64) {
        self.held.remove(&seq);
    }

    pub(super) fn wants_timer(&self) -> bool {
        self.wants_timer
    }

    /// The receipt that a worker takes along: none if the delivery is held.
    pub(super) fn hand_out(&mut self, entry: &mut Entry) -> Option<Receipt> {
        let Some(held) = self.held.get_mut(&entry.seq) else { return entry.receipt.take() };
        held.copy = Some(Box::new(Entry {
            delivery: entry.delivery.clone(),
            receipt: entry.receipt.take(),
            doubt: None,
            ..*entry
        }));
        None
    }

    /// Takes a claim back. `None` while its copy is on its way to the database; it is settled when
    /// that is known to have arrived or failed.
    pub(super) fn comes_back(
        &mut self,
        mut claim: Claim,
        outcome: Outcome,
        dice: f64,
    ) -> Option<(Claim, Outcome)> {
        match self.copies.remove(&claim.id) {
            Some(Copied::OnItsWay(_)) => {
                let id = claim.id;
                let settled = Box::new(Settled { claim, outcome, dice });
                self.copies.insert(id, Copied::OnItsWay(Some(settled)));
                return None;
            }
            Some(Copied::Stored) => claim.stored = true,
            None => {
                let held = self.held.get_mut(&claim.id);
                if let Some(copy) = held.and_then(|held| held.copy.take()) {
                    claim.receipt = copy.receipt;
                }
            }
        }
        Some((claim, outcome))
    }

    /// The copy of a delivery is stored, or could not be; gives the end of its attempt if that came
    /// first.
    fn copy_is_back(&mut self, entry: Entry) -> Option<Box<Settled>> {
        let Some(Copied::OnItsWay(settled)) = self.copies.remove(&entry.seq) else { return None };
        if entry.stored {
            self.copies.insert(entry.seq, Copied::Stored);
        } else if let Some(held) = self.held.get_mut(&entry.seq) {
            held.copy = Some(Box::new(entry));
        }
        settled
    }
}

impl Board {
    /// When deliveries that are held have to be stored; sets the timer of the queue thread to it.
    pub(in crate::queue) fn set_timer(&mut self) -> Option<Instant> {
        let first = self.hold.held.values().map(|held| held.until).min();
        self.hold.wants_timer = false;
        self.hold.timer = first.filter(|_| !self.unwritable);
        self.hold.timer
    }

    /// Has everything that is held stored, if the time of one of them is over.
    pub(in crate::queue) fn end_hold_if_due(&mut self, now: Instant) {
        if self.hold.held.values().any(|held| held.until <= now) {
            self.end_hold(now);
        }
    }

    /// Has everything that is held stored.
    pub(in crate::queue) fn end_hold(&mut self, now: Instant) {
        if self.unwritable {
            return;
        }
        let mut lanes = BTreeSet::new();
        for (seq, mut held) in std::mem::take(&mut self.hold.held) {
            lanes.insert(held.lane);
            match held.copy.take() {
                Some(copy) if !is_withdrawn(&copy) => self.copy_aside(*copy, held.lane, now),
                copy => {
                    // Unless it is taken below: it may have to stay behind one that is not held,
                    // or belong to somebody else now.
                    let until = now + held.hold;
                    self.hold.held.insert(seq, Held { copy, until, ..held });
                }
            }
        }
        for number in lanes {
            let taken = self.lanes.get_mut(&number).map(|lane| lane.take_held());
            for (entry, position) in taken.into_iter().flatten() {
                self.set_aside(number, entry, position, now);
            }
        }
    }

    fn copy_aside(&mut self, copy: Entry, number: u32, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.copy_aside(&copy);
        }
        self.hold.copies.insert(copy.seq, Copied::OnItsWay(None));
        self.set_aside(number, copy, Position::InFlight, now);
    }

    /// Has a delivery that a sink keeps stored with the next that are; its receipt is signed then.
    pub(super) fn hold_claim(&mut self, claim: &mut Claim, sink: SinkId, now: Instant) {
        let receipt = if claim.stored { None } else { claim.receipt.take() };
        if receipt.is_none() {
            return;
        }
        let copy = Entry {
            seq: claim.id,
            delivery: claim.delivery.clone(),
            attempts: claim.attempt - 1,
            stored: false,
            storing: claim.storing,
            doubt: None,
            receipt,
            since: claim.since,
        };
        let (lane, bytes) = (claim.lane, copy.bytes());
        let copy = Some(Box::new(copy));
        let held = Held { lane, sink, bytes, hold: defaults::HOLD, until: now, copy };
        self.hold.held.insert(claim.id, held);
    }

    /// The copy of a delivery that a worker has is stored, or could not be.
    pub(super) fn copy_is_back(&mut self, number: u32, entry: Entry, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.copy_is_back(&entry);
            if !entry.stored {
                // It is tried again with whatever is stored next.
                let (sink, bytes, hold) = (lane.sink, entry.bytes(), defaults::HOLD);
                let held = Held { lane: number, sink, bytes, hold, until: now + hold, copy: None };
                self.hold.held.entry(entry.seq).or_insert(held);
            }
        }
        if let Some(settled) = self.hold.copy_is_back(entry) {
            let Settled { claim, outcome, dice } = *settled;
            self.settle(claim, outcome, now, dice);
        }
    }

    /// Whether its sink may well take a delivery before it has to be stored.
    pub(super) fn may_hold(&self, delivery: &Delivery) -> bool {
        let Some((id, sink)) = self.sinks.iter().enumerate().find(|(_, sink)| {
            sink.name == delivery.lane.sink
                && sink.terms.is_some()
                && !sink.is_away
                && !sink.gate.is_closed()
        }) else {
            return false;
        };
        let lane = self.numbers.get(&delivery.lane).and_then(|number| self.lanes.get(number));
        let is_behind = sink.in_flight + lane.map_or(0, |lane| lane.ready.len()) >= HELD_MAX;
        let has_to_follow = lane.is_some_and(|lane| lane.has_to_follow(delivery));
        let of_sink = self.hold.held.values().filter(|held| held.sink == SinkId(id));
        let (count, bytes) = of_sink
            .fold((0, weight(delivery)), |(count, bytes), held| (count + 1, bytes + held.bytes));
        !is_behind && !has_to_follow && count < HELD_MAX && bytes <= HELD_BYTES_MAX
    }

    /// Holds a delivery that has no row and is on the board.
    pub(super) fn hold(&mut self, number: u32, entry: &Entry, since: Instant) {
        if let Some(lane) = self.lanes.get(&number) {
            self.hold.add(entry, number, lane.sink, since);
        }
    }
}
