//! Where the threads of one sink wait for something to claim.

use crate::queue::board::Board;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// Wakes a session that waits for something other than `Claims::wait`. It must not block.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// Where the threads of one sink wait. Each sink has its own, so that nobody is woken for
/// another one.
pub(super) struct Waiting {
    work: Condvar,
    idle: AtomicUsize,
    /// Where those wait that have something, and would take more of the same lane.
    more: Condvar,
    filling: AtomicUsize,
    ring: Option<Ring>,
    /// This sink takes no more.
    pub(super) over: AtomicBool,
}

impl Waiting {
    pub(super) fn new(ring: Option<Ring>) -> Self {
        Waiting {
            work: Condvar::new(),
            idle: AtomicUsize::new(0),
            more: Condvar::new(),
            filling: AtomicUsize::new(0),
            ring,
            over: AtomicBool::new(false),
        }
    }

    pub(super) fn sleep<'a>(
        &self,
        board: MutexGuard<'a, Board>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Board> {
        self.idle.fetch_add(1, Ordering::AcqRel);
        let board = match at_most {
            None => self.work.wait(board).unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                let waited = self.work.wait_timeout(board, at_most);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        self.idle.fetch_sub(1, Ordering::AcqRel);
        board
    }

    /// Waits for more of a lane.
    pub(super) fn sleep_for_more<'a>(
        &self,
        board: MutexGuard<'a, Board>,
        at_most: Duration,
    ) -> MutexGuard<'a, Board> {
        self.filling.fetch_add(1, Ordering::AcqRel);
        let waited = self.more.wait_timeout(board, at_most);
        self.filling.fetch_sub(1, Ordering::AcqRel);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// One of those that wait looks; it wakes the next if there is more than it takes.
    pub(super) fn wake(&self) {
        if self.filling.load(Ordering::Acquire) > 0 {
            self.more.notify_all();
        }
        if self.idle.load(Ordering::Acquire) > 0 {
            self.work.notify_one();
        }
        if let Some(ring) = &self.ring {
            ring();
        }
    }

    /// All of them look: claims are over.
    pub(super) fn wake_all(&self) {
        self.work.notify_all();
        self.more.notify_all();
        if let Some(ring) = &self.ring {
            ring();
        }
    }
}
