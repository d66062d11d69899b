//! Watches points: the engine of [`alerts`](crate::alerts) with its lock, its clock and the queue.
//!
//! Points are evaluated under the lock, and what follows from them is pushed under it, too: the
//! deliveries of alerts and the records of what is remembered, in one transaction, in the order of
//! the evaluations. After a crash neither is ahead of the other. Whoever brought the points is
//! answered when that is safe.
//!
//! An alert that says again what was known (still `CRITICAL`) changes no record, so it is not
//! stored if it is delivered within `hold`; until then its points are not answered. A change of
//! level is always stored: without it nobody would know after a crash that a recovery is due.
//!
//! What was evaluated cannot be evaluated again. So what the queue refuses is kept, and nothing
//! else is evaluated until it has been taken.

mod actions;
mod brokers;
mod complaints;
mod definitions;
mod deliver;
mod ingress;
mod load;
mod reading;
mod task;
#[cfg(test)]
mod tests;

use crate::alerts::pipeline::LogLevel;
use crate::alerts::wanted::Wanted;
use crate::alerts::{Effects, Engine, Line, Point};
use crate::message::{Desk, Receipt};
use crate::queue::{self, Push, Queue};
use crate::system::plain;
use crate::system::pulse::{Part, Pulse};
use crate::system::stop::Stop;
use crate::system::threads::{self, Failures, lock};
pub use actions::{Actions, Hands, actions};
use complaints::Complaints;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
pub use definitions::{Definitions, Refusal, Safe, fits};
pub use deliver::Deliver;
use ingress::Ingress;
pub use load::check;
use log::{Level, log};
pub use reading::Reading;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{io, mem};
pub use task::Which;

/// What people call the points that come in, and the alerts that are made of them.
const SOURCE: &str = "points";
const ALERTS: &str = "alerts";

/// How long to wait before what the queue refused is pushed again.
const AGAIN: Duration = Duration::from_millis(500);

/// Makes a receipt that needs this many signatures.
pub type Receipts<'r> = dyn Fn(usize) -> Receipt + 'r;

/// What an evaluation led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing that has to be stored. No receipt was asked for.
    Nothing,
    /// Something: its receipt will be signed.
    Something,
}

/// The queue takes nothing now.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: queue::Error,
    /// Whether the points have been evaluated: then what follows from them is kept with its
    /// receipt and goes into the queue before anything else.
    pub is_evaluated: bool,
}

/// A handle for all who bring points.
pub struct Watch {
    state: Mutex<State>,
    wanted: RwLock<Arc<Wanted>>,
    queue: Queue,
    pulse: Pulse,
    bell: Sender<()>,
    rung: Receiver<()>,
}

/// What only one may change at a time.
struct State {
    engine: Engine,
    deliver: Deliver,
    complaints: Complaints,
    ingress: Ingress,
    /// What the queue refused.
    kept: Vec<Push>,
    /// Who was refused because of that.
    refused: Vec<Arc<dyn Desk>>,
    /// What the thread waits for.
    timer: Option<i64>,
}

impl State {
    /// When something is to be done though no point comes.
    fn due(&self) -> Option<i64> {
        self.engine.wake_at().into_iter().chain(self.deliver.wake_at()).min()
    }
}

/// The time, in nanoseconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// A time as RFC 3339 has it, in UTC; 0 is Go's time that never was.
fn rfc_3339(time: i64) -> String {
    if time == 0 { "0001-01-01T00:00:00Z".to_owned() } else { crate::alerts::rfc3339(time) }
}

impl Watch {
    /// Watches with an engine whose tasks are enabled already.
    #[must_use]
    pub fn new(engine: Engine, deliver: Deliver, queue: Queue) -> Arc<Self> {
        let (bell, rung) = bounded(1);
        let wanted = wanted(&engine);
        let state = State {
            engine,
            deliver,
            complaints: Complaints::default(),
            ingress: Ingress::default(),
            kept: Vec::new(),
            refused: Vec::new(),
            timer: None,
        };
        Arc::new(Watch {
            state: Mutex::new(state),
            wanted: RwLock::new(Arc::new(wanted)),
            queue,
            pulse: Pulse::default(),
            bell,
            rung,
        })
    }

    /// What the tasks read. It is asked before a line becomes a point.
    #[must_use]
    pub fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Evaluates points. If something follows from them, `receipts` is asked for a receipt, which
    /// is signed when it is safe.
    ///
    /// # Errors
    ///
    /// The queue takes nothing now, see [`Refused`]. `desk` hears of it when it does again.
    pub fn feed(
        &self,
        points: &[Point],
        receipts: Option<&Receipts<'_>>,
        desk: Option<&Arc<dyn Desk>>,
    ) -> Result<Follows, Refused> {
        let mut state = lock(&self.state);
        let refused = |state: &mut State, error, is_evaluated| {
            state.refused.extend(desk.map(Arc::clone));
            Refused { error, is_evaluated }
        };
        if let Err(error) = self.push_kept(&mut state) {
            return Err(refused(&mut state, error, false));
        }
        self.queue.came(SOURCE, points.len());
        state.ingress.count(points);
        let effects = state.engine.feed(points, now());
        let carried_out = self.carry_out(&mut state, effects, receipts);
        carried_out.map_err(|error| refused(&mut state, error, true))
    }

    /// Pushes what the queue refused once more.
    ///
    /// # Errors
    ///
    /// It refuses it again; `desk` hears of it when it does not any more.
    pub fn again(&self, desk: &Arc<dyn Desk>) -> Result<(), queue::Error> {
        let mut state = lock(&self.state);
        let pushed = self.push_kept(&mut state);
        if pushed.is_err() {
            state.refused.push(Arc::clone(desk));
        }
        pushed
    }

    /// Has tasks or handlers come and go, and carries out what follows, as after points.
    ///
    /// # Errors
    ///
    /// As [`Watch::feed`].
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Engine, &mut Deliver) -> (T, Effects),
        receipts: Option<&Receipts<'_>>,
    ) -> Result<(T, Follows), Refused> {
        let mut state = lock(&self.state);
        let refused = |error, is_evaluated| Refused { error, is_evaluated };
        self.push_kept(&mut state).map_err(|error| refused(error, false))?;
        let State { engine, deliver, .. } = &mut *state;
        let (changed, effects) = change(engine, deliver);
        let wanted = Arc::new(wanted(engine));
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = wanted;
        let follows = self.carry_out(&mut state, effects, receipts);
        follows.map(|follows| (changed, follows)).map_err(|error| refused(error, true))
    }

    /// Looks at the tasks and their handlers.
    pub fn look<T>(&self, look: impl FnOnce(&Engine, &Deliver) -> T) -> T {
        let state = lock(&self.state);
        look(&state.engine, &state.deliver)
    }

    /// Starts the thread for what does not follow from points, but from time that passes.
    ///
    /// # Errors
    ///
    /// Fails when the system has no thread left.
    pub fn start(self: &Arc<Self>, stop: &Stop, failures: &Failures) -> io::Result<Running> {
        let (watch, stop) = (Arc::clone(self), stop.clone());
        let thread = threads::spawn_vital("alerts", failures, move || {
            watch.run(&stop);
            Ok::<(), Infallible>(())
        })?;
        Ok(Running { watch: Arc::clone(self), thread })
    }

    fn run(&self, stop: &Stop) {
        loop {
            self.pulse.answer();
            let due = self.turn().map_or_else(never, after);
            select! {
                recv(stop.receiver()) -> _ => return self.last(),
                recv(self.rung) -> _ => (),
                recv(due) -> _ => (),
            }
        }
    }

    /// Stores what could wait until now.
    fn last(&self) {
        let mut state = lock(&self.state);
        let batch = state.deliver.last();
        // A queue that takes nothing does not at the end, either.
        if !batch.is_empty() && self.push_kept(&mut state).is_ok() {
            let _ = self.push(&mut state, batch);
        }
    }

    /// Does what is due; says for how long there is nothing else.
    fn turn(&self) -> Option<Duration> {
        let mut state = lock(&self.state);
        if self.push_kept(&mut state).is_err() {
            return Some(AGAIN);
        }
        let now = now();
        if state.due().is_some_and(|due| due <= now) {
            let effects = state.engine.wake(now);
            if self.carry_out(&mut state, effects, None).is_err() {
                return Some(AGAIN);
            }
        }
        state.timer = state.due();
        let left = state.timer?.saturating_sub(now);
        Some(Duration::from_nanos(u64::try_from(left).unwrap_or(0)))
    }

    /// Logs and pushes what follows from an evaluation.
    fn carry_out(
        &self,
        state: &mut State,
        mut effects: Effects,
        receipts: Option<&Receipts<'_>>,
    ) -> Result<Follows, queue::Error> {
        state.complaints.log(mem::take(&mut effects.complaints), Instant::now());
        mem::take(&mut effects.lines).iter().for_each(log_line);
        let mut batch = state.deliver.pushes(effects, now());
        self.ring_if_earlier(state);
        if batch.is_empty() {
            return Ok(Follows::Nothing);
        }
        if self.queue.is_followed() {
            self.tell(&batch);
        }
        let Some(receipts) = receipts else {
            // Nobody has it but us.
            batch.iter_mut().for_each(Push::store_at_once);
            self.push(state, batch)?;
            return Ok(Follows::Something);
        };
        let receipt = receipts(batch.len());
        batch = batch.into_iter().map(|push| push.with_receipt(receipt.clone())).collect();
        self.push(state, batch)?;
        Ok(Follows::Something)
    }

    /// Tells those who follow which alerts there are.
    fn tell(&self, batch: &[Push]) {
        for push in batch {
            if let Push::Delivery { delivery, .. } = push {
                let (topic, bytes) = (&delivery.origin, delivery.body.len());
                self.queue.tell(ALERTS, topic, bytes, std::slice::from_ref(push));
            }
        }
    }

    /// Wakes the thread if something is due sooner than it thinks.
    fn ring_if_earlier(&self, state: &mut State) {
        let due = state.due();
        if due.is_some_and(|due| state.timer.is_none_or(|timer| due < timer)) {
            state.timer = due;
            // A bell that has been rung already is heard.
            let _ = self.bell.try_send(());
        }
    }

    fn push_kept(&self, state: &mut State) -> Result<(), queue::Error> {
        if state.kept.is_empty() {
            return Ok(());
        }
        let batch = mem::take(&mut state.kept);
        self.push(state, batch)?;
        mem::take(&mut state.refused).iter().for_each(|desk| desk.room());
        Ok(())
    }

    /// Alerts that change nothing we have to remember may be delivered before they are stored.
    /// Everything else is stored in one transaction, and behind what is held: else, after a crash,
    /// the alert of a point that was not answered would come again behind those that followed it.
    fn push(&self, state: &mut State, mut batch: Vec<Push>) -> Result<(), queue::Error> {
        let pushed = if batch.iter().all(Push::may_be_held) {
            self.queue.push(batch, None)
        } else {
            batch.iter_mut().for_each(Push::store_at_once);
            self.queue.push_behind_all(batch)
        };
        pushed.map_err(|error| match error {
            queue::Error::Full(batch) => {
                state.kept = batch;
                queue::Error::Full(Vec::new())
            }
            queue::Error::Unwritable(batch) => {
                state.kept = batch;
                queue::Error::Unwritable(Vec::new())
            }
            queue::Error::Closed => queue::Error::Closed,
        })
    }
}

fn wanted(engine: &Engine) -> Wanted {
    Wanted::of(engine.tasks().map(|(_, pipeline)| pipeline))
}

fn log_line(line: &Line) {
    let level = match line.level {
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
    };
    log!(level, "alerts: {} {}: {}", line.task, line.node, plain::line(&line.words));
}

/// The thread at work.
pub struct Running {
    watch: Arc<Watch>,
    thread: JoinHandle<()>,
}

impl Running {
    /// The thread whose loop must keep turning.
    #[must_use]
    pub fn part(&self) -> Part {
        let watch = Arc::clone(&self.watch);
        // A full channel wakes it, too.
        let wake = move || {
            let _ = watch.bell.try_send(());
        };
        Part::new("alerts", (self.watch.pulse.clone(), wake))
    }

    /// Waits for its end, which comes with the stop.
    pub fn join(self) {
        if self.thread.join().is_err() {
            log::error!("alerts: its thread ended in disorder");
        }
    }
}

/// A watch of its own for tests of those who bring points.
#[cfg(test)]
pub mod testing {
    use super::{Deliver, Watch};
    use crate::alerts::pipeline::{From, Kind, Node, Pipeline};
    use crate::alerts::script::Place;
    use crate::alerts::script::ast::Dbrp;
    use crate::alerts::{Engine, Settings};
    use crate::config;
    use crate::queue::Queue;
    use crate::system::health::Health;
    use crate::system::threads::Failures;
    use crossbeam_channel::bounded;
    use std::path::PathBuf;
    use std::sync::Arc;

    /// A task that shows the last point of a measurement of `telegraf.autogen`, and its queue.
    pub struct Rig {
        /// What points are brought to.
        pub watch: Arc<Watch>,
        queue: Queue,
        folder: PathBuf,
    }

    impl Rig {
        /// With a folder of this name.
        pub fn new(name: &str, measurement: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("ilagent-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let settings = config::Queue { path: folder.join("q.db3"), ..config::Queue::default() };
            let failures = Failures(bounded(1).0);
            let queue = Queue::open(&settings, true, &Health::default(), &failures).unwrap();
            let mut engine = Engine::new(Settings::default(), []);
            engine.enable("task", task(measurement), 0);
            let watch = Watch::new(engine, Deliver::default(), queue.clone());
            Rig { watch, queue, folder }
        }

        /// The last point, as JSON.
        pub fn last(&self) -> String {
            self.watch.look(|engine, _| engine.shown("task", "last")).unwrap_or_default()
        }
    }

    impl Drop for Rig {
        fn drop(&mut self) {
            self.queue.close();
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    fn task(measurement: &str) -> Pipeline {
        let node = |name: &str, parents, kind| Node {
            name: name.to_owned(),
            place: Place::default(),
            parents,
            kind,
        };
        let from = From { measurement: Some(measurement.into()), ..From::default() };
        let dbrp = Dbrp { database: "telegraf".into(), retention_policy: "autogen".into() };
        Pipeline {
            dbrps: vec![dbrp],
            nodes: vec![
                node("stream0", Vec::new(), Kind::Stream),
                node("from1", vec![0], Kind::From(from)),
                node("http_out2", vec![1], Kind::HttpOut("last".to_owned())),
            ],
        }
    }
}
