//! What happens to a delivery after an attempt, and what that says about its lane and sink.
//!
//! In direct mode a delivery that is refused while the sink takes others is set aside: moved to the
//! database, so that it does not hold the broker's window or the offset of its partition. For a
//! patient source (Kafka without buffer) the sink must have taken another one since: a sink that is
//! down for all must end in an uncommitted offset, not in a full database.

use super::Board;
use super::claim::is_withdrawn;
use super::lane::Lane;
use crate::message::{Delivery, Holds, Outcome};
use crate::queue::change::{Buried, Change};
use crate::queue::claim::{Claim, Probes, Terms};
use crate::queue::entry::{Doubt, Entry, Position};
use crate::queue::push::{DeadLetter, Storing};
use crate::queue::row::{RowId, weight};
use std::time::{Duration, Instant};

/// After this many failures in a row, each of a delivery's own, we blame the lane.
const LANE_FAILURES_MAX: u32 = 100;

impl Board {
    /// Takes a claim back with its outcome.
    pub(in crate::queue) fn settle(
        &mut self,
        claim: Claim,
        outcome: Outcome,
        now: Instant,
        dice: f64,
    ) {
        let Some((claim, outcome)) = self.hold.comes_back(claim, outcome, dice) else { return };
        let number = claim.lane;
        self.in_flight.remove(&claim.id);
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            let sink = lane.sink;
            self.sinks[sink.0].in_flight -= usize::from(!claim.beside);
            self.effects.calls.insert(sink);
        }
        match outcome {
            Outcome::Delivered => {
                self.sink_took(number, now);
                self.delivered(claim);
            }
            Outcome::Never { heir: Some(heir), .. } => {
                self.sink_took(number, now);
                self.replace(claim, *heir);
            }
            Outcome::Never { why, heir: None } => {
                self.sink_took(number, now);
                self.bury(claim, why);
            }
            Outcome::Later { holds: holds @ (Holds::Sink | Holds::Lane), after, .. } => {
                self.held_up(claim, holds, after, now, dice);
            }
            Outcome::Later { holds: Holds::Delivery, after, why } => {
                self.opens_sink(number, now);
                self.failed(claim, &why, after, now, dice);
            }
        }
        self.rotate(number);
        self.read_on(number);
        self.note_idle(number);
        self.forget_idle_lanes();
    }

    /// A failure of a delivery's own.
    fn failed(
        &mut self,
        mut claim: Claim,
        why: &str,
        after: Option<Duration>,
        now: Instant,
        dice: f64,
    ) {
        let attempts = claim.attempt;
        let &Terms { attempts_max, backoff, by_policy, .. } = self.terms(claim.lane);
        if let Some(lane) = self.lanes.get_mut(&claim.lane)
            && (by_policy || !has_failed_too_often(lane, claim.probes, now, dice))
            && claim.probes.lane
            && lane.gate.open(now)
        {
            lane.wake_all();
        }
        if !claim.delivery.keep.is_perishable() && attempts_max.is_some_and(|max| attempts >= max) {
            self.bury(claim, format!("given up after {attempts} attempts, the last one: {why}"));
            return;
        }
        // A wait that the other side asks for can only be longer than our own.
        let own = backoff.wait_after(attempts, dice);
        let wait = after.map_or(own, |after| if by_policy { after } else { after.max(own) });
        if by_policy {
            self.leaves_chain(&mut claim);
        }
        let (number, until) = (claim.lane, now + wait);
        let entry = self.entry(claim, attempts);
        if entry.stored {
            let row = RowId { lane: number, seq: entry.seq };
            self.outbox.changes.push(Change::Attempts(row, attempts));
        }
        self.wait_beside(number, entry, until);
    }

    /// It no longer holds up those behind it. Its row keeps its order key, so
    /// after a restart it goes first once more.
    fn leaves_chain(&mut self, claim: &mut Claim) {
        let (number, stored) = (claim.lane, claim.stored);
        let before = weight(&claim.delivery);
        let order_key = claim.delivery.order_key.take();
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.release(order_key.as_deref(), stored);
        }
        self.goes(number, before, stored);
        self.comes(number, weight(&claim.delivery), stored);
    }

    /// An attempt that says something about the sink or the lane, and nothing about the delivery,
    /// unless others were taken meanwhile: then it waits alone, and holds up nobody.
    fn held_up(
        &mut self,
        mut claim: Claim,
        holds: Holds,
        after: Option<Duration>,
        now: Instant,
        dice: f64,
    ) {
        let is_poison = self.is_poison(&claim, holds);
        let doubt = Doubt { since: now, failures: 0 };
        let doubt = claim.doubt.get_or_insert_with(|| Box::new(doubt));
        doubt.failures += 1;
        let failures = doubt.failures;
        let (number, probes) = (claim.lane, claim.probes);
        let &Terms { backoff, .. } = self.terms(number);
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let sink = &mut self.sinks[lane.sink.0];
        if holds == Holds::Sink {
            lane.doubted_at = Some(now);
        }
        if is_poison {
            if probes.sink {
                sink.gate.probe_is_back(now);
            }
            if !has_failed_too_often(lane, probes, now, dice) && probes.lane {
                lane.gate.probe_is_back(now);
            }
            let own = backoff.wait_after(failures, dice);
            self.wait_alone(claim, now + after.map_or(own, |after| after.max(own)));
            return;
        }
        let gate = match holds {
            Holds::Sink => {
                sink.gate.close(now, probes.sink, after, dice);
                if probes.lane {
                    lane.gate.probe_is_back(now);
                }
                &sink.gate
            }
            Holds::Lane | Holds::Delivery => {
                lane.gate.close(now, probes.lane, after, dice);
                &lane.gate
            }
        };
        // The next probe is another delivery's, if one waits.
        let until = gate.probe_at().unwrap_or(now);
        if holds == Holds::Lane {
            self.opens_sink(number, now);
        }
        let attempts = claim.attempt - 1;
        let entry = self.entry(claim, attempts);
        self.wait(number, entry, until);
        match (holds, self.lanes.get(&number).map(|lane| lane.sink)) {
            (Holds::Sink, Some(sink)) => self.set_sink_aside(sink, now),
            (Holds::Lane, _) => self.set_lane_aside(number, now),
            _ => (),
        }
    }

    /// Whether a failure blamed on the sink or lane is the delivery's own: others were
    /// taken since it failed like this first, or since its lane did last.
    fn is_poison(&self, claim: &Claim, holds: Holds) -> bool {
        let Some(lane) = self.lanes.get(&claim.lane) else { return false };
        let first = claim.doubt.as_ref().map(|doubt| doubt.since);
        let taken = match holds {
            Holds::Sink => self.sinks[lane.sink.0].last_taken,
            Holds::Lane | Holds::Delivery => lane.last_taken,
        };
        let lane_failed = lane.doubted_at.filter(|_| holds == Holds::Sink);
        [first, lane_failed].into_iter().flatten().any(|since| taken > Some(since))
    }

    /// It waits, and the attempt does not count against it; in the database, if possible.
    fn wait_alone(&mut self, claim: Claim, until: Instant) {
        let (number, attempts) = (claim.lane, claim.attempt - 1);
        let entry = self.entry(claim, attempts);
        self.wait_beside(number, entry, until);
    }

    /// It waits in the database if it can, and so does what stands behind it.
    fn wait_beside(&mut self, number: u32, entry: Entry, until: Instant) {
        if entry.stored || self.stays_in_memory(&entry, number) {
            self.set_followers_aside(number, &entry, until);
            self.wait(number, entry, until);
        } else {
            self.set_chain_aside(number, entry, until);
        }
    }

    /// Whether a delivery that has no row and has failed stays where it is. If the sink takes
    /// others it may not hold the broker's window.
    fn stays_in_memory(&self, entry: &Entry, number: u32) -> bool {
        let patient =
            entry.storing == Storing::IfOthersPass && !self.has_taken_since(number, entry.since);
        entry.delivery.keep.is_perishable() || patient || self.unwritable
    }

    fn entry(&mut self, claim: Claim, attempts: u32) -> Entry {
        let entry = Entry {
            seq: claim.id,
            delivery: claim.delivery,
            attempts,
            stored: claim.stored,
            storing: claim.storing,
            doubt: claim.doubt,
            receipt: claim.receipt,
            since: claim.since,
        };
        if entry.stored {
            self.on_board += entry.bytes();
        }
        entry
    }

    fn wait(&mut self, number: u32, entry: Entry, until: Instant) {
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.wait(entry, until);
            self.sinks[lane.sink.0].timers.insert((until, number));
        }
    }

    /// While its lane is held and the sink works, nothing of it may hold a broker's window.
    fn set_lane_aside(&mut self, number: u32, now: Instant) {
        if self.unwritable {
            return;
        }
        let taken = self.lanes.get_mut(&number).map(|lane| lane.take_unstored(&|_| true));
        for (entry, position) in taken.into_iter().flatten() {
            self.set_aside(number, entry, position, now);
        }
    }

    /// A delivery that failed waits in the database, and so does what stands behind it.
    fn set_chain_aside(&mut self, number: u32, entry: Entry, until: Instant) {
        let taken = self.lanes.get_mut(&number).map(|lane| lane.take_chain(entry));
        for (entry, position) in taken.into_iter().flatten() {
            self.set_aside(number, entry, position, until);
        }
    }

    /// If a delivery that failed has a row, what stands behind it gets one, too: it would hold a
    /// broker's window for as long as the one in front fails.
    fn set_followers_aside(&mut self, number: u32, front: &Entry, until: Instant) {
        if !front.stored || self.unwritable {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let last_taken = self.sinks[lane.sink.0].last_taken;
        let wanted = |entry: &Entry| {
            entry.storing != Storing::IfOthersPass || last_taken >= Some(entry.since)
        };
        for (entry, position) in lane.take_behind(front, &wanted) {
            self.set_aside(number, entry, position, until);
        }
    }

    pub(super) fn set_aside(
        &mut self,
        number: u32,
        entry: Entry,
        position: Position,
        until: Instant,
    ) {
        // What another delivers would be delivered twice, and what is
        // perishable is worth nothing later.
        if entry.delivery.keep.is_perishable() || is_withdrawn(&entry) {
            self.give_back(number, entry, position, until, until);
            return;
        }
        self.hold.remove(entry.seq);
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        if !std::mem::replace(&mut lane.stored, true) {
            self.outbox.changes.push(Change::AddLane(number, lane.name.clone()));
        }
        self.outbox.changes.push(Change::SetAside(number, entry, position, until));
    }

    fn delivered(&mut self, claim: Claim) {
        let number = claim.lane;
        self.leave_board(number, &claim);
        if claim.stored {
            self.outbox.changes.push(Change::Delete(RowId { lane: number, seq: claim.id }));
            self.ending += 1;
        }
        let Some(receipt) = claim.receipt else { return };
        if claim.delivery.order_key.is_none() && !self.terms(number).in_order {
            self.effects.receipts.push(receipt);
            return;
        }
        // A row that was delivered before it may still be there, or be there again after a power
        // cut. It would be delivered again then, so this one has to come again, too.
        if self.ending + self.signing > 0 || self.loose {
            self.signing += 1;
            self.outbox.changes.push(Change::Sign(receipt));
        } else {
            self.effects.receipts.push(receipt);
        }
    }

    /// Another delivery takes the place of one that is given up, in one transaction.
    fn replace(&mut self, claim: Claim, heir: Delivery) {
        let number = claim.lane;
        self.leave_board(number, &claim);
        self.expect(&heir);
        self.effects.arriving += weight(&heir);
        let mut changes = std::mem::take(&mut self.outbox.changes);
        self.insert(heir, Storing::AtOnce, claim.receipt, &mut changes);
        if claim.stored {
            changes.push(Change::GiveWay(RowId { lane: number, seq: claim.id }));
            self.ending += 1;
        }
        self.outbox.changes = changes;
    }

    fn bury(&mut self, claim: Claim, reason: String) {
        let number = claim.lane;
        self.leave_board(number, &claim);
        if claim.delivery.keep.is_perishable() {
            self.effects.warnings.push(format!("{} is dropped: {reason}", claim.delivery));
            return;
        }
        let from = if claim.stored {
            self.ending += 1;
            Buried::Row(RowId { lane: number, seq: claim.id })
        } else {
            Buried::Memory
        };
        let letter = DeadLetter::of(claim.delivery, reason);
        self.burying += letter.body.len() as u64;
        self.outbox.changes.push(Change::Bury(from, letter, claim.receipt));
    }

    fn leave_board(&mut self, number: u32, claim: &Claim) {
        let bytes = weight(&claim.delivery);
        self.ages.remove(&claim.id);
        self.hold.remove(claim.id);
        self.goes(number, bytes, claim.stored);
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.release(claim.delivery.order_key.as_deref(), claim.stored);
        }
    }

    /// A sink that takes a delivery opens its gate, and that of the delivery's lane.
    fn sink_took(&mut self, number: u32, now: Instant) {
        self.opens_sink(number, now);
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        self.sinks[lane.sink.0].last_taken = Some(now);
        lane.last_taken = Some(now);
        lane.doubted_at = None;
        lane.failures = 0;
        lane.failing_since = None;
        if lane.gate.open(now) {
            lane.wake_all();
        }
    }

    fn terms(&self, number: u32) -> &Terms {
        let lane = self.lanes.get(&number).expect("the lane of a claim is known");
        self.sinks[lane.sink.0].terms.as_ref().expect("only a sink with terms claims")
    }

    /// Whether the sink of a lane has taken a delivery since then.
    fn has_taken_since(&self, number: u32, since: Instant) -> bool {
        let lane = self.lanes.get(&number);
        lane.is_some_and(|lane| self.sinks[lane.sink.0].last_taken >= Some(since))
    }

    fn opens_sink(&mut self, number: u32, now: Instant) {
        let Some(sink) = self.lanes.get(&number).map(|lane| lane.sink) else { return };
        if !self.sinks[sink.0].gate.open(now) {
            return;
        }
        let of_sink = self.lanes.iter().filter(|(_, lane)| lane.sink == sink);
        let numbers: Vec<u32> = of_sink.map(|(number, _)| *number).collect();
        for number in numbers {
            let held = self.lanes.get_mut(&number).is_some_and(|lane| {
                lane.wake_all();
                lane.gate.is_closed()
            });
            if held {
                // The sink takes others again, and not these.
                self.set_lane_aside(number, now);
            }
            self.rotate(number);
        }
    }
}

/// Counts a failure of a delivery's own. Too many of them in a row close the gate of its lane.
fn has_failed_too_often(lane: &mut Lane, probes: Probes, now: Instant, dice: f64) -> bool {
    lane.failures += 1;
    lane.failing_since.get_or_insert(now);
    let too_often = lane.failures >= LANE_FAILURES_MAX;
    if too_often {
        lane.gate.close(now, probes.lane, None, dice);
    }
    too_often
}
