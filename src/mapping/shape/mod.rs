//! What becomes of a message on its way from one topic to another: it is read, changed, stopped, or
//! held until others have come. What rules remember is here, and bounded. Pure: whoever asks brings
//! the time, and does what follows.
//!
//! A switch of the crate: a build has it (`enabled`), or it has none (`disabled`), and then no
//! configuration asks for it. Both files say the same names.

#[cfg(feature = "connectware")]
mod enabled;
#[cfg(feature = "connectware")]
pub use enabled::Shapes;

#[cfg(not(feature = "connectware"))]
mod disabled;
#[cfg(not(feature = "connectware"))]
pub use disabled::Shapes;

use crate::message::{Delivery, Receipt, Record};
use std::time::Instant;

/// The time.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For waits.
    pub instant: Instant,
    /// For people, in milliseconds since 1970.
    pub millis: i64,
}

/// What follows from a message, or from time that has passed.
#[derive(Debug)]
pub struct Done {
    /// What has become of the messages.
    pub made: Made,
    /// Of all messages that are in it.
    pub receipts: Vec<Receipt>,
}

/// Whose records those of messages are that wait for others.
pub const SCOPE: &str = "rules";

/// What has become of one message, or of several.
#[derive(Debug)]
pub enum Made {
    /// Something to hand over.
    Deliver(Delivery),
    /// Something to hand over that takes the place of records, so it has to be stored with them.
    Store(Delivery),
    /// Messages that wait for others are stored, or are not needed any more.
    Remember(Record),
    /// Nothing, as configured.
    Stopped,
    /// Nothing, because something is wrong with them.
    Dead {
        /// Why.
        reason: String,
        /// The topic they came on.
        topic: String,
        /// The payload, or what has been made of it.
        payload: Vec<u8>,
    },
}
