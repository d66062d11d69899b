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
    accepting: bool,
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
    /// Nothing of a request has come, since this moment.
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
            board: Mutex::new(Board { open: Vec::new(), accepting: true }),
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
        let rest = Mutex::new(Rest::Since(Instant::now()));
        let slot = Arc::new(Slot { stream, peer, rest });
        board.open.push(Arc::clone(&slot));
        Ok(Taken { slots: Arc::clone(self), slot })
    }

    /// Closes the connection that has rested longest, because the system has no more sockets.
    pub(super) fn make_room(&self) {
        self.board().close_longest_rest();
    }

    /// The accepting thread has ended.
    pub(super) fn accepting_ended(&self) {
        self.board().accepting = false;
        self.changed.notify_all();
    }

    /// Asks all to end: resting connections are closed, others end with their answer.
    pub(super) fn close(&self) {
        // Before the look at each slot: one that comes to rest after it sees the flag itself.
        self.closing.store(true, Ordering::SeqCst);
        for slot in &self.board().open {
            slot.close_if(|_| true);
        }
    }

    /// Waits until all have ended. At the deadline those that are left are cut off, and the
    /// answer is `false`.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let mut board = self.board();
        while board.accepting || !board.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                board.open.iter().for_each(|slot| slot.shut_down());
                return false;
            }
            let waited = self.changed.wait_timeout(board, left);
            (board, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn close_longest_rest(&self) {
        let now = Instant::now();
        let since = |slot: &Slot| match *slot.rest() {
            Rest::Since(since) if now.duration_since(since) >= REST_SPARED => Some(since),
            Rest::Since(_) | Rest::Busy | Rest::Closed => None,
        };
        let resting = self.open.iter().filter_map(|slot| Some((since(slot)?, slot)));
        if let Some((_, slot)) = resting.min_by_key(|(since, _)| *since) {
            slot.close_if(|since| now.duration_since(since) >= REST_SPARED);
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

    fn close_if(&self, ripe: impl FnOnce(Instant) -> bool) {
        let mut rest = self.rest();
        if let Rest::Since(since) = *rest
            && ripe(since)
        {
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
