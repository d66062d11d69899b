//! Paths into a document, and what stands there.

use super::{Input, are_words};
use ilagent::config::{EventRule, Secret, values};
use ilagent::mapping::{Mapped, event};
use ilagent::message::{Message, Origin};
use serde_json::Value;

/// A path on one line, a document on the rest: an event whose summary stands at the path has it.
pub fn paths(data: &[u8]) {
    let mut input = Input(data);
    let Ok(written) = std::str::from_utf8(input.line()) else { return };
    let path = match values::path(written) {
        Ok(path) => path,
        Err(why) => return are_words(&why.replace(written, "…")),
    };
    let Ok(document) = serde_json::from_slice::<Value>(input.0) else { return };
    let wanted = find(&document, &path.0).and_then(text);
    let own = document.get("summary").cloned();
    let rule = EventRule {
        event_key: Some(Secret::new("k")),
        summary: Some(path),
        ..EventRule::default()
    };
    let message = Message {
        topic: "t".to_owned(),
        payload: input.0.to_vec(),
        origin: Origin::Mqtt,
        qos: ilagent::message::Qos::AtLeastOnce,
        retain: false,
        retained: false,
    };
    let Mapped::Deliver(delivery) = event::from_message(&rule, &message) else {
        return;
    };
    let event: Value = serde_json::from_slice(&delivery.body).unwrap();
    match wanted {
        Some(Text::Exactly(text)) => assert_eq!(event["summary"], *text, "{document}"),
        Some(Text::Some) => assert!(event["summary"].is_string()),
        None if own.is_none() && event["eventType"] == "ALERT" => {
            assert_eq!(event["summary"], "New alert from t", "{document}");
        }
        None => {}
    }
}

enum Text {
    Exactly(String),
    /// A number that a machine does not hold as it is written.
    Some,
}

fn text(value: &Value) -> Option<Text> {
    match value {
        Value::String(text) => Some(Text::Exactly(text.clone())),
        Value::Bool(yes) => Some(Text::Exactly(yes.to_string())),
        Value::Number(number) if number.is_i64() => Some(Text::Exactly(number.to_string())),
        Value::Number(_) => Some(Text::Some),
        Value::Null | Value::Object(_) | Value::Array(_) => None,
    }
}

/// As the manual has it: a member with the whole name, or else the way by the first dot.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let step = |name: &str| match value {
        Value::Object(members) => members.get(name),
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    };
    step(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        find(step(first)?, rest)
    })
}
