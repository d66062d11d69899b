//! The rules of mappings at work: [`Shapes`] with its lock, its clock and the queue.
//!
//! A batch of a source is shaped and pushed under the lock, and so is what time lets go, so both
//! come into the queue in their order. A message that waits for others has its receipt with it:
//! its source keeps it until all of them are safe.

use super::dead;
use crate::config::{PublishRule, Rule};
use crate::mapping::shape::{Done, Made, Now, SCOPE, Shapes};
use crate::message::{Desk, Message, Receipt};
use crate::queue::{Push, Queue, Storing};
use crate::system::health::Tally;
use crate::system::stop::Stop;
use crate::system::threads::lock;
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use log::warn;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long to wait before what the queue refused is pushed again.
const AGAIN: Duration = Duration::from_millis(500);

/// How long what time lets go waits in memory for its sink, before it is stored.
const HOLD: Duration = Duration::from_secs(1);

/// For all who bring messages.
pub(super) struct Workshop {
    state: Mutex<State>,
    queue: Queue,
    bell: Sender<()>,
    rung: Receiver<()>,
}

struct State {
    shapes: Shapes,
    /// What the queue refused, of what time has let go. It goes before all that comes later.
    kept: Vec<Push>,
    /// Whose messages were refused. Time lets nothing go before they are in the queue.
    refused: Vec<Weak<dyn Desk>>,
    /// What the thread waits for.
    timer: Option<Instant>,
}

/// The workshop while a batch is in it.
pub(super) struct Bench<'w> {
    state: MutexGuard<'w, State>,
    bell: &'w Sender<()>,
}

impl Workshop {
    /// With the rules of a configuration; `None` if it has none.
    pub(super) fn new<'r>(rules: impl Iterator<Item = &'r Rule>, queue: Queue) -> Option<Self> {
        let shapes = Shapes::new(rules);
        if shapes.is_empty() {
            return None;
        }
        let (bell, rung) = bounded(1);
        let (kept, refused, timer) = (Vec::new(), Vec::new(), None);
        let state = Mutex::new(State { shapes, kept, refused, timer });
        Some(Workshop { state, queue, bell, rung })
    }

    /// Nobody else is in it until the bench is dropped. What is to go first is added to the batch.
    pub(super) fn open(&self, batch: &mut Vec<Push>) -> Bench<'_> {
        let mut state = lock(&self.state);
        batch.append(&mut state.kept);
        Bench { state, bell: &self.bell }
    }

    /// What was refused of a source is in the queue.
    pub(super) fn taken(&self, desk: &Arc<dyn Desk>) {
        let mut state = lock(&self.state);
        let before = state.refused.len();
        state.refused.retain(|it| !std::ptr::addr_eq(it.as_ptr(), Arc::as_ptr(desk)));
        if state.refused.len() < before {
            // A bell that has been rung already is heard.
            let _ = self.bell.try_send(());
        }
    }

    /// Takes over what the rules of a former configuration remember.
    pub(super) fn inherit(&self, former: Shapes) {
        lock(&self.state).shapes.inherit(former);
    }

    /// What the rules remember, which they forget.
    pub(super) fn remains(&self) -> Shapes {
        std::mem::take(&mut lock(&self.state).shapes)
    }

    pub(super) fn tallies(&self) -> Vec<Tally> {
        lock(&self.state).shapes.tallies()
    }

    /// Lets go what waited when the process was killed. Called once, before there are messages.
    pub(super) fn restore(&self) {
        let mut state = lock(&self.state);
        let records = self.queue.records(SCOPE);
        let done = state.shapes.restore(records, now());
        self.push(&mut state, done);
    }

    /// Lets go what is due, until the stop.
    pub(super) fn run(&self, stop: &Stop) {
        loop {
            let due = self.turn().map_or_else(never, after);
            select! {
                recv(stop.receiver()) -> _ => return,
                recv(self.rung) -> _ => (),
                recv(due) -> _ => (),
            }
        }
    }

    /// Lets go all that is held. Nothing is held from now on.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        let done = state.shapes.end(now());
        self.push(&mut state, done);
    }

    /// Does what is due; says for how long there is nothing else.
    fn turn(&self) -> Option<Duration> {
        let mut state = lock(&self.state);
        let now = now();
        state.refused.retain(|it| it.strong_count() > 0);
        if !state.refused.is_empty() {
            return Some(AGAIN);
        }
        let done = state.shapes.wake(now);
        if !self.push(&mut state, done) {
            return Some(AGAIN);
        }
        state.timer = state.shapes.wake_at();
        Some(state.timer?.saturating_duration_since(now.instant))
    }

    /// Pushes what has been let go, and says whether the queue has taken all of it.
    fn push(&self, state: &mut State, done: Vec<Done>) -> bool {
        let mut batch = std::mem::take(&mut state.kept);
        batch.extend(done.into_iter().filter_map(|done| push(done, Storing::Within(HOLD))));
        tell(&mut state.shapes);
        if batch.is_empty() {
            return true;
        }
        match self.queue.push(batch, None) {
            Ok(()) | Err(crate::queue::Error::Closed) => true,
            Err(crate::queue::Error::Full(batch) | crate::queue::Error::Unwritable(batch)) => {
                state.kept = batch;
                false
            }
        }
    }
}

impl Bench<'_> {
    /// The queue has refused the batch, which its source keeps.
    pub(super) fn refused(&mut self, desk: &Arc<dyn Desk>) {
        self.state.refused.push(Arc::downgrade(desk));
    }

    /// Adds what follows from a message to a batch.
    pub(super) fn shape(
        &mut self,
        rule: &Rule,
        to: &PublishRule,
        message: &Message,
        receipt: Receipt,
        storing: Storing,
        batch: &mut Vec<Push>,
    ) {
        let done = self.state.shapes.feed(to, &rule.filter, message, receipt, now());
        batch.extend(done.into_iter().filter_map(|done| push(done, storing)));
        tell(&mut self.state.shapes);
    }
}

/// Wakes the thread if something is due sooner than it thinks.
impl Drop for Bench<'_> {
    fn drop(&mut self) {
        let due = self.state.shapes.wake_at();
        let timer = self.state.timer;
        if due.is_some_and(|due| timer.is_none_or(|timer| due < timer)) {
            self.state.timer = due;
            // A bell that has been rung already is heard.
            let _ = self.bell.try_send(());
        }
    }
}

fn tell(shapes: &mut Shapes) {
    shapes.notes().iter().for_each(|note| warn!("rules: {note}"));
}

fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Now { instant: Instant::now(), millis }
}

/// What has to be pushed; nothing for what is stopped, which is signed.
fn push(done: Done, storing: Storing) -> Option<Push> {
    let Done { made, receipts } = done;
    let push = match made {
        Made::Stopped => {
            receipts.into_iter().for_each(Receipt::sign);
            return None;
        }
        Made::Deliver(delivery) => Push::Delivery { delivery, storing, receipt: None },
        Made::Store(delivery) => {
            Push::Delivery { delivery, storing: Storing::AtOnce, receipt: None }
        }
        Made::Remember(record) => Push::Record { record, receipt: None },
        Made::Dead { reason, topic, payload } => dead(reason, topic, payload),
    };
    Some(match bundle(receipts) {
        Some(receipt) => push.with_receipt(receipt),
        None => push,
    })
}

/// One receipt for several.
fn bundle(mut receipts: Vec<Receipt>) -> Option<Receipt> {
    match receipts.len() {
        0 | 1 => receipts.pop(),
        _ => Some(Receipt::new(Arc::new(Bundle(Mutex::new(receipts))), 0, 1)),
    }
}

/// Signs for all whose receipts are in it.
struct Bundle(Mutex<Vec<Receipt>>);

impl Desk for Bundle {
    fn signed(&self, _ticket: u64) {
        let receipts = std::mem::take(&mut *lock(&self.0));
        receipts.into_iter().for_each(Receipt::sign);
    }

    fn room(&self) {}

    fn is_withdrawn(&self, _ticket: u64) -> bool {
        lock(&self.0).iter().all(Receipt::is_withdrawn)
    }
}

#[cfg(test)]
#[cfg(feature = "connectware")]
mod tests {
    use super::*;
    use crate::config::{self, Burst, Shape, Step, Target};
    use crate::message::{Origin, Qos};
    use crate::system::health::Health;
    use crate::system::threads::Failures;
    use crate::topic::{Pattern, TopicTemplate};

    struct Source;

    impl Desk for Source {
        fn signed(&self, _ticket: u64) {}
        fn room(&self) {}
    }

    /// Whatever comes waits for a moment.
    fn rule() -> Rule {
        let burst = Burst { size: None, interval: Some(Duration::from_nanos(1)) };
        let shape = Shape {
            name: "s-m[0]".to_owned(),
            steps: [Step::Burst(burst)].into(),
            label: None,
            captures: Vec::new(),
        };
        let to = PublishRule {
            to: "local".to_owned(),
            topic: TopicTemplate::strict("out", &Pattern::parse("in").unwrap()).unwrap(),
            qos: None,
            retain: None,
            shape: Some(Box::new(shape)),
        };
        let to = Target::Publish(Box::new(to));
        Rule { filter: "in".to_owned(), qos: Qos::AtLeastOnce, to }
    }

    #[test]
    fn what_time_lets_go_overtakes_nothing_that_was_refused() {
        let folder = std::env::temp_dir().join(format!("ilagent-workshop-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("queue.db3");
        let settings = config::Queue { path, bytes_max: 0, ..config::Queue::default() };
        let failures = Failures(bounded(1).0);
        let queue = Queue::open(&settings, false, &Health::default(), &failures).unwrap();
        let rule = rule();
        let workshop = Workshop::new(std::iter::once(&rule), queue.clone()).unwrap();
        let desk: Arc<dyn Desk> = Arc::new(Source);
        let feed = |batch: &mut Vec<Push>| {
            let Target::Publish(to) = &rule.to else { panic!("{rule:?}") };
            let message = Message {
                topic: "in".to_owned(),
                payload: b"1".to_vec(),
                origin: Origin::Mqtt,
                qos: Qos::AtLeastOnce,
                retain: false,
                retained: false,
            };
            let receipt = Receipt::new(Arc::clone(&desk), 1, 1);
            let mut bench = workshop.open(batch);
            bench.shape(&rule, to, &message, receipt, Storing::IfRefused, batch);
            bench
        };
        let kept = || lock(&workshop.state).kept.len();
        drop(feed(&mut Vec::new()));
        assert_eq!((workshop.turn(), kept()), (None, 0), "the first is taken");
        drop(feed(&mut Vec::new()));
        assert_eq!((workshop.turn(), kept()), (Some(AGAIN), 1), "there is no room for another");
        let mut batch = Vec::new();
        feed(&mut batch).refused(&desk);
        assert_eq!((batch.len(), kept()), (1, 0), "it goes with what comes next");
        assert_eq!((workshop.turn(), kept()), (Some(AGAIN), 0), "the next waits for that");
        workshop.taken(&desk);
        assert_eq!((workshop.turn(), kept()), (Some(AGAIN), 1));
        queue.close();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
