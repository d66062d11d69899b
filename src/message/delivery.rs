//! What the queue holds, how it is kept, and what comes of an attempt.

use crate::system::plain::plain;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::time::Duration;

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

/// Passes a heartbeat on at once, past the queue: the key of its monitor goes in.
pub type Ping = dyn Fn(&str) -> Outcome + Send + Sync;

#[cfg(test)]
mod tests {
    use super::*;

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
