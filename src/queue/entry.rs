//! A delivery on the board, and where it stands.

use crate::message::{Delivery, Receipt};
use crate::queue::push::Storing;
use crate::queue::row::weight;
use std::time::Instant;

/// A delivery on the board, not in the hands of a worker.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number. The order of deliveries is the order of their numbers.
    pub(super) seq: u64,
    pub(super) delivery: Delivery,
    /// Failed attempts that count against it, over restarts.
    pub(super) attempts: u32,
    /// It has a row in the database.
    pub(super) stored: bool,
    /// When it is to have one, if it has none.
    pub(super) storing: Storing,
    /// Signs that the delivery itself is at fault, and not its sink or lane.
    pub(super) doubt: Option<Box<Doubt>>,
    /// What its source waits for; only while it is not stored.
    pub(super) receipt: Option<Receipt>,
    /// When it was pushed, or read from a database that was there before the start.
    pub(super) since: Instant,
}

/// Failed attempts that were blamed on the sink or the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// When the first of them ended.
    pub(super) since: Instant,
    pub(super) failures: u32,
}

impl Entry {
    /// It has no row yet, and gets one if its sink does not take it soon.
    pub(super) fn is_held(&self) -> bool {
        !self.stored && matches!(self.storing, Storing::Within(_))
    }

    /// Its weight in bytes, the same in memory and on disk.
    pub(super) fn bytes(&self) -> u64 {
        weight(&self.delivery)
    }
}

/// Where an entry stands among those of its order key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// In front, and a worker has it: this is a copy.
    InFlight,
    /// In front, or it has no order key.
    Front,
    /// Behind another one, which goes first.
    Behind,
}
