//! The scheduling state: what may be claimed now, by whom, and what has to wait for what.
//!
//! Nothing here blocks, reads a clock or touches the database: callers bring `now` and dice. What
//! has to be written because of what happened here lies in the [`Outbox`], in order, and the queue
//! thread empties it before it looks at anything that was pushed later.

mod person;
mod settle;
#[cfg(test)]
mod tests;

use super::Store;
use super::change::{Buried, Change};
use super::claims::{Claim, Next, Terms};
use super::database::schema::{LANE_MAX, SEQ_MAX};
use super::database::store::StoredLane;
use super::gate::{Gate, Pass};
use super::lane::{Chain, Entry, Head, Lane, weight};
use crate::message::{Delivery, Keep, LaneName, Receipt, SinkName};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
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

/// Most rows whose end is known and not committed. A crash repeats them, so that on a slow disk
/// nothing new is attempted before those are committed.
const ENDING_MAX: usize = 16;

/// Bounds of the transit store.
const TRANSIT_MAX: usize = 4_096;
const TRANSIT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Empty lanes that are remembered, so that a lane in use is not made anew for each delivery.
const IDLE_LANES_MAX: usize = 256;

/// What the queue thread has to do because of what happened on the board.
#[derive(Default)]
pub(super) struct Outbox {
    /// To be written, in order.
    pub(super) changes: Vec<Change>,
    /// Lanes to be read on.
    pub(super) reads: BTreeSet<u32>,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.reads.is_empty()
    }
}

/// Where a row is: its lane's number and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RowId {
    pub(super) lane: u32,
    pub(super) seq: u64,
}

/// A row as it comes back from the database.
pub(super) struct ReadRow {
    pub(super) seq: u64,
    pub(super) delivery: Delivery,
    pub(super) attempts: u32,
}

/// For which closed gates a claim finds out whether they may open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Probes {
    pub(super) lane: bool,
    pub(super) sink: bool,
}

/// The number of a sink on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SinkId(usize);

/// A sink that has lanes, or that claims.
struct Sink {
    name: SinkName,
    /// What it told of itself; `None` until it does, and nothing is claimed for it before.
    terms: Option<Terms>,
    gate: Gate,
    /// When it took a delivery last, or refused one for good.
    last_taken: Option<Instant>,
    /// Lanes with entries that may go, in turn.
    rotation: VecDeque<u32>,
    /// When to look at one of its lanes again.
    timers: BTreeSet<(Instant, u32)>,
    in_flight: usize,
}

impl Sink {
    fn new(name: SinkName) -> Self {
        Sink {
            name,
            terms: None,
            gate: Gate::default(),
            last_taken: None,
            rotation: VecDeque::new(),
            timers: BTreeSet::new(),
            in_flight: 0,
        }
    }
}

/// What follows from what happened on the board, for whoever holds it to do.
#[derive(Default)]
pub(super) struct Effects {
    /// Sinks that may find something to claim.
    pub(super) calls: BTreeSet<SinkId>,
    /// Bytes that are on their way to the database.
    pub(super) arriving: u64,
}

/// See the module.
pub(super) struct Board {
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
    pub(super) stored: Amount,
    /// Deliveries that have none.
    pub(super) transit: Amount,
    /// Bytes of stored deliveries that are on the board.
    on_board: u64,
    outbox: Outbox,
    effects: Effects,
    /// The queue thread has been woken for it.
    nudged: bool,
    /// Rows whose end is known and not committed yet.
    ending: usize,
    /// Bytes of dead letters that are not committed yet.
    burying: u64,
    /// The database cannot be written at present, so nothing is set aside.
    unwritable: bool,
}

/// What follows from a commit, for the queue thread to do without the board.
#[derive(Default)]
pub(super) struct Committed {
    /// To be signed, in order.
    pub(super) receipts: Vec<Receipt>,
    /// Bytes that are not on the way any more.
    pub(super) arrived: u64,
}

/// How many, and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Estimated, not counted.
    pub(super) roughly: bool,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: u64) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Board {
    pub(super) fn new() -> Self {
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
            outbox: Outbox::default(),
            effects: Effects::default(),
            nudged: false,
            ending: 0,
            burying: 0,
            unwritable: false,
        }
    }

    /// A sink begins to claim.
    pub(super) fn take_on(&mut self, terms: Terms) -> SinkId {
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

    /// What follows from what happened since it was asked last.
    pub(super) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// Whether there is something to do without the board.
    pub(super) fn has_effects(&self) -> bool {
        !self.effects.calls.is_empty() || (!self.outbox.is_empty() && !self.nudged)
    }

    fn call_all(&mut self) {
        self.effects.calls.extend((0..self.sinks.len()).map(SinkId));
    }

    /// What has to be written and read by now.
    pub(super) fn take_outbox(&mut self) -> Outbox {
        self.nudged = false;
        std::mem::take(&mut self.outbox)
    }

    /// Whether the queue thread has to be woken because of the outbox; once is enough.
    pub(super) fn wants_nudge(&mut self) -> bool {
        !self.outbox.is_empty() && !std::mem::replace(&mut self.nudged, true)
    }

    /// Makes lanes known that have rows in the database, to be read.
    pub(super) fn restore(&mut self, lanes: Vec<StoredLane>) {
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

    /// A delivery is on its way to be stored behind all others, with [`Board::insert`]: what comes
    /// meanwhile of its order key may not go out before it.
    pub(super) fn expect(&mut self, delivery: &Delivery) {
        let number = self.number(&delivery.lane);
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.expect(delivery.order_key.as_deref());
        }
    }

    /// Adds what has to be written for a delivery that is expected.
    pub(super) fn insert(
        &mut self,
        delivery: Delivery,
        store: Store,
        receipt: Option<Receipt>,
        changes: &mut Vec<Change>,
    ) {
        let (lane, new) = self.lane_to_store(&delivery.lane);
        if new {
            changes.push(Change::AddLane(lane, delivery.lane.clone()));
        }
        let row = RowId { lane, seq: self.next_seq() };
        changes.push(Change::Insert(row, delivery, store, receipt));
    }

    /// The number of a lane, made known if it is new, and whether its row has to be stored.
    pub(super) fn lane_to_store(&mut self, name: &LaneName) -> (u32, bool) {
        let number = self.number(name);
        let lane = self.lanes.get_mut(&number).expect("a lane with a number is known");
        (number, !std::mem::replace(&mut lane.stored, true))
    }

    /// Lanes that were restored and have to be read.
    pub(super) fn lanes_to_read(&self) -> BTreeSet<u32> {
        self.lanes.iter().filter(|(_, lane)| lane.reading).map(|(number, _)| *number).collect()
    }

    pub(super) fn name(&self, number: u32) -> Option<LaneName> {
        self.lanes.get(&number).map(|lane| lane.name.clone())
    }

    /// What is stored from now on has this number or a greater one.
    pub(super) fn peek_seq(&self) -> u64 {
        self.next_seq
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Whether a transit delivery has to be stored after all: rows of its lane go before it, or
    /// its lane is held while the sink takes others. Not while one that goes before it has no row:
    /// after a restart it would go out before that one.
    pub(super) fn needs_storing(&self, delivery: &Delivery, store: Store) -> bool {
        let number = self.numbers.get(&delivery.lane);
        let Some(lane) = number.and_then(|number| self.lanes.get(number)) else { return false };
        let chain = delivery.order_key.as_ref().and_then(|key| lane.chains.get(key));
        if chain.is_some_and(Chain::has_unstored) {
            return false;
        }
        lane.unread_from.is_some()
            || chain.is_some_and(Chain::is_being_stored)
            || (lane.gate.is_closed() && self.takes_others(lane, store) && !self.unwritable)
    }

    /// Whether the sink of a lane takes deliveries of others.
    fn takes_others(&self, lane: &Lane, store: Store) -> bool {
        let sink = &self.sinks[lane.sink.0];
        match lane.failing_since {
            Some(since) if store == Store::Patient => sink.last_taken >= Some(since),
            _ => !sink.gate.is_closed(),
        }
    }

    /// Whether a delivery of this size may wait in memory.
    pub(super) fn transit_has_room(&self, bytes: u64) -> bool {
        let used = self.transit.bytes + self.burying;
        self.transit.count < TRANSIT_MAX as u64 && (used == 0 || used + bytes <= TRANSIT_BYTES_MAX)
    }

    /// Takes a transit delivery in.
    pub(super) fn add_transit(
        &mut self,
        delivery: Delivery,
        store: Store,
        receipt: Option<Receipt>,
        now: Instant,
    ) {
        let number = self.number(&delivery.lane);
        if delivery.keep.is_perishable() && self.has_another(number, &delivery) {
            return;
        }
        let row = RowId { lane: number, seq: self.next_seq() };
        self.add_unstored(row, delivery, store, receipt, now);
    }

    fn add_unstored(
        &mut self,
        row: RowId,
        delivery: Delivery,
        store: Store,
        receipt: Option<Receipt>,
        now: Instant,
    ) {
        let seq = row.seq;
        self.transit.add(weight(&delivery));
        self.ages.insert(seq, now);
        let patient = store == Store::Patient;
        let entry =
            Entry { seq, delivery, attempts: 0, stored: false, patient, receipt, since: now };
        self.put(row.lane, entry);
    }

    /// A row was stored.
    pub(super) fn add_stored(
        &mut self,
        row: RowId,
        delivery: Delivery,
        attempts: u32,
        now: Instant,
    ) {
        self.stored.add(weight(&delivery));
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

    /// How much of a lane is to be read now: from which number on, and how many rows.
    pub(super) fn to_read(&self, number: u32) -> Option<(u64, usize)> {
        let lane = self.lanes.get(&number)?;
        let from = lane.unread_from?;
        let most = if self.on_board >= BOARD_BYTES_MAX { WINDOW_LEAST } else { WINDOW };
        Some((from, most.saturating_sub(lane.ready.len()).max(1)))
    }

    /// Rows of a lane that were read, in order; others follow from `next` on.
    pub(super) fn add_read(
        &mut self,
        number: u32,
        rows: Vec<ReadRow>,
        next: Option<u64>,
        since: Instant,
    ) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        lane.reading = false;
        lane.unread_from = next;
        for ReadRow { seq, delivery, attempts } in rows {
            self.put_stored(RowId { lane: number, seq }, delivery, attempts, since);
        }
        self.rotate(number);
        self.note_idle(number);
    }

    /// Gives an entry back that was set aside, with its row or, if it could not be written,
    /// without.
    pub(super) fn give_back(
        &mut self,
        number: u32,
        mut entry: Entry,
        head: Head,
        until: Instant,
        stored: bool,
    ) {
        let (bytes, seq) = (entry.bytes(), entry.seq);
        if stored {
            self.transit.take(bytes);
            self.stored.add(bytes);
            entry.stored = true;
        }
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        if !lane.give_back(entry, head, until) {
            self.ages.remove(&seq);
        } else if stored {
            self.on_board += bytes;
        }
        let sink = lane.sink;
        self.sinks[sink.0].timers.insert((until, number));
        self.rotate(number);
    }

    /// What was written: the board knows of the rows.
    pub(super) fn committed(&mut self, changes: Vec<Change>, now: Instant) -> Committed {
        let mut done = Committed::default();
        if self.ending >= ENDING_MAX {
            self.call_all();
        }
        for change in changes {
            match change {
                Change::Insert(row, delivery, _, receipt) => {
                    done.arrived += weight(&delivery);
                    self.add_stored(row, delivery, 0, now);
                    done.receipts.extend(receipt);
                }
                Change::SetAside(lane, mut entry, head, until) => {
                    done.receipts.extend(entry.receipt.take());
                    self.give_back(lane, entry, head, until, true);
                }
                Change::Bury(from, letter, receipt) => {
                    match from {
                        Buried::Message => done.arrived += letter.body.len() as u64,
                        Buried::Row(_) | Buried::Memory => {
                            self.burying = self.burying.saturating_sub(letter.body.len() as u64);
                        }
                    }
                    self.ending = self.ending.saturating_sub(usize::from(from.row().is_some()));
                    done.receipts.extend(receipt);
                }
                Change::Delete(_) | Change::GiveWay(_) => {
                    self.ending = self.ending.saturating_sub(1);
                }
                Change::Sign(receipt) => done.receipts.push(receipt),
                Change::AddLane(..)
                | Change::Unbury(..)
                | Change::Attempts(..)
                | Change::ForgetLane(_)
                | Change::ForgetUpstream(_)
                | Change::PutAway(..)
                | Change::Remember(..) => {}
            }
        }
        done
    }

    /// The database cannot be written: what would be set aside stays in memory, and so does what
    /// came to be stored though its source can wait, where no rows go before it. Says how many
    /// bytes of the latter are not on the way any more.
    pub(super) fn cannot_be_written(&mut self, changes: &mut Vec<Change>, now: Instant) -> usize {
        self.unwritable = true;
        self.call_all();
        let mut back = 0;
        for change in std::mem::take(changes) {
            match change {
                Change::SetAside(lane, entry, head, _) if !self.has_unread(lane) => {
                    self.give_back(lane, entry, head, now, false);
                }
                Change::Insert(
                    row,
                    delivery,
                    store @ (Store::Transit | Store::Patient),
                    receipt,
                ) if !self.has_unread(row.lane) => {
                    if let Some(lane) = self.lanes.get_mut(&row.lane) {
                        lane.has_come(delivery.order_key.as_deref());
                    }
                    back += usize::try_from(weight(&delivery)).unwrap_or(usize::MAX);
                    self.add_unstored(row, delivery, store, receipt, now);
                }
                other => changes.push(other),
            }
        }
        back
    }

    /// It can be written again.
    pub(super) fn can_be_written(&mut self) {
        self.unwritable = false;
    }

    fn has_unread(&self, number: u32) -> bool {
        self.lanes.get(&number).is_some_and(|lane| lane.unread_from.is_some())
    }

    /// Finds something to do for a sink, which needs no call then.
    pub(super) fn claim(&mut self, id: SinkId, now: Instant) -> Next {
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
            let lane_probe = match lane.gate.pass(now) {
                Pass::Open => false,
                Pass::Probe => true,
                Pass::NotBefore(at) => {
                    self.sinks[id.0].timers.insert((at, number));
                    continue;
                }
                Pass::AfterProbe => continue,
            };
            let Some(entry) = lane.pop() else { continue };
            if is_stale(&entry, now) {
                log::warn!("queue: {} was not delivered in time and is dropped", entry.delivery);
            } else if !is_withdrawn(&entry) {
                let probes = Probes { lane: lane_probe, sink: sink_probe };
                return Next::Claim(self.hand_out(number, entry, probes));
            }
            lane.release(entry.delivery.order_key.as_deref(), entry.stored);
            self.forget(entry);
            self.rotate(number);
            self.note_idle(number);
        }
        Next::Nothing(self.sinks[id.0].timers.first().map(|(at, _)| *at))
    }

    fn hand_out(&mut self, number: u32, entry: Entry, probes: Probes) -> Claim {
        let lane = self.lanes.get_mut(&number).expect("the claimed lane is known");
        lane.in_flight += 1;
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
            patient: entry.patient,
            receipt: entry.receipt,
            since: entry.since,
            probes,
            delivery: entry.delivery,
        }
    }

    pub(super) fn is_in_flight(&self, seq: u64) -> bool {
        self.in_flight.contains(&seq)
    }

    /// Since when the oldest delivery on the board has been known.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.ages.first_key_value().map(|(_, since)| *since)
    }

    /// Whether a delivery of this lane can have a number, and its lane.
    pub(super) fn has_number_for(&self, name: &LaneName) -> bool {
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

    fn put_stored(&mut self, row: RowId, delivery: Delivery, attempts: u32, since: Instant) {
        self.on_board += weight(&delivery);
        self.ages.insert(row.seq, since);
        let seq = row.seq;
        let entry =
            Entry { seq, delivery, attempts, stored: true, patient: false, receipt: None, since };
        self.put(row.lane, entry);
    }

    fn put(&mut self, number: u32, entry: Entry) {
        let lane = self.lanes.get_mut(&number).expect("a lane with a number is known");
        let before = lane.ready.len();
        lane.add(entry);
        if lane.ready.len() > before {
            self.effects.calls.insert(lane.sink);
        }
        self.rotate(number);
    }

    /// Whether another one like a perishable delivery waits.
    fn has_another(&self, number: u32, delivery: &Delivery) -> bool {
        self.lanes.get(&number).is_some_and(|lane| {
            lane.ready.iter().chain(lane.waiting.values()).any(|entry| {
                entry.delivery.errand == delivery.errand && entry.delivery.body == delivery.body
            })
        })
    }

    /// An entry in transit that nobody attempts.
    fn forget(&mut self, entry: Entry) {
        self.transit.take(entry.bytes());
        self.ages.remove(&entry.seq);
        entry.receipt.into_iter().for_each(Receipt::sign);
    }

    /// Puts a lane into the rotation of its sink if it has something that may go.
    fn rotate(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        if lane.in_rotation || lane.ready.is_empty() {
            return;
        }
        lane.in_rotation = true;
        let sink = lane.sink;
        self.sinks[sink.0].rotation.push_back(number);
        self.effects.calls.insert(sink);
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

    /// Has a lane read on whose entries on the board run low.
    fn read_on(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let enough = if self.on_board >= BOARD_BYTES_MAX { WINDOW_LEAST } else { WINDOW_LOW };
        let low = lane.ready.len() < enough && lane.len() < WAITING_MAX;
        if lane.unread_from.is_none() || lane.reading || !low {
            return;
        }
        lane.reading = true;
        self.outbox.reads.insert(number);
    }

    fn note_idle(&mut self, number: u32) {
        if self.lanes.get(&number).is_some_and(Lane::is_idle) {
            self.idle_lanes += 1;
            // The count of a large database is an estimate until it has drained.
            if self.ages.is_empty()
                && self.lanes.values().all(|lane| lane.unread_from.is_none() && lane.storing == 0)
            {
                self.stored = Amount::default();
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

fn is_withdrawn(entry: &Entry) -> bool {
    entry.receipt.as_ref().is_some_and(Receipt::is_withdrawn)
}

fn is_stale(entry: &Entry, now: Instant) -> bool {
    let age = now.saturating_duration_since(entry.since);
    matches!(entry.delivery.keep, Keep::AtMost(most) if age > most)
}
