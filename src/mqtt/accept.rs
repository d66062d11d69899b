//! The seam towards intake: what a session brings, and who takes charge of it.

pub use crate::message::Arrival;
use crate::message::Desk;
use std::fmt;
use std::sync::Arc;

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

/// Who takes charge of messages; owned by the thread of the session.
pub trait Accept: Send {
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
