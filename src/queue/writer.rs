//! The queue thread: it owns the database, and every request that waits goes into one commit.

mod asked;
mod repair;

use crate::config;
use crate::message::LaneName;
use crate::queue::admin::control;
use crate::queue::admin::work::Work;
use crate::queue::change::{Buried, Change, Fate};
use crate::queue::database::Database;
use crate::queue::database::dead_letters::Gone;
use crate::queue::database::file::Lock;
use crate::queue::database::store::Read;
use crate::queue::database::write::write_all;
use crate::queue::push::{Push, size};
use crate::queue::request::Request;
use crate::queue::row::weight_of_record;
use crate::queue::shared::Shared;
use crate::retry::Backoff;
use crate::system::plain::plain;
use crate::system::threads::lock;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use repair::{NotPutBack, Trouble};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Most requests in one commit.
const REQUESTS_IN_COMMIT_MAX: usize = 1_024;

/// Most bytes of new deliveries in one commit.
const BYTES_IN_COMMIT_MAX: usize = 256 * 1024;

/// Settlements wait for the commit of the next push: this many of them, for this long at most. A
/// crash in between repeats them like deliveries in flight.
const SETTLED_MAX: usize = 16;
const SETTLED_FOR: Duration = Duration::from_millis(2);

/// How long to wait before a database that could not be written is tried again.
const REWRITE: Backoff =
    Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

pub(super) struct Writer {
    shared: Arc<Shared>,
    settings: config::Queue,
    database: Option<Database>,
    control: Option<control::Socket>,
    /// The lock on a database that is not open yet.
    door: Option<Lock>,
    received: Receiver<Request>,
    /// Not committed yet.
    changes: Vec<Change>,
    /// Lanes to be read on.
    reads: BTreeSet<u32>,
    failures: u32,
    /// There is no database to remember in, and none is made for that.
    forgetful: bool,
    /// The database must be opened again before it is used.
    reopen: bool,
    /// Committed to a file that is not where the next start looks for it.
    misplaced: Vec<Change>,
    /// Why the file could not be put back, if that was tried.
    put_back: Option<NotPutBack>,
    /// Until when settlements may wait for a push.
    settled_until: Option<Instant>,
    /// Callers that wait until what was held is committed.
    flushed: Vec<Sender<()>>,
    /// What people asked for, a piece at a time, and where the answer goes.
    sweeps: VecDeque<(Work, Sender<Result<String, String>>)>,
    /// A piece of the first of these is in `changes`: whether another may follow, or what is wrong.
    piece: Option<Result<bool, String>>,
    started: Instant,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        settings: config::Queue,
        database: Result<Database, Lock>,
        received: Receiver<Request>,
    ) -> Self {
        let (database, door) = match database {
            Ok(database) => (Some(database), None),
            Err(door) => (None, Some(door)),
        };
        let reads = lock(&shared.board).lanes_to_read();
        let changes = Vec::new();
        let mut writer = Writer {
            shared,
            settings,
            database,
            control: None,
            door,
            received,
            changes,
            reads,
            failures: 0,
            forgetful: false,
            reopen: false,
            misplaced: Vec::new(),
            put_back: None,
            settled_until: None,
            flushed: Vec::new(),
            sweeps: VecDeque::new(),
            piece: None,
            started: Instant::now(),
        };
        if writer.database.is_some() {
            writer.listen();
        }
        writer
    }

    /// Serves requests until it is asked to close.
    ///
    /// An error means that the database was found damaged while it was in use; it has been moved
    /// aside, and a restart begins with an empty one.
    pub(super) fn run(mut self) -> Result<(), String> {
        if let Some(what) = self.database.as_mut().and_then(|database| database.trouble.take()) {
            self.trouble(&Trouble { what, damaged: false })?;
        }
        self.read_on()?;
        self.report();
        loop {
            self.shared.pulse.answer();
            self.begin_piece();
            let closing = self.collect();
            self.end_hold();
            self.tell_of_chatter(closing);
            if !closing && self.hold_back() {
                self.read_on()?;
                continue;
            }
            self.settled_until = None;
            self.commit()?;
            // A caller whose patience is over has hung up.
            for answer in self.flushed.drain(..) {
                let _ = answer.send(());
            }
            self.end_piece();
            self.read_on()?;
            self.report();
            self.shared.tell_of_room();
            if closing {
                // What was settled while its copy was on its way to the database.
                self.empty_outbox();
                self.commit()?;
                self.close();
                return Ok(());
            }
        }
    }

    /// Waits for a request and takes all others that wait too; says whether it is the last.
    fn collect(&mut self) -> bool {
        let due = lock(&self.shared.chatter).due();
        let held = lock(&self.shared.board).set_timer();
        let until = self.settled_until.into_iter().chain(due).chain(held).min();
        let first = match (self.failures, until) {
            _ if !self.sweeps.is_empty() => self.received.recv_timeout(Duration::ZERO),
            (0, None) => self.received.recv().map_err(|_| RecvTimeoutError::Disconnected),
            (0, Some(until)) => self.received.recv_deadline(until),
            (failures, _) => match &self.put_back {
                Some(failed) => self.received.recv_deadline(failed.again),
                None => self.received.recv_timeout(REWRITE.wait_after(failures, 1.0)),
            },
        };
        let mut taken = match first {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        };
        let mut bytes_taken = 0;
        for _ in 0..REQUESTS_IN_COMMIT_MAX {
            // What happened on the board before something was pushed is written before it.
            self.empty_outbox();
            match taken {
                Request::Close => return true,
                Request::Store(batch) => bytes_taken += self.store_batch(batch),
                Request::Admin(command, answer) => self.admin(&command, answer),
                Request::Flush(answer) => self.flush(answer),
                Request::Unclaimed => self.name_unclaimed(),
                Request::Pulse => {}
                Request::Upstream(table, answer) => self.upstream(table, &answer),
                Request::Record(scope, key, answer) => {
                    let value = self.record(&scope, &key);
                    let _ = answer.send(value.map(|value| (key, value)).into_iter().collect());
                }
                Request::Records(scope, answer) => {
                    let _ = answer.send(self.records(&scope));
                }
                Request::Remember(record) => self.remember(record),
                Request::Replace(table, rows, batch) => {
                    bytes_taken += self.store_batch(batch);
                    self.changes.push(Change::ForgetUpstream(table, rows));
                }
            }
            if bytes_taken >= BYTES_IN_COMMIT_MAX {
                break;
            }
            match self.received.try_recv() {
                Ok(next) => taken = next,
                Err(_) => break,
            }
        }
        false
    }

    /// Whether what is there to commit may wait for the next push.
    fn hold_back(&mut self) -> bool {
        let now_or_never = self.failures > 0 || !self.sweeps.is_empty();
        if self.changes.is_empty() || self.changes.len() >= SETTLED_MAX || now_or_never {
            return false;
        }
        let settled = |change: &Change| {
            matches!(change, Change::Delete(_) | Change::Attempts(..) | Change::Sign(_))
        };
        if !self.changes.iter().all(settled) {
            return false;
        }
        let now = Instant::now();
        now < *self.settled_until.get_or_insert(now + SETTLED_FOR)
    }

    /// Stores what is held if its time is over.
    fn end_hold(&mut self) {
        lock(&self.shared.board).end_hold_if_due(Instant::now());
        self.empty_outbox();
    }

    fn flush(&mut self, answer: Sender<()>) {
        lock(&self.shared.board).end_hold(Instant::now());
        self.empty_outbox();
        self.flushed.push(answer);
    }

    fn empty_outbox(&mut self) {
        let outbox = lock(&self.shared.board).take_outbox();
        self.changes.extend(outbox.changes);
        self.reads.extend(outbox.reads);
    }

    fn store_batch(&mut self, batch: Vec<Push>) -> usize {
        let bytes = batch.iter().map(size).sum();
        let mut board = lock(&self.shared.board);
        for push in batch {
            match push {
                Push::Delivery { delivery, storing, receipt } => {
                    board.insert(delivery, storing, receipt, &mut self.changes);
                }
                Push::DeadLetter { letter, receipt } => {
                    self.changes.push(Change::Bury(Buried::Message, letter, receipt));
                }
                Push::Record { record, receipt } => {
                    let bytes = weight_of_record(&record);
                    self.changes.push(Change::Store(record, bytes, receipt));
                }
            }
        }
        bytes
    }

    /// Writes all changes in one transaction, and does what follows from them.
    fn commit(&mut self) -> Result<(), String> {
        if let Err(trouble) = self.keep_in_place() {
            return self.trouble(&trouble);
        }
        if self.failures == 0 && self.changes.is_empty() {
            return Ok(());
        }
        let written = match self.failures {
            0 => self.write(),
            _ => self.look_again().and_then(|()| self.make_room()).and_then(|()| self.write()),
        };
        match written {
            Ok(fate) => {
                if let Err(trouble) = self.keep_in_place() {
                    self.misplaced.append(&mut self.changes);
                    return self.trouble(&trouble);
                }
                self.publish(fate);
                self.works_again()
            }
            Err(trouble) if self.can_do_without() => {
                log::warn!(
                    "queue: {} cannot be used ({}); what is known of MQTT sessions is not \
                     remembered, nothing else needs it yet",
                    self.settings.path.display(),
                    trouble.what
                );
                self.changes.clear();
                self.forgetful = true;
                Ok(())
            }
            Err(trouble) => self.trouble(&trouble),
        }
    }

    fn write(&mut self) -> Result<Fate, Trouble> {
        if self.database.is_none() {
            let mut database = self.open()?;
            let trouble = database.trouble.take();
            self.database = Some(database);
            self.listen();
            if let Some(what) = trouble {
                return Err(Trouble { what, damaged: false });
            }
        }
        let store = &mut self.database.as_mut().expect("it was opened").store;
        let written = write_all(store, &self.changes);
        if written.is_err() {
            store.rollback();
        }
        Ok(written?)
    }

    /// What follows from a commit: the board knows, workers wake, receipts are signed.
    fn publish(&mut self, fate: Fate) {
        let mut changes = std::mem::take(&mut self.misplaced);
        changes.append(&mut self.changes);
        for change in &changes {
            if let Change::Bury(Buried::Row(_) | Buried::Memory, letter, _) = change {
                let origin = plain(&letter.origin);
                log::warn!("queue: a dead letter from {origin}: {}", letter.reason);
            }
        }
        self.tell_of_lost_letters();
        let mut board = lock(&self.shared.board);
        let arrived = board.committed(changes, fate, Instant::now());
        self.shared.act(board);
        let arrived = usize::try_from(arrived).unwrap_or(usize::MAX);
        self.shared.on_the_way.fetch_sub(arrived, Ordering::AcqRel);
    }

    /// A dead letter is kept for somebody who may still save it, so one that had to go is reported.
    fn tell_of_lost_letters(&mut self) {
        let Some(database) = &mut self.database else { return };
        let letters = &mut database.store.letters;
        if let Some(Gone { count, first, last, reason }) = letters.gone.take() {
            letters.lost += count;
            log::error!(
                "queue: too many dead letters: {count} had to go, d{first} to d{last}, the last of \
                 them: {}",
                plain(&reason)
            );
        }
    }

    /// Tells of messages that were only counted, when it is time.
    fn tell_of_chatter(&mut self, at_once: bool) {
        let now = Instant::now();
        let mut chatter = lock(&self.shared.chatter);
        let is_time = at_once || chatter.due().is_some_and(|due| due <= now);
        if is_time && let Some(sum) = chatter.sum(now) {
            log::warn!("queue: {sum}");
        }
    }

    /// Reads lanes on whose entries on the board run low.
    fn read_on(&mut self) -> Result<(), String> {
        while let Some(number) = self.reads.first().copied() {
            let wanted = {
                let board = lock(&self.shared.board);
                board.to_read(number).zip(board.name(number))
            };
            if let Some(((from, limit), name)) = wanted
                && let Some(database) = &self.database
            {
                match database.store.read(number, &name, from, limit) {
                    Ok(read) => self.add_read(number, &name, read)?,
                    Err(error) => return self.trouble(&Trouble::from(error)),
                }
            }
            self.reads.remove(&number);
        }
        Ok(())
    }

    fn add_read(&mut self, number: u32, name: &LaneName, read: Read) -> Result<(), String> {
        let mut board = lock(&self.shared.board);
        board.add_read(number, read.rows, read.next, self.started);
        board.are_damaged(number, read.damaged.len() as u64);
        self.shared.act(board);
        if read.damaged.is_empty() {
            return Ok(());
        }
        log::error!(
            "queue: {} deliveries of {name} are damaged and are not delivered; `ilagent queue \
             list` shows them among the dead letters",
            read.damaged.len()
        );
        let put_away = |(row, why)| Change::PutAway(row, why);
        self.changes.extend(read.damaged.into_iter().map(put_away));
        self.commit()
    }

    fn report(&mut self) {
        self.shared.report(&lock(&self.shared.board));
        let Some(database) = &mut self.database else { return };
        database.aside.retain(|file| file.symlink_metadata().is_ok());
        let (aside, letters) = (&database.aside, &database.store.letters);
        self.shared.health.queue(|queue| {
            if aside.len() != queue.put_aside.len() {
                queue.put_aside = aside.iter().map(|file| file.display().to_string()).collect();
            }
            queue.dead_letters = letters.count;
            queue.dead_letters_lost = letters.lost;
            if letters.of_sinks != queue.dead_letters_of_sinks {
                queue.dead_letters_of_sinks.clone_from(&letters.of_sinks);
            }
        });
    }

    fn close(&mut self) {
        if let Some(database) = self.database.take() {
            if !self.changes.is_empty() {
                log::error!(
                    "queue: {} changes could not be written; deliveries may be repeated",
                    self.changes.len()
                );
            }
            if !database.store.is_in_place() {
                log::error!(
                    "queue: {} was deleted or replaced and could not be put back: what waited in it \
                     is lost",
                    self.settings.path.display()
                );
            }
            database.store.checkpoint();
        }
        if let Some(control) = self.control.take() {
            control.close();
        }
    }
}
