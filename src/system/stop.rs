//! The orderly end, and how every thread learns of it.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use std::convert::Infallible;
use std::time::Duration;

/// Held by the agent; dropping it and all its clones stops every thread that holds the matching
/// [`Stop`]. Used the other way round, the agent learns when the last thread that holds it has
/// ended.
#[derive(Clone, Debug)]
pub struct Stopper {
    _open: Sender<Infallible>,
}

/// A thread's view of "should I stop?".
///
/// Nothing is ever sent. The closing of the channel is the signal, so it reaches any number of
/// threads, is seen by those that look late, and cannot be lost.
#[derive(Clone, Debug)]
pub struct Stop {
    closed: Receiver<Infallible>,
}

/// Makes a connected pair.
#[must_use]
pub fn pair() -> (Stopper, Stop) {
    let (open, closed) = bounded(0);
    (Stopper { _open: open }, Stop { closed })
}

impl Stop {
    /// One that is already set.
    #[must_use]
    pub fn already() -> Self {
        pair().1
    }

    /// For use in `select!`.
    #[must_use]
    pub fn receiver(&self) -> &Receiver<Infallible> {
        &self.closed
    }

    /// Waits until the stopper is gone, for `patience` at most; `true` if it is gone.
    #[must_use]
    pub fn is_set_within(&self, patience: Duration) -> bool {
        self.closed.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }

    /// Whether the stopper is gone.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.closed.try_recv() == Err(TryRecvError::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_sees_the_stop_however_late_it_looks() {
        let (stopper, stop) = pair();
        let other = stop.clone();
        assert!(!stop.is_set());
        drop(stopper);
        assert!(stop.is_set() && other.is_set());
    }
}
