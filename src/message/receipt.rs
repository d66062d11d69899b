//! What a source needs to let go of a message, and the desk that hears of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where receipts are handed in: the source that waits for them.
pub trait Desk: Send + Sync {
    /// The message with this ticket is safe; its source may forget it.
    ///
    /// Called from the threads of queue and sinks, so it must not block.
    fn signed(&self, ticket: u64);

    /// One of several deliveries of the message with this ticket is safe, but not yet all of them.
    /// Called before the signatures of later messages; it must not block either.
    fn partly_signed(&self, _ticket: u64) {}

    /// A push was refused because the queue was full, and now there is room again.
    fn room(&self);

    /// Whether the message with this ticket has been withdrawn: somebody else delivers it now, and
    /// an attempt that has not begun would only repeat it. It must not block either.
    fn is_withdrawn(&self, _ticket: u64) -> bool {
        false
    }
}
/// What a source needs to let go of a message.
///
/// One message may become several deliveries; each holds a clone, and the desk hears of it when
/// as many signatures as were asked for have been given. A receipt that is dropped without a
/// signature says nothing, so the source keeps the message: forgetting to sign is safe.
#[derive(Clone)]
pub struct Receipt(Arc<Slip>);

struct Slip {
    desk: Arc<dyn Desk>,
    ticket: u64,
    missing: AtomicUsize,
}

impl Receipt {
    /// A receipt that is complete after `signatures` calls of [`Receipt::sign`] (at least one).
    #[must_use]
    pub fn new(desk: Arc<dyn Desk>, ticket: u64, signatures: usize) -> Self {
        Receipt(Arc::new(Slip { desk, ticket, missing: AtomicUsize::new(signatures.max(1)) }))
    }

    /// Whether somebody else delivers its message now.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.0.desk.is_withdrawn(self.0.ticket)
    }

    /// Signs once.
    pub fn sign(self) {
        match self.0.missing.fetch_sub(1, Ordering::AcqRel) {
            1 => self.0.desk.signed(self.0.ticket),
            _ => self.0.desk.partly_signed(self.0.ticket),
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({})", self.0.ticket)
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Signed(Mutex<Vec<(&'static str, u64)>>);

    impl Desk for Signed {
        fn signed(&self, ticket: u64) {
            self.0.lock().unwrap().push(("whole", ticket));
        }
        fn partly_signed(&self, ticket: u64) {
            self.0.lock().unwrap().push(("part", ticket));
        }
        fn room(&self) {}
    }

    #[test]
    fn a_receipt_is_complete_with_its_last_signature() {
        let desk = Arc::new(Signed::default());
        let receipt = Receipt::new(desk.clone(), 7, 2);
        receipt.clone().sign();
        assert_eq!(*desk.0.lock().unwrap(), [("part", 7)]);
        receipt.sign();
        assert_eq!(*desk.0.lock().unwrap(), [("part", 7), ("whole", 7)]);
    }

    #[test]
    fn a_receipt_that_is_dropped_says_nothing() {
        let desk = Arc::new(Signed::default());
        drop(Receipt::new(desk.clone(), 7, 1));
        assert!(desk.0.lock().unwrap().is_empty());
    }
}
