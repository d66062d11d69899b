//! Who is connected: a bound on it, room made by closing those who rest, and the stop.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection that rests at least this long may be closed to make room. Shorter ones are
/// about to send their next request.
const REST_SPARED: Duration = Duration::from_secs(1);
/// When less than this part of the slots is free, connections that rest are closed.
const SPARE_PART: usize = 4;

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Slots {
    connections_max: usize,
    board: Mutex<Board>,
    changed: Condvar,
    closing: AtomicBool,
}

#[derive(Debug)]
struct Board {
    open: Vec<Arc<Slot>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Slot {
    /// The socket; its thread reads and writes it, others only shut it down.
    pub(super) stream: TcpStream,
    /// The other end.
    pub(super) peer: SocketAddr,
    rest: Mutex<Rest>,
}

/// Whether a connection may be closed by others.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// Nothing has come yet, since this moment.
    New(Instant),
    /// Nothing of a further request has come, since this moment.
    Since(Instant),
    /// A request is being read, answered or written.
    Busy,
    /// It has been closed by another thread.
    Closed,
}

impl Slots {
    pub(super) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Slots {
            connections_max: connections_max.max(1),
            board: Mutex::new(Board { open: Vec::new() }),
            changed: Condvar::new(),
            closing: AtomicBool::new(false),
        })
    }

    /// Whether the listener is to end.
    pub(super) fn closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Takes a connection in, or gives it back when all slots are in use.
    ///
    /// When few are free, the connection that has rested longest is closed, so that who only
    /// holds a connection does not keep out who wants to say something.
    pub(super) fn take(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Taken, TcpStream> {
        let mut board = self.board();
        if board.open.len() >= self.connections_max - self.connections_max / SPARE_PART {
            board.close_longest_rest();
        }
        if board.open.len() >= self.connections_max {
            return Err(stream);
        }
        let rest = Mutex::new(Rest::New(Instant::now()));
        let slot = Arc::new(Slot { stream, peer, rest });
        board.open.push(Arc::clone(&slot));
        Ok(Taken { slots: Arc::clone(self), slot })
    }

    /// Closes the connection that has rested longest, because the system has no more sockets.
    pub(super) fn make_room(&self) {
        self.board().close_longest_rest();
    }

    /// Asks all to end: resting connections are closed, others end with their answer. To those
    /// belong the ones that have only just come: their request may be on its way.
    pub(super) fn close(&self) {
        // Before the look at each slot: one that comes to rest after it sees the flag itself.
        self.closing.store(true, Ordering::SeqCst);
        self.board().close_at_end(Instant::now());
    }

    /// Waits until all have ended. At the deadline those that are left are cut off, and the
    /// answer is `false`.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let mut board = self.board();
        while !board.open.is_empty() {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                board.open.iter().for_each(|slot| slot.shut_down());
                return false;
            }
            let look_again = board.close_at_end(now).map_or(left, |pause| left.min(pause));
            let waited = self.changed.wait_timeout(board, look_again);
            (board, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Closes those that rest, and new ones that keep silent; says when to look at these again.
    fn close_at_end(&self, now: Instant) -> Option<Duration> {
        let spared = |rest: Rest| match rest {
            Rest::New(since) => REST_SPARED.checked_sub(now.saturating_duration_since(since)),
            Rest::Since(_) | Rest::Busy | Rest::Closed => None,
        };
        for slot in &self.open {
            slot.close_if(|rest| spared(rest).is_none_or(|left| left.is_zero()));
        }
        self.open.iter().filter_map(|slot| spared(*slot.rest())).min()
    }

    fn close_longest_rest(&self) {
        let now = Instant::now();
        let since = |slot: &Slot| slot.rest().since().filter(|&since| is_long(now, since));
        let resting = self.open.iter().filter_map(|slot| Some((since(slot)?, slot)));
        if let Some((_, slot)) = resting.min_by_key(|(since, _)| *since) {
            slot.close_if(|rest| rest.since().is_some_and(|since| is_long(now, since)));
        }
    }
}

fn is_long(now: Instant, since: Instant) -> bool {
    now.saturating_duration_since(since) >= REST_SPARED
}

impl Rest {
    /// Since when it rests, if it does.
    fn since(self) -> Option<Instant> {
        match self {
            Rest::New(since) | Rest::Since(since) => Some(since),
            Rest::Busy | Rest::Closed => None,
        }
    }
}

impl Slot {
    /// A request has begun to come; `false` when it is too late for it.
    pub(super) fn work(&self) -> bool {
        let mut rest = self.rest();
        if let Rest::Closed = *rest {
            return false;
        }
        *rest = Rest::Busy;
        true
    }

    /// The answer has gone out, and the next request has not begun.
    pub(super) fn rest_since(&self, now: Instant) {
        *self.rest() = Rest::Since(now);
    }

    /// Closes it if it rests and is ripe.
    fn close_if(&self, ripe: impl FnOnce(Rest) -> bool) {
        let mut rest = self.rest();
        if rest.since().is_some() && ripe(*rest) {
            *rest = Rest::Closed;
            self.shut_down();
        }
    }

    fn shut_down(&self) {
        // It may be gone already, which is what is wanted.
        let _: io::Result<()> = self.stream.shutdown(Shutdown::Both);
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot in use; dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) slots: Arc<Slots>,
    pub(super) slot: Arc<Slot>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut board = self.slots.board();
        if let Some(at) = board.open.iter().position(|slot| Arc::ptr_eq(slot, &self.slot)) {
            board.open.swap_remove(at);
        }
        if self.slots.closing() {
            self.slots.changed.notify_all();
        }
    }
}
