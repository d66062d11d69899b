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
        let desk = || Arc::clone(waiter) as Arc<dyn Desk>;
        let receipts = |signatures| waiter.receipt(desk(), signatures);
        let waits = push(&receipts).map_err(NotSafe::Refused)?;
        if !waits || waiter.wait(deadline) { Ok(()) } else { Err(NotSafe::InTime) }
    })
}

/// As [`store`], for what is not stored but handed over. What nobody has in time is withdrawn: it
/// goes out only if that has begun.
#[cfg(feature = "dapr")]
pub(in crate::sources) fn hand_over(
    batch: Vec<Push>,
    take: &Take,
    patience: Duration,
) -> Result<(), NotSafe> {
    let deadline = Instant::now() + patience;
    Waiter::with_own(|waiter| {
        let desk = Arc::new(Withdrawing(Arc::clone(waiter)));
        let receipt = waiter.receipt(desk, batch.len());
        let batch = batch.into_iter().map(|push| push.with_receipt(receipt.clone())).collect();
        if let Err(error) = take(batch) {
            waiter.awaited.store(0, Ordering::Release);
            return Err(NotSafe::Refused(error));
        }
        if waiter.wait(deadline) { Ok(()) } else { Err(NotSafe::InTime) }
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

    fn receipt(&self, desk: Arc<dyn Desk>, signatures: usize) -> Receipt {
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

/// A waiter's desk for what nobody is to have once it is not waited for any more.
#[cfg(feature = "dapr")]
struct Withdrawing(Arc<Waiter>);

#[cfg(feature = "dapr")]
impl Desk for Withdrawing {
    fn signed(&self, ticket: u64) {
        self.0.signed(ticket);
    }

    fn room(&self) {}

    fn is_withdrawn(&self, ticket: u64) -> bool {
        u64::from(self.0.awaited.load(Ordering::Acquire)) != ticket
    }
}

#[cfg(all(test, feature = "dapr"))]
mod tests {
    use super::*;
    use crate::message::{Delivery, Errand, Keep, LaneName};
    use crate::queue::Storing;
    use std::sync::Mutex;

    #[test]
    fn what_nobody_has_in_time_is_withdrawn() {
        let push = || {
            let delivery = Delivery {
                lane: LaneName::default(),
                order_key: None,
                errand: Errand::Policy { routing_key: String::new() },
                keep: Keep::UntilDelivered,
                body: Vec::new(),
                origin: String::new(),
            };
            Push::Delivery { delivery, storing: Storing::IfRefused, receipt: None }
        };
        let receipts: Arc<Mutex<Vec<Receipt>>> = Arc::default();
        let kept = Arc::clone(&receipts);
        let take = move |batch: Vec<Push>| {
            for push in batch {
                let Push::Delivery { receipt: Some(receipt), .. } = push else { continue };
                assert!(!receipt.is_withdrawn(), "as long as it is waited for");
                kept.lock().unwrap().push(receipt);
            }
            Ok(())
        };
        let not = hand_over(vec![push()], &take, Duration::ZERO);
        assert!(matches!(not, Err(NotSafe::InTime)));
        let late = receipts.lock().unwrap().pop().unwrap();
        assert!(late.is_withdrawn());
        let in_time = |batch: Vec<Push>| {
            batch.into_iter().for_each(|push| {
                let Push::Delivery { receipt: Some(receipt), .. } = push else { return };
                receipt.sign();
            });
            Ok(())
        };
        assert!(hand_over(vec![push()], &in_time, Duration::from_secs(60)).is_ok());
        let refuse = |batch: Vec<Push>| Err(queue::Error::Full(batch));
        let refused = hand_over(vec![push()], &refuse, Duration::from_secs(60));
        assert!(matches!(refused, Err(NotSafe::Refused(_))));
    }
}
