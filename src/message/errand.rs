//! What a delivery asks of its sink.

use super::{ILERT, LaneName, POLICIES, Qos, masked};
use crate::system::plain::plain;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;

/// A header of a call that is for its sink, and not sent: the topic for what is given up,
/// percent-encoded.
pub const DEAD_LETTER: &str = ":dead-letter";

/// Another one: the body was built from bytes, which are its `data_base64`.
pub const RAW: &str = ":raw";

/// Another one: calls of the same lane go together, as [`Bulk`] says.
pub const BULK: &str = ":bulk";

/// How calls go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Most calls in one request.
    pub most: usize,
    /// The longest that the first of them waits for the others.
    pub wait: Duration,
}

impl Bulk {
    /// What the header says: `100 1000`, a number and milliseconds.
    #[must_use]
    pub fn note(&self) -> String {
        format!("{} {}", self.most, self.wait.as_millis())
    }

    fn of(note: &str) -> Option<Self> {
        let (most, wait) = note.split_once(' ')?;
        Some(Bulk { most: most.parse().ok()?, wait: Duration::from_millis(wait.parse().ok()?) })
    }
}

/// Whether a header of a call is sent. Those for its sink begin with a colon.
#[must_use]
pub fn is_sent(header: &str) -> bool {
    !header.starts_with(':')
}

/// What a delivery asks of its sink. It is stored as its kind, its target and a note.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Errand {
    /// Raise an event at ilert; the body is its JSON document.
    Event {
        /// The path below the host.
        path: String,
    },
    /// Ping a heartbeat monitor; there is no body.
    Ping {
        /// The key of the monitor.
        key: String,
    },
    /// Update an escalation policy; the body is a [`PolicyUpdate`](super::PolicyUpdate) as JSON.
    Policy {
        /// The routing key that names the policy.
        routing_key: String,
    },
    /// Publish at an MQTT broker; the body is the payload.
    Publish {
        /// The topic.
        topic: String,
        /// How surely the broker gets it.
        qos: Qos,
        /// The broker keeps it for later subscribers.
        retain: bool,
    },
    /// Call a webhook.
    Call {
        /// What follows the webhook's URL; may be empty.
        path: String,
        /// What the body is; may be empty.
        content_type: String,
        /// Headers of this call: names and values, each on one line; see also [`is_sent`].
        headers: Vec<(String, String)>,
    },
}

impl Errand {
    /// The word for it in the database, the log and the command line.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Errand::Event { .. } => "event",
            Errand::Ping { .. } => "heartbeat",
            Errand::Policy { .. } => "policy",
            Errand::Publish { .. } => "publish",
            Errand::Call { .. } => "call",
        }
    }

    /// Where it goes within its sink.
    #[must_use]
    pub fn target(&self) -> &str {
        match self {
            Errand::Event { path: target }
            | Errand::Ping { key: target }
            | Errand::Policy { routing_key: target }
            | Errand::Publish { topic: target, .. }
            | Errand::Call { path: target, .. } => target,
        }
    }

    /// How it goes together with others of its lane, if it does.
    #[must_use]
    pub fn bulk(&self) -> Option<Bulk> {
        let Errand::Call { headers, .. } = self else { return None };
        Bulk::of(&headers.iter().find(|(name, _)| name == BULK)?.1)
    }

    /// What else has to be known to run it: `qos 1` or `qos 1 retain` of a publication; of a call
    /// the type of its body, and a line for each header.
    #[must_use]
    pub fn note(&self) -> Option<Cow<'static, str>> {
        match self {
            Errand::Event { .. } | Errand::Ping { .. } | Errand::Policy { .. } => None,
            Errand::Publish { qos, retain, .. } => {
                let found = MANNERS.iter().find(|(_, manner)| *manner == (*qos, *retain));
                found.map(|(note, _)| Cow::Borrowed(*note))
            }
            Errand::Call { content_type, headers, .. } => {
                let mut note = content_type.clone();
                for (name, value) in headers {
                    note.extend(["\n", name, ": ", value]);
                }
                Some(note.into())
            }
        }
    }

    /// The reverse of [`Errand::kind`], [`Errand::target`] and [`Errand::note`].
    #[must_use]
    pub fn of(kind: &str, target: String, note: Option<&str>) -> Option<Self> {
        if target.is_empty() && kind != "call" {
            return None;
        }
        Some(match kind {
            "event" => Errand::Event { path: target },
            "heartbeat" => Errand::Ping { key: target },
            "policy" => Errand::Policy { routing_key: target },
            "publish" => {
                let (_, (qos, retain)) = *MANNERS.iter().find(|(words, _)| note == Some(words))?;
                Errand::Publish { topic: target, qos, retain }
            }
            "call" => {
                let mut lines = note?.split('\n');
                let content_type = lines.next().unwrap_or_default().to_owned();
                let header = |line: &str| {
                    let (name, value) = line.split_once(": ")?;
                    Some((name.to_owned(), value.to_owned()))
                };
                let headers = lines.map(header).collect::<Option<_>>()?;
                Errand::Call { path: target, content_type, headers }
            }
            _ => return None,
        })
    }

    /// How many bytes its target and its note take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let note = match self {
            Errand::Event { .. } | Errand::Ping { .. } | Errand::Policy { .. } => 0,
            Errand::Publish { .. } => self.note().map_or(0, |note| note.len()),
            Errand::Call { content_type, headers, .. } => {
                let lines = headers.iter().map(|(name, value)| name.len() + value.len() + 3);
                content_type.len() + lines.sum::<usize>()
            }
        };
        self.target().len() + note
    }

    /// The target as it may be shown: keys in it are masked.
    #[must_use]
    pub fn masked_target(&self) -> String {
        match self {
            Errand::Event { path } => match path.rsplit_once('/') {
                Some((_, "events")) | None => plain(path).to_string(),
                // The last part is an integration key.
                Some((path, key)) => format!("{}/{}", plain(path), masked(key)),
            },
            Errand::Ping { .. } | Errand::Policy { .. } => masked(self.target()),
            Errand::Publish { topic: target, .. } | Errand::Call { path: target, .. } => {
                plain(target).to_string()
            }
        }
    }

    /// What people call the order key of such a delivery.
    #[must_use]
    pub fn order_key_name(&self) -> &'static str {
        match self {
            Errand::Event { .. } => "alert key",
            _ => "order key",
        }
    }

    /// The lane of a delivery whose own lane is lost, from what it asks for and its body. `None` if
    /// it does not say to which sink it goes.
    #[must_use]
    pub fn lane_after(&self, body: &[u8]) -> Option<LaneName> {
        let last = |path: &str| {
            let last = path.rsplit('/').next().unwrap_or_default();
            percent_decode_str(last).decode_utf8_lossy().into_owned()
        };
        let key = match self {
            Errand::Policy { .. } => POLICIES.to_owned(),
            Errand::Ping { key } => key.clone(),
            Errand::Event { path } => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                body["integrationKey"].as_str().map_or_else(|| last(path), str::to_owned)
            }
            Errand::Publish { .. } | Errand::Call { .. } => return None,
        };
        Some(LaneName { sink: ILERT, key })
    }
}

/// The notes of publications.
const MANNERS: [(&str, (Qos, bool)); 6] = [
    ("qos 0", (Qos::AtMostOnce, false)),
    ("qos 1", (Qos::AtLeastOnce, false)),
    ("qos 2", (Qos::ExactlyOnce, false)),
    ("qos 0 retain", (Qos::AtMostOnce, true)),
    ("qos 1 retain", (Qos::AtLeastOnce, true)),
    ("qos 2 retain", (Qos::ExactlyOnce, true)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_lane_is_named_after_what_it_delivers() {
        for (kind, target, body, key) in [
            ("event", "/api/events", r#"{"integrationKey":"il1"}"#, "il1"),
            ("event", "/api/v1/events/mqtt/il1%2Fa", "{}", "il1/a"),
            ("heartbeat", "il1hbt", "", "il1hbt"),
            ("policy", "team", "{}", "policies"),
        ] {
            let errand = Errand::of(kind, target.to_owned(), None).unwrap();
            assert_eq!((errand.kind(), errand.target()), (kind, target));
            assert_eq!(errand.lane_after(body.as_bytes()).unwrap().key, key);
        }
    }

    #[test]
    fn what_is_stored_of_an_errand_makes_it_again() {
        for (kind, target, note, shown) in [
            ("event", "/api/v1/events/mqtt/il1api12345", None, "/api/v1/events/mqtt/il1api…"),
            ("event", "/api/events", None, "/api/events"),
            ("heartbeat", "il1hbt123456789", None, "il1hbt…"),
            ("policy", "il1team123456789", None, "il1tea…"),
            ("publish", "plant/7/temp\u{7}", Some("qos 0"), "plant/7/temp\\u{7}"),
            ("publish", "plant/7", Some("qos 1 retain"), "plant/7"),
            ("publish", "plant/7", Some("qos 2"), "plant/7"),
            ("call", "", Some(""), ""),
            ("call", "/orders/7", Some("application/json"), "/orders/7"),
            ("call", "/orders", Some("\nce-id: 7\nce-source: a: b"), "/orders"),
            ("call", "/orders", Some("text/plain\nce-id: "), "/orders"),
        ] {
            let errand = Errand::of(kind, target.to_owned(), note).unwrap();
            let stored = (errand.kind(), errand.target(), errand.note());
            assert_eq!(stored, (kind, target, note.map(Cow::Borrowed)));
            assert_eq!(errand.bytes(), target.len() + note.map_or(0, str::len), "{errand:?}");
            assert_eq!(errand.masked_target(), shown);
        }
    }

    #[test]
    fn what_is_no_errand_is_none() {
        for (kind, target, note) in [
            ("event", "", None),
            ("publish", "", Some("qos 1")),
            ("publish", "a", None),
            ("publish", "a", Some("qos 3")),
            ("publish", "a", Some("qos 1 retained")),
            ("call", "/orders", None),
            ("call", "/orders", Some("text/plain\nno header")),
            ("damaged", "/api/events", None),
        ] {
            assert_eq!(Errand::of(kind, target.to_owned(), note), None, "{kind} {target} {note:?}");
        }
    }
}
