//! Messages on their way to a webhook or to another broker.

use super::mapping::json_of;
use super::{Input, are_words};
use ilagent::config::{CallRule, Format, PublishRule};
use ilagent::mapping::cloudevent::Stamp;
use ilagent::mapping::{Mapped, call, publish};
use ilagent::message::{Delivery, Errand, Message, Origin, Qos};
use ilagent::system::web::is_url;
use ilagent::topic::{Pattern, TopicTemplate, check_topic};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

const FILTER: &str = "orders/+/#rest";
const PATHS: [&str; 5] = ["", "/{1}", "/x/{rest}?from={topic}", "/{topic}", "/v{1}/{rest}"];
const TOPICS: [&str; 4] = ["{topic}", "site7/{topic}", "{rest}", "{1}/{rest}"];
const FORMATS: [Format; 3] = [Format::Raw, Format::CloudEvent, Format::CloudEventBinary];

/// A byte that chooses a path and a format, a line with the topic, and the payload.
pub fn messages(data: &[u8]) {
    let mut input = Input(data);
    let chosen = usize::from(input.byte());
    let topic = String::from_utf8_lossy(input.line()).into_owned();
    let (qos, retain) = (Qos::AtLeastOnce, chosen & 1 == 1);
    let payload = input.0.to_vec();
    let message = Message { topic, payload, origin: Origin::Mqtt, qos, retain, retained: false };
    let pattern = Pattern::parse(FILTER).unwrap();
    let template =
        |texts: &[&str]| TopicTemplate::parse(texts[chosen % texts.len()], &pattern).unwrap();
    let format = FORMATS[chosen / 8 % FORMATS.len()];
    let rule = CallRule { to: "shop".to_owned(), path: template(&PATHS), format, order_by: None };
    let stamp = || Stamp { id: "7".to_owned(), time: UNIX_EPOCH + Duration::from_secs(1 << 31) };
    let made = call::from_message(&rule, &pattern.filter, &message, "/mqtt/plant", &stamp);
    if let Some(delivery) = delivered(made) {
        is_called(&delivery, format, &message.payload);
    }
    let to = "cloud".to_owned();
    let rule = PublishRule { to, topic: template(&TOPICS), qos: None, retain: None, shape: None };
    if let Some(delivery) = delivered(publish::from_message(&rule, &pattern.filter, &message)) {
        let Errand::Publish { topic, .. } = &delivery.errand else { panic!("another errand") };
        assert_eq!(check_topic(topic), Ok(()));
        assert_eq!(delivery.errand, Errand::Publish { topic: topic.clone(), qos, retain });
        assert_eq!(delivery.body, message.payload);
    }
}

fn delivered(mapped: Mapped) -> Option<Delivery> {
    match mapped {
        Mapped::Deliver(delivery) => {
            are_words(&delivery.to_string());
            are_words(&format!("to {}", delivery.errand.masked_target()));
            Some(delivery)
        }
        Mapped::Dead(why) => {
            are_words(&why);
            None
        }
        Mapped::Dropped(why) | Mapped::Diverted(_, why) => panic!("nobody asked for that: {why}"),
    }
}

/// The call stays below the webhook's URL, and what is called gets the payload.
fn is_called(delivery: &Delivery, format: Format, payload: &[u8]) {
    let Errand::Call { path, headers, .. } = &delivery.errand else { panic!("another errand") };
    let (below, query) = path.split_once('?').unwrap_or((path, ""));
    assert!(below.is_empty() || below.starts_with('/'), "{path}");
    assert!(!below.split('/').any(|segment| matches!(segment, "." | "..")), "{path}");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%/=".contains(&byte);
    assert!(below.bytes().chain(query.bytes()).all(plain), "{path}");
    assert!(is_url(&format!("http://shop/in{path}")), "{path}");
    for (name, value) in headers {
        assert!(name.starts_with("ce-") && value.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    assert_eq!(headers.is_empty(), format != Format::CloudEventBinary);
    match format {
        Format::Raw | Format::CloudEventBinary => assert_eq!(delivery.body, payload),
        Format::CloudEvent => is_event(&delivery.body, payload),
    }
}

fn is_event(body: &[u8], payload: &[u8]) {
    let event: HashMap<String, Box<RawValue>> = serde_json::from_slice(body).unwrap();
    for name in ["specversion", "id", "source", "type", "subject", "time"] {
        let text: String = serde_json::from_str(event[name].get()).unwrap();
        assert!(!text.contains(char::is_control), "{name}: {text:?}");
    }
    match (event.get("data"), event.get("data_base64")) {
        (Some(data), None) => {
            let document: &RawValue = serde_json::from_slice(json_of(payload)).unwrap();
            assert_eq!(data.get(), document.get());
        }
        (None, Some(encoded)) => {
            let text: String = serde_json::from_str(encoded.get()).unwrap();
            assert_eq!(text.len(), payload.len().div_ceil(3) * 4);
        }
        (None, None) => assert!(payload.is_empty()),
        (Some(_), Some(_)) => panic!("it has its data twice"),
    }
}
