//! Messages on their way to the application of a Dapr sidecar.

use super::{Input, are_words};
use ilagent::cel::Expression;
use ilagent::config::{AppRoute, AppRule, Raw, Subscription};
use ilagent::mapping::cloudevent::Stamp;
use ilagent::mapping::{Mapped, app};
use ilagent::message::{Errand, Message, Origin, Qos};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

const RAWS: [Raw; 3] = [Raw::No, Raw::Yes, Raw::Auto];
const MATCHES: &str = "has(event.data.n) && event.data.n > 1 || event.type == 'x'";

/// A byte that chooses a subscription, a line with the topic, and the payload: the application gets
/// an object, or `null`, and headers on one line each; or it gets nothing, for a reason in words.
pub fn messages(data: &[u8]) {
    let mut input = Input(data);
    let chosen = usize::from(input.byte());
    let topic = String::from_utf8_lossy(input.line()).into_owned();
    let (qos, payload) = (Qos::AtLeastOnce, input.0.to_vec());
    let rule = rule(RAWS[chosen % 3], chosen & 16 != 0, chosen & 32 != 0);
    let retain = chosen & 64 != 0;
    let message = Message { topic, payload, origin: Origin::Mqtt, qos, retain, retained: retain };
    let stamp = || Stamp { id: "7".to_owned(), time: UNIX_EPOCH + Duration::from_secs(1 << 31) };
    let delivery = match app::from_message(&rule, &message, &stamp) {
        Mapped::Deliver(delivery) => delivery,
        Mapped::Diverted(copy, why) => {
            are_words(&why.escape_debug().to_string());
            return assert_eq!(copy.body, message.payload);
        }
        Mapped::Dropped(why) | Mapped::Dead(why) => {
            return are_words(&why.escape_debug().to_string());
        }
    };
    are_words(&delivery.to_string());
    let Errand::Call { path, headers, .. } = &delivery.errand else { panic!("another errand") };
    assert!(path == "/match" || path == "/default", "{path}");
    for (name, value) in headers {
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{name}: {value:?}");
    }
    let errand = &delivery.errand;
    let again = Errand::of(errand.kind(), path.clone(), errand.note().as_deref());
    assert_eq!(again.as_ref(), Some(errand), "it is stored as it is");
    let event: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert!(event.is_object() || event.is_null(), "{event}");
}

fn rule(raw: Raw, has_routes: bool, has_dead_letter_topic: bool) -> AppRule {
    let matches = has_routes.then(|| Expression::parse(MATCHES).unwrap());
    let routes = [(matches, "/match"), (None, "/default")];
    AppRule {
        sink: "app press7".to_owned(),
        publisher: "mqtt plantbus".to_owned(),
        component: "plantbus".to_owned(),
        prefix: "ns".to_owned(),
        qos: Qos::AtLeastOnce,
        retain: false,
        one_at_a_time: false,
        subscription: Subscription {
            pubsub: "plantbus".to_owned(),
            topic: "#".to_owned(),
            rules: Vec::new(),
            default: None,
            dead_letter_topic: has_dead_letter_topic.then(|| "dead".to_owned()),
            raw,
            bulk: None,
            metadata: BTreeMap::new(),
            is_declared: true,
        },
        routes: routes.map(|(matches, path)| AppRoute { matches, path: path.to_owned() }).into(),
    }
}
