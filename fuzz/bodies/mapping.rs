//! Messages and posted events on their way to a delivery.

use super::{Input, are_words};
use ilagent::config::dialects::native::{self, Syntax};
use ilagent::config::{Enrichment, Part, Rule, Surroundings, Target};
use ilagent::mapping::{Mapped, event, heartbeat, policy};
use ilagent::message::{Delivery, Message, Origin, PolicyUpdate};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::OnceLock;

const RULES: &str = r#"
[ilert]
api-key = "api-key"
[[mqtt]]
url = "mqtt://127.0.0.1"
buffer = true
[[mqtt.subscription]]
topic = "plain"
[[mqtt.subscription]]
topic = "mapped"
integration-key = "il1key"
forward-payload = true
labels = { line = "2" }
severity = 3
services = [{ alias = "press" }, { id = 7 }]
filter = { key = "class", value = "alarm" }
map = { event-type = "state", alert-when = "on", accept-when = "seen", resolve-when = "off", alert-key = "alarm.id", summary = "alarm.text", severity = "alarm.severity", routing-key = "team", labels = { machine = "source.0.name" } }
[[mqtt.subscription]]
topic = "heartbeats"
kind = "heartbeat"
[[mqtt.subscription]]
topic = "policies"
kind = "policy"
routing-keys = ["site", "team"]
email = "data.email"
shift = "data.shift"
shift-offset = -1
"#;

fn rules() -> &'static [Rule] {
    static READ: OnceLock<Vec<Rule>> = OnceLock::new();
    READ.get_or_init(|| {
        let around = Surroundings {
            env: &|_| None,
            read: &|_| Ok(None),
            list: &|_| Ok(Vec::new()),
            is_open: &|_| false,
            has_kafka: false,
        };
        let checked = native::read("rules", RULES, Syntax::Toml, Part::default(), &around);
        checked.expect("the rules are right").config.brokers[0].rules.clone()
    })
}

/// A byte that chooses the rule, a line with the topic, and the payload.
pub fn messages(data: &[u8]) {
    let mut input = Input(data);
    let chosen = usize::from(input.byte());
    let topic = String::from_utf8_lossy(input.line()).into_owned();
    if chosen % 5 == 4 {
        return posted(input.0);
    }
    let message = Message {
        topic,
        payload: input.0.to_vec(),
        origin: Origin::Mqtt,
        qos: ilagent::message::Qos::AtLeastOnce,
        retain: false,
        retained: false,
    };
    let mapped = match &rules()[chosen % 5].to {
        Target::Event(rule) => event::from_message(rule, &message),
        Target::Heartbeat => heartbeat::from_message(&message),
        Target::Policy(rule) => policy::from_message(rule, &message),
        Target::Publish(_) | Target::Call(_) | Target::Point(_) | Target::App(_) => return,
    };
    // As the grammar has it: halves of surrogate pairs are passed on.
    let document = serde_json::from_slice::<&RawValue>(json_of(&message.payload));
    match mapped {
        Mapped::Deliver(delivery) => {
            assert!(document.is_ok(), "something of nothing");
            assert_eq!(delivery.origin, message.topic);
            judge(&delivery, chosen % 5);
        }
        Mapped::Dropped(why) | Mapped::Dead(why) | Mapped::Diverted(_, why) => are_words(&why),
    }
}

/// Without a byte-order mark, and without the NULs with which firmware in C ends its strings.
pub(super) fn json_of(payload: &[u8]) -> &[u8] {
    let mut rest = payload.strip_prefix("\u{feff}".as_bytes()).unwrap_or(payload);
    while let [before @ .., 0 | b' ' | b'\t' | b'\n' | b'\r' | 0x0c] = rest {
        rest = before;
    }
    rest
}

fn judge(delivery: &Delivery, rule: usize) {
    are_words(&delivery.to_string());
    match rule {
        0 | 1 => {
            let segment = delivery.errand.target().strip_prefix("/api/v1/events/mqtt/").unwrap();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
            assert!(segment.bytes().all(plain) && segment.bytes().any(|byte| byte != b'.'));
            event_of(delivery);
        }
        2 => assert!(!delivery.errand.target().is_empty() && delivery.body.is_empty()),
        _ => {
            let update: PolicyUpdate = serde_json::from_slice(&delivery.body).unwrap();
            assert!(update.shift >= 0 && !update.email.is_empty());
            assert_eq!(update.routing_key, delivery.errand.target());
        }
    }
}

/// The event in a delivery is one that ilert takes, and it travels with those it belongs to.
fn event_of(delivery: &Delivery) -> HashMap<String, Box<RawValue>> {
    let event: HashMap<String, Box<RawValue>> = serde_json::from_slice(&delivery.body).unwrap();
    let member = |name| value(&event, name);
    assert_eq!(member("integrationKey").as_str(), Some(&*delivery.lane.key));
    let known = ["ALERT", "ACCEPT", "RESOLVE", "COMMENT"];
    assert!(member("eventType").as_str().is_some_and(|found| known.contains(&found)));
    assert!(member("summary").is_string());
    assert!(member("severity").is_null() || matches!(member("severity").as_i64(), Some(1..=5)));
    let key = member("alertKey").as_str().map(|key| key.trim().to_lowercase());
    assert!(key.filter(|key| !key.is_empty()).is_some() == delivery.order_key.is_some());
    event
}

/// A member, or null for one that has no meaning for a program in Rust.
fn value(members: &HashMap<String, Box<RawValue>>, name: &str) -> Value {
    members.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// What a client is shown of its event is what is sent, has all that it said, and is an event.
fn posted(body: &[u8]) {
    let taken = match event::from_http(body, &Enrichment::default()) {
        Ok(taken) => taken,
        Err(reject) => {
            assert_eq!(reject.status, 400);
            return assert!(!reject.body.is_empty());
        }
    };
    assert_eq!(taken.echo, taken.delivery.body);
    are_words(&taken.delivery.to_string());
    let event = event_of(&taken.delivery);
    // Members that mean nothing are not looked at, nor are their bytes.
    let body = String::from_utf8_lossy(json_of(body));
    let said: HashMap<String, Box<RawValue>> = serde_json::from_str(&body).unwrap();
    for name in ["summary", "details", "alertKey", "priority", "routingKey", "customDetails"] {
        assert_eq!(value(&event, name), value(&said, name), "`{name}` of {body}");
    }
    let again = event::from_http(&taken.echo, &Enrichment::default()).expect("an event");
    assert_eq!(again, taken, "what is sent is no longer what was sent");
}
