//! What sources, sinks and the queue thread share: the board, room, and what follows from both.

use crate::message::{Desk, Receipt};
use crate::queue::admin::control::Reporter;
use crate::queue::board::{Board, SinkId};
use crate::queue::chatter::{Chatter, Verdict};
use crate::queue::claim::Next;
use crate::queue::push::{DeadLetter, Error, Push, weight_of};
use crate::queue::request::Request;
use crate::queue::tail::Tail;
use crate::queue::waiting::Waiting;
use crate::system::health::{self, Health};
use crate::system::plain::plain;
use crate::system::pulse::Pulse;
use crate::system::threads::lock;
use crossbeam_channel::Sender;
use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

/// Most bytes of deliveries on their way to the database; beyond it sources have to wait.
const ON_THE_WAY_MAX: usize = 4 * 1024 * 1024;

/// What sources, workers and the queue thread share.
pub(super) struct Shared {
    pub(super) board: Mutex<Board>,
    pub(super) signing: Signing,
    pub(super) requests: Sender<Request>,
    /// Where each sink waits for something to claim.
    pub(super) waiting: Mutex<Vec<(SinkId, Arc<Waiting>)>>,
    /// Claims are over: the agent ends.
    pub(super) stopped: AtomicBool,
    pub(super) closed: AtomicBool,
    /// The database cannot be written at present.
    pub(super) unwritable: AtomicBool,
    /// Bytes of deliveries on their way to the database.
    pub(super) on_the_way: AtomicUsize,
    pub(super) bytes_max: u64,
    /// Sources that were refused and want to know when there is room.
    pub(super) refused: Mutex<Vec<Refused>>,
    /// There was no room, and no source has heard of room since.
    pub(super) no_room: AtomicBool,
    /// Messages that can never be delivered.
    pub(super) chatter: Mutex<Chatter>,
    pub(super) health: Health,
    pub(super) reporter: Arc<Reporter>,
    /// The readers of `ilagent tail`.
    pub(super) tail: Arc<Tail>,
    pub(super) pulse: Pulse,
    pub(super) writer: Mutex<Option<JoinHandle<()>>>,
}

/// Receipts are signed in the order in which the board handed them in, and without the board: a
/// signature wakes its source, which needs the board for what it does next.
#[derive(Default)]
pub(super) struct Signing {
    /// Handed in, not signed yet. Taken with the board held.
    due: Mutex<Vec<Receipt>>,
    /// Held by the thread that signs. Never waited for with the board held.
    turn: Mutex<()>,
}

impl Signing {
    fn hand_in(&self, receipts: Vec<Receipt>) {
        lock(&self.due).extend(receipts);
    }

    /// Signs all that is due. What the caller handed in is signed when it returns.
    fn sign(&self) {
        let _turn = lock(&self.turn);
        let due = mem::take(&mut *lock(&self.due));
        due.into_iter().for_each(Receipt::sign);
    }
}

/// A source that was refused.
pub(super) struct Refused {
    pub(super) desk: Arc<dyn Desk>,
    /// What has to fit before it is worth trying again.
    pub(super) bytes: u64,
    pub(super) place: Place,
}

/// Where a push waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Memory,
    Database,
}

impl Shared {
    /// Has a message that can never be delivered stored, if it is to be kept. One that is not is
    /// done with: it holds up nobody, however many come and whether there is a database or not.
    pub(super) fn letter(
        &self,
        letter: DeadLetter,
        receipt: Option<Receipt>,
        now: Instant,
    ) -> Option<Push> {
        let can_be_kept = !self.unwritable.load(Ordering::Acquire)
            && self.on_the_way.load(Ordering::Acquire) < ON_THE_WAY_MAX;
        let verdict = self.complain(&letter, can_be_kept, now);
        if !verdict.keep {
            receipt.into_iter().for_each(Receipt::sign);
            return None;
        }
        self.on_the_way.fetch_add(letter.body.len(), Ordering::AcqRel);
        Some(Push::DeadLetter { letter, receipt })
    }

    /// Says or counts that a message can never be delivered.
    pub(super) fn complain(&self, letter: &DeadLetter, can_be_kept: bool, now: Instant) -> Verdict {
        let (origin, reason) = (&letter.origin, &letter.reason);
        let mut chatter = lock(&self.chatter);
        let due = chatter.due();
        let verdict = chatter.note(origin, reason, letter.body.len(), can_be_kept, now);
        let (unkept, first) = (chatter.unkept(), due.is_none() && chatter.due().is_some());
        drop(chatter);
        if verdict.tell {
            let what = if verdict.keep { "a dead letter" } else { "a message that is not kept" };
            log::warn!("queue: {what} from {}: {}", plain(origin), plain(reason));
        }
        // The queue thread logs the sum.
        self.nudge(first);
        self.health.queue(|queue| queue.messages_unkept = unkept);
        verdict
    }

    pub(super) fn place(board: &mut Board, push: &Push, now: Instant) -> Place {
        match push {
            push if push.is_perishable() => Place::Memory,
            Push::Delivery { delivery, storing, .. }
                if !board.needs_storing(delivery, *storing, now) =>
            {
                Place::Memory
            }
            Push::Delivery { .. } | Push::DeadLetter { .. } | Push::Record { .. } => {
                Place::Database
            }
        }
    }

    /// Why a push cannot be taken now, if it cannot.
    pub(super) fn refusal(
        &self,
        board: &Board,
        push: &Push,
        place: Place,
    ) -> Option<fn(Vec<Push>) -> Error> {
        if place == Place::Database && self.unwritable.load(Ordering::Acquire) {
            return Some(Error::Unwritable);
        }
        if let Push::Delivery { delivery, .. } = push
            && !board.has_number_for(&delivery.lane)
        {
            log::error!("queue: there are too many integration keys");
            return Some(Error::Full);
        }
        let fits = push.is_perishable() || self.has_room(board, weight_of(push), place);
        (!fits).then_some(Error::Full as fn(Vec<Push>) -> Error)
    }

    /// Why a batch cannot be taken as a whole now, if it cannot.
    pub(super) fn refusal_of_whole(
        &self,
        board: &Board,
        batch: &[Push],
    ) -> Option<fn(Vec<Push>) -> Error> {
        let stored = |push: &&Push| !push.is_perishable();
        let bytes = batch.iter().filter(stored).map(weight_of).sum();
        if !self.has_room(board, bytes, Place::Database) {
            self.no_room.store(true, Ordering::Release);
            return Some(Error::Full);
        }
        batch.iter().find_map(|push| {
            let place = if push.is_perishable() { Place::Memory } else { Place::Database };
            self.refusal(board, push, place)
        })
    }

    /// Whether there is room for this many more bytes. A delivery larger than all the room must
    /// pass, too: it is taken when nothing else is there.
    pub(super) fn has_room(&self, board: &Board, bytes: u64, place: Place) -> bool {
        if place == Place::Memory {
            return board.transit_has_room(bytes);
        }
        let on_the_way = self.on_the_way.load(Ordering::Acquire) as u64;
        let used = board.stored.bytes + on_the_way;
        let fits = |used: u64, most: u64| used == 0 || used + bytes <= most;
        fits(used, self.bytes_max) && fits(on_the_way, ON_THE_WAY_MAX as u64)
    }

    /// Keeps a delivery in memory.
    pub(super) fn keep(board: &mut Board, push: Push, now: Instant) {
        if let Push::Delivery { delivery, storing, receipt } = push {
            board.add_transit(delivery, storing, receipt, now);
        }
    }

    pub(super) fn next(&self, board: &mut Board, sink: SinkId, now: Instant) -> Next {
        if self.stopped.load(Ordering::Acquire) { Next::Over } else { board.claim(sink, now) }
    }

    /// Lets go of the board and does what follows from what happened on it.
    pub(super) fn act(&self, mut board: MutexGuard<'_, Board>) {
        let (effects, nudge) = (board.take_effects(), board.wants_nudge());
        let arriving = usize::try_from(effects.arriving).unwrap_or(usize::MAX);
        self.on_the_way.fetch_add(arriving, Ordering::AcqRel);
        let signs = !effects.receipts.is_empty();
        if signs {
            self.signing.hand_in(effects.receipts);
        }
        drop(board);
        if signs {
            self.signing.sign();
        }
        for warning in effects.warnings {
            log::warn!("queue: {warning}");
        }
        self.call(&effects.calls);
        self.nudge(nudge);
    }

    /// Wakes the sinks that may find something to claim, and no others.
    pub(super) fn call(&self, sinks: &BTreeSet<SinkId>) {
        if sinks.is_empty() {
            return;
        }
        let waiting = lock(&self.waiting);
        waiting.iter().filter(|(id, _)| sinks.contains(id)).for_each(|(_, waiting)| waiting.wake());
    }

    /// Wakes the queue thread if the board has work for it. When it has other requests it looks
    /// there, too.
    pub(super) fn nudge(&self, wanted: bool) {
        if wanted {
            let _ = self.requests.try_send(Request::Pulse);
        }
    }

    /// Tells refused sources to try again, once there is room.
    pub(super) fn tell_of_room(&self) {
        if self.unwritable.load(Ordering::Acquire) {
            return;
        }
        let mut refused = lock(&self.refused);
        if refused.is_empty() && !self.no_room.load(Ordering::Acquire) {
            return;
        }
        let board = lock(&self.board);
        let on_the_way = self.on_the_way.load(Ordering::Acquire);
        let used = board.stored.bytes + on_the_way as u64;
        // Not for every single delivery that leaves a full queue.
        let low = used < self.bytes_max / 10 * 9 && on_the_way < ON_THE_WAY_MAX / 2;
        let worth = |place: Place| place == Place::Memory || low || used == 0;
        let (told, left) = mem::take(&mut *refused).into_iter().partition(|one: &Refused| {
            worth(one.place) && self.has_room(&board, one.bytes, one.place)
        });
        *refused = left;
        if refused.is_empty() && low && board.transit_has_room(1) {
            self.no_room.store(false, Ordering::Release);
            self.report(&board);
        }
        drop(board);
        drop(refused);
        told.into_iter().for_each(|one| one.desk.room());
    }

    /// Adds to the sinks of the health board how they stand in the queue.
    pub(super) fn show_sinks(&self, sinks: &mut health::Sinks) {
        for one in lock(&self.board).standings(Instant::now()) {
            let sink = health::of(sinks, one.name.as_str());
            sink.waiting = one.waiting;
            sink.held_back = one.closed;
            sink.lanes_held_back = one.lanes_closed;
        }
    }

    /// Updates what a push or a settlement can change on the health board.
    pub(super) fn report(&self, board: &Board) {
        let (stored, transit, oldest) = (board.stored, board.transit, board.oldest());
        let (bytes_max, no_room) = (self.bytes_max, self.no_room.load(Ordering::Acquire));
        self.health.queue(|queue| {
            queue.waiting = stored.count + transit.count;
            queue.bytes = stored.bytes + transit.bytes;
            queue.oldest_since = oldest;
            queue.full = no_room || stored.bytes >= bytes_max;
        });
    }
}
