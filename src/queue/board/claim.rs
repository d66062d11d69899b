//! What may be attempted now.

use super::gate::Pass;
use super::{Board, ENDING_MAX, SinkId};
use crate::message::{Keep, Receipt};
use crate::queue::claim::{Claim, Next, Probes};
use crate::queue::entry::Entry;
use std::time::Instant;

impl Board {
    /// Finds something to do for a sink, which needs no call then.
    pub(in crate::queue) fn claim(&mut self, id: SinkId, now: Instant) -> Next {
        let next = self.find(id, now);
        let sink = &self.sinks[id.0];
        let more = !sink.gate.is_closed() && !sink.rotation.is_empty();
        if matches!(next, Next::Claim(_)) && more {
            self.effects.calls.insert(id);
        } else {
            self.effects.calls.remove(&id);
        }
        next
    }

    fn find(&mut self, id: SinkId, now: Instant) -> Next {
        self.wake_due(id, now);
        if self.ending >= ENDING_MAX && !self.unwritable {
            // The commit that is due calls all sinks.
            return Next::Nothing(None);
        }
        let sink = &mut self.sinks[id.0];
        if sink.terms.as_ref().is_none_or(|terms| sink.in_flight >= terms.in_flight_max) {
            return Next::Nothing(None);
        }
        let sink_probe = match sink.gate.pass(now) {
            Pass::Open => false,
            Pass::Probe => true,
            Pass::NotBefore(at) => return Next::Nothing(Some(at)),
            Pass::AfterProbe => return Next::Nothing(None),
        };
        while let Some(number) = self.sinks[id.0].rotation.pop_front() {
            let Some(lane) = self.lanes.get_mut(&number) else { continue };
            lane.in_rotation = false;
            if lane.is_together() {
                continue;
            }
            let lane_probe = match lane.gate.pass(now) {
                Pass::Open => false,
                Pass::Probe => true,
                Pass::NotBefore(at) => {
                    self.sinks[id.0].timers.insert((at, number));
                    continue;
                }
                Pass::AfterProbe => continue,
            };
            let probes = Probes { lane: lane_probe, sink: sink_probe };
            if let Some(claim) = self.take(number, probes, now) {
                return Next::Claim(claim);
            }
        }
        Next::Nothing(self.sinks[id.0].timers.first().map(|(at, _)| *at))
    }

    /// The next of the same lane, which goes together with one that is claimed already.
    pub(in crate::queue) fn claim_beside(&mut self, first: &Claim, now: Instant) -> Option<Claim> {
        let mut claim = self.take(first.lane, Probes::default(), now)?;
        claim.beside = true;
        let lane = self.lanes.get(&claim.lane)?;
        self.sinks[lane.sink.0].in_flight -= 1;
        Some(claim)
    }

    /// The first of a lane that is still wanted.
    fn take(&mut self, number: u32, probes: Probes, now: Instant) -> Option<Claim> {
        loop {
            let lane = self.lanes.get_mut(&number)?;
            let entry = lane.pop()?;
            if is_stale(&entry, now) {
                let warning =
                    format!("{} was not delivered in time and is dropped", entry.delivery);
                self.effects.warnings.push(warning);
            } else if !is_withdrawn(&entry) {
                return Some(self.hand_out(number, entry, probes));
            }
            lane.release(entry.delivery.order_key.as_deref(), entry.stored);
            self.forget(number, entry);
            self.note_idle(number);
        }
    }

    /// Wakes lanes whose time has come.
    fn wake_due(&mut self, sink: SinkId, now: Instant) {
        while let Some((at, number)) = self.sinks[sink.0].timers.first().copied() {
            if at > now {
                break;
            }
            self.sinks[sink.0].timers.pop_first();
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.wake(now);
            }
            self.rotate(number);
        }
    }

    fn hand_out(&mut self, number: u32, mut entry: Entry, probes: Probes) -> Claim {
        let receipt = self.hold.hand_out(&mut entry);
        let lane = self.lanes.get_mut(&number).expect("the claimed lane is known");
        lane.in_flight += 1;
        lane.goes_together = entry.delivery.errand.bulk().is_some();
        if probes.lane {
            lane.gate.probing();
        }
        let id = lane.sink;
        let sink = &mut self.sinks[id.0];
        sink.in_flight += 1;
        if probes.sink {
            sink.gate.probing();
        }
        if entry.stored {
            self.on_board = self.on_board.saturating_sub(entry.bytes());
        }
        self.in_flight.insert(entry.seq);
        self.rotate(number);
        self.read_on(number);
        Claim {
            id: entry.seq,
            attempt: entry.attempts + 1,
            lane: number,
            stored: entry.stored,
            storing: entry.storing,
            doubt: entry.doubt,
            receipt,
            since: entry.since,
            probes,
            beside: false,
            delivery: entry.delivery,
        }
    }

    /// An entry in transit that nobody attempts.
    fn forget(&mut self, number: u32, entry: Entry) {
        self.goes(number, entry.bytes(), false);
        self.ages.remove(&entry.seq);
        self.hold.remove(entry.seq);
        self.effects.receipts.extend(entry.receipt);
    }
}

pub(super) fn is_withdrawn(entry: &Entry) -> bool {
    entry.receipt.as_ref().is_some_and(Receipt::is_withdrawn)
}

fn is_stale(entry: &Entry, now: Instant) -> bool {
    let age = now.saturating_duration_since(entry.since);
    matches!(entry.delivery.keep, Keep::AtMost(most) if age > most)
}
