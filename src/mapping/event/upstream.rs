//! An event as iLert's own agent queued it becomes a delivery.

use crate::message::{Delivery, Errand, ILERT, Keep, LaneName, path_segment};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// What is read of a row, by the last names of the columns.
const COLUMNS: [&str; 14] = [
    "integration_key",
    "alert_key",
    "event_type",
    "summary",
    "details",
    "priority",
    "images",
    "links",
    "custom_details",
    "event_api_path",
    "labels",
    "severity",
    "routing_key",
    "services",
];

/// Where upstream sends an event that names no path.
const EVENTS: &str = "/events";

/// The delivery in a row of upstream's; `column` gives what stands in one, or nothing where its
/// version had none.
///
/// # Errors
///
/// Says which column is no text.
pub fn from_upstream<'a>(column: &dyn Fn(&str) -> Option<&'a [u8]>) -> Result<Delivery, String> {
    for name in COLUMNS {
        if column(name).is_some_and(|bytes| str::from_utf8(bytes).is_err()) {
            return Err(format!("an event that iLert's agent had queued is damaged: its {name}"));
        }
    }
    let text = |name: &str| column(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    // What does not parse counts as absent, as upstream reads it; the rest goes as it stands.
    let json = |name: &str| {
        text(name).and_then(|text| RawValue::from_string(text).ok()).unwrap_or_else(|| raw(&()))
    };
    let key = text("integration_key").unwrap_or_default();
    let alert_key = text("alert_key");
    let event_type = text("event_type").unwrap_or_else(|| "ALERT".to_owned());
    let body = BTreeMap::from([
        ("integrationKey", raw(&key)),
        ("eventType", raw(&event_type)),
        ("summary", raw(&text("summary").unwrap_or_default())),
        ("alertKey", raw(&alert_key)),
        ("details", raw(&text("details"))),
        ("priority", raw(&text("priority"))),
        ("severity", json("severity")),
        ("images", json("images")),
        ("links", json("links")),
        ("customDetails", json("custom_details")),
        ("routingKey", raw(&text("routing_key"))),
        ("labels", json("labels")),
        ("services", json("services")),
    ]);
    let path = text("event_api_path").unwrap_or_else(|| EVENTS.to_owned());
    Ok(Delivery {
        order_key: alert_key.map(|key| key.trim().to_lowercase()).filter(|key| !key.is_empty()),
        lane: LaneName { sink: ILERT, key },
        errand: Errand::Event { path: format!("/api{}", encoded(&path)) },
        keep: Keep::UntilDelivered,
        body: serde_json::to_vec(&body).expect("texts and JSON are JSON"),
        origin: "upstream".to_owned(),
    })
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("a text is JSON")
}

/// The path with its last segment, a key that upstream did not escape, made safe.
fn encoded(path: &str) -> String {
    const BEFORE_KEY: [&str; 2] = ["/v1/events/mqtt/", "/v1/events/kafka/"];
    for before in BEFORE_KEY {
        if let Some(key) = path.strip_prefix(before) {
            let plain = percent_decode_str(key).decode_utf8_lossy();
            if let Some(segment) = path_segment(&plain) {
                return format!("{before}{segment}");
            }
        }
    }
    EVENTS.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_row_becomes_the_event_that_upstream_would_send() {
        let row = [
            ("integration_key", "key"),
            ("event_type", "RESOLVE"),
            ("alert_key", " K 1 "),
            ("summary", "one"),
            ("images", "no json"),
            ("custom_details", r#"{"a":89490200001234567890}"#),
            ("event_api_path", "/v1/events/mqtt/key"),
        ];
        let column = |name: &str| {
            row.iter().find(|(column, _)| *column == name).map(|(_, text)| text.as_bytes())
        };
        let delivery = from_upstream(&column).unwrap();
        assert_eq!(delivery.lane.to_string(), "ilert/***");
        assert_eq!(delivery.order_key.as_deref(), Some("k 1"));
        assert_eq!(delivery.errand.target(), "/api/v1/events/mqtt/key");
        let body = String::from_utf8(delivery.body).unwrap();
        assert!(body.contains(r#""customDetails":{"a":89490200001234567890}"#), "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["alertKey"], " K 1 ");
        assert_eq!((&body["images"], &body["severity"]), (&Value::Null, &Value::Null));
        let empty = from_upstream(&|_| None).unwrap();
        assert_eq!(empty.errand.target(), "/api/events");
        assert_eq!(empty.order_key, None);
        let damaged = from_upstream(&|name| (name == "labels").then_some(&b"\xff"[..]));
        assert!(damaged.is_err_and(|why| why.ends_with(": its labels")));
    }

    #[test]
    fn a_key_in_a_path_is_made_safe() {
        for (path, safe) in [
            ("/events", "/events"),
            ("/v1/events/mqtt/il1api1", "/v1/events/mqtt/il1api1"),
            ("/v1/events/mqtt/../../../users", "/v1/events/mqtt/..%2F..%2F..%2Fusers"),
            ("/../users", "/events"),
        ] {
            assert_eq!(encoded(path), safe, "{path}");
        }
    }
}
