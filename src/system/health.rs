//! What each part reports about itself: the truth behind `/ready`, the status line and the
//! heartbeat.

mod trouble;

pub use trouble::{Limits, Snapshot, Trouble};

use crate::system::plain;
use crate::system::traffic::{Latency, MINUTES, Minutes};
use crossbeam_channel::{Receiver, bounded};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The notice board. Cloning it is cheap; all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Board>>);

/// How many messages each source brought since the start, by its name.
pub type Sources = Vec<(String, u64)>;

/// Sinks by name.
pub type Sinks = Vec<(String, Sink)>;

/// Adds to sinks what only the queue knows of them.
#[derive(Clone)]
struct SeenBy(Arc<dyn Fn(&mut Sinks) + Send + Sync>);

impl fmt::Debug for SeenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeenBy")
    }
}

/// Something for people to look at; all of it is text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub title: &'static str,
    /// The heads of its columns; the first one names a row.
    pub columns: &'static [&'static str],
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
}

/// Makes such a table.
#[derive(Clone)]
struct Shows(Arc<dyn Fn() -> Table + Send + Sync>);

impl fmt::Debug for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shows")
    }
}

#[derive(Debug, Default)]
struct Board {
    stopping: bool,
    /// How many messages came from each source.
    sources: Sources,
    minutes: Minutes,
    tables: Vec<Shows>,
    sessions: Vec<(String, Session)>,
    queue: Queue,
    sinks: Sinks,
    rules: Vec<Tally>,
    seen_by: Option<SeenBy>,
    /// Those that hear of sessions and sinks that come and go.
    listeners: Vec<Listener>,
    /// When we last let sessions know that somebody is asking, and how.
    asked: Option<Instant>,
    questions: Vec<Question>,
}

/// Hears that something has come or gone.
struct Listener(Box<dyn Fn() + Send>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// Makes a session check how it is; `false` if it is gone.
struct Question(Box<dyn Fn() -> bool + Send>);

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

/// Sessions learn no more often than this that somebody is asking, because it wakes them.
const ASKED_AGAIN: Duration = Duration::from_secs(30);

/// What a session connects to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Component {
    /// An MQTT broker.
    #[default]
    Mqtt,
    /// A Kafka cluster.
    Kafka,
    /// The application of a Dapr sidecar.
    App,
}

impl Component {
    /// Its name in the log, in `/ready` and in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Component::Mqtt => "mqtt",
            Component::Kafka => "kafka",
            Component::App => "app",
        }
    }
}

/// What one session with a broker or a cluster reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// What it connects to.
    pub component: Component,
    /// MQTT: the broker accepted the connection, and it is still up. Kafka: a broker is reached. An
    /// application: it listens.
    pub connected: bool,
    /// MQTT: every subscription was granted as asked for. Kafka: the group is joined, and every
    /// topic is there. An application: what it subscribes to is known, and can be done.
    pub subscriptions_ready: bool,
    /// What is wrong at present, or empty.
    pub error: String,
    /// Since when it is connected, or not, or subscribed.
    pub since: Option<Instant>,
}

/// What the queue reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Deliveries waiting or in flight, of both stores.
    pub waiting: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// How many of them each sink has; those that never became deliveries have none.
    pub dead_letters_of_sinks: BTreeMap<String, u64>,
    /// Dead letters of deliveries that were removed to make room for others, since the start.
    pub dead_letters_lost: u64,
    /// Messages that became no delivery and were not kept as dead letters, since the start.
    pub messages_unkept: u64,
    /// Files that were moved aside and are still there, damaged ones and those found in the place
    /// of the database.
    pub put_aside: Vec<String>,
    /// When the oldest waiting delivery was pushed, as far as we know.
    pub oldest_since: Option<Instant>,
    /// The queue refuses new deliveries because it is full.
    pub full: bool,
    /// Why the database cannot be written at present, or empty.
    pub error: String,
}

/// What one sink reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sink {
    /// It only notes what others delivered, so nothing waits for it.
    pub is_journal: bool,
    /// Deliveries handed over since the start.
    pub delivered: u64,
    /// Deliveries given up since the start.
    pub given_up: u64,
    /// Attempts that ended in "later" since the start.
    pub failed_attempts: u64,
    /// When the last delivery succeeded.
    pub last_delivered: Option<Instant>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Instant>,
    /// Since when that is so, or since when it is not.
    pub since: Option<Instant>,
    /// Why the last attempt failed, or empty when the last one succeeded.
    pub error: String,
    /// When the longest-running attempt was started.
    pub oldest_attempt: Option<Instant>,
    /// When the first of those under way must have ended.
    pub attempts_end: Option<Instant>,
    /// Deliveries that wait for it or are in flight.
    pub waiting: u64,
    /// How long it has been held back, and how long until the next attempt.
    pub held_back: Option<(Duration, Duration)>,
    /// How many of its lanes are held back by themselves.
    pub lanes_held_back: usize,
    /// Dead letters of deliveries to it.
    pub dead_letters: u64,
    /// How long deliveries took, from their arrival here until it had them.
    pub latency: Latency,
}

/// What has not passed a rule. Whoever counts and whoever looks share it.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The rule, as the log names it: `uplink-up[0], rule 2`.
    pub rule: Arc<str>,
    /// How many messages went no further there, as configured, or only inside another one.
    pub stopped: Arc<AtomicU32>,
    /// With how many it could not work.
    pub failed: Arc<AtomicU32>,
}

impl Tally {
    /// Of a rule that nothing has come to yet.
    #[must_use]
    pub fn new(rule: String) -> Self {
        Tally { rule: rule.into(), stopped: Arc::default(), failed: Arc::default() }
    }

    /// How many it stopped, and with how many it could not work.
    #[must_use]
    pub fn counts(&self) -> [u32; 2] {
        [&self.stopped, &self.failed].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Health {
    /// Notes that the agent is stopping.
    pub fn stopping(&self) {
        self.board().stopping = true;
    }

    /// Changes what is known of an MQTT session, which need not be known before.
    pub fn session(&self, name: &str, change: impl FnOnce(&mut Session)) {
        self.change_session(Component::Mqtt, name, change);
    }

    /// Changes what is known of a Kafka consumer, which need not be known before.
    pub fn consumer(&self, name: &str, change: impl FnOnce(&mut Session)) {
        self.change_session(Component::Kafka, name, change);
    }

    /// Changes what is known of the application of a sidecar, which need not be known before.
    pub fn app(&self, name: &str, change: impl FnOnce(&mut Session)) {
        self.change_session(Component::App, name, change);
    }

    /// Forgets a session that ended for good while the agent goes on.
    pub fn forget(&self, component: Component, name: &str) {
        let mut board = self.board();
        board.sessions.retain(|(known, session)| known != name || session.component != component);
        board.tell();
    }

    fn change_session(&self, component: Component, name: &str, change: impl FnOnce(&mut Session)) {
        let mut board = self.board();
        let same =
            |(known, session): &(String, Session)| known == name && session.component == component;
        let at = board.sessions.iter().position(same).unwrap_or_else(|| {
            let session = Session { component, ..Session::default() };
            board.sessions.push((name.to_owned(), session));
            board.sessions.len() - 1
        });
        let session = &mut board.sessions[at].1;
        let before = (session.connected, session.subscriptions_ready);
        change(session);
        if session.since.is_none() || before != (session.connected, session.subscriptions_ready) {
            session.since = Some(Instant::now());
        }
        board.tell();
    }

    /// Calls `ask` when somebody wants to know how things are, so that a session looks more closely
    /// for a while; until it says `false`, because the session is gone.
    pub fn on_question(&self, ask: impl Fn() -> bool + Send + 'static) {
        self.board().questions.push(Question(Box::new(ask)));
    }

    /// Somebody wants to know how things are, now and probably again.
    pub fn ask(&self) {
        let mut board = self.board();
        if board.asked.is_none_or(|asked| asked.elapsed() >= ASKED_AGAIN) {
            board.asked = Some(Instant::now());
            board.questions.retain(|Question(ask)| ask());
        }
    }

    /// Messages have come from a source, which need not be known before.
    pub fn came(&self, source: &str, count: usize) {
        let mut board = self.board();
        let at = board.sources.iter().position(|(known, _)| known == source).unwrap_or_else(|| {
            board.sources.push((source.to_owned(), 0));
            board.sources.len() - 1
        });
        let known = &mut board.sources[at].1;
        *known = known.wrapping_add(count as u64);
        board.minutes.add(u32::try_from(count).unwrap_or(u32::MAX), Instant::now());
    }

    /// Has people see what does not pass rules.
    pub fn rules(&self, tallies: Vec<Tally>) {
        self.board().rules = tallies;
    }

    /// Messages by the minute in the last hour, the oldest first.
    #[must_use]
    pub fn minutes(&self, now: Instant) -> [u32; MINUTES] {
        self.board().minutes.shown(now)
    }

    /// Has people see what `table` makes, whenever they look.
    pub fn shows(&self, table: impl Fn() -> Table + Send + Sync + 'static) {
        self.board().tables.push(Shows(Arc::new(table)));
    }

    /// Gives a handle while there is another one: for what the board itself keeps.
    pub fn weak(&self) -> impl Fn() -> Option<Health> + Send + Sync + 'static {
        let board = Arc::downgrade(&self.0);
        move || board.upgrade().map(Health)
    }

    /// All tables, as they are now. They take locks of their own, so they are made without ours.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let tables = self.board().tables.clone();
        tables.iter().map(|Shows(table)| table()).collect()
    }

    /// Receives after a session has come or gone.
    #[must_use]
    pub fn changes(&self) -> Receiver<()> {
        let (tell, told) = bounded(1);
        // One pending note is enough.
        self.on_change(move || _ = tell.try_send(()));
        told
    }

    /// Calls `tell`, which does not block, after a session or a sink has come or gone.
    pub fn on_change(&self, tell: impl Fn() + Send + 'static) {
        self.board().listeners.push(Listener(Box::new(tell)));
    }

    /// Changes what is known of the queue.
    pub fn queue(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.board().queue);
    }

    /// Changes what is known of a sink, which need not be known before.
    pub fn sink(&self, name: &str, change: impl FnOnce(&mut Sink)) {
        let mut board = self.board();
        let sink = of(&mut board.sinks, name);
        let before = sink.failing_since.is_some();
        change(sink);
        if sink.since.is_none() || before != sink.failing_since.is_some() {
            sink.since = Some(Instant::now());
            board.tell();
        }
    }

    /// Has `see` add to the sinks of each snapshot what waits for them. It takes its own locks, and
    /// those who hold them may be waiting for ours, so it is called without.
    pub fn sinks_are_seen_by(&self, see: impl Fn(&mut Sinks) + Send + Sync + 'static) {
        self.board().seen_by = Some(SeenBy(Arc::new(see)));
    }

    /// All of it, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let board = self.board();
        let seen_by = board.seen_by.clone();
        let mut snapshot = Snapshot {
            stopping: board.stopping,
            sources: board.sources.clone(),
            sessions: board.sessions.clone(),
            queue: board.queue.clone(),
            sinks: board.sinks.clone(),
            rules: board.rules.clone(),
        };
        drop(board);
        if let Some(SeenBy(see)) = seen_by {
            see(&mut snapshot.sinks);
        }
        for (name, count) in &snapshot.queue.dead_letters_of_sinks {
            of(&mut snapshot.sinks, name).dead_letters = *count;
        }
        // Brokers, servers and resolvers chose some of these words, and people will read them.
        fit(&mut snapshot.queue.error);
        snapshot.sessions.iter_mut().for_each(|(_, session)| fit(&mut session.error));
        snapshot.sinks.iter_mut().for_each(|(_, sink)| fit(&mut sink.error));
        snapshot
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn tell(&self) {
        self.listeners.iter().for_each(|Listener(tell)| tell());
    }
}

/// The sink of a name, which need not be known before.
pub fn of<'a>(sinks: &'a mut Sinks, name: &str) -> &'a mut Sink {
    let at = sinks.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
        sinks.push((name.to_owned(), Sink::default()));
        sinks.len() - 1
    });
    &mut sinks[at].1
}

fn fit(words: &mut String) {
    if let Cow::Owned(fitting) = plain::line(words) {
        *words = fitting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { age_max: Duration::from_secs(600) };

    fn trouble_at(health: &Health, later: u64) -> Option<Trouble> {
        health.snapshot().trouble(Instant::now() + Duration::from_secs(later), LIMITS)
    }

    #[test]
    fn a_session_is_ready_when_connected_with_all_subscriptions() {
        let health = Health::default();
        assert_eq!(trouble_at(&health, 0), None);
        health.session("plant", |session| session.connected = true);
        assert!(
            matches!(trouble_at(&health, 0), Some(Trouble::Session(name, _)) if name == "plant")
        );
        health.session("plant", |session| session.subscriptions_ready = true);
        assert_eq!(trouble_at(&health, 0), None);
    }

    #[test]
    fn an_old_delivery_and_a_stuck_attempt_are_trouble() {
        let health = Health::default();
        health.queue(|queue| queue.oldest_since = Some(Instant::now()));
        assert_eq!(trouble_at(&health, 599), None);
        assert!(matches!(trouble_at(&health, 602), Some(Trouble::Queue(_))));
        health.queue(|queue| queue.oldest_since = None);
        health.sink("ilert", |sink| {
            let now = Instant::now();
            (sink.oldest_attempt, sink.attempts_end) = (Some(now), Some(now + LIMITS.age_max));
        });
        assert_eq!(trouble_at(&health, 609), None, "as long as it may");
        let what = "an attempt has been running for 612 s".to_owned();
        assert_eq!(trouble_at(&health, 612), Some(Trouble::Sink("ilert".to_owned(), what)));
    }

    #[test]
    fn stopping_comes_first() {
        let health = Health::default();
        health.session("plant", |_| ());
        health.stopping();
        assert_eq!(trouble_at(&health, 0), Some(Trouble::Stopping));
    }
}
