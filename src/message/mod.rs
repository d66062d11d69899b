//! The two things that move: a raw [`Message`] and the [`Delivery`] mapped from it, and the
//! [`Receipt`] that lets a source forget the message once it is safe.

mod delivery;
mod errand;
mod receipt;
mod record;

pub use delivery::{
    Delivery, Holds, ILERT, Keep, LaneName, Outcome, POLICIES, Ping, PolicyUpdate, SinkName,
    masked, path_segment,
};
pub use errand::{BULK, Bulk, DEAD_LETTER, Errand, RAW, is_sent};
pub use receipt::{Desk, Receipt};
pub use record::Record;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Quality of service: how surely a message gets to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// 0.
    AtMostOnce,
    /// 1.
    AtLeastOnce,
    /// 2.
    ExactlyOnce,
}

/// What a source received: raw, unmapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic it was published on.
    pub topic: String,
    /// The payload as it came; nothing is assumed about its encoding.
    pub payload: Vec<u8>,
    /// What it came from.
    pub origin: Origin,
    /// How surely it was passed on to us.
    pub qos: Qos,
    /// MQTT: it came with the flag of retained messages.
    pub retain: bool,
    /// MQTT: the broker's copy of an earlier message, not a sign of life.
    pub retained: bool,
}

/// The kind of source a message came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An MQTT broker.
    Mqtt,
    /// Kafka.
    Kafka {
        /// The key of the message, empty when it has none.
        key: String,
    },
}

/// What a source brings, and the ticket its desk will hear of.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message.
    Message {
        /// As received.
        message: Message,
        /// What the source knows it by.
        ticket: u64,
    },
    /// A message that was too large to take in; its payload was thrown away.
    Oversized {
        /// Its topic.
        topic: String,
        /// Its size, in bytes: of the packet, or of a Kafka message.
        bytes: usize,
        /// What the source knows it by.
        ticket: u64,
    },
    /// A message that nobody can read: its topic is not a topic.
    Unreadable {
        /// Its topic, as far as it can be shown.
        topic: String,
        /// What is wrong with it.
        reason: Cow<'static, str>,
        /// Its payload.
        payload: Vec<u8>,
        /// What the source knows it by.
        ticket: u64,
    },
}

impl Arrival {
    /// What the source knows it by.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        match self {
            Arrival::Message { ticket, .. }
            | Arrival::Oversized { ticket, .. }
            | Arrival::Unreadable { ticket, .. } => *ticket,
        }
    }

    /// Its topic and its size in bytes, for people.
    #[must_use]
    pub fn shown(&self) -> (&str, usize) {
        match self {
            Arrival::Message { message, .. } => (&message.topic, message.payload.len()),
            Arrival::Oversized { topic, bytes, .. } => (topic, *bytes),
            Arrival::Unreadable { topic, payload, .. } => (topic, payload.len()),
        }
    }
}
/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room.
    Full,
    /// It cannot be stored at present.
    Unwritable,
    /// Nothing will be taken any more.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Full => "the queue is full: reading stopped",
            Refused::Unwritable => "the queue cannot be written: reading stopped",
            Refused::Closed => "the queue is closed",
        })
    }
}

/// Takes charge of messages; owned by the thread of its source.
pub trait Accept: Send {
    /// A connection was made, before anything comes over it.
    fn connected(&mut self) {}

    /// Something is subscribed to that was not before, on this connection.
    fn subscribed(&mut self) {}

    /// Takes charge of a batch. `desk` hears of each ticket when its message is safe.
    ///
    /// # Errors
    ///
    /// On `Full` and `Unwritable` the acceptor keeps the batch, and [`Accept::again`] is called
    /// after [`Desk::room`]; until then there is no other batch.
    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused>;

    /// Tries once more with the batch that was refused.
    ///
    /// # Errors
    ///
    /// As [`Accept::accept`].
    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused>;
}
