//! The two things that move: a raw [`Message`] and the [`Delivery`] mapped from it, and the
//! [`Receipt`] that lets a source forget the message once it is safe.

use crate::system::plain::plain;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a source received: raw, unmapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic it was published on.
    pub topic: String,
    /// The payload as it came; nothing is assumed about its encoding.
    pub payload: Vec<u8>,
    /// The key of a Kafka message, empty when it has none; `None` for messages of other sources.
    pub key: Option<String>,
    /// MQTT: the broker's copy of what was published some time ago, not a sign of life.
    pub retained: bool,
}

/// What a source brings, and the ticket its desk will hear of.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A message.
    Message {
        /// As received.
        message: Message,
        /// What the source knows it by.
        ticket: u64,
    },
    /// A message that was too large to take in; its payload was thrown away.
    Oversized {
        /// Its topic.
        topic: String,
        /// Its size, in bytes: of the packet, or of a Kafka message.
        bytes: usize,
        /// What the source knows it by.
        ticket: u64,
    },
    /// A message that nobody can make sense of: its topic is not one.
    Unreadable {
        /// Its topic, as far as it can be shown.
        topic: String,
        /// What is wrong with it.
        reason: &'static str,
        /// Its payload.
        payload: Vec<u8>,
        /// What the source knows it by.
        ticket: u64,
    },
}

impl Arrival {
    /// What the source knows it by.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        match self {
            Arrival::Message { ticket, .. }
            | Arrival::Oversized { ticket, .. }
            | Arrival::Unreadable { ticket, .. } => *ticket,
        }
    }
}

/// The name of a sink: an instance, such as `ilert`, `mqtt plant` or `file journal`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkName(Cow<'static, str>);

impl SinkName {
    /// The name of a sink that there is one of.
    #[must_use]
    pub const fn fixed(name: &'static str) -> Self {
        SinkName(Cow::Borrowed(name))
    }

    /// The name as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for SinkName {
    fn from(name: &'static str) -> Self {
        SinkName::fixed(name)
    }
}

impl From<String> for SinkName {
    fn from(name: String) -> Self {
        SinkName(Cow::Owned(name))
    }
}

impl Borrow<str> for SinkName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", plain(&self.0))
    }
}

/// Deliveries that share a fate: the sink they go to and, within it, one integration key, one
/// broker or one URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneName {
    /// Where its deliveries go.
    pub sink: SinkName,
    /// What the deliveries of this lane have in common; may be a secret, so see [`masked`].
    pub key: String,
}

/// Writes the lane so that nobody can use a key they read in the log.
impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sink, masked(&self.key))
    }
}

/// A key as it may appear in a log: its first six characters and an ellipsis.
///
/// Keys of at most eight characters are not shown at all. A key may come from a payload, so what
/// acts in it is escaped.
#[must_use]
pub fn masked(key: &str) -> String {
    const SHOWN: usize = 6;
    const SHORT: usize = 8;
    if key.chars().count() <= SHORT {
        return if key.is_empty() { "-".to_owned() } else { "***".to_owned() };
    }
    let shown: String = key.chars().take(SHOWN).collect();
    format!("{}…", plain(&shown))
}

/// A key as one segment of a URL's path: nothing in it can end the segment or leave it.
///
/// `None` for a key that stands for no segment of its own: empty, or made of dots, which servers
/// and proxies resolve whether they are escaped or not.
#[must_use]
pub fn path_segment(key: &str) -> Option<String> {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let usable = key.bytes().any(|byte| byte != b'.');
    usable.then(|| utf8_percent_encode(key, PLAIN).to_string())
}

/// What a delivery asks of its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An event for ilert: `target` is the path below the host, `body` the JSON document.
    Event,
    /// A ping of a heartbeat monitor: `target` is its key, `body` is empty.
    Heartbeat,
    /// An update of an escalation policy: `target` is the routing key, `body` a
    /// [`PolicyUpdate`] as JSON.
    Policy,
}

impl Kind {
    /// The word that stands for it in the database, the log and the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Heartbeat => "heartbeat",
            Kind::Policy => "policy",
        }
    }

    /// The reverse of [`Kind::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Kind::Event, Kind::Heartbeat, Kind::Policy].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One thing to hand to one sink; what the queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The lane it travels in.
    pub lane: LaneName,
    /// Deliveries of a lane with the same order key never overtake each other: the alert key.
    pub order_key: Option<String>,
    /// What it asks of its sink.
    pub kind: Kind,
    /// Where it goes within the sink; see [`Kind`].
    pub target: String,
    /// What is sent, in bytes as they go out.
    pub body: Vec<u8>,
    /// Where it came from, for people: the topic of its message, or `http`.
    pub origin: String,
}

/// A delivery in the words of the log: what it is, for whom, and the alert key by which a person
/// can follow it.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.kind.as_str(), self.lane)?;
        match &self.order_key {
            Some(key) => write!(f, ", alert key '{}'", plain(key)),
            None => Ok(()),
        }
    }
}

/// An update of an escalation policy; the body of a [`Kind::Policy`] delivery.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyUpdate {
    /// E-mail address of the user who is on duty.
    pub email: String,
    /// Level of the policy, counted from 0.
    pub shift: i64,
    /// Routing key that names the policy.
    pub routing_key: String,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The sink has it.
    Delivered,
    /// Not now. It stays in the queue and is tried again.
    Later {
        /// What went wrong, in words, without secrets.
        why: String,
        /// What has to wait.
        holds: Holds,
        /// How long the other side asked to wait, from `Retry-After`.
        after: Option<Duration>,
    },
    /// Never: trying again cannot help. It becomes a dead letter.
    Never {
        /// What the sink said, in words, without secrets.
        why: String,
    },
}

/// What an [`Outcome::Later`] says something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Only this delivery: the sink answered, and it may well take the next one (500).
    Delivery,
    /// Every delivery of the lane: the key is rate limited (429).
    Lane,
    /// Every delivery of the sink: it could not be reached, or somebody else answered.
    Sink,
}

/// Where receipts are handed in: the source that waits for them.
pub trait Desk: Send + Sync {
    /// The message with this ticket is safe; its source may forget it.
    ///
    /// Called from the threads of queue and sinks: it may not block.
    fn signed(&self, ticket: u64);

    /// One of several deliveries of the message with this ticket is safe, and not yet all of them.
    /// Called in front of what the signatures of later messages call; it may not block either.
    fn partly_signed(&self, _ticket: u64) {}

    /// A push was refused because the queue was full, and now there is room again.
    fn room(&self);

    /// Whether the message with this ticket is somebody else's to deliver by now, so that an
    /// attempt that has not begun would only repeat it. It may not block either.
    fn is_withdrawn(&self, _ticket: u64) -> bool {
        false
    }
}

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room.
    Full,
    /// It cannot be stored at present.
    Unwritable,
    /// Nothing will be taken any more.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Full => "the queue is full: reading stopped",
            Refused::Unwritable => "the queue cannot be written: reading stopped",
            Refused::Closed => "the queue is closed",
        })
    }
}

/// Who takes charge of messages; owned by the thread of its source.
pub trait Accept: Send {
    /// Takes charge of a batch. `desk` hears of each ticket when its message is safe.
    ///
    /// # Errors
    ///
    /// On `Full` and `Unwritable` the acceptor keeps the batch, and [`Accept::again`] is called
    /// after [`Desk::room`]; until then there is no other batch.
    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused>;

    /// Tries once more with the batch that was refused.
    ///
    /// # Errors
    ///
    /// As [`Accept::accept`].
    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused>;
}

/// What a source needs to let go of a message.
///
/// One message may become several deliveries; each holds a clone, and the desk hears of it when
/// as many signatures as were asked for have been given. A receipt that is dropped without a
/// signature says nothing, so the source keeps the message: forgetting to sign is safe.
#[derive(Clone)]
pub struct Receipt(Arc<Slip>);

struct Slip {
    desk: Arc<dyn Desk>,
    ticket: u64,
    missing: AtomicUsize,
}

impl Receipt {
    /// A receipt that is complete after `signatures` calls of [`Receipt::sign`] (at least one).
    #[must_use]
    pub fn new(desk: Arc<dyn Desk>, ticket: u64, signatures: usize) -> Self {
        Receipt(Arc::new(Slip { desk, ticket, missing: AtomicUsize::new(signatures.max(1)) }))
    }

    /// Whether its message is somebody else's to deliver by now.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.0.desk.is_withdrawn(self.0.ticket)
    }

    /// Signs once.
    pub fn sign(self) {
        match self.0.missing.fetch_sub(1, Ordering::AcqRel) {
            1 => self.0.desk.signed(self.0.ticket),
            _ => self.0.desk.partly_signed(self.0.ticket),
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({})", self.0.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Signed(Mutex<Vec<(&'static str, u64)>>);

    impl Desk for Signed {
        fn signed(&self, ticket: u64) {
            self.0.lock().unwrap().push(("whole", ticket));
        }
        fn partly_signed(&self, ticket: u64) {
            self.0.lock().unwrap().push(("part", ticket));
        }
        fn room(&self) {}
    }

    #[test]
    fn a_receipt_is_complete_with_its_last_signature() {
        let desk = Arc::new(Signed::default());
        let receipt = Receipt::new(desk.clone(), 7, 2);
        receipt.clone().sign();
        assert_eq!(*desk.0.lock().unwrap(), [("part", 7)]);
        receipt.sign();
        assert_eq!(*desk.0.lock().unwrap(), [("part", 7), ("whole", 7)]);
    }

    #[test]
    fn a_receipt_that_is_dropped_says_nothing() {
        let desk = Arc::new(Signed::default());
        drop(Receipt::new(desk.clone(), 7, 1));
        assert!(desk.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_key_stays_inside_its_path_segment() {
        for (key, segment) in [
            ("il1api-1_2", Some("il1api-1_2")),
            ("../../../users", Some("..%2F..%2F..%2Fusers")),
            ("a?b#c", Some("a%3Fb%23c")),
            ("a.b", Some("a.b")),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(path_segment(key).as_deref(), segment, "{key}");
        }
    }

    #[test]
    fn keys_are_never_shown_whole() {
        assert_eq!(masked("il1api123456789"), "il1api…");
        assert_eq!(masked("short"), "***");
        assert_eq!(masked(""), "-");
    }
}
