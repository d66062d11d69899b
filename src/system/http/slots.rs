//! The open connections: a bound, room made by closing idle and slow ones, and the stop.

use std::cmp::Reverse;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection that has been idle, or busy with one request, for this long may be closed to make
/// room. Before that, it may be about to send its next request, or the rest of it.
const REST_SPARED: Duration = Duration::from_secs(1);
/// When fewer than this part of the slots are free, such connections are closed.
const SPARE_PART: usize = 4;
/// An address that has more than this part of the slots makes room for others at once.
const ADDRESS_PART: usize = 2;
/// How long a connection that was closed to make room may take to go.
const ROOM_MAX: Duration = Duration::from_millis(100);
/// Extra slots, in which only probes are answered.
const PROBE_SLOTS: usize = 2;

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
    /// Whether there is a place for a probe only.
    pub(super) is_for_probes: bool,
    rest: Mutex<Rest>,
}

/// Whether a connection may be closed by others.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// Nothing has come yet, since this moment.
    New(Instant),
    /// Nothing of a further request has come, since this moment.
    Since(Instant),
    /// It is the client's turn to send the rest of a request, or to take its answer, since this
    /// moment.
    Slow(Instant),
    /// A request is being answered.
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
    /// When few are free, the connection that has been idle or busy longest is closed, first those
    /// of an address that has more than its share, so that idle and slow clients cannot keep busy
    /// ones out.
    pub(super) fn take(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<Taken, TcpStream> {
        let mut board = self.board();
        let max = self.connections_max;
        if board.open.len() >= max - max / SPARE_PART {
            let part = (max / ADDRESS_PART).max(1);
            let newcomer = party(peer.ip());
            let count = board.open.iter().filter(|slot| party(slot.peer.ip()) == newcomer).count();
            let is_full = board.open.len() >= max;
            let makes_room = board.make_room(Need { part, is_full, is_modest: count < part });
            if is_full && makes_room {
                let is_full = |board: &mut Board| board.open.len() >= max;
                let waited = self.changed.wait_timeout_while(board, ROOM_MAX, is_full);
                (board, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
        if board.open.len() >= max + PROBE_SLOTS {
            return Err(stream);
        }
        let is_for_probes = board.open.len() >= max;
        let rest = Mutex::new(Rest::New(Instant::now()));
        let slot = Arc::new(Slot { stream, peer, is_for_probes, rest });
        board.open.push(Arc::clone(&slot));
        Ok(Taken { slots: Arc::clone(self), slot })
    }

    /// Closes the connection that has been idle longest, because the system has no more sockets.
    pub(super) fn make_room(&self) {
        let part = (self.connections_max / ADDRESS_PART).max(1);
        self.board().make_room(Need { part, is_full: true, is_modest: true });
    }

    /// Asks all to end: idle connections are closed, others end with their answer. New ones count
    /// as busy, because their request may be on its way.
    pub(super) fn close(&self) {
        // Before looking at each slot: one that becomes idle later sees the flag itself.
        self.closing.store(true, Ordering::SeqCst);
        self.board().close_at_end(Instant::now());
    }

    /// Waits until all have ended. At the deadline the rest is cut off, and the result is `false`.
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
    /// Closes idle ones, and new ones that stay silent; returns when to look at the latter again.
    fn close_at_end(&self, now: Instant) -> Option<Duration> {
        let spared = |rest: Rest| match rest {
            Rest::New(since) => REST_SPARED.checked_sub(now.saturating_duration_since(since)),
            Rest::Since(_) | Rest::Slow(_) | Rest::Busy | Rest::Closed => None,
        };
        for slot in &self.open {
            slot.close_if(|rest| {
                rest.rests_since().is_some() && spared(rest).is_none_or(|left| left.is_zero())
            });
        }
        self.open.iter().filter_map(|slot| spared(*slot.rest())).min()
    }

    /// Closes the connection that can best be spared; `false` if there is none.
    fn make_room(&self, need: Need) -> bool {
        let now = Instant::now();
        let ripe = self.open.iter().filter_map(|slot| {
            let excess = self.excess(slot, need);
            let rest = *slot.rest();
            need.takes(rest, excess, now).then_some((excess, rest.waits_since()?, slot))
        });
        let most = ripe.min_by_key(|(excess, since, _)| (Reverse(*excess), *since));
        most.is_some_and(|(excess, _, slot)| slot.close_if(|rest| need.takes(rest, excess, now)))
    }

    /// By how many slots the address of this one exceeds its share.
    fn excess(&self, slot: &Slot, need: Need) -> usize {
        let own = party(slot.peer.ip());
        let count = self.open.iter().filter(|slot| party(slot.peer.ip()) == own).count();
        count.saturating_sub(need.part)
    }
}

/// Who needs room, and how badly.
#[derive(Clone, Copy)]
struct Need {
    /// How many slots an address may have before it has to make room for others.
    part: usize,
    /// Whether there is no slot left.
    is_full: bool,
    /// Whether the newcomer's address has fewer than that.
    is_modest: bool,
}

impl Need {
    /// Whether a connection has to go.
    fn takes(self, rest: Rest, excess: usize, now: Instant) -> bool {
        let Some(since) = rest.waits_since() else { return false };
        let is_greedy = excess > 0;
        if now.saturating_duration_since(since) < REST_SPARED {
            return self.is_full && self.is_modest && is_greedy;
        }
        // A slow one may be honest, and need not go for an address that has its share.
        let is_slow = matches!(rest, Rest::Slow(_));
        !is_slow || is_greedy || (self.is_full && self.is_modest)
    }
}

/// What counts as one client: an IPv4 address, or the IPv6 prefix that one customer gets.
fn party(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
    }
}

impl Rest {
    /// Since when it has been idle, if it is.
    fn rests_since(self) -> Option<Instant> {
        match self {
            Rest::New(since) | Rest::Since(since) => Some(since),
            Rest::Slow(_) | Rest::Busy | Rest::Closed => None,
        }
    }

    /// Since when we have been waiting for its client, if we are.
    fn waits_since(self) -> Option<Instant> {
        match self {
            Rest::New(since) | Rest::Since(since) | Rest::Slow(since) => Some(since),
            Rest::Busy | Rest::Closed => None,
        }
    }
}

impl Slot {
    /// A request has begun to come, or its answer to go out; `false` when it is too late for it.
    pub(super) fn work(&self) -> bool {
        self.turn(Rest::Slow(Instant::now()))
    }

    /// The request is whole and is answered now; `false` when it is too late for it.
    pub(super) fn answers(&self) -> bool {
        self.turn(Rest::Busy)
    }

    /// The answer has gone out, and the next request has not begun.
    pub(super) fn rest_since(&self, now: Instant) {
        self.turn(Rest::Since(now));
    }

    fn turn(&self, to: Rest) -> bool {
        let mut rest = self.rest();
        if let Rest::Closed = *rest {
            return false;
        }
        *rest = to;
        true
    }

    /// Closes it if it is ripe; `true` if it was.
    fn close_if(&self, ripe: impl FnOnce(Rest) -> bool) -> bool {
        let mut rest = self.rest();
        let closes = ripe(*rest);
        if closes {
            *rest = Rest::Closed;
            self.shut_down();
        }
        closes
    }

    fn shut_down(&self) {
        // It may be gone already.
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
        // For threads that make room, and for the end.
        self.slots.changed.notify_all();
    }
}
