//! Deliveries that are safe but not yet handed over: push, claim, settle.
//!
//! One queue, two stores. *Durable* is SQLite, written by one thread that commits all requests
//! that wait in one transaction and signs their receipts after it. *Transit* is memory: its
//! receipts are signed when the delivery is settled. Sources and sinks do not know which they use.

pub mod admin;
mod board;
mod change;
mod chatter;
mod claim;
mod claims;
mod database;
mod entry;
mod row;
mod shared;
mod writer;

use crate::config;
use crate::message::{Delivery, Desk, Errand, LaneName, Receipt};
use crate::system::health::Health;
use crate::system::pulse::Pulse;
use crate::system::threads::{self, Failures};
use board::Board;
use chatter::Chatter;
pub use claim::{Claim, Next, Terms};
pub use claims::{Claims, Ring};
use crossbeam_channel::bounded;
use database::Database;
use database::file::DatabaseFile;
use database::moved;
use shared::{Place, Refused, Shared, Signing, size, weight_of};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use writer::{Request, Writer};

/// Most requests that wait for the queue thread.
const REQUESTS_MAX: usize = 1_024;

/// What a source hands in.
#[derive(Debug)]
pub enum Push {
    /// A delivery, and what its source waits for.
    Delivery {
        /// What is to be handed over.
        delivery: Delivery,
        /// When it is written to the database.
        storing: Storing,
        /// Signed once when it is safe; see [`Storing`].
        receipt: Option<Receipt>,
    },
    /// A message that can never be delivered. Some of them are kept for people, durably; all of
    /// them are told, or counted and told in sum.
    DeadLetter {
        /// What is kept.
        letter: DeadLetter,
        /// Signed once when it is stored or counted.
        receipt: Option<Receipt>,
    },
}

impl Push {
    fn is_perishable(&self) -> bool {
        matches!(self, Push::Delivery { delivery, .. } if delivery.keep.is_perishable())
    }

    /// The same, with what its source waits for.
    #[must_use]
    pub fn with_receipt(mut self, new: Receipt) -> Self {
        match &mut self {
            Push::Delivery { receipt, .. } | Push::DeadLetter { receipt, .. } => {
                *receipt = Some(new);
            }
        }
        self
    }
}

/// When a delivery is written to the database, and so when its receipt is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storing {
    /// At once; signed when the transaction that stores it has committed.
    AtOnce,
    /// Only if it is refused while the sink takes others. Until then it waits in memory and the
    /// broker still has it: it is signed when it is settled or stored.
    IfRefused,
    /// Like [`Storing::IfRefused`], for a source that would rather stop than go on while nothing
    /// is delivered: only if the sink has taken another delivery since.
    IfOthersPass,
}

/// What was given up, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why, in words.
    pub reason: String,
    /// The lane it travelled in, if it was a delivery.
    pub lane: Option<LaneName>,
    /// Its order key.
    pub order_key: Option<String>,
    /// What it asked of its sink, if it was a delivery.
    pub errand: Option<Errand>,
    /// The topic its message came on, or `http`.
    pub origin: String,
    /// The body of the delivery, or the payload of the message.
    pub body: Vec<u8>,
}

/// A raw message that an earlier version of upstream's agent left in its `mqtt_queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamMessage {
    /// The key of its row.
    pub row: String,
    /// The topic it came on.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Why the queue could not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The queue holds as much as the configuration allows; this rest of the batch was not taken.
    ///
    /// The source should stop reading. Its desk hears of [`Desk::room`] later.
    Full(Vec<Push>),
    /// The database cannot be written at present (a full disk, say), so this was not taken; what
    /// can wait in memory was.
    Unwritable(Vec<Push>),
    /// The queue has been closed.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Full(_) => f.write_str("the queue is full"),
            Error::Unwritable(_) => f.write_str("the queue's database cannot be written"),
            Error::Closed => f.write_str("the queue is closed"),
        }
    }
}

impl std::error::Error for Error {}

/// Whether what is at a path may be used as the database; looks, and changes nothing. A file that
/// is not there may belong to another machine, for which a configuration is written here.
///
/// # Errors
///
/// Says in words why not: see [`Queue::open`].
pub fn check(path: &Path) -> Result<(), String> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) => DatabaseFile::at(path).map(|_| ()),
    }
}

/// A handle to the queue; clones share it.
#[derive(Clone)]
pub struct Queue(Arc<Shared>);

impl Queue {
    /// Opens (or makes, or repairs, or converts) the database and starts the thread that owns it.
    ///
    /// With `durable` false no file is made before the first dead letter; a file that is there is
    /// opened, so that what waits in it is delivered.
    ///
    /// # Errors
    ///
    /// Says in words why the file cannot be used: another agent has it, it was written by a
    /// later version, the folder is missing or cannot be written.
    pub fn open(
        settings: &config::Queue,
        durable: bool,
        health: &Health,
        failures: &Failures,
    ) -> Result<Self, String> {
        let file = DatabaseFile::at(&settings.path)?;
        let settings = config::Queue { path: file.path().to_owned(), ..settings.clone() };
        let (requests, received) = bounded(REQUESTS_MAX);
        let mut board = Board::new();
        // Taken at the door though the file may never be needed: in the middle of its work it
        // would be too late to hear that another agent has it, or that nothing can be written.
        let door = file.lock()?;
        let database = if durable || file.is_there() || moved::has_remains(file.path()) {
            let (database, waiting) = Database::open(&settings, door)?;
            board.restore(waiting.lanes);
            board.stored = waiting.amount;
            Ok(database)
        } else {
            Err(door)
        };
        let shared = Arc::new(Shared {
            board: Mutex::new(board),
            signing: Signing::default(),
            requests,
            waiting: Mutex::default(),
            stopped: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            unwritable: AtomicBool::new(false),
            on_the_way: AtomicUsize::new(0),
            bytes_max: settings.bytes_max,
            refused: Mutex::default(),
            no_room: AtomicBool::new(false),
            chatter: Mutex::new(Chatter::new(Instant::now())),
            health: health.clone(),
            pulse: Pulse::default(),
            writer: Mutex::new(None),
        });
        let writer = Writer::new(Arc::clone(&shared), settings, database, received);
        let thread = threads::spawn_vital("queue", failures, move || writer.run())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        *lock(&shared.writer) = Some(thread);
        Ok(Queue(shared))
    }

    /// Takes charge of a batch and returns at once; receipts are signed later, see [`Storing`].
    /// Blocks for as long as a commit under way takes, at most.
    ///
    /// # Errors
    ///
    /// Gives back what was not taken: from the first that finds no room on, or what the database
    /// cannot take now. `desk` then hears of [`Desk::room`] when it is worth trying again.
    pub fn push(&self, batch: Vec<Push>, desk: Option<&Arc<dyn Desk>>) -> Result<(), Error> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        let now = Instant::now();
        let (mut to_store, mut rest) = (Vec::new(), Vec::new());
        let mut refusal: Option<fn(Vec<Push>) -> Error> = None;
        let mut full = None;
        let mut board = lock(&self.0.board);
        for push in batch {
            if full.is_some() {
                rest.push(push);
                continue;
            }
            if let Push::DeadLetter { letter, receipt } = push {
                to_store.extend(self.0.letter(letter, receipt, now));
                continue;
            }
            let place = Shared::place(&board, &push);
            match self.0.refusal(&board, &push, place) {
                Some(refuse) => {
                    let lacks = refuse(Vec::new());
                    refusal.get_or_insert(refuse);
                    full = matches!(lacks, Error::Full(_)).then(|| (weight_of(&push), place));
                    rest.push(push);
                }
                None if place == Place::Database => {
                    if let Push::Delivery { delivery, .. } = &push {
                        board.expect(delivery);
                    }
                    self.0.on_the_way.fetch_add(size(&push), Ordering::AcqRel);
                    to_store.push(push);
                }
                None => Shared::keep(&mut board, push, now),
            }
        }
        if full.is_some() {
            self.0.no_room.store(true, Ordering::Release);
        }
        self.0.report(&board);
        self.0.act(board);
        if !to_store.is_empty() {
            self.0.requests.send(Request::Store(to_store)).map_err(|_| Error::Closed)?;
        }
        let Some(refuse) = refusal else { return Ok(()) };
        let (bytes, place) = full.unwrap_or((0, Place::Database));
        let refused = desk.map(|desk| Refused { desk: Arc::clone(desk), bytes, place });
        lock(&self.0.refused).extend(refused);
        // The room may have been made between the look and the note.
        self.0.tell_of_room();
        Err(refuse(rest))
    }

    /// Ends all claims: those that wait return `None`, and so do later ones.
    pub fn stop_claims(&self) {
        let board = lock(&self.0.board);
        self.0.stopped.store(true, Ordering::Release);
        drop(board);
        lock(&self.0.waiting).iter().for_each(|(_, waiting)| waiting.wake_all());
    }

    /// Where the queue thread gives signs of life.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.0.pulse
    }

    /// Wakes it for that.
    pub fn wake(&self) {
        // A full channel wakes it, too, unless it hangs.
        let _ = self.0.requests.try_send(Request::Pulse);
    }

    /// Commits what is settled and closes the database. Called once, after the sinks have ended.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        if self.0.requests.send(Request::Close).is_ok()
            && let Some(thread) = lock(&self.0.writer).take()
            && thread.join().is_err()
        {
            log::error!("queue: its thread ended in disorder");
        }
    }

    /// Raw messages in upstream's `mqtt_queue`, in order; they become deliveries with
    /// [`Queue::replace_upstream`].
    #[must_use]
    pub fn upstream_messages(&self) -> Vec<UpstreamMessage> {
        let (tell, told) = bounded(1);
        match self.0.requests.send(Request::Upstream(tell)) {
            Ok(()) => told.recv().unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Stores what upstream's messages were mapped to and deletes their rows, in one transaction.
    pub fn replace_upstream(&self, rows: Vec<String>, pushes: Vec<Push>) {
        let mut board = lock(&self.0.board);
        for push in &pushes {
            self.0.on_the_way.fetch_add(size(push), Ordering::AcqRel);
            match push {
                Push::Delivery { delivery, .. } => board.expect(delivery),
                Push::DeadLetter { letter, .. } => {
                    self.0.complain(letter, true, Instant::now());
                }
            }
        }
        drop(board);
        // A closed queue keeps the rows: they are converted at the next start.
        let _ = self.0.requests.send(Request::Replace(rows, pushes));
    }

    /// What was remembered under a key. Waits for the queue thread, so it is for the start and
    /// for rare moments.
    #[must_use]
    pub fn record(&self, scope: &str, key: &str) -> Option<String> {
        let (tell, told) = bounded(1);
        let request = Request::Record(scope.to_owned(), key.to_owned(), tell);
        self.0.requests.send(request).ok()?;
        told.recv().ok().flatten()
    }

    /// Remembers a value over restarts, or forgets it. Returns at once: it is written with the
    /// next commit, to a database that is made if there is none yet.
    pub fn remember(&self, scope: &str, key: &str, value: Option<String>) {
        // A queue that is closed cannot remember, and nobody asks it any more.
        let _ = self.0.requests.send(Request::Remember(scope.to_owned(), key.to_owned(), value));
    }
}

/// A lock is only poisoned by a panic, and a panic ends the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
