//! The seam towards the queue: where a session takes what it publishes from.

use crate::message::{Delivery, Outcome};
use std::time::Instant;

/// Wakes a session that sleeps; it does not block.
pub type Ring = std::sync::Arc<dyn Fn() + Send + Sync>;

/// What there is to publish.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// The delivery with this ticket, which is the session's until it is settled.
    This(u64),
    /// Nothing now; look again at this moment, or when the session is woken.
    Nothing(Option<Instant>),
}

/// Publications in their order; owned by the thread of the session.
pub trait Supply: Send {
    /// The next publication. It does not block.
    fn next(&mut self, now: Instant) -> Offer;

    /// A publication that was offered and is not settled.
    fn delivery(&self, ticket: u64) -> &Delivery;

    /// Gives publications back with what became of them, and leaves `verdicts` empty.
    fn settle(&mut self, verdicts: &mut Vec<(u64, Outcome)>);

    /// The broker has accepted a connection.
    fn connected(&mut self);

    /// There is no connection, for this reason.
    fn lost(&mut self, why: &str);
}
