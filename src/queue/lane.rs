//! One lane: what may go now, what waits behind it, and what is still on disk.

use super::gate::Gate;
use crate::message::{Delivery, Lane as Name, Receipt};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

/// A delivery on the board, not in the hands of a worker.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number; order is order of numbers.
    pub(super) seq: u64,
    pub(super) delivery: Delivery,
    /// Attempts that were held against it, over restarts.
    pub(super) attempts: u32,
    /// It has a row in the database.
    pub(super) stored: bool,
    /// It stays in memory while its sink takes nothing at all.
    pub(super) patient: bool,
    /// What its source waits for; only while it is not stored.
    pub(super) receipt: Option<Receipt>,
    /// When it was pushed, or read from a database that was there before the start.
    pub(super) since: Instant,
}

/// An order key that is in flight or waiting.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The one in front was set aside, so those behind it may wait long: they are stored too.
    pub(super) set_aside: bool,
    /// Who comes after it, in order.
    behind: VecDeque<Entry>,
}

impl Entry {
    /// What it counts for, in bytes, in memory and on disk alike.
    pub(super) fn bytes(&self) -> u64 {
        weight(&self.delivery)
    }
}

/// What a delivery counts for, in bytes: its texts, and a row's overhead.
pub(super) fn weight(delivery: &Delivery) -> u64 {
    const ROW: usize = 40;
    let order_key = delivery.order_key.as_ref().map_or(0, String::len);
    (ROW + delivery.body.len() + delivery.target.len() + delivery.origin.len() + order_key) as u64
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: Name,
    /// May be claimed, in order.
    pub(super) ready: VecDeque<Entry>,
    /// Order keys that are in flight or waiting, and who comes after them.
    pub(super) chains: HashMap<String, Chain>,
    /// Not before a moment: their own back-off.
    pub(super) waiting: BTreeMap<(Instant, u64), Entry>,
    pub(super) in_flight: usize,
    /// On their way to the database, and from there to the board.
    pub(super) storing: usize,
    /// Entries on the board, in flight ones not counted.
    count: usize,
    /// Rows with this number and greater are only on disk; `None` when all are on the board.
    pub(super) unread_from: Option<u64>,
    /// The queue thread has been asked to read on.
    pub(super) reading: bool,
    pub(super) gate: Gate,
    /// Attempts since the last success that failed for a reason of the delivery's own.
    pub(super) failures: u32,
    /// Since when, if there are any.
    pub(super) failing_since: Option<Instant>,
    /// It stands in the rotation of its sink.
    pub(super) in_rotation: bool,
    /// It has a row in the table of lanes.
    pub(super) stored: bool,
}

impl Lane {
    pub(super) fn new(name: Name) -> Self {
        Lane {
            name,
            ready: VecDeque::new(),
            chains: HashMap::new(),
            waiting: BTreeMap::new(),
            in_flight: 0,
            storing: 0,
            count: 0,
            unread_from: None,
            reading: false,
            gate: Gate::default(),
            failures: 0,
            failing_since: None,
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
        match self.chains.get_mut(key) {
            Some(chain) => chain.behind.push_back(entry),
            None => {
                self.chains.insert(key.clone(), Chain::default());
                self.ready.push_back(entry);
            }
        }
    }

    /// Lets the next of an order key go, after the one before it is done with.
    pub(super) fn release(&mut self, order_key: Option<&str>) {
        let Some(key) = order_key else { return };
        let Some(chain) = self.chains.get_mut(key) else { return };
        chain.set_aside = false;
        match chain.behind.pop_front() {
            Some(next) => self.ready.push_back(next),
            None => {
                self.chains.remove(key);
            }
        }
    }

    /// Hands out what goes first.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.ready.pop_front()?;
        self.count -= 1;
        Some(entry)
    }

    /// Gives an entry back that keeps its place at the head of its order key.
    pub(super) fn wait(&mut self, entry: Entry, until: Instant) {
        self.count += 1;
        self.waiting.insert((until, entry.seq), entry);
    }

    /// Moves what has waited long enough to what may go; says how many.
    pub(super) fn wake(&mut self, now: Instant) -> usize {
        let later = self.waiting.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.waiting, later);
        let woken = due.len();
        self.ready.extend(due.into_values());
        woken
    }

    /// Ends all waits: what they waited for has changed.
    pub(super) fn wake_all(&mut self) {
        self.ready.extend(std::mem::take(&mut self.waiting).into_values());
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
            self.release(entry.delivery.order_key.as_deref());
            return Some(entry);
        }
        if let Some(at) = self.waiting.keys().find(|(_, waiting)| *waiting == seq).copied() {
            let entry = self.waiting.remove(&at)?;
            self.release(entry.delivery.order_key.as_deref());
            return Some(entry);
        }
        self.chains.values_mut().find_map(|chain| {
            let at = chain.behind.iter().position(|entry| entry.seq == seq)?;
            chain.behind.remove(at)
        })
    }

    /// Takes out all entries that have no row, in order. Their order keys stay taken, and what
    /// stood at the head of one is marked, so that [`Lane::give_back`] finds its place again.
    pub(super) fn take_unstored(&mut self) -> Vec<(Entry, Head)> {
        let mut taken = Vec::new();
        taken.extend(split_unstored(&mut self.ready).map(|entry| (entry, Head::Yes)));
        let waits: Vec<_> =
            self.waiting.iter().filter(|(_, entry)| !entry.stored).map(|(at, _)| *at).collect();
        for at in waits {
            taken.extend(self.waiting.remove(&at).map(|entry| (entry, Head::Yes)));
        }
        for chain in self.chains.values_mut() {
            taken.extend(split_unstored(&mut chain.behind).map(|entry| (entry, Head::No)));
        }
        taken.sort_by_key(|(entry, _)| entry.seq);
        self.count -= taken.len();
        taken
    }

    /// Takes out the entries behind one that is set aside, if they have no row; so do those that
    /// come later.
    pub(super) fn take_behind(&mut self, order_key: Option<&str>) -> Vec<Entry> {
        let Some(chain) = order_key.and_then(|key| self.chains.get_mut(key)) else {
            return Vec::new();
        };
        chain.set_aside = true;
        let taken: Vec<Entry> = split_unstored(&mut chain.behind).collect();
        self.count -= taken.len();
        taken
    }

    /// Takes an entry back that was stored meanwhile; it waits until `until`.
    pub(super) fn give_back(&mut self, entry: Entry, head: Head, until: Instant) {
        if self.unread_from.is_some_and(|unread| unread <= entry.seq) {
            // It will be read with the others of the lane.
            if head == Head::Yes {
                self.release(entry.delivery.order_key.as_deref());
            }
            return;
        }
        let chain = entry.delivery.order_key.as_ref().and_then(|key| self.chains.get_mut(key));
        match (head, chain) {
            (Head::No, Some(chain)) => {
                let at = chain.behind.partition_point(|other| other.seq < entry.seq);
                chain.behind.insert(at, entry);
                self.count += 1;
            }
            (Head::No, None) => self.add(entry),
            (Head::Yes, _) => self.wait(entry, until),
        }
    }
}

/// Whether an entry stands at the head of its order key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It does, or it has no order key.
    Yes,
    /// Another one of the key goes first.
    No,
}

fn split_unstored(entries: &mut VecDeque<Entry>) -> impl Iterator<Item = Entry> + use<> {
    let (keep, out): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(entries).into_iter().partition(|entry| entry.stored);
    *entries = keep;
    out.into_iter()
}
