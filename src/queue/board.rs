//! The scheduling state: what may be claimed now, by whom, and what has to wait for what.
//!
//! Nothing here blocks, reads a clock or touches the database: callers bring `now` and dice, and
//! carry out the [`Order`]s that come back.

use super::change::Change;
use super::gate::Pass;
use super::lane::{Entry, Head, Lane, weight};
use super::store::StoredLane;
use super::{Claim, DeadLetter, Store};
use crate::message::{Delivery, Holds, Kind, Lane as Name, Outcome, Receipt};
use crate::queue::gate::Gate;
use crate::retry::Backoff;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

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

/// Bounds of the transit store.
const TRANSIT_MAX: usize = 4_096;
const TRANSIT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// That many failures in a row, each of a delivery's own, say that the lane is what fails.
const LANE_FAILURES_MAX: u32 = 100;

/// A heartbeat older than this says nothing any more.
const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(30);

/// Empty lanes that are remembered, so that a lane in use is not made anew for each delivery.
const IDLE_LANES_MAX: usize = 256;

/// Waits of a delivery after failures of its own.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

/// What the queue thread has to do because of what happened on the board.
#[derive(Debug)]
pub(super) enum Order {
    /// Delete the row.
    Delete(RowId),
    /// Count the attempts of the row.
    Attempts(RowId, u32),
    /// Keep a dead letter, in place of the row if there is one; then sign.
    Bury(Option<RowId>, DeadLetter, Option<Receipt>),
    /// Store an entry that waited in memory; then sign, and give it back to the board.
    SetAside(u32, Entry, Head, Instant),
    /// Read the lane on.
    Read(u32),
    /// Forget the lane's row.
    ForgetLane(u32),
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

/// What a claim found.
pub(super) enum Found {
    Claim(Claim),
    /// Nothing now; look again at this moment at the latest.
    Nothing(Option<Instant>),
}

#[derive(Default)]
struct Sink {
    gate: Gate,
    /// When it took a delivery last, or refused one for good.
    last_taken: Option<Instant>,
    /// Lanes with entries that may go, in turn.
    rotation: VecDeque<u32>,
}

/// See the module.
pub(super) struct Board {
    lanes: HashMap<u32, Lane>,
    numbers: HashMap<Name, u32>,
    sinks: HashMap<String, Sink>,
    /// When to look at a lane again.
    timers: BTreeSet<(Instant, u32)>,
    /// Since when each entry on the board or in flight has been known.
    ages: BTreeMap<u64, Instant>,
    in_flight: BTreeSet<u64>,
    next_seq: u64,
    next_lane: u32,
    idle_lanes: usize,
    attempts_max: Option<u32>,
    /// Deliveries that have a row, on the board or not, and their bytes.
    pub(super) stored: Amount,
    /// Deliveries that have none.
    pub(super) transit: Amount,
    /// Bytes of stored deliveries that are on the board.
    on_board: u64,
}

/// How many, and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) count: u64,
    pub(super) bytes: u64,
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
    pub(super) fn new(attempts_max: Option<u32>) -> Self {
        Board {
            lanes: HashMap::new(),
            numbers: HashMap::new(),
            sinks: HashMap::new(),
            timers: BTreeSet::new(),
            ages: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            next_seq: 1,
            next_lane: 1,
            idle_lanes: 0,
            attempts_max,
            stored: Amount::default(),
            transit: Amount::default(),
            on_board: 0,
        }
    }

    /// Makes lanes known that have rows in the database, to be read.
    pub(super) fn restore(&mut self, lanes: Vec<StoredLane>) {
        for StoredLane { number, name, seqs: (first, last) } in lanes {
            self.next_lane = self.next_lane.max(number + 1);
            self.next_seq = self.next_seq.max(last + 1);
            let mut lane = Lane::new(name.clone());
            lane.stored = true;
            lane.unread_from = Some(first);
            lane.reading = true;
            self.lanes.insert(number, lane);
            self.numbers.insert(name, number);
        }
    }

    /// Adds what has to be written for a delivery that goes behind all others.
    pub(super) fn insert(
        &mut self,
        delivery: Delivery,
        receipt: Option<Receipt>,
        changes: &mut Vec<Change>,
    ) {
        let (lane, new) = self.lane_to_store(&delivery.lane);
        if new {
            changes.push(Change::AddLane(lane, delivery.lane.clone()));
        }
        let row = RowId { lane, seq: self.next_seq() };
        changes.push(Change::Insert(row, delivery, receipt));
    }

    /// The number of a lane, made known if it is new, and whether its row has to be stored.
    pub(super) fn lane_to_store(&mut self, name: &Name) -> (u32, bool) {
        let number = self.number(name);
        let lane = self.lanes.get_mut(&number).expect("a lane with a number is known");
        lane.storing += 1;
        (number, !std::mem::replace(&mut lane.stored, true))
    }

    /// Whether a lane's row has to be stored now, which the caller then does.
    pub(super) fn lane_is_new(&mut self, number: u32) -> bool {
        self.lanes.get_mut(&number).is_some_and(|lane| !std::mem::replace(&mut lane.stored, true))
    }

    /// Lanes that were restored and have to be read.
    pub(super) fn lanes_to_read(&self) -> BTreeSet<u32> {
        self.lanes.iter().filter(|(_, lane)| lane.reading).map(|(number, _)| *number).collect()
    }

    pub(super) fn name(&self, number: u32) -> Option<Name> {
        self.lanes.get(&number).map(|lane| lane.name.clone())
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Whether a transit delivery has to be stored after all: rows of its lane go before it, or
    /// its lane is held while the sink takes others.
    pub(super) fn needs_storing(&self, delivery: &Delivery, store: Store) -> bool {
        delivery.kind != Kind::Heartbeat
            && self
                .numbers
                .get(&delivery.lane)
                .and_then(|number| self.lanes.get(number))
                .is_some_and(|lane| {
                    let sink = self.sinks.get(&delivery.lane.sink);
                    let takes_others = match lane.failing_since {
                        Some(since) if store == Store::Patient => {
                            sink.is_some_and(|sink| sink.last_taken >= Some(since))
                        }
                        _ => sink.is_none_or(|sink| !sink.gate.is_closed()),
                    };
                    let behind = delivery.order_key.as_ref().and_then(|key| lane.chains.get(key));
                    lane.unread_from.is_some()
                        || (lane.gate.is_closed() && takes_others)
                        || behind.is_some_and(|chain| chain.set_aside)
                })
    }

    pub(super) fn transit_is_full(&self) -> bool {
        self.transit.count >= TRANSIT_MAX as u64 || self.transit.bytes >= TRANSIT_BYTES_MAX
    }

    /// Takes a transit delivery in; says whether a worker may claim it at once.
    pub(super) fn add_transit(
        &mut self,
        delivery: Delivery,
        store: Store,
        receipt: Option<Receipt>,
        now: Instant,
    ) -> bool {
        let number = self.number(&delivery.lane);
        if delivery.kind == Kind::Heartbeat && self.has_heartbeat(number, &delivery) {
            return false;
        }
        let seq = self.next_seq();
        self.transit.add(weight(&delivery));
        self.ages.insert(seq, now);
        let patient = store == Store::Patient;
        let entry =
            Entry { seq, delivery, attempts: 0, stored: false, patient, receipt, since: now };
        self.put(number, entry)
    }

    /// A row was stored; says whether a worker may claim it at once.
    pub(super) fn add_stored(
        &mut self,
        row: RowId,
        delivery: Delivery,
        attempts: u32,
        now: Instant,
    ) -> bool {
        self.stored.add(weight(&delivery));
        let Some(lane) = self.lanes.get_mut(&row.lane) else { return false };
        lane.storing = lane.storing.saturating_sub(1);
        if lane.unread_from.is_some() {
            return false;
        }
        let crowded = lane.len() >= WINDOW
            || (self.on_board >= BOARD_BYTES_MAX && lane.len() >= WINDOW_LEAST);
        if crowded {
            lane.unread_from = Some(row.seq);
            return false;
        }
        self.put_stored(row, delivery, attempts, now)
    }

    /// How much of a lane is to be read now: from which number on, and how many rows.
    pub(super) fn to_read(&self, number: u32) -> Option<(u64, usize)> {
        let lane = self.lanes.get(&number)?;
        let from = lane.unread_from?;
        let most = if self.on_board >= BOARD_BYTES_MAX { WINDOW_LEAST } else { WINDOW };
        Some((from, most.saturating_sub(lane.ready.len()).max(1)))
    }

    /// Rows of a lane that were read, in order. `more` says that others follow.
    pub(super) fn add_read(&mut self, number: u32, rows: Vec<ReadRow>, more: bool, since: Instant) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        lane.reading = false;
        lane.unread_from = match rows.last() {
            Some(last) if more => Some(last.seq + 1),
            _ => None,
        };
        for ReadRow { seq, delivery, attempts } in rows {
            self.put_stored(RowId { lane: number, seq }, delivery, attempts, since);
        }
        self.rotate(number);
        self.note_idle(number);
    }

    /// Gives an entry back that was set aside.
    pub(super) fn give_back(&mut self, number: u32, mut entry: Entry, head: Head, until: Instant) {
        let bytes = entry.bytes();
        self.transit.take(bytes);
        self.stored.add(bytes);
        entry.stored = true;
        entry.receipt = None;
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        lane.storing = lane.storing.saturating_sub(1);
        if lane.unread_from.is_some_and(|unread| unread <= entry.seq) {
            self.ages.remove(&entry.seq);
        } else {
            self.on_board += bytes;
        }
        lane.give_back(entry, head, until);
        self.timers.insert((until, number));
        self.rotate(number);
    }

    /// Whether another worker of `sink` would find something.
    pub(super) fn has_more(&self, sink: &str) -> bool {
        self.sinks.get(sink).is_some_and(|sink| !sink.gate.is_closed() && !sink.rotation.is_empty())
    }

    /// Finds something to do for a worker of `sink`.
    pub(super) fn claim(&mut self, sink: &str, now: Instant, orders: &mut Vec<Order>) -> Found {
        self.ring(now);
        let Some(state) = self.sinks.get(sink) else { return Found::Nothing(None) };
        let sink_probe = match state.gate.pass(now) {
            Pass::Open => false,
            Pass::Probe => true,
            Pass::NotBefore(at) => return Found::Nothing(Some(at)),
            Pass::AfterProbe => return Found::Nothing(None),
        };
        while let Some(number) =
            self.sinks.get_mut(sink).and_then(|state| state.rotation.pop_front())
        {
            let Some(lane) = self.lanes.get_mut(&number) else { continue };
            lane.in_rotation = false;
            let probe = match lane.gate.pass(now) {
                Pass::Open => sink_probe,
                Pass::Probe => true,
                Pass::NotBefore(at) => {
                    self.timers.insert((at, number));
                    continue;
                }
                Pass::AfterProbe => continue,
            };
            let Some(entry) = lane.pop() else { continue };
            if is_stale(&entry, now) {
                log::warn!("queue: a heartbeat of {} came to nothing in time", lane.name);
            } else if !is_withdrawn(&entry) {
                return Found::Claim(self.hand_out(number, entry, probe, orders));
            }
            lane.release(entry.delivery.order_key.as_deref());
            self.forget(entry);
            self.rotate(number);
            self.note_idle(number);
        }
        Found::Nothing(self.timers.first().map(|(at, _)| *at))
    }

    fn hand_out(
        &mut self,
        number: u32,
        entry: Entry,
        probe: bool,
        orders: &mut Vec<Order>,
    ) -> Claim {
        let lane = self.lanes.get_mut(&number).expect("the claimed lane is known");
        lane.in_flight += 1;
        lane.gate.probing();
        if let Some(sink) = self.sinks.get_mut(&lane.name.sink) {
            sink.gate.probing();
        }
        if entry.stored {
            self.on_board = self.on_board.saturating_sub(entry.bytes());
        }
        self.in_flight.insert(entry.seq);
        self.rotate(number);
        orders.extend(self.read_on(number));
        Claim {
            id: entry.seq,
            attempt: entry.attempts + 1,
            lane: number,
            stored: entry.stored,
            patient: entry.patient,
            receipt: entry.receipt,
            since: entry.since,
            probe,
            delivery: entry.delivery,
        }
    }

    /// Takes a claim back with what came of it.
    pub(super) fn settle(
        &mut self,
        claim: Claim,
        outcome: Outcome,
        now: Instant,
        dice: f64,
        orders: &mut Vec<Order>,
    ) {
        let number = claim.lane;
        self.in_flight.remove(&claim.id);
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        match outcome {
            Outcome::Delivered => {
                self.takes(number, now);
                self.done(claim, orders);
            }
            Outcome::Never { why } => {
                self.takes(number, now);
                self.bury(claim, why, orders);
            }
            Outcome::Later { holds: Holds::Sink, after, .. } => {
                let sink = claim.delivery.lane.sink.clone();
                if let Some(sink) = self.sinks.get_mut(&sink) {
                    sink.gate.close(now, claim.probe, after, dice);
                }
                self.lane_probe_is_back(number, claim.probe, now);
                self.back_in_line(claim, now);
            }
            Outcome::Later { holds: Holds::Lane, after, .. } => {
                self.opens_sink(number);
                if let Some(lane) = self.lanes.get_mut(&number) {
                    lane.gate.close(now, claim.probe, after, dice);
                }
                self.back_in_line(claim, now);
                self.set_lane_aside(number, now, orders);
            }
            Outcome::Later { holds: Holds::Delivery, after, why } => {
                self.opens_sink(number);
                self.failed(claim, &why, after, now, dice, orders);
            }
        }
        self.rotate(number);
        orders.extend(self.read_on(number));
        self.note_idle(number);
        orders.extend(self.forget_idle_lanes());
    }

    /// A failure of a delivery's own.
    fn failed(
        &mut self,
        claim: Claim,
        why: &str,
        after: Option<Duration>,
        now: Instant,
        dice: f64,
        orders: &mut Vec<Order>,
    ) {
        let attempts = claim.attempt;
        if let Some(lane) = self.lanes.get_mut(&claim.lane) {
            lane.failures += 1;
            lane.failing_since.get_or_insert(now);
            if lane.failures >= LANE_FAILURES_MAX {
                lane.gate.close(now, claim.probe, None, dice);
            } else if claim.probe && lane.gate.open() {
                lane.wake_all();
            }
        }
        if claim.delivery.kind != Kind::Heartbeat
            && self.attempts_max.is_some_and(|max| attempts >= max)
        {
            self.bury(
                claim,
                format!("given up after {attempts} attempts, the last one: {why}"),
                orders,
            );
            return;
        }
        // What the other side asks for can make the wait longer than our own, never shorter.
        let own = BACKOFF.wait_after(attempts, dice);
        let until = now + after.map_or(own, |after| after.max(own));
        let number = claim.lane;
        let entry = self.entry(claim, attempts);
        let stays = entry.patient && !self.has_taken_since(number, entry.since);
        if entry.stored {
            orders.push(Order::Attempts(RowId { lane: number, seq: entry.seq }, attempts));
        } else if entry.delivery.kind != Kind::Heartbeat && !stays {
            // The sink takes others, so this one may not hold the broker's window.
            self.set_aside(number, entry, until, orders);
            return;
        }
        self.wait(number, entry, until);
    }

    /// An attempt that says nothing about the delivery: it goes when its gate opens, first.
    fn back_in_line(&mut self, claim: Claim, now: Instant) {
        let attempts = claim.attempt - 1;
        let number = claim.lane;
        let entry = self.entry(claim, attempts);
        self.wait(number, entry, now);
    }

    fn entry(&mut self, claim: Claim, attempts: u32) -> Entry {
        let entry = Entry {
            seq: claim.id,
            delivery: claim.delivery,
            attempts,
            stored: claim.stored,
            patient: claim.patient,
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
            self.timers.insert((until, number));
        }
    }

    /// While its lane is held and the sink works, nothing of it may hold a broker's window.
    fn set_lane_aside(&mut self, number: u32, now: Instant, orders: &mut Vec<Order>) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        for (entry, head) in lane.take_unstored() {
            if entry.delivery.kind == Kind::Heartbeat {
                lane.give_back(entry, head, now);
            } else {
                lane.storing += 1;
                orders.push(Order::SetAside(number, entry, head, now));
            }
        }
    }

    fn set_aside(&mut self, number: u32, entry: Entry, until: Instant, orders: &mut Vec<Order>) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let behind = lane.take_behind(entry.delivery.order_key.as_deref());
        lane.storing += 1 + behind.len();
        orders.push(Order::SetAside(number, entry, Head::Yes, until));
        let behind =
            behind.into_iter().map(|entry| Order::SetAside(number, entry, Head::No, until));
        orders.extend(behind);
    }

    fn done(&mut self, claim: Claim, orders: &mut Vec<Order>) {
        let number = claim.lane;
        self.gone(number, &claim);
        if claim.stored {
            orders.push(Order::Delete(RowId { lane: number, seq: claim.id }));
        }
        if let Some(receipt) = claim.receipt {
            receipt.sign();
        }
    }

    fn bury(&mut self, claim: Claim, reason: String, orders: &mut Vec<Order>) {
        let number = claim.lane;
        self.gone(number, &claim);
        if claim.delivery.kind == Kind::Heartbeat {
            log::warn!("queue: a heartbeat of {} is dropped: {reason}", claim.delivery.lane);
            return;
        }
        let row = claim.stored.then_some(RowId { lane: number, seq: claim.id });
        let letter = DeadLetter::of(claim.delivery, reason);
        orders.push(Order::Bury(row, letter, claim.receipt));
    }

    fn gone(&mut self, number: u32, claim: &Claim) {
        let bytes = weight(&claim.delivery);
        self.ages.remove(&claim.id);
        if claim.stored {
            self.stored.take(bytes);
        } else {
            self.transit.take(bytes);
        }
        if let Some(lane) = self.lanes.get_mut(&number) {
            lane.release(claim.delivery.order_key.as_deref());
        }
    }

    /// A sink that takes a delivery opens its gate, and that of the delivery's lane.
    fn takes(&mut self, number: u32, now: Instant) {
        self.opens_sink(number);
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        if let Some(sink) = self.sinks.get_mut(&lane.name.sink) {
            sink.last_taken = Some(now);
        }
        lane.failures = 0;
        lane.failing_since = None;
        if lane.gate.open() {
            lane.wake_all();
        }
    }

    /// Whether the sink of a lane has taken a delivery since then.
    fn has_taken_since(&self, number: u32, since: Instant) -> bool {
        let lane = self.lanes.get(&number);
        let sink = lane.and_then(|lane| self.sinks.get(&lane.name.sink));
        sink.is_some_and(|sink| sink.last_taken >= Some(since))
    }

    fn opens_sink(&mut self, number: u32) {
        let Some(name) = self.lanes.get(&number).map(|lane| lane.name.sink.clone()) else { return };
        let was_closed = self.sinks.get_mut(&name).is_some_and(|sink| sink.gate.open());
        if was_closed {
            let numbers: Vec<u32> = self.lanes.keys().copied().collect();
            for number in numbers {
                if let Some(lane) = self.lanes.get_mut(&number) {
                    lane.wake_all();
                }
                self.rotate(number);
            }
        }
    }

    fn lane_probe_is_back(&mut self, number: u32, probe: bool, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&number).filter(|_| probe) {
            lane.gate.probe_is_back(now);
        }
    }

    /// Everything that waits may go at once: somebody asked for it.
    pub(super) fn hurry(&mut self) {
        for sink in self.sinks.values_mut() {
            sink.gate.open();
        }
        let numbers: Vec<u32> = self.lanes.keys().copied().collect();
        for number in numbers {
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.gate.open();
                lane.wake_all();
            }
            self.rotate(number);
        }
    }

    /// Lets one waiting entry go at once; `false` when it is in flight.
    pub(super) fn hurry_one(&mut self, row: RowId, now: Instant) -> bool {
        if self.in_flight.contains(&row.seq) {
            return false;
        }
        if let Some(lane) = self.lanes.get_mut(&row.lane) {
            let found = lane.waiting.keys().find(|(_, seq)| *seq == row.seq).copied();
            if let Some(entry) = found.and_then(|at| lane.waiting.remove(&at)) {
                lane.wait(entry, now);
                lane.wake(now);
            }
            self.rotate(row.lane);
        }
        true
    }

    /// Takes an entry off the board before its row is deleted; `false` when it is in flight.
    pub(super) fn withdraw(&mut self, row: RowId, bytes: u64) -> bool {
        if self.in_flight.contains(&row.seq) {
            return false;
        }
        if let Some(entry) = self.lanes.get_mut(&row.lane).and_then(|lane| lane.remove(row.seq)) {
            self.on_board = self.on_board.saturating_sub(entry.bytes());
            self.ages.remove(&row.seq);
        }
        self.stored.take(bytes);
        self.rotate(row.lane);
        true
    }

    pub(super) fn is_in_flight(&self, seq: u64) -> bool {
        self.in_flight.contains(&seq)
    }

    /// Since when the oldest delivery on the board has been known.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.ages.first_key_value().map(|(_, since)| *since)
    }

    fn number(&mut self, name: &Name) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.next_lane;
        self.next_lane += 1;
        self.numbers.insert(name.clone(), number);
        self.lanes.insert(number, Lane::new(name.clone()));
        number
    }

    fn put_stored(
        &mut self,
        row: RowId,
        delivery: Delivery,
        attempts: u32,
        since: Instant,
    ) -> bool {
        self.on_board += weight(&delivery);
        self.ages.insert(row.seq, since);
        let seq = row.seq;
        let entry =
            Entry { seq, delivery, attempts, stored: true, patient: false, receipt: None, since };
        self.put(row.lane, entry)
    }

    fn put(&mut self, number: u32, entry: Entry) -> bool {
        let lane = self.lanes.get_mut(&number).expect("a lane with a number is known");
        let before = lane.ready.len();
        lane.add(entry);
        let claimable = lane.ready.len() > before;
        self.rotate(number);
        claimable
    }

    fn has_heartbeat(&self, number: u32, delivery: &Delivery) -> bool {
        self.lanes.get(&number).is_some_and(|lane| {
            lane.ready.iter().chain(lane.waiting.values()).any(|entry| {
                entry.delivery.kind == delivery.kind && entry.delivery.target == delivery.target
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
        match self.sinks.get_mut(&lane.name.sink) {
            Some(sink) => sink.rotation.push_back(number),
            None => {
                let rotation = VecDeque::from([number]);
                let sink = Sink { rotation, ..Sink::default() };
                self.sinks.insert(lane.name.sink.clone(), sink);
            }
        }
    }

    /// Wakes lanes whose time has come.
    fn ring(&mut self, now: Instant) {
        while let Some((at, number)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.wake(now);
            }
            self.rotate(number);
        }
    }

    fn read_on(&mut self, number: u32) -> Option<Order> {
        let lane = self.lanes.get_mut(&number)?;
        let enough = if self.on_board >= BOARD_BYTES_MAX { WINDOW_LEAST } else { WINDOW_LOW };
        let low = lane.ready.len() < enough && lane.len() < WAITING_MAX;
        if lane.unread_from.is_none() || lane.reading || !low {
            return None;
        }
        lane.reading = true;
        Some(Order::Read(number))
    }

    fn note_idle(&mut self, number: u32) {
        if self.lanes.get(&number).is_some_and(Lane::is_idle) {
            self.idle_lanes += 1;
            // The count of a large database is an estimate until it has drained.
            if self.ages.is_empty()
                && self.lanes.values().all(|lane| lane.unread_from.is_none() && lane.storing == 0)
            {
                self.stored = Amount::default();
            }
        }
    }

    /// Forgets idle lanes when there are too many of them: a hostile payload can name any key.
    fn forget_idle_lanes(&mut self) -> Vec<Order> {
        if self.idle_lanes <= IDLE_LANES_MAX {
            return Vec::new();
        }
        self.idle_lanes = 0;
        let idle: Vec<u32> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_idle() && !lane.in_rotation && !lane.gate.is_closed())
            .map(|(number, _)| *number)
            .collect();
        let mut orders = Vec::new();
        for number in idle {
            if let Some(lane) = self.lanes.remove(&number) {
                self.numbers.remove(&lane.name);
                if lane.stored {
                    orders.push(Order::ForgetLane(number));
                }
            }
        }
        orders
    }
}

fn is_withdrawn(entry: &Entry) -> bool {
    entry.receipt.as_ref().is_some_and(Receipt::is_withdrawn)
}

fn is_stale(entry: &Entry, now: Instant) -> bool {
    entry.delivery.kind == Kind::Heartbeat
        && now.saturating_duration_since(entry.since) > HEARTBEAT_AGE_MAX
}
