//! What an application of a Dapr sidecar publishes.

use super::Input;
use ilagent::mapping::cloudevent::Stamp;
use ilagent::mapping::dapr::bulk;
use ilagent::mapping::dapr::envelope::{Envelope, Trace};
use ilagent::mapping::dapr::manner::{Manner, Pair};
use ilagent::system::http::form;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

const TYPES: [Option<&str>; 6] = [
    None,
    Some("application/json"),
    Some("application/cloudevents+json; charset=utf-8"),
    Some("application/octet-stream"),
    Some("text/plain"),
    Some("a\"\\\u{1}"),
];

/// Members that every event has.
const MEMBERS: [&str; 10] = [
    "id",
    "specversion",
    "source",
    "type",
    "topic",
    "pubsubname",
    "time",
    "traceid",
    "traceparent",
    "tracestate",
];

/// Whatever is published: an event is a JSON object that says what it has to, with the body as it
/// came, and entries have ids of their own.
pub fn publications(data: &[u8]) {
    let mut input = Input(data);
    let content_type = TYPES[usize::from(input.byte()) % TYPES.len()];
    let query = String::from_utf8_lossy(input.line());
    let body = input.0;
    if let Ok(entries) = bulk::entries(body) {
        let ids: BTreeSet<_> = entries.iter().map(|entry| entry.id.clone()).collect();
        assert_eq!(ids.len(), entries.len(), "no id comes twice");
        assert!(!ids.contains(""));
    }
    let asked: Vec<Pair> = form::pairs(&query).collect();
    let Ok(manner) = Manner::read(&asked) else { return };
    let time = UNIX_EPOCH + Duration::from_secs(1_764_165_944);
    let stamp = Stamp { id: "id".to_owned(), time };
    let trace = Trace { parent: "parent".to_owned(), state: String::new() };
    let envelope = Envelope {
        app_id: "a\"b",
        pubsub: "p",
        topic: "t/\u{fc}",
        content_type,
        stamp: &stamp,
        trace: &trace,
        expires: manner.ttl.and_then(|ttl| time.checked_add(ttl)),
        said: &manner.said,
    };
    let is_structured = content_type == TYPES[2];
    let Some(event) = envelope.around(body) else {
        let is_event = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body).is_ok();
        assert!(is_structured && !is_event, "only what is no event is refused");
        return;
    };
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(&event).unwrap();
    for name in MEMBERS {
        assert!(members.contains_key(name), "{name}");
    }
    assert_eq!(members["topic"].get(), "\"t/\u{fc}\"");
    assert_eq!(members["pubsubname"].get(), "\"p\"");
    if is_structured {
        return;
    }
    assert!(members.contains_key("data") != members.contains_key("data_base64"));
    if content_type == TYPES[1]
        && let Ok(value) = serde_json::from_slice::<&RawValue>(body)
    {
        assert_eq!(members["data"].get(), value.get(), "as it came");
    }
}
