//! What the queue holds, how it is kept, and how an attempt ends.

use super::Errand;
use crate::system::plain::plain;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of a sink: an instance, such as `ilert`, `mqtt plant` or `file journal`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkName(Cow<'static, str>);

/// The sink that hands over to ilert's API.
pub const ILERT: SinkName = SinkName::fixed("ilert");

/// The lane key of all policy updates.
pub const POLICIES: &str = "policies";

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneName {
    /// Where its deliveries go.
    pub sink: SinkName,
    /// What the deliveries of this lane have in common; may be a secret, so see
    /// [`LaneName::shown_key`].
    pub key: String,
}

impl LaneName {
    /// Its key as it may appear in a log: ilert's are secrets, and those of a sink that is not known
    /// may be.
    #[must_use]
    pub fn shown_key(&self) -> String {
        match self.sink.as_str() {
            "" | "ilert" => masked(&self.key),
            _ if self.key.is_empty() => masked(&self.key),
            _ => plain(&self.key).to_string(),
        }
    }
}

/// Writes the lane so that nobody can use a key they read in the log.
impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            // A broker or a webhook is one lane.
            "" => self.sink.fmt(f),
            _ => write!(f, "{}/{}", self.sink, self.shown_key()),
        }
    }
}

/// A key as it may appear in a log: its first six characters and an ellipsis.
///
/// Keys of at most eight characters are not shown at all. A key may come from a payload, so active
/// characters in it are escaped.
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
/// `None` for a key that cannot be a segment: an empty one, or dots, which servers and proxies
/// resolve whether they are escaped or not.
#[must_use]
pub fn path_segment(key: &str) -> Option<String> {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let usable = key.bytes().any(|byte| byte != b'.');
    usable.then(|| utf8_percent_encode(key, PLAIN).to_string())
}

/// How a delivery is kept until its sink has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Until it is delivered or given up.
    UntilDelivered,
    /// For this long at most, in memory alone: it is worth nothing later. Nobody waits for it, and
    /// another one like it takes its place.
    AtMost(Duration),
    /// Over restarts as well, until this moment of the wall clock: whoever claims it later gives it
    /// up.
    Before(SystemTime),
}

/// What a note begins with that says until when its delivery is kept, in milliseconds since 1970.
const BEFORE: &str = "before ";

impl Keep {
    /// Whether it is worth nothing any more, by the wall clock.
    #[must_use]
    pub fn is_over(self, now: SystemTime) -> bool {
        matches!(self, Keep::Before(end) if end <= now)
    }

    /// What is stored of it, in front of an errand's note.
    fn words(self) -> Option<String> {
        let Keep::Before(end) = self else { return None };
        let since = end.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(format!("{BEFORE}{} ", since.as_millis()))
    }

    /// The reverse of [`Delivery::note`]: how it is kept, and its errand's note.
    #[must_use]
    pub fn of_note(note: Option<&str>) -> (Self, Option<&str>) {
        let read = |note: &str| {
            let (end, note) = note.strip_prefix(BEFORE)?.split_once(' ')?;
            let since = Duration::from_millis(end.parse().ok()?);
            Some((Keep::Before(UNIX_EPOCH.checked_add(since)?), note.len()))
        };
        match note.and_then(read) {
            Some((keep, bytes)) => (keep, note.map(|note| &note[note.len() - bytes..])),
            None => (Keep::UntilDelivered, note),
        }
    }

    /// Whether it is worth something only now.
    #[must_use]
    pub fn is_perishable(self) -> bool {
        matches!(self, Keep::AtMost(_))
    }
}

/// One thing to hand to one sink; what the queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The lane it travels in.
    pub lane: LaneName,
    /// Deliveries of a lane with the same order key never overtake each other.
    pub order_key: Option<String>,
    /// What it asks of its sink.
    pub errand: Errand,
    /// How it is kept.
    pub keep: Keep,
    /// What is sent, in bytes as they go out.
    pub body: Vec<u8>,
    /// Where it came from, for people: the topic of its message, or `http`.
    pub origin: String,
}

impl Delivery {
    /// What is stored of it beside its kind and its target, for [`Keep::of_note`].
    #[must_use]
    pub fn note(&self) -> Option<Cow<'static, str>> {
        let note = self.errand.note();
        match self.keep.words() {
            None => note,
            Some(words) => Some(Cow::Owned(words + &note.unwrap_or_default())),
        }
    }

    /// How many bytes of its note are not its errand's.
    #[must_use]
    pub fn note_bytes(&self) -> usize {
        self.keep.words().map_or(0, |words| words.len())
    }
}

/// A delivery in the words of the log: what it is, for whom, and the key by which a person can
/// follow it.
impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.errand.kind(), self.lane)?;
        match &self.order_key {
            Some(key) => write!(f, ", {} '{}'", self.errand.order_key_name(), plain(key)),
            None => Ok(()),
        }
    }
}

/// An update of an escalation policy; the body of an [`Errand::Policy`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyUpdate {
    /// E-mail address of the user on duty.
    pub email: String,
    /// Level of the policy, counted from 0.
    pub shift: i64,
    /// Routing key that names the policy.
    pub routing_key: String,
}

/// The result of one attempt.
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
    /// Never: trying again cannot help. It becomes a dead letter, unless it has an heir.
    Never {
        /// What the sink said, in words, without secrets.
        why: String,
        /// A delivery that takes its place, if there is one; it is stored in the transaction that
        /// ends this one.
        heir: Option<Box<Delivery>>,
    },
}

impl Outcome {
    /// Never, and nothing takes its place.
    #[must_use]
    pub fn never(why: impl Into<String>) -> Self {
        Outcome::Never { why: why.into(), heir: None }
    }
}

/// What an [`Outcome::Later`] is about.
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
    fn until_when_it_is_kept_is_stored_in_its_note() {
        let end = UNIX_EPOCH + Duration::from_millis(1_764_165_944_250);
        let publish = Errand::Publish {
            topic: "a".to_owned(),
            qos: crate::message::Qos::AtLeastOnce,
            retain: true,
        };
        let call =
            Errand::Call { path: "/".to_owned(), content_type: String::new(), headers: vec![] };
        let event = Errand::Event { path: "/".to_owned() };
        for (errand, keep, note) in [
            (&publish, Keep::UntilDelivered, Some("qos 1 retain")),
            (&publish, Keep::Before(end), Some("before 1764165944250 qos 1 retain")),
            (&call, Keep::Before(end), Some("before 1764165944250 ")),
            (&call, Keep::UntilDelivered, Some("")),
            (&event, Keep::Before(end), Some("before 1764165944250 ")),
            (&event, Keep::UntilDelivered, None),
        ] {
            let delivery = Delivery {
                lane: LaneName::default(),
                order_key: None,
                errand: errand.clone(),
                keep,
                body: Vec::new(),
                origin: String::new(),
            };
            let stored = delivery.note();
            assert_eq!(stored.as_deref(), note);
            let (read, rest) = Keep::of_note(stored.as_deref());
            assert_eq!(read, keep);
            let again = Errand::of(errand.kind(), errand.target().to_owned(), rest);
            assert_eq!(again.as_ref(), Some(errand), "{note:?}");
            let bytes = stored.map_or(0, |note| note.len());
            assert_eq!(bytes, delivery.note_bytes() + errand.note().map_or(0, |note| note.len()));
        }
        let second = Duration::from_secs(1);
        assert!(!Keep::Before(end).is_over(end - second) && Keep::Before(end).is_over(end));
        assert!(!Keep::UntilDelivered.is_over(end) && !Keep::AtMost(second).is_over(end));
        assert!(!Keep::Before(end).is_perishable(), "it is stored");
        for note in ["before", "before x qos 1", "before 99999999999999999999 qos 1"] {
            assert_eq!(Keep::of_note(Some(note)), (Keep::UntilDelivered, Some(note)));
        }
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
