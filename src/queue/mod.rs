//! Deliveries that are safe but not yet handed over: push, claim, settle.
//!
//! One queue, two stores. *Durable* is SQLite, written by one thread that commits all requests
//! that wait in one transaction and signs their receipts after it. *Transit* is memory: its
//! receipts are signed when the delivery is settled. Sources and sinks do not know which they use.

pub mod admin;

use crate::config;
use crate::message::{Delivery, Desk, Kind, Outcome, Receipt};
use crate::system::health::Health;
use crate::system::stop::Stop;
use crate::system::threads::Failures;
use std::fmt;
use std::sync::Arc;

/// What a source hands in.
#[derive(Debug)]
pub enum Push {
    /// A delivery, and what its source waits for.
    Delivery {
        /// What is to be handed over.
        delivery: Delivery,
        /// Where it waits.
        store: Store,
        /// Signed once when it is safe; see [`Store`].
        receipt: Option<Receipt>,
    },
    /// A message that can never be delivered. It is kept for people, durably.
    DeadLetter {
        /// What is kept.
        letter: DeadLetter,
        /// Signed once when it is stored.
        receipt: Option<Receipt>,
    },
}

/// Where a delivery waits, and so when its receipt is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the database; signed when the transaction that stores it has committed.
    Durable,
    /// In memory; signed when it is settled. The broker still has it.
    Transit,
}

/// What was given up, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why, in words.
    pub reason: String,
    /// The kind of delivery it was or would have been, if that is known.
    pub kind: Option<Kind>,
    /// The key of its lane, or empty.
    pub lane_key: String,
    /// Its order key.
    pub order_key: Option<String>,
    /// Its target, or empty.
    pub target: String,
    /// The topic its message came on, or `http`.
    pub origin: String,
    /// The body of the delivery, or the payload of the message.
    pub body: Vec<u8>,
}

/// A delivery in the hands of a worker. It must be given back with [`Queue::settle`].
#[derive(Debug)]
pub struct Claim {
    /// Its number in the queue, as `ilagent queue list` shows it.
    pub id: u64,
    /// What is to be handed over.
    pub delivery: Delivery,
    /// Which attempt this is, counted from 1, over restarts.
    pub attempt: u32,
}

/// Why the queue could not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The queue holds as much as the configuration allows; nothing of the batch was taken.
    ///
    /// The source should stop reading. Its desk hears of [`Desk::room`] later.
    Full(Vec<Push>),
    /// The database cannot be written at present (a full disk, say); nothing was taken.
    Unwritable(Vec<Push>),
    /// The queue has been closed.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Full(_) => f.write_str("the queue is full"),
            Error::Unwritable(_) => f.write_str("the queue's database cannot be written"),
            Error::Closed => f.write_str("the queue is closed"),
        }
    }
}

impl std::error::Error for Error {}

/// A handle to the queue; clones share it.
#[derive(Clone)]
pub struct Queue;

impl Queue {
    /// Opens (or makes, or repairs, or converts) the database and starts the thread that owns it.
    ///
    /// With `durable` false no file is made before the first dead letter.
    ///
    /// # Errors
    ///
    /// Says in words why the file cannot be used: another agent has it, it was written by a
    /// later version, the folder is missing or cannot be written.
    pub fn open(
        _settings: &config::Queue,
        _durable: bool,
        _attempts_max: Option<u32>,
        _health: &Health,
        _failures: &Failures,
    ) -> Result<Self, String> {
        todo!()
    }

    /// Takes charge of a batch, all of it or nothing, and returns at once; receipts are signed
    /// later, see [`Store`]. Blocks for as long as a commit under way takes, at most.
    ///
    /// # Errors
    ///
    /// On an error the caller still has its batch. `desk` then hears of [`Desk::room`] when it
    /// is worth trying again.
    pub fn push(&self, _batch: Vec<Push>, _desk: Option<&Arc<dyn Desk>>) -> Result<(), Error> {
        todo!()
    }

    /// Waits until a delivery of `sink` may be attempted, and claims it. `None` at the stop.
    #[must_use]
    pub fn claim(&self, _sink: &str, _stop: &Stop) -> Option<Claim> {
        todo!()
    }

    /// Gives a claimed delivery back with what came of the attempt.
    pub fn settle(&self, _claim: Claim, _outcome: Outcome) {
        todo!()
    }

    /// Commits what is settled and closes the database. Called once, after the sinks have ended.
    pub fn close(&self) {
        todo!()
    }
}
