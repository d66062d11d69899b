//! CloudEvents 1.0 over HTTP: a payload inside a JSON document (structured mode), or beside
//! attributes in headers (binary mode).

use crate::mapping::json::Document;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a body in structured mode is.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// What a payload is that is JSON, and one that is not.
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// Every event is of this type.
const TYPE: &str = "ilagent.message";

/// A clock that stands before 2024 has not been set: routers boot in 1970.
const CLOCK_SET: Duration = Duration::from_secs(1_704_067_200);

/// What may not stand in a header as it is (HTTP binding, 3.1.3.2), beside what is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// What tells one event from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Never the same for two events.
    pub id: String,
    /// When its message came, by our clock.
    pub time: SystemTime,
}

/// The attributes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    id: String,
    source: String,
    subject: String,
    /// `None` as long as the clock has not been set.
    time: Option<String>,
}

impl Event {
    /// An event that brings a message on `topic`, from `source`, a reference to a URI.
    #[must_use]
    pub fn new(stamp: Stamp, source: &str, topic: &str) -> Self {
        let time =
            is_set(stamp.time).then(|| OffsetDateTime::from(stamp.time).format(&Rfc3339).ok());
        let may_stand = |letter| if is_allowed(letter) { letter } else { '\u{fffd}' };
        Event {
            id: stamp.id,
            source: source.to_owned(),
            subject: topic.chars().map(may_stand).collect(),
            time: time.flatten(),
        }
    }

    fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("specversion", Some("1.0")),
            ("id", Some(self.id.as_str())),
            ("source", Some(&self.source)),
            ("type", Some(TYPE)),
            ("subject", Some(&self.subject)),
            ("time", self.time.as_deref()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// The event as a JSON document. A payload that is JSON is part of it, and any other one is
    /// written in base64.
    #[must_use]
    pub fn structured(&self, payload: &[u8]) -> Vec<u8> {
        let mut text = String::with_capacity(payload.len() + 320);
        // Writing to a text cannot fail.
        for (name, value) in self.attributes() {
            let first = if text.is_empty() { '{' } else { ',' };
            let _ = write!(text, "{first}\"{name}\":{}", json!(value));
        }
        let data = Document::read(payload);
        let _ = match &data {
            _ if payload.is_empty() => Ok(()),
            Ok(data) => {
                let data = data.whole.raw().get();
                write!(text, ",\"datacontenttype\":\"{JSON}\",\"data\":{data}")
            }
            Err(_) => {
                let data = STANDARD.encode(payload);
                write!(text, ",\"datacontenttype\":\"{BYTES}\",\"data_base64\":\"{data}\"")
            }
        };
        text.push('}');
        text.into_bytes()
    }

    /// The attributes as headers. The type of the payload goes into `content-type`.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let encoded = |value| utf8_percent_encode(value, ENCODED).to_string();
        self.attributes().map(|(name, value)| (format!("ce-{name}"), encoded(value))).collect()
    }
}

/// What a payload is when it is sent as it came.
#[must_use]
pub fn content_type(payload: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde::de::IgnoredAny>(payload) {
        _ if payload.is_empty() => "",
        Ok(_) => JSON,
        Err(_) => BYTES,
    }
}

/// Whether a clock that shows this time has been set.
#[must_use]
pub fn is_set(time: SystemTime) -> bool {
    time.duration_since(UNIX_EPOCH).is_ok_and(|since| since >= CLOCK_SET)
}

/// Whether a character may stand in an attribute: no control characters and no noncharacters
/// (CloudEvents, "Type System").
fn is_allowed(letter: char) -> bool {
    let code = u32::from(letter);
    !(letter.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const UUID: &str = "6f1e4d2c-0000-4000-8000-000000000001";

    fn event(seconds: u64, topic: &str) -> Event {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        Event::new(Stamp { id: UUID.to_owned(), time }, "/mqtt/plant", topic)
    }

    #[test]
    fn a_structured_event_has_every_attribute_that_the_standard_asks_for() {
        for (payload, content_type, data, base64) in [
            (&br#"{"t":21.50}"#[..], Some(JSON), Some(r#"{"t":21.50}"#), None),
            (b"21.50", Some(JSON), Some("21.50"), None),
            (b"null", Some(JSON), Some("null"), None),
            (b"\xef\xbb\xbf{}\0", Some(JSON), Some("{}"), None),
            (b"on", Some(BYTES), None, Some("b24=")),
            (b"\xff\xfe\0", Some(BYTES), None, Some("//4A")),
            (b"", None, None, None),
        ] {
            let text = event(1_764_165_944, "a/\"b\"\u{1}/ü").structured(payload);
            let text = String::from_utf8(text).unwrap();
            let read: Value = serde_json::from_str(&text).expect(&text);
            for (name, wanted) in [
                ("specversion", Some("1.0")),
                ("id", Some(UUID)),
                ("source", Some("/mqtt/plant")),
                ("type", Some(TYPE)),
                ("subject", Some("a/\"b\"\u{fffd}/ü")),
                ("time", Some("2025-11-26T14:05:44Z")),
                ("datacontenttype", content_type),
                ("data_base64", base64),
            ] {
                assert_eq!(read.get(name).and_then(Value::as_str), wanted, "{name} in {text}");
            }
            let shown = data.map(|data| format!("\"data\":{data}}}"));
            assert!(shown.is_none_or(|shown| text.ends_with(&shown)), "{text}");
            assert_eq!(read.get("data").is_some(), data.is_some(), "{text}");
            // Lower-case letters and digits, at most 20 (CloudEvents, "Naming Conventions").
            let is_name = |name: &String| {
                name == "data_base64"
                    || name.len() <= 20
                        && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
            };
            assert!(read.as_object().unwrap().keys().all(is_name), "{text}");
        }
    }

    #[test]
    fn a_clock_that_has_not_been_set_says_nothing() {
        for (seconds, time) in [
            (0, None),
            (86_400, None),
            (CLOCK_SET.as_secs(), Some("2024-01-01T00:00:00Z")),
            (4_102_444_800, Some("2100-01-01T00:00:00Z")),
        ] {
            assert_eq!(event(seconds, "a").time.as_deref(), time);
        }
    }

    #[test]
    fn headers_are_encoded_as_the_http_binding_says() {
        let headers = |topic| event(0, topic).headers();
        let wanted = |subject: &str| {
            [
                ("ce-specversion", "1.0"),
                ("ce-id", UUID),
                ("ce-source", "/mqtt/plant"),
                ("ce-type", TYPE),
                ("ce-subject", subject),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        for (topic, subject) in [
            ("a/b", "a/b"),
            ("Euro \u{20ac} \u{1f600}", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("50%\"x\"", "50%25%22x%22"),
            ("~!#$&'()*+,-.:;<=>?@[\\]^_`{|}", "~!#$&'()*+,-.:;<=>?@[\\]^_`{|}"),
            ("a\r\nx: y", "a%EF%BF%BD%EF%BF%BDx:%20y"),
        ] {
            assert_eq!(headers(topic), wanted(subject), "{topic}");
        }
        let (name, value) = event(1_764_165_944, "a").headers().pop().unwrap();
        assert_eq!((name.as_str(), value.as_str()), ("ce-time", "2025-11-26T14:05:44Z"));
    }

    #[test]
    fn a_payload_is_json_or_bytes() {
        for (payload, wanted) in [
            (&b"{\"a\":1}"[..], JSON),
            (b" 1 ", JSON),
            (b"on", BYTES),
            (b"{}\0", BYTES),
            (b"\xff", BYTES),
            (b"", ""),
        ] {
            assert_eq!(content_type(payload), wanted, "{payload:?}");
        }
    }
}
