//! The loop every sink shares: claim, attempt, settle.

use crate::message::{Delivery, Outcome};
use crate::queue::Queue;
use crate::system::health::Health;
use crate::system::stop::Stop;
use crate::system::threads::Failures;
use std::io;
use std::sync::Arc;

/// Hands over what is due for a sink, until told to stop.
///
/// One worker waits for deliveries; more are started while there is more to do, up to
/// `in_flight_max`, and go again when there is not.
///
/// # Errors
///
/// Fails when the first thread cannot be started.
pub fn start(
    _name: &'static str,
    _attempt: Arc<dyn Fn(&Delivery) -> Outcome + Send + Sync>,
    _in_flight_max: usize,
    _queue: &Queue,
    _health: &Health,
    _stop: &Stop,
    _failures: &Failures,
) -> io::Result<Workers> {
    todo!()
}

/// The workers of one sink.
pub struct Workers;

impl Workers {
    /// Waits until all of them have ended, or `deadline` has passed; says whether all have.
    pub fn join(self, _deadline: std::time::Instant) -> bool {
        todo!()
    }
}
