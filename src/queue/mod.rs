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
mod push;
mod request;
mod row;
mod shared;
mod tail;
mod waiting;
mod writer;

use crate::config;
use crate::message::{Desk, Record, SinkName};
use crate::system::health::Health;
use crate::system::pulse::Pulse;
use crate::system::threads::{self, Failures, lock};
use board::Board;
use chatter::Chatter;
pub use claim::{Claim, Next, Terms};
pub use claims::Claims;
use crossbeam_channel::bounded;
use database::Database;
use database::file::DatabaseFile;
use database::moved;
pub use push::{DeadLetter, Error, Push, Storing, Upstream, UpstreamRow};
use push::{size, weight_of};
use request::Request;
use shared::{Place, Refused, Shared, Signing};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
pub use tail::Wanted;
pub use waiting::Ring;
use writer::Writer;

/// Most requests that wait for the queue thread. The channel takes 80 bytes for each when it is made.
const REQUESTS_MAX: usize = 256;

/// How long the stop waits for what is held to be stored.
const FLUSH_MAX: Duration = Duration::from_secs(1);

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
            board.was_counted(waiting.amount, waiting.of_sinks);
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
            reporter: Arc::default(),
            tail: Arc::default(),
            pulse: Pulse::default(),
            writer: Mutex::new(None),
        });
        let looked_at = Arc::downgrade(&shared);
        health.sinks_are_seen_by(move |sinks| {
            if let Some(shared) = looked_at.upgrade() {
                shared.show_sinks(sinks);
            }
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
            let place = Shared::place(&mut board, &push, now);
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

    /// Takes charge of a batch as a whole and returns at once: what is in it is stored in one
    /// transaction, the records with the deliveries that follow from the same things, so that
    /// after a crash neither is ahead of the other. What is perishable waits in memory all the same.
    ///
    /// # Errors
    ///
    /// Gives all of it back.
    pub fn push_whole(&self, batch: Vec<Push>) -> Result<(), Error> {
        self.push_one(batch, false)
    }

    /// As [`Queue::push_whole`]; what is held in memory is stored before it.
    ///
    /// # Errors
    ///
    /// Gives all of it back.
    pub fn push_behind_all(&self, batch: Vec<Push>) -> Result<(), Error> {
        self.push_one(batch, true)
    }

    fn push_one(&self, batch: Vec<Push>, behind_all: bool) -> Result<(), Error> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        let now = Instant::now();
        let mut board = lock(&self.0.board);
        if behind_all {
            board.end_hold(now);
        }
        if let Some(refuse) = self.0.refusal_of_whole(&board, &batch) {
            self.0.report(&board);
            return Err(refuse(batch));
        }
        let mut to_store = Vec::with_capacity(batch.len());
        for push in batch {
            match push {
                push if push.is_perishable() => Shared::keep(&mut board, push, now),
                Push::DeadLetter { letter, receipt } => {
                    to_store.extend(self.0.letter(letter, receipt, now));
                }
                push => {
                    if let Push::Delivery { delivery, .. } = &push {
                        board.expect(delivery);
                    }
                    self.0.on_the_way.fetch_add(size(&push), Ordering::AcqRel);
                    to_store.push(push);
                }
            }
        }
        self.0.report(&board);
        self.0.act(board);
        if to_store.is_empty() {
            return Ok(());
        }
        self.0.requests.send(Request::Store(to_store)).map_err(|_| Error::Closed)
    }

    /// The claims of the sink with these terms, which are asked for once. `ring` is for a session
    /// that does not block in [`Claims::wait`].
    #[must_use]
    pub fn claims(&self, terms: Terms, ring: Option<Ring>) -> Claims {
        Claims::of(Arc::clone(&self.0), terms, ring)
    }

    /// What waits for a sink, and what comes for it, does not go before this time has passed, or
    /// somebody [hurries](Queue::hurry) it.
    pub fn hold_back(&self, sink: &SinkName, time: Duration) {
        let mut board = lock(&self.0.board);
        board.hold_back(sink, time, Instant::now());
        self.0.act(board);
    }

    /// All that waits for a sink may go at once: somebody knows that it is back.
    pub fn hurry(&self, sink: &SinkName) {
        let mut board = lock(&self.0.board);
        board.hurry(Some(sink));
        self.0.act(board);
    }

    /// Messages have come from a source: they are counted.
    pub fn came(&self, source: &str, count: usize) {
        self.0.health.came(source, count);
    }

    /// Whether somebody follows what passes, so that [`Queue::tell`] is worth the trouble.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.0.tail.is_followed()
    }

    /// Tells those who follow what became of a message of a source. Nobody is waited for.
    pub fn tell(&self, source: &str, topic: &str, bytes: usize, pushes: &[Push]) {
        self.0.tail.came(source, topic, bytes, pushes);
    }

    /// Has the queue thread carry out what a person asks for, and returns what to say of it.
    ///
    /// # Errors
    ///
    /// In words: why it cannot be done, or that it takes longer than `patience`.
    pub fn ask(&self, command: admin::Command, patience: Duration) -> Result<String, String> {
        let give_up = Instant::now() + patience;
        let (tell, told) = bounded(1);
        let asked = self.0.requests.send_deadline(Request::Admin(command, tell), give_up);
        let said = asked.ok().and_then(|()| told.recv_deadline(give_up).ok());
        said.unwrap_or_else(|| Err("the queue is busy; it may still be done".to_owned()))
    }

    /// Who makes the document that `ilagent status` gets from the control socket.
    pub fn report_with(&self, report: admin::Report) {
        self.0.reporter.set(report);
    }

    /// Has the log say which sinks deliveries wait for that nobody claims for. Called once all sinks
    /// have asked for their claims.
    pub fn name_unclaimed(&self) {
        // A closed queue has nothing to deliver.
        let _ = self.0.requests.send(Request::Unclaimed);
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

    /// Stores what is held, so that its source can still acknowledge it. Returns when that is done
    /// or takes too long.
    pub fn flush(&self) {
        let (tell, told) = bounded(1);
        if self.0.requests.send(Request::Flush(tell)).is_ok() {
            // On a slow disk the source keeps it, and it comes again.
            let _ = told.recv_timeout(FLUSH_MAX);
        }
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

    /// The oldest rows that upstream's agent left in a table; they become deliveries with
    /// [`Queue::replace_upstream`].
    #[must_use]
    pub fn upstream(&self, table: Upstream) -> Vec<UpstreamRow> {
        let (tell, told) = bounded(1);
        match self.0.requests.send(Request::Upstream(table, tell)) {
            Ok(()) => told.recv().unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Stores what upstream's rows were mapped to and deletes them, in one transaction.
    pub fn replace_upstream(&self, table: Upstream, rows: Vec<String>, pushes: Vec<Push>) {
        let mut board = lock(&self.0.board);
        for push in &pushes {
            self.0.on_the_way.fetch_add(size(push), Ordering::AcqRel);
            match push {
                Push::Delivery { delivery, .. } => board.expect(delivery),
                Push::DeadLetter { letter, .. } => {
                    self.0.complain(letter, true, Instant::now());
                }
                Push::Record { .. } => {}
            }
        }
        drop(board);
        // A closed queue keeps the rows: they are converted at the next start.
        let _ = self.0.requests.send(Request::Replace(table, rows, pushes));
    }

    /// What was remembered under a key. Waits for the queue thread, so it is for the start and
    /// for rare moments.
    #[must_use]
    pub fn record(&self, scope: &str, key: &str) -> Option<String> {
        let (tell, told) = bounded(1);
        let request = Request::Record(scope.to_owned(), key.to_owned(), tell);
        self.0.requests.send(request).ok()?;
        told.recv().ok()?.pop().map(|(_, value)| value)
    }

    /// Remembers a value over restarts, or forgets it. Returns at once: it is written with the
    /// next commit, to a database that is made if there is none yet.
    pub fn remember(&self, scope: &'static str, key: &str, value: Option<String>) {
        let record = Record { scope: scope.into(), key: key.to_owned(), value };
        // A queue that is closed cannot remember, and nobody asks it any more.
        let _ = self.0.requests.send(Request::Remember(record));
    }

    /// All that was remembered in a scope, by its keys. Waits for the queue thread, so it is for
    /// the start.
    #[must_use]
    pub fn records(&self, scope: &str) -> Vec<(String, String)> {
        let (tell, told) = bounded(1);
        match self.0.requests.send(Request::Records(scope.to_owned(), tell)) {
            Ok(()) => told.recv().unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}
