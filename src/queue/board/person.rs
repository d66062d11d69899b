//! What a person asks for with `ilagent queue`.

use super::{Board, Sink};
use crate::message::SinkName;
use crate::queue::row::RowId;
use std::time::{Duration, Instant};

/// How a sink stands, for people.
pub(in crate::queue) struct Standing {
    pub(in crate::queue) name: SinkName,
    /// It is configured and takes deliveries.
    pub(in crate::queue) claims: bool,
    /// How many deliveries wait or are in flight.
    pub(in crate::queue) waiting: u64,
    /// How many of them have no row.
    pub(in crate::queue) transit: u64,
    pub(in crate::queue) in_flight: usize,
    /// How long its gate has been closed, and how long until the next probe.
    pub(in crate::queue) closed: Option<(Duration, Duration)>,
    /// How many of its lanes are closed by themselves.
    pub(in crate::queue) lanes_closed: usize,
}

impl Board {
    /// Nothing goes to a sink for this time. That it takes the first one then opens it for all.
    pub(in crate::queue) fn hold_back(&mut self, name: &SinkName, time: Duration, now: Instant) {
        if let Some(sink) = self.sinks.iter_mut().find(|sink| sink.name == *name) {
            sink.gate.close(now, false, Some(time), 0.0);
        }
    }

    /// Everything that waits, or all of one sink, may go at once: somebody asked for it.
    pub(in crate::queue) fn hurry(&mut self, only: Option<&SinkName>) {
        let is_wanted = |name: &SinkName| only.is_none_or(|only| only == name);
        for sink in self.sinks.iter_mut().filter(|sink| is_wanted(&sink.name)) {
            sink.gate.set_free();
        }
        self.call_all();
        let lanes = self.lanes.iter().filter(|(_, lane)| is_wanted(&lane.name.sink));
        let numbers: Vec<u32> = lanes.map(|(number, _)| *number).collect();
        for number in numbers {
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.gate.set_free();
                lane.wake_all();
            }
            self.rotate(number);
        }
    }

    /// The sinks that have lanes or claim, and how they stand.
    pub(in crate::queue) fn standings(&self, now: Instant) -> Vec<Standing> {
        let standing = |(at, sink): (usize, &Sink)| Standing {
            name: sink.name.clone(),
            claims: sink.terms.is_some(),
            waiting: sink.stored + sink.transit,
            transit: sink.transit,
            in_flight: sink.in_flight,
            closed: sink.gate.closed_for(now),
            lanes_closed: self
                .lanes
                .values()
                .filter(|lane| lane.sink.0 == at && lane.gate.is_closed())
                .count(),
        };
        self.sinks.iter().enumerate().map(standing).collect()
    }

    /// The lanes there are, and their sinks.
    pub(in crate::queue) fn lane_sinks(&self) -> Vec<(u32, SinkName)> {
        self.lanes.iter().map(|(number, lane)| (*number, lane.name.sink.clone())).collect()
    }

    /// Lets one waiting entry go at once; `false` when it is in flight.
    pub(in crate::queue) fn hurry_one(&mut self, row: RowId) -> bool {
        if self.in_flight.contains(&row.seq) {
            return false;
        }
        if let Some(lane) = self.lanes.get_mut(&row.lane) {
            lane.hurry(row.seq);
            self.rotate(row.lane);
        }
        true
    }

    /// Takes an entry off the board before its row is deleted; `false` when it is in flight.
    pub(in crate::queue) fn withdraw(&mut self, row: RowId, bytes: u64) -> bool {
        if self.in_flight.contains(&row.seq) {
            return false;
        }
        if let Some(entry) = self.lanes.get_mut(&row.lane).and_then(|lane| lane.remove(row.seq)) {
            self.on_board = self.on_board.saturating_sub(entry.bytes());
            self.ages.remove(&row.seq);
        }
        self.goes(row.lane, bytes, true);
        self.ending += 1;
        self.rotate(row.lane);
        self.read_on(row.lane);
        self.note_idle(row.lane);
        true
    }
}
