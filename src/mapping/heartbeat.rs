//! From a message to a heartbeat ping.

use super::Mapped;
use super::json::Document;
use crate::message::{Delivery, Errand, ILERT, Keep, LaneName, Message};
use std::time::Duration;

/// A ping older than this says nothing any more.
const AGE_MAX: Duration = Duration::from_secs(30);

/// Maps `{"integrationKey": "il1hbt…"}` (or `apiKey`); other members are ignored.
///
/// A broker keeps a retained ping of a device that has been dead for weeks, and sends it whenever
/// we subscribe, so a retained ping says nothing about the device.
#[must_use]
pub fn from_message(message: &Message) -> Mapped {
    if message.retained {
        return Mapped::Dropped("a retained heartbeat is no sign of life".to_owned());
    }
    let document = match Document::read(&message.payload) {
        Ok(document) => document,
        Err(why) => return Mapped::Dead(format!("a heartbeat that is not JSON: {why}")),
    };
    let key = ["integrationKey", "apiKey"].iter().find_map(|name| document.member(name)?.string());
    match key {
        Some(key) if !key.is_empty() => Mapped::Deliver(Delivery {
            lane: LaneName { sink: ILERT, key: key.clone().into_owned() },
            order_key: None,
            errand: Errand::Ping { key: key.into_owned() },
            keep: Keep::AtMost(AGE_MAX),
            body: Vec::new(),
            origin: message.topic.clone(),
        }),
        _ => Mapped::Dead("a heartbeat without a string `integrationKey`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Origin, Qos};

    #[test]
    fn a_retained_copy_is_no_sign_of_life() {
        let payload = r#"{"integrationKey":"il1hbt1"}"#.into();
        let message = Message {
            topic: "t".to_owned(),
            payload,
            origin: Origin::Mqtt,
            qos: Qos::AtLeastOnce,
            retain: true,
            retained: true,
        };
        assert!(matches!(from_message(&message), Mapped::Dropped(_)));
    }

    #[test]
    fn a_heartbeat_needs_a_key() {
        for (payload, target) in [
            (r#"{"integrationKey":"il1hbt1"}"#, Some("il1hbt1")),
            (r#"{"apiKey":"il1hbt1","x":1}"#, Some("il1hbt1")),
            ("\u{feff}{\"apiKey\":\"il1hbt1\"}\0", Some("il1hbt1")),
            (r#"{"integrationKey":""}"#, None),
            (r#"{"integrationKey":5}"#, None),
            ("hello", None),
        ] {
            let message = Message {
                topic: "t".to_owned(),
                payload: payload.into(),
                origin: Origin::Mqtt,
                qos: Qos::AtLeastOnce,
                retain: false,
                retained: false,
            };
            let found = match from_message(&message) {
                Mapped::Deliver(delivery) => Some(delivery.errand.target().to_owned()),
                _ => None,
            };
            assert_eq!(found.as_deref(), target, "{payload}");
        }
    }
}
