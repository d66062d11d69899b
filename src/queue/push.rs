//! What is handed in: deliveries and dead letters, when they are stored, and why they are refused.

use crate::message::{Delivery, Errand, LaneName, Receipt, Record};
use crate::queue::row::{weight, weight_of_record};
use std::fmt;
use std::time::Duration;

/// What a source pushes.
#[derive(Debug)]
pub enum Push {
    /// A delivery, and what its source waits for.
    Delivery {
        /// What is to be handed over.
        delivery: Delivery,
        /// When it is written to the database.
        storing: Storing,
        /// Signed once when it is safe; see [`Storing`].
        receipt: Option<Receipt>,
    },
    /// A message that can never be delivered. Some are kept in the database for people to look at;
    /// all are logged, one by one or as a sum.
    DeadLetter {
        /// What is kept.
        letter: DeadLetter,
        /// Signed once when it is stored or counted.
        receipt: Option<Receipt>,
    },
    /// A record, stored together with the rest of the batch; see
    /// [`Queue::push_whole`](super::Queue::push_whole).
    Record {
        /// What is remembered.
        record: Record,
        /// Signed once when it is stored.
        receipt: Option<Receipt>,
    },
}

impl Push {
    pub(super) fn is_perishable(&self) -> bool {
        matches!(self, Push::Delivery { delivery, .. } if delivery.keep.is_perishable())
    }

    /// Whether it may be delivered before it is stored.
    #[must_use]
    pub fn may_be_held(&self) -> bool {
        matches!(self, Push::Delivery { storing: Storing::Within(_), .. })
    }

    /// Has it stored at once.
    pub fn store_at_once(&mut self) {
        if let Push::Delivery { storing, .. } = self {
            *storing = Storing::AtOnce;
        }
    }

    /// Adds what its source waits for.
    #[must_use]
    pub fn with_receipt(mut self, new: Receipt) -> Self {
        match &mut self {
            Push::Delivery { receipt, .. }
            | Push::DeadLetter { receipt, .. }
            | Push::Record { receipt, .. } => *receipt = Some(new),
        }
        self
    }
}

/// When a delivery is written to the database, and so when its receipt is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storing {
    /// At once; signed when the transaction that stores it has committed.
    AtOnce,
    /// Unless it is delivered within this time, and sooner if waiting longer is no use. Until then
    /// it waits in memory and the broker still has it: it is signed when it is settled or stored.
    Within(Duration),
    /// Only if it is refused while the sink takes others. Until then it waits in memory and the
    /// broker still has it: it is signed when it is settled or stored.
    IfRefused,
    /// Like [`Storing::IfRefused`], for a source that brings messages for several sinks: also while
    /// the sink takes nothing, as the others would wait with it.
    IfAway,
    /// Like [`Storing::IfRefused`], for a source that would rather stop than go on while nothing
    /// is delivered: only if the sink has taken another delivery since.
    IfOthersPass,
}

impl Storing {
    /// Storing within a time, which may be none.
    #[must_use]
    pub fn within(hold: Duration) -> Self {
        if hold.is_zero() { Storing::AtOnce } else { Storing::Within(hold) }
    }
}

/// What was given up, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why, in words.
    pub reason: String,
    /// The lane it travelled in, if it was a delivery.
    pub lane: Option<LaneName>,
    /// Its order key.
    pub order_key: Option<String>,
    /// What its sink was asked to do, if it was a delivery.
    pub errand: Option<Errand>,
    /// The topic its message came on, or `http`.
    pub origin: String,
    /// The body of the delivery, or the payload of the message.
    pub body: Vec<u8>,
}

/// A table of iLert's own agent in which something may be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Mapped events: `event_items`.
    Events,
    /// Raw messages: `mqtt_queue`.
    Messages,
}

/// A row of such a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRow {
    /// The key of the row.
    pub row: String,
    /// Its columns by their last names, as texts are stored.
    pub columns: Vec<(&'static str, Option<Vec<u8>>)>,
}

impl UpstreamRow {
    /// The value of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&[u8]> {
        self.columns.iter().find(|(column, _)| *column == name)?.1.as_deref()
    }
}

/// Why the queue could not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The queue holds as much as the configuration allows; this rest of the batch was not taken.
    ///
    /// The source should stop reading. Its desk hears of [`Desk::room`](crate::message::Desk::room) later.
    Full(Vec<Push>),
    /// The database cannot be written at present (a full disk, say), so this was not taken; what
    /// can wait in memory was.
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

/// The weight of a push, in bytes.
pub(super) fn weight_of(push: &Push) -> u64 {
    match push {
        Push::Delivery { delivery, .. } => weight(delivery),
        Push::DeadLetter { letter, .. } => letter.body.len() as u64,
        Push::Record { record, .. } => weight_of_record(record),
    }
}

/// [`weight_of`], as it is counted on the way to the database.
pub(super) fn size(push: &Push) -> usize {
    usize::try_from(weight_of(push)).unwrap_or(usize::MAX)
}
