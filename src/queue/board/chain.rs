//! What shares an order key, in order.

use crate::queue::entry::Entry;
use std::collections::VecDeque;

/// The deliveries of one order key: one in front, which alone may go, and those behind it.
///
/// What is stored of a chain is always its beginning: the broker sends again what is not stored,
/// and after a restart that comes behind what is.
#[derive(Debug)]
pub(super) struct Chain {
    /// Those behind the one in front, in order.
    pub(super) behind: VecDeque<Entry>,
    /// The front is empty: the delivery there is done, and the next is on its way to the database.
    pub(super) vacant: bool,
    /// The one in front is in the hands of a worker and has no row.
    pub(super) bare: bool,
    /// Entries that have no row and are not on their way to one, the one in front included.
    pub(super) unstored: usize,
    /// Entries that were set aside and are not back yet; they keep their places.
    pub(super) aside: usize,
    /// Deliveries that were pushed to be stored and are not here yet; they come last.
    pub(super) expected: usize,
    /// Those of them that the queue thread has not seen yet.
    pub(super) coming: usize,
}

impl Default for Chain {
    fn default() -> Self {
        let behind = VecDeque::new();
        Chain { behind, vacant: true, bare: false, unstored: 0, aside: 0, expected: 0, coming: 0 }
    }
}

impl Chain {
    /// Something in it has no row, so nothing behind that may be stored yet.
    pub(super) fn has_unstored(&self) -> bool {
        self.unstored > 0
    }

    /// All of it has rows, and something of it waits or is under way.
    pub(super) fn is_stored(&self) -> bool {
        !self.vacant && self.unstored == 0
    }

    /// Something of it is on its way to the database, so what comes now has to follow.
    pub(super) fn is_being_stored(&self) -> bool {
        self.aside + self.expected > 0
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let at = self.behind.partition_point(|other| other.seq < entry.seq);
        self.behind.insert(at, entry);
    }
}
