//! A sink that has nobody to hand over to. A source that brings messages for other sinks, too, would
//! wait for it once its window is full: with mosquitto's default that is after 20 messages. So what
//! such a source brought for this sink is stored, and so is what it brings from now on.

use super::{Board, SinkId};
use crate::queue::claim::Claim;
use crate::queue::entry::Entry;
use crate::queue::push::Storing;
use std::time::Instant;

impl Board {
    /// A sink goes away and keeps what it has claimed; a row is written for each of these.
    pub(in crate::queue) fn goes_away(
        &mut self,
        id: SinkId,
        under_way: &mut dyn Iterator<Item = &mut Claim>,
        now: Instant,
    ) {
        self.sinks[id.0].is_away = true;
        for claim in under_way.filter(|claim| claim.storing == Storing::IfAway) {
            self.hold_claim(claim, id, now);
        }
        self.end_hold(now);
        self.set_sink_aside(id, now);
    }

    /// What could not be stored when its sink went away is stored now, before anything that came
    /// later.
    pub(super) fn set_those_away_aside(&mut self, now: Instant) {
        let away: Vec<SinkId> =
            (0..self.sinks.len()).map(SinkId).filter(|id| self.sinks[id.0].is_away).collect();
        if !away.is_empty() {
            self.end_hold(now);
        }
        for id in away {
            self.set_sink_aside(id, now);
        }
    }

    /// The sink is back.
    pub(in crate::queue) fn comes_back(&mut self, id: SinkId) {
        self.sinks[id.0].is_away = false;
    }

    /// Whether a delivery that is pushed now would hold up its source.
    pub(super) fn holds_up_others(&self, id: SinkId, storing: Storing) -> bool {
        let sink = &self.sinks[id.0];
        let takes_nothing = sink.is_away || sink.gate.is_closed();
        storing == Storing::IfAway && takes_nothing && !self.unwritable
    }

    /// Nothing of a sink that takes nothing may hold up a source that has other sinks.
    pub(super) fn set_sink_aside(&mut self, id: SinkId, now: Instant) {
        if self.unwritable {
            return;
        }
        let of_sink = self.lanes.iter().filter(|(_, lane)| lane.sink == id);
        let numbers: Vec<u32> = of_sink.map(|(number, _)| *number).collect();
        for number in numbers {
            let wanted = |entry: &Entry| entry.storing == Storing::IfAway;
            let taken = self.lanes.get_mut(&number).map(|lane| lane.take_unstored(&wanted));
            for (entry, position) in taken.into_iter().flatten() {
                self.set_aside(number, entry, position, now);
            }
        }
    }
}
