//! The scheduling state: what may be claimed now, by which sink, and what must wait for what.
//!
//! Nothing here blocks, signs, logs, reads a clock or touches the database: callers bring `now` and
//! dice, and what follows comes back as values. What has to be written lies in the [`Outbox`], in
//! order, and the queue thread empties it before it looks at anything that was pushed later; the
//! rest are [`Effects`].

mod away;
mod chain;
mod claim;
mod commit;
mod gate;
mod hold;
mod lane;
pub(in crate::queue) mod person;
mod push;
mod reading;
mod settle;
#[cfg(test)]
mod tests;

use crate::message::{LaneName, Receipt, SinkName};
use crate::queue::change::Change;
use crate::queue::claim::Terms;
use crate::queue::row::{Amount, LANE_MAX, SEQ_MAX};
use gate::Gate;
use hold::Hold;
use lane::Lane;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// Most rows whose end is known and not committed before something new is attempted: a crash
/// repeats them, and those under way. They are only waited for while new deliveries are being
/// stored on a slow disk.
const ENDING_MAX: usize = 16;

/// Empty lanes that are remembered, so that a lane in use is not created again for each delivery.
const IDLE_LANES_MAX: usize = 256;

/// What the queue thread has to do because of what happened on the board.
#[derive(Default)]
pub(in crate::queue) struct Outbox {
    /// To be written, in order.
    pub(in crate::queue) changes: Vec<Change>,
    /// Lanes to be read on.
    pub(in crate::queue) reads: BTreeSet<u32>,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.reads.is_empty()
    }
}

/// The number of a sink on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::queue) struct SinkId(usize);

/// A sink that has lanes, or that claims.
struct Sink {
    name: SinkName,
    /// Its terms; `None` until it gives them, and nothing is claimed for it before.
    terms: Option<Terms>,
    gate: Gate,
    /// It cannot hand over at present, and keeps what it has claimed.
    is_away: bool,
    /// When it took a delivery last, or refused one for good.
    last_taken: Option<Instant>,
    /// Lanes with entries that may go, in turn.
    rotation: VecDeque<u32>,
    /// When to look at one of its lanes again.
    timers: BTreeSet<(Instant, u32)>,
    in_flight: usize,
    /// How many of the board's `stored` and `transit` are for it.
    stored: u64,
    transit: u64,
}

impl Sink {
    fn new(name: SinkName) -> Self {
        Sink {
            name,
            terms: None,
            gate: Gate::default(),
            is_away: false,
            last_taken: None,
            rotation: VecDeque::new(),
            timers: BTreeSet::new(),
            in_flight: 0,
            stored: 0,
            transit: 0,
        }
    }
}

/// What the caller has to do after a change of the board.
#[derive(Default)]
pub(in crate::queue) struct Effects {
    /// Sinks that may find something to claim.
    pub(in crate::queue) calls: BTreeSet<SinkId>,
    /// Bytes that are on their way to the database.
    pub(in crate::queue) arriving: u64,
    /// To be signed in this order, before anything else happens on the board.
    pub(in crate::queue) receipts: Vec<Receipt>,
    /// To be logged.
    pub(in crate::queue) warnings: Vec<String>,
}

/// See the module.
pub(in crate::queue) struct Board {
    lanes: HashMap<u32, Lane>,
    numbers: HashMap<LaneName, u32>,
    sinks: Vec<Sink>,
    /// Since when each entry on the board or in flight has been known.
    ages: BTreeMap<u64, Instant>,
    in_flight: BTreeSet<u64>,
    next_seq: u64,
    next_lane: u32,
    idle_lanes: usize,
    /// Deliveries that have a row, on the board or not, and their bytes.
    pub(in crate::queue) stored: Amount,
    /// Deliveries that have none.
    pub(in crate::queue) transit: Amount,
    /// Bytes of stored deliveries that are on the board.
    on_board: u64,
    hold: Hold,
    outbox: Outbox,
    effects: Effects,
    /// The queue thread has been woken for it.
    nudged: bool,
    /// Rows whose end is known and not committed yet.
    ending: usize,
    /// Receipts that wait for such a commit.
    signing: usize,
    /// A power cut may undo the last of them.
    loose: bool,
    /// Bytes of dead letters that are not committed yet.
    burying: u64,
    /// The database cannot be written at present, so nothing is set aside.
    unwritable: bool,
}

impl Board {
    pub(in crate::queue) fn new() -> Self {
        Board {
            lanes: HashMap::new(),
            numbers: HashMap::new(),
            sinks: Vec::new(),
            ages: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            next_seq: 1,
            next_lane: 1,
            idle_lanes: 0,
            stored: Amount::default(),
            transit: Amount::default(),
            on_board: 0,
            hold: Hold::default(),
            outbox: Outbox::default(),
            effects: Effects::default(),
            nudged: false,
            ending: 0,
            signing: 0,
            loose: false,
            burying: 0,
            unwritable: false,
        }
    }

    /// A sink begins to claim.
    pub(in crate::queue) fn take_on(&mut self, terms: Terms) -> SinkId {
        let id = self.sink_id(&terms.sink);
        self.sinks[id.0].terms = Some(terms);
        id
    }

    fn sink_id(&mut self, name: &SinkName) -> SinkId {
        let at = self.sinks.iter().position(|sink| sink.name == *name).unwrap_or_else(|| {
            self.sinks.push(Sink::new(name.clone()));
            self.sinks.len() - 1
        });
        SinkId(at)
    }

    /// Sets how much is stored, in total and for each sink.
    pub(in crate::queue) fn was_counted(&mut self, all: Amount, of_sinks: Vec<(SinkName, u64)>) {
        self.stored = all;
        self.sinks.iter_mut().for_each(|sink| sink.stored = 0);
        for (name, count) in of_sinks {
            let SinkId(at) = self.sink_id(&name);
            self.sinks[at].stored = count;
        }
    }

    /// Rows of a lane turned out to be none that can be delivered.
    pub(in crate::queue) fn are_damaged(&mut self, number: u32, rows: u64) {
        self.stored.count = self.stored.count.saturating_sub(rows);
        if let Some(sink) = self.sink_of(number) {
            sink.stored = sink.stored.saturating_sub(rows);
        }
    }

    fn sink_of(&mut self, number: u32) -> Option<&mut Sink> {
        let SinkId(at) = self.lanes.get(&number)?.sink;
        self.sinks.get_mut(at)
    }

    /// A delivery of this lane waits, with a row or without.
    fn comes(&mut self, number: u32, bytes: u64, is_stored: bool) {
        let amount = if is_stored { &mut self.stored } else { &mut self.transit };
        amount.add(bytes);
        if let Some(sink) = self.sink_of(number) {
            *(if is_stored { &mut sink.stored } else { &mut sink.transit }) += 1;
        }
    }

    /// It no longer waits.
    fn goes(&mut self, number: u32, bytes: u64, is_stored: bool) {
        let amount = if is_stored { &mut self.stored } else { &mut self.transit };
        amount.take(bytes);
        if let Some(sink) = self.sink_of(number) {
            let count = if is_stored { &mut sink.stored } else { &mut sink.transit };
            *count = count.saturating_sub(1);
        }
    }

    /// What has become due since the last call.
    pub(in crate::queue) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// Whether there is something to do without the board.
    pub(in crate::queue) fn has_effects(&self) -> bool {
        !self.effects.calls.is_empty()
            || !self.effects.receipts.is_empty()
            || !self.effects.warnings.is_empty()
            || (!self.outbox.is_empty() && !self.nudged)
    }

    fn call_all(&mut self) {
        self.effects.calls.extend((0..self.sinks.len()).map(SinkId));
    }

    /// What has to be written and read by now.
    pub(in crate::queue) fn take_outbox(&mut self) -> Outbox {
        self.nudged = false;
        std::mem::take(&mut self.outbox)
    }

    /// Whether the queue thread has to be woken for the outbox or its timer; once is enough.
    pub(in crate::queue) fn wants_nudge(&mut self) -> bool {
        let wanted = !self.outbox.is_empty() || self.hold.wants_timer();
        wanted && !std::mem::replace(&mut self.nudged, true)
    }

    pub(in crate::queue) fn is_in_flight(&self, seq: u64) -> bool {
        self.in_flight.contains(&seq)
    }

    /// Since when the oldest delivery on the board has been known.
    pub(in crate::queue) fn oldest(&self) -> Option<Instant> {
        self.ages.first_key_value().map(|(_, since)| *since)
    }

    /// Puts a lane into the rotation of its sink if it has something that may go.
    fn rotate(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        if lane.in_rotation || lane.ready.is_empty() {
            return;
        }
        let sink = lane.sink;
        if lane.is_together() {
            // Whoever fills the request may want it.
            self.effects.calls.insert(sink);
            return;
        }
        lane.in_rotation = true;
        self.sinks[sink.0].rotation.push_back(number);
        self.effects.calls.insert(sink);
    }

    /// Whether a delivery of this lane can have a number, and its lane.
    pub(in crate::queue) fn has_number_for(&self, name: &LaneName) -> bool {
        let lane = self.numbers.contains_key(name) || self.lanes.len() < LANE_MAX as usize;
        lane && self.next_seq < SEQ_MAX
    }

    /// A number that no lane has at present, in turn: lanes come and go for years.
    fn free_number(&mut self) -> u32 {
        assert!(self.lanes.len() < LANE_MAX as usize, "sources are refused when no number is free");
        loop {
            let number = self.next_lane;
            self.next_lane = if number >= LANE_MAX { 1 } else { number + 1 };
            if !self.lanes.contains_key(&number) {
                return number;
            }
        }
    }

    fn number(&mut self, name: &LaneName) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.free_number();
        self.numbers.insert(name.clone(), number);
        let sink = self.sink_id(&name.sink);
        self.lanes.insert(number, Lane::new(name.clone(), sink));
        number
    }

    /// The number of a lane, made known if it is new, and whether its row has to be stored.
    pub(in crate::queue) fn lane_to_store(&mut self, name: &LaneName) -> (u32, bool) {
        let number = self.number(name);
        let lane = self.lanes.get_mut(&number).expect("a lane with a number is known");
        (number, !std::mem::replace(&mut lane.stored, true))
    }

    pub(in crate::queue) fn name(&self, number: u32) -> Option<LaneName> {
        self.lanes.get(&number).map(|lane| lane.name.clone())
    }

    /// What is stored from now on has this number or a greater one.
    pub(in crate::queue) fn peek_seq(&self) -> u64 {
        self.next_seq
    }

    pub(in crate::queue) fn next_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    fn note_idle(&mut self, number: u32) {
        if self.lanes.get(&number).is_some_and(Lane::is_idle) {
            self.idle_lanes += 1;
            // The count of a large database is an estimate until it has drained.
            if self.ages.is_empty()
                && self.lanes.values().all(|lane| lane.unread_from.is_none() && lane.storing == 0)
            {
                self.was_counted(Amount::default(), Vec::new());
                if self.next_seq > SEQ_MAX / 2 && self.lanes.values().all(Lane::is_idle) {
                    self.next_seq = 1;
                }
            }
        }
    }

    /// Forgets idle lanes when there are too many of them: a hostile payload can name any key.
    fn forget_idle_lanes(&mut self) {
        if self.idle_lanes <= IDLE_LANES_MAX {
            return;
        }
        self.idle_lanes = 0;
        let idle: Vec<u32> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_idle() && !lane.in_rotation && !lane.gate.is_closed())
            .map(|(number, _)| *number)
            .collect();
        for number in idle {
            if let Some(lane) = self.lanes.remove(&number) {
                self.numbers.remove(&lane.name);
                if lane.stored {
                    self.outbox.changes.push(Change::ForgetLane(number));
                }
            }
        }
    }
}
