//! Waiting for a commit, for routes that answer a client only when its message is safe.

use crate::message::{Desk, Receipt};
use crate::queue::{self, Push};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Takes charge of a batch, all or none: a push into the queue.
pub(in crate::sources) type Take = dyn Fn(Vec<Push>) -> Result<(), queue::Error> + Send + Sync;

/// Why a message cannot be confirmed to its client.
#[derive(Debug)]
pub(in crate::sources) enum NotSafe {
    /// It is not stored yet, and may still be.
    InTime,
    /// The queue did not take it.
    Refused(queue::Error),
}

/// Pushes `batch`, which is not empty, and waits until all of it is safe, for `patience` at most.
pub(in crate::sources) fn store(
    batch: Vec<Push>,
    take: &Take,
    patience: Duration,
) -> Result<(), NotSafe> {
    let push = |receipts: &dyn Fn(usize) -> Receipt| {
        let receipt = receipts(batch.len());
        let batch = batch.into_iter().map(|push| push.with_receipt(receipt.clone())).collect();
        take(batch).map(|()| true)
    };
    until_safe(push, patience)
}

/// Does `push` with what makes a receipt, and waits until that is signed, for `patience` at most.
/// There is nothing to wait for if `push` says `false`.
pub(in crate::sources) fn until_safe(
    push: impl FnOnce(&dyn Fn(usize) -> Receipt) -> Result<bool, queue::Error>,
    patience: Duration,
) -> Result<(), NotSafe> {
    let deadline = Instant::now() + patience;
    Waiter::with_own(|waiter| {
        let waits = push(&|signatures| waiter.receipt(signatures)).map_err(NotSafe::Refused)?;
        if !waits || waiter.wait(deadline) { Ok(()) } else { Err(NotSafe::InTime) }
    })
}

/// The answer to a client when the queue refuses its message.
pub(in crate::sources) fn words(error: &queue::Error) -> &'static str {
    match error {
        queue::Error::Full(_) => "the queue is full",
        queue::Error::Unwritable(_) => "the queue cannot be written",
        queue::Error::Closed => "shutting down",
    }
}

/// The desk of one connection's thread, which waits for one signature at a time.
struct Waiter {
    thread: Thread,
    /// The ticket that is waited for; 0 when there is none or it has been signed.
    awaited: AtomicU32,
}

impl Waiter {
    /// Lends the calling thread its own.
    fn with_own<T>(wait: impl FnOnce(&Arc<Waiter>) -> T) -> T {
        thread_local! {
            static OWN: Arc<Waiter> =
                Arc::new(Waiter { thread: thread::current(), awaited: AtomicU32::new(0) });
            static LAST_TICKET: Cell<u32> = const { Cell::new(0) };
        }
        OWN.with(|own| {
            // Never 0, and not reused for a long time, so that a late signature is not taken for
            // the next one.
            let ticket = LAST_TICKET.get().checked_add(1).unwrap_or(1);
            LAST_TICKET.set(ticket);
            own.awaited.store(ticket, Ordering::Release);
            wait(own)
        })
    }

    fn receipt(self: &Arc<Self>, signatures: usize) -> Receipt {
        let desk: Arc<dyn Desk> = Arc::clone(self) as Arc<dyn Desk>;
        Receipt::new(desk, u64::from(self.awaited.load(Ordering::Relaxed)), signatures)
    }

    /// Waits for the signature; `false` when it did not come before the deadline.
    fn wait(&self, deadline: Instant) -> bool {
        while self.awaited.load(Ordering::Acquire) != 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.awaited.swap(0, Ordering::AcqRel) == 0;
            }
            thread::park_timeout(left);
        }
        true
    }
}

impl Desk for Waiter {
    fn signed(&self, ticket: u64) {
        let Ok(ticket) = u32::try_from(ticket) else { return };
        let signed =
            self.awaited.compare_exchange(ticket, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if signed {
            self.thread.unpark();
        }
    }

    fn room(&self) {}
}
