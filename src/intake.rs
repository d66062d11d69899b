//! The one way in: rule, map, push.

use crate::config::{Routing, Rule};
use crate::message::{Desk, Message};
use crate::queue::{self, Push, Queue, Store};
use std::sync::Arc;

/// What a source brings.
#[derive(Debug)]
pub enum Arrival {
    /// A message, and the ticket its desk will hear of.
    Message {
        /// As received.
        message: Message,
        /// What the source knows it by.
        ticket: u64,
    },
    /// A message that was too large to take in.
    Oversized {
        /// Its topic.
        topic: String,
        /// Its size in bytes.
        bytes: usize,
        /// The limit it broke, in bytes.
        limit: usize,
        /// What the source knows it by.
        ticket: u64,
    },
}

/// What becomes of the messages of one source.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In order of precedence.
    pub rules: Vec<Rule>,
    /// Whether a message is for the first rule that matches or for every one.
    pub routing: Routing,
    /// Where deliveries wait. Heartbeats always wait in transit: an old ping is a lie.
    pub store: Store,
}

/// A handle; clones share the queue.
#[derive(Clone)]
pub struct Intake {
    queue: Queue,
}

impl Intake {
    /// Everything taken in goes to `queue`.
    #[must_use]
    pub fn new(queue: Queue) -> Self {
        Intake { queue }
    }

    /// Takes charge of a batch of messages, all or none.
    ///
    /// `desk` hears of each ticket when its message is safe: at once for a message that no rule
    /// wants, otherwise when all its deliveries are. A source acknowledges then and only then.
    ///
    /// # Errors
    ///
    /// Gives the mapped batch back when the queue cannot take it now. The source stops reading
    /// until [`Desk::room`], and then calls [`Intake::push`].
    pub fn accept(
        &self,
        _plan: &Plan,
        _arrivals: Vec<Arrival>,
        _desk: &Arc<dyn Desk>,
    ) -> Result<(), queue::Error> {
        todo!()
    }

    /// Pushes a batch that was refused before.
    ///
    /// # Errors
    ///
    /// As [`Intake::accept`].
    pub fn push(&self, batch: Vec<Push>, desk: &Arc<dyn Desk>) -> Result<(), queue::Error> {
        self.queue.push(batch, Some(desk))
    }
}
