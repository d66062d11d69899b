//! A delivery on the board, and where it stands.

use crate::message::{Delivery, Receipt};
use crate::queue::push::Storing;
use crate::queue::row::weight;
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
    /// When it is to have one, if it has none.
    pub(super) storing: Storing,
    /// What speaks for it being what is wrong, and not its sink or lane.
    pub(super) doubt: Option<Box<Doubt>>,
    /// What its source waits for; only while it is not stored.
    pub(super) receipt: Option<Receipt>,
    /// When it was pushed, or read from a database that was there before the start.
    pub(super) since: Instant,
}

/// Attempts at a delivery that failed in ways that were laid to its sink or lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// When the first of them came to its end.
    pub(super) since: Instant,
    pub(super) failures: u32,
}

impl Entry {
    /// It has no row yet, and gets one if its sink does not take it soon.
    pub(super) fn is_held(&self) -> bool {
        !self.stored && matches!(self.storing, Storing::Within(_))
    }

    /// What it counts for, in bytes, in memory and on disk alike.
    pub(super) fn bytes(&self) -> u64 {
        weight(&self.delivery)
    }
}

/// Where an entry stands among those of its order key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// In front, and in the hands of a worker: this is a copy.
    InFlight,
    /// In front, or it has no order key.
    Front,
    /// Behind another one, which goes first.
    Behind,
}
