//! One lane: what may go now, what waits behind it, and what is still on disk.

use super::SinkId;
use super::chain::Chain;
use super::gate::Gate;
use crate::message::{Delivery, LaneName};
use crate::queue::entry::{Entry, Position};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: LaneName,
    pub(super) sink: SinkId,
    /// May be claimed, in order.
    pub(super) ready: VecDeque<Entry>,
    /// Order keys that are in flight or waiting, and what comes after them.
    pub(super) chains: HashMap<String, Chain>,
    /// Not before a moment: their own back-off.
    pub(super) waiting: BTreeMap<(Instant, u64), Entry>,
    pub(super) in_flight: usize,
    /// What was claimed last goes together with others of the lane, in one request at a time.
    pub(super) goes_together: bool,
    /// On their way to the database, and from there to the board.
    pub(super) storing: usize,
    /// Pushed to be stored, and not seen by the queue thread yet.
    coming: usize,
    /// Entries on the board, in flight ones not counted.
    count: usize,
    /// Rows with this number and greater are only on disk; `None` when all are on the board.
    pub(super) unread_from: Option<u64>,
    /// Rows among these that the board has or had already: copies of deliveries in flight.
    beside: BTreeSet<u64>,
    /// The queue thread has been asked to read on.
    pub(super) reading: bool,
    pub(super) gate: Gate,
    /// Attempts since the last success that failed for a reason of the delivery's own.
    pub(super) failures: u32,
    /// Since when, if there are any.
    pub(super) failing_since: Option<Instant>,
    /// When it had a delivery taken last, or refused for good.
    pub(super) last_taken: Option<Instant>,
    /// When an attempt last failed in a way that was laid to the sink, if none was taken since.
    pub(super) doubted_at: Option<Instant>,
    /// It stands in the rotation of its sink.
    pub(super) in_rotation: bool,
    /// It has a row in the table of lanes.
    pub(super) stored: bool,
}

impl Lane {
    pub(super) fn new(name: LaneName, sink: SinkId) -> Self {
        Lane {
            name,
            sink,
            ready: VecDeque::new(),
            chains: HashMap::new(),
            waiting: BTreeMap::new(),
            in_flight: 0,
            goes_together: false,
            storing: 0,
            coming: 0,
            count: 0,
            unread_from: None,
            beside: BTreeSet::new(),
            reading: false,
            gate: Gate::default(),
            failures: 0,
            failing_since: None,
            last_taken: None,
            doubted_at: None,
            in_rotation: false,
            stored: false,
        }
    }

    /// Takes an entry in, behind the others of its order key.
    pub(super) fn add(&mut self, entry: Entry) {
        self.count += 1;
        let Some(key) = &entry.delivery.order_key else {
            self.ready.push_back(entry);
            return;
        };
        let chain = self.chains.entry(key.clone()).or_default();
        chain.unstored += usize::from(!entry.stored);
        if chain.vacant && chain.aside == 0 {
            chain.vacant = false;
            self.ready.push_back(entry);
        } else {
            chain.insert(entry);
        }
    }

    /// A delivery is on its way to the database, behind all others.
    pub(super) fn expect(&mut self, order_key: Option<&str>) {
        self.storing += 1;
        self.coming += 1;
        if let Some(key) = order_key {
            let chain = self.chains.entry(key.to_owned()).or_default();
            chain.expected += 1;
            chain.coming += 1;
        }
    }

    /// The queue thread has it.
    pub(super) fn is_seen(&mut self, order_key: Option<&str>) {
        self.coming = self.coming.saturating_sub(1);
        if let Some(chain) = order_key.and_then(|key| self.chains.get_mut(key)) {
            chain.coming = chain.coming.saturating_sub(1);
        }
    }

    /// Whether others of an order key, or of a lane without them, will be stored behind those that
    /// the queue thread has.
    pub(super) fn is_followed(&self, order_key: Option<&str>) -> bool {
        match order_key {
            Some(key) => self.chains.get(key).is_some_and(|chain| chain.coming > 0),
            None => self.coming > 0,
        }
    }

    /// An expected delivery is stored; the caller adds it, or leaves it to be read.
    pub(super) fn has_come(&mut self, order_key: Option<&str>) {
        self.storing = self.storing.saturating_sub(1);
        if let Some(chain) = order_key.and_then(|key| self.chains.get_mut(key)) {
            chain.expected = chain.expected.saturating_sub(1);
        }
    }

    /// Lets the next of an order key go, after the one in front is done with, which had a row or
    /// not.
    pub(super) fn release(&mut self, order_key: Option<&str>, stored: bool) {
        let Some(chain) = order_key.and_then(|key| self.chains.get_mut(key)) else { return };
        chain.bare = false;
        chain.vacant = true;
        chain.unstored = chain.unstored.saturating_sub(usize::from(!stored));
        self.fill_front(order_key);
    }

    /// Puts the next of an order key in front if the front is empty and nothing has to come first.
    pub(super) fn fill_front(&mut self, order_key: Option<&str>) {
        let Some(key) = order_key else { return };
        let Some(chain) = self.chains.get_mut(key) else { return };
        if !chain.vacant || chain.aside > 0 {
            return;
        }
        match chain.behind.pop_front() {
            Some(next) => {
                chain.vacant = false;
                self.ready.push_back(next);
            }
            None if chain.expected == 0 => {
                self.chains.remove(key);
            }
            None => {}
        }
    }

    /// Hands out what goes first.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.ready.pop_front()?;
        self.count -= 1;
        if let Some(chain) = self.chain_of(&entry) {
            chain.bare = !entry.stored;
        }
        Some(entry)
    }

    /// Gives an entry back that keeps its place at the head of its order key.
    pub(super) fn wait(&mut self, entry: Entry, until: Instant) {
        self.count += 1;
        if let Some(chain) = self.chain_of(&entry) {
            chain.bare = false;
        }
        self.waiting.insert((until, entry.seq), entry);
    }

    /// Ends the wait of one entry.
    pub(super) fn hurry(&mut self, seq: u64) {
        let found = self.waiting.keys().find(|(_, waiting)| *waiting == seq).copied();
        self.ready.extend(found.and_then(|at| self.waiting.remove(&at)));
    }

    fn chain_of(&mut self, entry: &Entry) -> Option<&mut Chain> {
        entry.delivery.order_key.as_ref().and_then(|key| self.chains.get_mut(key))
    }

    /// Moves what has waited long enough to what may go; says how many.
    pub(super) fn wake(&mut self, now: Instant) -> usize {
        let later = self.waiting.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.waiting, later);
        let woken = due.len();
        self.are_ready(due);
        woken
    }

    /// Ends all waits: what they waited for has changed.
    pub(super) fn wake_all(&mut self) {
        let due = std::mem::take(&mut self.waiting);
        self.are_ready(due);
    }

    /// Those that go together have no order key, and keep their order all the same.
    fn are_ready(&mut self, due: BTreeMap<(Instant, u64), Entry>) {
        self.ready.extend(due.into_values());
        if self.goes_together {
            self.ready.make_contiguous().sort_by_key(|entry| entry.seq);
        }
    }

    /// A request with some of it is under way, or is being filled, and the others wait for its end.
    pub(super) fn is_together(&self) -> bool {
        self.goes_together && self.in_flight > 0
    }

    /// Entries on the board, in flight ones not counted.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Nothing is on the board, in flight or on disk.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self.storing == 0
            && self.ready.is_empty()
            && self.waiting.is_empty()
            && self.chains.is_empty()
            && self.unread_from.is_none()
    }

    /// Removes and returns an entry that is not in flight.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Entry> {
        let removed = self.find_out(seq);
        self.count -= usize::from(removed.is_some());
        removed
    }

    fn find_out(&mut self, seq: u64) -> Option<Entry> {
        if let Some(at) = self.ready.iter().position(|entry| entry.seq == seq) {
            let entry = self.ready.remove(at)?;
            self.release(entry.delivery.order_key.as_deref(), entry.stored);
            return Some(entry);
        }
        if let Some(at) = self.waiting.keys().find(|(_, waiting)| *waiting == seq).copied() {
            let entry = self.waiting.remove(&at)?;
            self.release(entry.delivery.order_key.as_deref(), entry.stored);
            return Some(entry);
        }
        self.chains.values_mut().find_map(|chain| {
            let at = chain.behind.iter().position(|entry| entry.seq == seq)?;
            let entry = chain.behind.remove(at)?;
            chain.unstored -= usize::from(!entry.stored);
            Some(entry)
        })
    }

    /// Takes out all entries that have no row, in order, so that they get one. Their order keys
    /// stay taken, and what stood at the head of one is marked, so that [`Lane::give_back`] finds
    /// its place again.
    ///
    /// What stands behind one that is in the hands of a worker without a row stays: after a
    /// restart it would go out before that one.
    pub(super) fn take_unstored(
        &mut self,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Vec<(Entry, Position)> {
        let mut taken: Vec<_> =
            split_unstored(&mut self.ready, wanted).map(|entry| (entry, Position::Front)).collect();
        let waits = self.waiting.iter().filter(|(_, entry)| !entry.stored && wanted(entry));
        let waits: Vec<_> = waits.map(|(at, _)| *at).collect();
        for at in waits {
            taken.extend(self.waiting.remove(&at).map(|entry| (entry, Position::Front)));
        }
        for chain in self.chains.values_mut().filter(|chain| !chain.bare) {
            let behind = split_unstored(&mut chain.behind, wanted);
            taken.extend(behind.map(|entry| (entry, Position::Behind)));
        }
        taken.sort_unstable_by_key(|(entry, _)| entry.seq);
        self.count -= taken.len();
        for (entry, _) in &taken {
            self.goes_aside(entry);
        }
        taken
    }

    /// Takes out the entries that are held, and what has to be stored before them.
    pub(super) fn take_held(&mut self) -> Vec<(Entry, Position)> {
        let behind = self.chains.values().flat_map(|chain| &chain.behind);
        let all = self.ready.iter().chain(self.waiting.values()).chain(behind);
        let held = all.filter(|entry| entry.is_held());
        let keys: HashSet<String> =
            held.filter_map(|entry| entry.delivery.order_key.clone()).collect();
        self.take_unstored(&|entry| match &entry.delivery.order_key {
            Some(key) => keys.contains(key),
            None => entry.is_held(),
        })
    }

    /// What stands in front of its order key and is in the hands of a worker is stored.
    pub(super) fn copy_aside(&mut self, copy: &Entry) {
        if let Some(chain) = self.chain_of(copy) {
            chain.bare = false;
        }
        self.goes_aside(copy);
    }

    /// The reverse, with a row or without.
    pub(super) fn copy_is_back(&mut self, copy: &Entry) {
        self.storing = self.storing.saturating_sub(1);
        if let Some(chain) = self.chain_of(copy) {
            chain.aside = chain.aside.saturating_sub(1);
            chain.bare = !copy.stored;
            chain.unstored += usize::from(!copy.stored);
        }
        if copy.stored && self.unread_from.is_some_and(|unread| unread <= copy.seq) {
            self.beside.insert(copy.seq);
        }
    }

    /// The lane has been read up to there; gives the rows that are on the board already.
    pub(super) fn is_read(&mut self, next: Option<u64>) -> BTreeSet<u64> {
        self.reading = false;
        self.unread_from = next;
        let later = next.map_or_else(BTreeSet::new, |next| self.beside.split_off(&next));
        std::mem::replace(&mut self.beside, later)
    }

    /// Whether something is stored, or on its way, that a delivery has to follow into the database.
    pub(super) fn has_to_follow(&self, delivery: &Delivery) -> bool {
        let follows = match &delivery.order_key {
            Some(key) => self.chains.get(key).is_some_and(Chain::is_being_stored),
            // Whether its sink minds the order is not known here.
            None => self.storing > 0,
        };
        follows || self.unread_from.is_some() || self.gate.is_closed()
    }

    /// Takes an entry that stands in front of its order key and comes back from a worker, and
    /// those behind it, as far as they have no row; what comes later follows them.
    pub(super) fn take_chain(&mut self, front: Entry) -> Vec<(Entry, Position)> {
        if let Some(chain) = self.chain_of(&front) {
            chain.bare = false;
        }
        let mut taken = self.take_behind(&front, &|_| true);
        self.goes_aside(&front);
        taken.insert(0, (front, Position::Front));
        taken
    }

    /// Takes those behind an entry that comes back from a worker and has a row, or gets one.
    pub(super) fn take_behind(
        &mut self,
        front: &Entry,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Vec<(Entry, Position)> {
        let Some(chain) = self.chain_of(front) else { return Vec::new() };
        let behind = split_unstored(&mut chain.behind, wanted);
        let taken: Vec<_> = behind.map(|entry| (entry, Position::Behind)).collect();
        self.count -= taken.len();
        for (entry, _) in &taken {
            self.goes_aside(entry);
        }
        taken
    }

    fn goes_aside(&mut self, entry: &Entry) {
        self.storing += 1;
        if let Some(chain) = self.chain_of(entry) {
            chain.aside += 1;
            chain.unstored = chain.unstored.saturating_sub(1);
        }
    }

    /// Takes an entry back that was set aside, stored or not; if it stood in front it waits until
    /// `until`. Says whether it is on the board: what is stored may be left to be read.
    pub(super) fn give_back(
        &mut self,
        entry: Entry,
        position: Position,
        until: Instant,
        now: Instant,
    ) -> bool {
        self.storing = self.storing.saturating_sub(1);
        let order_key = entry.delivery.order_key.clone();
        let left = entry.stored && self.unread_from.is_some_and(|unread| unread <= entry.seq);
        if let Some(chain) = self.chain_of(&entry) {
            chain.aside = chain.aside.saturating_sub(1);
            chain.vacant |= left && position == Position::Front;
            chain.unstored += usize::from(!entry.stored);
        }
        match position {
            _ if left => {}
            Position::Front if until <= now => {
                self.count += 1;
                let at = self.ready.partition_point(|other| other.seq < entry.seq);
                self.ready.insert(at, entry);
            }
            Position::Front => self.wait(entry, until),
            // A copy has a way of its own.
            Position::InFlight => {}
            Position::Behind => {
                self.count += 1;
                let key = order_key.clone().unwrap_or_default();
                self.chains.entry(key).or_default().insert(entry);
            }
        }
        self.fill_front(order_key.as_deref());
        !left
    }
}

fn split_unstored(
    entries: &mut VecDeque<Entry>,
    wanted: &dyn Fn(&Entry) -> bool,
) -> impl Iterator<Item = Entry> + use<> {
    let (keep, out): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(entries).into_iter().partition(|entry| entry.stored || !wanted(entry));
    *entries = keep;
    out.into_iter()
}
