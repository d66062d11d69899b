//! One consumer from the start to the stop.
//!
//! Rebalances are cooperative. A partition that goes waits up to two seconds for its messages that
//! are being delivered, so that its next owner does not deliver them again; what was read and not
//! handed in is dropped. Commits do not wait, except at the stop and before a partition goes. Where
//! there is no room, partitions are paused and polling goes on, so the group never gives us up.
//! Without buffer, when a message has waited and its sink has failed for five seconds, the agent
//! ends with 1; lanes that are refused alone are set aside instead.

mod end;

use super::bell::Bell;
use super::context::{Context, Told, offsets};
use super::ledger::Ledger;
use super::standing::{Remedy, Standing};
use crate::config::Cluster;
use crate::message::{Accept, Arrival, Desk, Message, Origin, Qos, Refused};
use crate::sources::hand::Hand;
use crate::system::health::Health;
use crate::system::stop::Stop;
use crate::system::threads::Failures;
use log::{debug, info, warn};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many messages may be in our hands and not safe; then reading stops. They are repeated when a
/// partition goes to another agent, so there are no more than sinks need to stay busy.
const UNSIGNED_MAX: usize = 512;

/// How many may be in our hands, counting those that wait behind one that is not safe.
const IN_HAND_MAX: usize = 16_384;

/// The size of a batch that is handed in: this many messages, or this many bytes.
const BATCH_MAX: usize = 128;
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// A consumer that may not read waits this long before its partitions are paused: a pause throws
/// away what was fetched ahead.
const FULL_PATIENCE: Duration = Duration::from_millis(500);

/// Between two commits; each is a write on the broker.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// After a commit that failed.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

/// Without buffer: when a sink that the rules lead to takes nothing for this long, the agent ends,
/// as documented.
const GIVE_UP: Duration = Duration::from_secs(5);

/// How soon we check again whether the sinks take something.
const LOOK_AT_SINK: Duration = Duration::from_millis(250);

/// The time between two checks for missing topics, and how long one may take.
const LOOK_AT_TOPICS: Duration = Duration::from_secs(10);
const LOOK_TIME: Duration = Duration::from_millis(500);

/// librdkafka leaves the group if it is not polled; this is far more often than necessary.
const POLL_AT_LEAST: Duration = Duration::from_secs(2);

/// Errors remembered of one trouble; each broker of a cluster has its own words.
const SAID_MAX: usize = 100;

/// See the module.
pub(super) struct Life {
    cluster: Cluster,
    topics: Vec<String>,
    consumer: BaseConsumer<Context>,
    bell: Arc<Bell>,
    desk: Arc<dyn Desk>,
    hand: Hand,
    health: Health,
    standing: Standing,
    /// Messages that were read and not handed in yet.
    batch: Vec<Arrival>,
    batch_bytes: usize,
    /// Why the queue takes no messages, if so.
    refused: Option<Refused>,
    /// Since when nothing may be read.
    full_since: Option<Instant>,
    paused: bool,
    /// librdkafka may have more to report and will not ring for it.
    unread: bool,
    commit_not_before: Instant,
    /// When to check which topics exist.
    look_at: Option<Instant>,
    gave_up: bool,
    /// What was logged since all was well, so that it is not repeated.
    said: HashSet<String>,
}

impl Life {
    pub(super) fn new(
        cluster: Cluster,
        consumer: BaseConsumer<Context>,
        bell: Arc<Bell>,
        hand: Hand,
        health: Health,
    ) -> Self {
        let topics: BTreeSet<&String> = cluster.rules.iter().map(|rule| &rule.filter).collect();
        Life {
            topics: topics.into_iter().cloned().collect(),
            desk: Arc::clone(&bell) as Arc<dyn Desk>,
            cluster,
            consumer,
            bell,
            hand,
            health,
            standing: Standing::default(),
            batch: Vec::new(),
            batch_bytes: 0,
            refused: None,
            full_since: None,
            paused: false,
            unread: true,
            commit_not_before: Instant::now(),
            look_at: None,
            gave_up: false,
            said: HashSet::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.cluster.name
    }

    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Reads, commits and sleeps in turn, until the stop or a fatal error.
    pub(super) fn run(mut self, stop: &Stop, failures: &Failures) -> Result<(), String> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&topics).map_err(|error| error.to_string())?;
        while !stop.is_set() {
            self.bell.pulse().answer();
            self.collect()?;
            self.read()?;
            let now = Instant::now();
            self.pause_or_resume(now);
            self.commit(now);
            self.look(now);
            self.judge(now, failures);
            if !self.unread || !self.may_read() {
                self.bell.wait(self.patience(now));
            }
        }
        self.leave();
        Ok(())
    }

    /// Takes what the bell has.
    fn collect(&mut self) -> Result<(), String> {
        self.consumer.context().collect();
        if self.bell.take_room() && self.refused.is_some() {
            let taken = self.hand.again(&self.desk);
            self.judge_taken(taken)?;
        }
        Ok(())
    }

    /// Whether there is room for another message.
    fn may_read(&self) -> bool {
        let heard = self.consumer.context().heard();
        self.refused.is_none()
            && heard.ledger.unsigned() < UNSIGNED_MAX
            && heard.ledger.in_hand() < IN_HAND_MAX
    }

    /// Polls until librdkafka has nothing more, or there is no room for it. Paused partitions bring
    /// no messages, only reports.
    fn read(&mut self) -> Result<(), String> {
        self.unread = true;
        while self.paused || self.may_read() {
            let said = self.consumer.context().heard().count;
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let arrival = enter(&message, &self.cluster, self.consumer.context());
                    self.batch_bytes += message.payload_len();
                    self.batch.push(arrival);
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    return Err(format!("the consumer cannot go on: {code}"));
                }
                // It has been reported to the context.
                Some(Err(_)) => (),
                None if self.consumer.context().heard().count != said => (),
                None => {
                    self.unread = false;
                    break;
                }
            }
            self.listen();
            if self.batch.len() >= BATCH_MAX || self.batch_bytes >= BATCH_BYTES_MAX {
                self.hand_in()?;
                self.consumer.context().collect();
            }
        }
        self.hand_in()
    }

    /// Hands in what was read; what the queue refused earlier stays first.
    fn hand_in(&mut self) -> Result<(), String> {
        if self.batch.is_empty() || self.refused.is_some() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let mut batch = mem::take(&mut self.batch);
        let mut heard = self.consumer.context().heard();
        // Partitions may have new owners since.
        batch.retain(|arrival| heard.ledger.is_ours(arrival.ticket()));
        heard.ledger.handed_in();
        drop(heard);
        let taken = self.hand.accept(batch, &self.desk);
        self.judge_taken(taken)
    }

    fn judge_taken(&mut self, taken: Result<(), Refused>) -> Result<(), String> {
        let refused = taken.err();
        if refused == Some(Refused::Closed) {
            return Err("the queue is closed".to_owned());
        }
        if refused != self.refused {
            self.refused = refused;
            match refused {
                Some(why) => warn!("kafka {}: {why}", self.cluster.name),
                None => info!("kafka {}: the queue has room: reading again", self.cluster.name),
            }
            self.report();
        }
        Ok(())
    }

    /// Deals with librdkafka's reports.
    fn listen(&mut self) {
        let told = mem::take(&mut self.consumer.context().heard().told);
        if told.is_empty() {
            return;
        }
        for told in told {
            match told {
                Told::Error(code, reason) => self.failed(code, &reason),
                Told::Statistics(json) => self.standing.statistics(&json),
                Told::Assigned => {
                    self.standing.assigned();
                    self.look_at = self.look_at.or(self.standing.lacks_topics().then(Instant::now));
                    // New partitions know nothing of the pause of the others.
                    self.set_paused(self.paused);
                }
                Told::Revoked { lost: true } => self.standing.lost(),
                Told::Revoked { lost: false } => (),
                Told::NotCommitted(why) => self.not_committed(&why),
            }
        }
        if self.standing.is_well() && !mem::take(&mut self.said).is_empty() {
            info!("kafka {}: connected, and the group is joined", self.cluster.name);
        }
        self.report();
    }

    fn failed(&mut self, code: RDKafkaErrorCode, reason: &str) {
        // The duration and the number of suppressed lines change each time.
        let words = reason.split(" (after ").next().unwrap_or(reason);
        let name = &self.cluster.name;
        match self.standing.failed(code, words) {
            Remedy::None => return,
            Remedy::Look => {
                debug!("kafka {name}: {reason}");
                self.look_at = Some(Instant::now());
                return;
            }
            Remedy::Wait => (),
        }
        if self.said.len() >= SAID_MAX {
            self.said.clear();
        }
        if code != RDKafkaErrorCode::AllBrokersDown && self.said.insert(words.to_owned()) {
            warn!("kafka {name}: {words}");
        } else {
            debug!("kafka {name}: {reason}");
        }
    }

    fn report(&self) {
        let refused = self.refused;
        self.health.consumer(&self.cluster.name, |session| self.standing.report(session, refused));
    }

    /// A queue that stays full is no reason to stop polling, which would end our membership; but no
    /// messages may come.
    fn pause_or_resume(&mut self, now: Instant) {
        if self.may_read() {
            self.full_since = None;
            let heard = self.consumer.context().heard();
            let drained = heard.ledger.unsigned() <= UNSIGNED_MAX / 2;
            drop(heard);
            if self.paused && drained {
                self.set_paused(false);
            }
            return;
        }
        let since = *self.full_since.get_or_insert(now);
        if !self.paused && FULL_PATIENCE <= now.saturating_duration_since(since) {
            self.set_paused(true);
        }
    }

    fn set_paused(&mut self, paused: bool) {
        let done = self.consumer.assignment().and_then(|partitions| match paused {
            true => self.consumer.pause(&partitions),
            false => self.consumer.resume(&partitions),
        });
        let name = &self.cluster.name;
        if let Err(error) = done {
            warn!("kafka {name}: partitions cannot be paused or resumed: {error}");
        }
        if paused != self.paused {
            debug!("kafka {name}: partitions are {}", if paused { "paused" } else { "resumed" });
            self.unread = true;
        }
        self.paused = paused;
    }

    /// Commits what is finished, without waiting for it.
    fn commit(&mut self, now: Instant) {
        if now < self.commit_not_before {
            return;
        }
        let due = self.consumer.context().heard().ledger.due();
        if due.is_empty() {
            return;
        }
        self.commit_not_before = now + COMMIT_EVERY;
        if let Err(error) = self.consumer.commit(&offsets(&due), CommitMode::Async) {
            self.not_committed(&error.to_string());
        }
    }

    fn not_committed(&mut self, why: &str) {
        info!("kafka {}: offsets are not committed, will try again: {why}", self.cluster.name);
        self.consumer.context().heard().ledger.not_committed();
        self.commit_not_before = Instant::now() + COMMIT_AGAIN;
    }

    /// Checks which of the topics exist, if there is reason to. Asking for all of them makes
    /// librdkafka subscribe to new ones.
    fn look(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.look_at = None;
        let there = match self.consumer.fetch_metadata(None, LOOK_TIME) {
            Ok(metadata) => metadata,
            Err(error) => {
                debug!("kafka {}: the topics cannot be listed: {error}", self.cluster.name);
                self.look_at = Some(now + LOOK_AT_TOPICS);
                return;
            }
        };
        let is_there = |topic: &&String| {
            let topics = there.topics().iter();
            topics.filter(|there| there.error().is_none()).any(|there| there.name() == *topic)
        };
        let missing: BTreeSet<String> =
            self.topics.iter().filter(|topic| !is_there(topic)).cloned().collect();
        if !missing.is_empty() {
            self.look_at = Some(now + LOOK_AT_TOPICS);
        }
        let (is_new, all) = (self.standing.missing(missing), !self.standing.lacks_topics());
        match is_new {
            true if all => info!("kafka {}: all topics are there", self.cluster.name),
            true => warn!("kafka {}: {}", self.cluster.name, self.standing.trouble()),
            false => (),
        }
        self.report();
    }

    /// How long to sleep if nobody rings.
    fn patience(&self, now: Instant) -> Duration {
        let due = self.consumer.context().heard().ledger.is_due();
        let until_pause = match self.full_since {
            Some(since) if !self.paused => Some(since + FULL_PATIENCE),
            _ => None,
        };
        let until = [due.then_some(self.commit_not_before), until_pause, self.look_at];
        let give_up = self
            .waiting(now)
            .filter(|_| !self.gave_up)
            .map(|waiting| GIVE_UP.saturating_sub(waiting).max(LOOK_AT_SINK));
        let waits = until.into_iter().flatten().map(|at| at.saturating_duration_since(now));
        waits.chain(give_up).fold(POLL_AT_LEAST, Duration::min)
    }
}

/// Enters a message into the ledger and turns it into an arrival for intake.
fn enter(message: &BorrowedMessage<'_>, cluster: &Cluster, context: &Context) -> Arrival {
    let (topic, name) = (message.topic().to_owned(), &cluster.name);
    let (partition, offset) = (message.partition(), message.offset());
    let bytes = message.payload_len();
    info!(
        "kafka {name}: received {bytes} bytes on {topic} (partition {partition}, offset {offset})"
    );
    let ledger: &mut Ledger = &mut context.heard().ledger;
    let ticket = ledger.arrived(&topic, partition, offset, Instant::now());
    match message.payload() {
        None => Arrival::Unreadable {
            topic,
            reason: "a message without a payload".into(),
            payload: Vec::new(),
            ticket,
        },
        Some(_) if bytes > cluster.message_bytes_max => {
            warn!("kafka {name}: a message of {bytes} bytes on {topic} is too large to take in");
            Arrival::Oversized { topic, bytes, ticket }
        }
        Some(payload) => {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            let (payload, origin) = (payload.to_vec(), Origin::Kafka { key });
            let message = Message {
                topic,
                payload,
                origin,
                qos: Qos::AtLeastOnce,
                retain: false,
                retained: false,
            };
            Arrival::Message { message, ticket }
        }
    }
}
