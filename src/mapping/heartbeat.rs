//! From a message to a heartbeat ping.

use super::Mapped;
use crate::message::{Delivery, Kind, Lane, Message};
use serde_json::Value;

/// Maps `{"integrationKey": "il1hbt…"}` (or `apiKey`); other members are ignored.
#[must_use]
pub fn from_message(message: &Message) -> Mapped {
    let document: Value = match serde_json::from_slice(&message.payload) {
        Ok(document) => document,
        Err(error) => return Mapped::Dead(format!("a heartbeat that is not JSON: {error}")),
    };
    let key = ["integrationKey", "apiKey"].iter().find_map(|name| document.get(name)?.as_str());
    match key {
        Some(key) if !key.is_empty() => Mapped::Deliver(Delivery {
            lane: Lane { sink: super::SINK.to_owned(), key: key.to_owned() },
            order_key: None,
            kind: Kind::Heartbeat,
            target: key.to_owned(),
            body: Vec::new(),
            origin: message.topic.clone(),
        }),
        _ => Mapped::Dead("a heartbeat without a string `integrationKey`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_needs_a_key() {
        for (payload, target) in [
            (r#"{"integrationKey":"il1hbt1"}"#, Some("il1hbt1")),
            (r#"{"apiKey":"il1hbt1","x":1}"#, Some("il1hbt1")),
            (r#"{"integrationKey":""}"#, None),
            (r#"{"integrationKey":5}"#, None),
            ("hello", None),
        ] {
            let message = Message { topic: "t".to_owned(), payload: payload.into(), key: None };
            let found = match from_message(&message) {
                Mapped::Deliver(delivery) => Some(delivery.target),
                _ => None,
            };
            assert_eq!(found.as_deref(), target, "{payload}");
        }
    }
}
