//! What librdkafka reports while it is polled.

use super::bell::Bell;
use super::ledger::{Ledger, Position};
use log::{debug, info, warn};
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a bearer token is used before its file is read again, which costs little. librdkafka
/// asks for it when four fifths of this time are over.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// How long partitions that go wait for their messages that are being delivered: their next owner
/// would deliver those once more.
const GOODBYE: Duration = Duration::from_secs(2);

/// The facility of librdkafka's warnings about settings that contradict each other.
const SETTINGS_WARNING: &str = "CONFWARN";

/// The facility of failed commits that nobody waits for. librdkafka reports them in the log only.
const COMMIT_FAILED: &str = "COMMITFAIL";

/// Something that librdkafka reported.
#[derive(Debug)]
pub(super) enum Told {
    /// An error of any kind, with its words.
    Error(RDKafkaErrorCode, String),
    /// Partitions were assigned: the group is joined.
    Assigned,
    /// Partitions went to others; or all of them are lost, because the group gave us up.
    Revoked { lost: bool },
    /// A commit failed, maybe one of many partitions.
    NotCommitted(String),
    /// How brokers and group are, as JSON.
    Statistics(Vec<u8>),
}

/// Hears librdkafka's reports; shared with the loop that polls it.
pub(super) struct Context {
    name: String,
    bell: Arc<Bell>,
    token: Option<PathBuf>,
    heard: Mutex<Heard>,
}

/// Reports that are not dealt with yet.
#[derive(Default)]
pub(super) struct Heard {
    /// A partition that is revoked has to be committed before it goes, so this is its place.
    pub(super) ledger: Ledger,
    pub(super) told: Vec<Told>,
    /// How many reports there were.
    pub(super) count: usize,
    /// The consumer is being closed, and its offsets have been committed.
    pub(super) closing: bool,
}

impl Context {
    pub(super) fn new(name: String, bell: Arc<Bell>, token: Option<PathBuf>) -> Self {
        Context { name, bell, token, heard: Mutex::default() }
    }

    /// Never held while librdkafka is polled.
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the signatures that have arrived.
    pub(super) fn collect(&self) {
        let signed = self.bell.take_signed();
        let mut heard = self.heard();
        signed.into_iter().for_each(|ticket| heard.ledger.signed(ticket));
    }

    fn hear(&self, told: Option<Told>) {
        let mut heard = self.heard();
        heard.count = heard.count.wrapping_add(1);
        heard.told.extend(told);
    }

    /// Waits until what intake has of partitions is safe, for a bounded time.
    fn finish(&self, partitions: &TopicPartitionList) {
        let until = Instant::now() + GOODBYE;
        loop {
            let heard = self.heard();
            let elements = partitions.elements();
            let names = elements.iter().map(|element| (element.topic(), element.partition()));
            let under_way = heard.ledger.under_way(names);
            let closing = heard.closing;
            drop(heard);
            let left = until.saturating_duration_since(Instant::now());
            if under_way == 0 || closing || left.is_zero() {
                break;
            }
            self.bell.wait(left);
            self.collect();
        }
        // Whatever else arrived meanwhile is for the loop.
        self.bell.ring();
    }

    /// Before partitions go: finishes and commits what is being delivered of them, so that their
    /// next owner begins behind it, and forgets the rest.
    fn let_go(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList, lost: bool) {
        self.collect();
        if !lost {
            self.finish(partitions);
        }
        let heard = self.heard();
        let done = if lost || heard.closing { Vec::new() } else { heard.ledger.finished() };
        drop(heard);
        if !done.is_empty()
            && let Err(error) = consumer.commit(&offsets(&done), CommitMode::Sync)
        {
            warn!("kafka {}: offsets of partitions that go are not committed: {error}", self.name);
        }
        let mut heard = self.heard();
        let mut open = 0;
        for partition in partitions.elements() {
            let (held, under_way) = heard.ledger.revoked(partition.topic(), partition.partition());
            open += held;
            self.bell.withdraw(under_way);
        }
        let (name, count) = (&self.name, partitions.count());
        if lost {
            warn!(
                "kafka {name}: the group gave us up, and {count} partitions are lost; {open} \
                 messages of them are delivered again"
            );
        } else {
            info!(
                "kafka {name}: let go of {count} partitions; {open} messages of them were in our \
                 hands and are delivered again"
            );
        }
    }
}

/// In librdkafka's form.
pub(super) fn offsets(positions: &[Position]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for Position { topic, partition, offset } in positions {
        // It fails only for offsets below zero, which no message has.
        let _ = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
    }
    list
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        let mut told = None;
        match facility {
            SETTINGS_WARNING => warn!("kafka {}: {line}", self.name),
            COMMIT_FAILED => told = Some(Told::NotCommitted(line.to_owned())),
            // Errors are reported separately, so this is for a close look.
            _ => debug!("kafka {}: {facility}: {line}", self.name),
        }
        self.hear(told);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.hear(Some(Told::Statistics(statistics.to_vec())));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.hear(Some(Told::Error(code, reason.to_owned())));
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let file = self.token.as_ref().ok_or("there is no file with a bearer token")?;
        let token = fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let until = SystemTime::now().duration_since(UNIX_EPOCH)? + TOKEN_LIFE;
        self.hear(None);
        Ok(OAuthToken {
            token: token.trim().to_owned(),
            principal_name: "ilagent".to_owned(),
            lifetime_ms: i64::try_from(until.as_millis())?,
        })
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let lost = consumer.assignment_lost();
            self.let_go(consumer, partitions, lost);
            self.hear(Some(Told::Revoked { lost }));
        }
    }

    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            info!("kafka {}: joined; {} new partitions", self.name, partitions.count());
            self.hear(Some(Told::Assigned));
        }
    }
}
