//! From a message to a call of a webhook.

use super::cloudevent::{self, Event, STRUCTURED, Stamp};
use super::json::{Document, Json};
use super::{Mapped, path};
use crate::config::{CallRule, Format};
use crate::message::{Delivery, Errand, Keep, LaneName, Message, path_segment};

/// Maps a message on a topic that `filter` matches. As a CloudEvent it comes from `source` and has
/// what `stamp` gives, which stays with it for all attempts.
#[must_use]
pub fn from_message(
    rule: &CallRule,
    filter: &str,
    message: &Message,
    source: &str,
    stamp: &dyn Fn() -> Stamp,
) -> Mapped {
    let Message { topic, payload, .. } = message;
    let write = |value: &str, made: &mut String| {
        for (index, level) in value.split('/').enumerate() {
            if index > 0 {
                made.push('/');
            }
            // Dots are found below, wherever they come from.
            made.push_str(&path_segment(level).unwrap_or_else(|| level.to_owned()));
        }
    };
    let Some(path) = rule.path.fill(filter, topic, &write) else {
        return Mapped::Dead(format!("`{filter}` does not match the topic"));
    };
    if leaves(&path) {
        return Mapped::Dead("a topic whose dots would leave the path of the webhook".to_owned());
    }
    let event = || Event::new(stamp(), source, topic);
    let plain = cloudevent::content_type(payload);
    let (content_type, headers, body) = match rule.format {
        Format::Raw => (plain, Vec::new(), payload.clone()),
        Format::CloudEvent => (STRUCTURED, Vec::new(), event().structured(payload)),
        Format::CloudEventBinary => (plain, event().headers(), payload.clone()),
    };
    Mapped::Deliver(Delivery {
        lane: LaneName { sink: CallRule::sink_name(&rule.to).into(), key: String::new() },
        order_key: order_key(rule, payload),
        errand: Errand::Call { path, content_type: content_type.to_owned(), headers },
        keep: Keep::UntilDelivered,
        body,
        origin: topic.clone(),
    })
}

/// Whether dots in a path lead out of it. Those in a query lead nowhere.
fn leaves(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn order_key(rule: &CallRule, payload: &[u8]) -> Option<String> {
    let order_by = rule.order_by.as_ref()?;
    let document = Document::read(payload).ok()?;
    path::find(&document, order_by).and_then(Json::text).map(|key| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::JsonPath;
    use crate::message::{Origin, Qos};
    use crate::topic::{Pattern, TopicTemplate};
    use proptest::prelude::{prop_assert, proptest};
    use std::time::UNIX_EPOCH;

    const FILTER: &str = "orders/+/#";

    fn mapped(path: &str, format: Format, topic: &str, payload: &[u8]) -> Mapped {
        let rule = CallRule {
            to: "shop".to_owned(),
            path: TopicTemplate::parse(path, &Pattern::parse(FILTER).unwrap()).unwrap(),
            format,
            order_by: Some(JsonPath("order.id".to_owned())),
        };
        let message = Message {
            topic: topic.to_owned(),
            payload: payload.to_vec(),
            origin: Origin::Mqtt,
            qos: Qos::AtLeastOnce,
            retain: false,
            retained: false,
        };
        let stamp = || Stamp { id: "7".to_owned(), time: UNIX_EPOCH };
        from_message(&rule, FILTER, &message, "/mqtt/plant", &stamp)
    }

    #[test]
    fn a_topic_stays_inside_the_path_that_is_made_of_it() {
        for (path, topic, wanted) in [
            ("", "orders/7/a", Some("")),
            ("/{1}", "orders/7/a", Some("/7")),
            ("/x/{2}?y", "orders/7/a/b", Some("/x/a/b?y")),
            ("/{topic}", "orders/7//a b", Some("/orders/7//a%20b")),
            ("/{1}", "orders/a?b&c#d%2F/x", Some("/a%3Fb%26c%23d%252F")),
            ("/{1}/x", "orders/../x", None),
            ("/{2}", "orders/7/a/../../b", None),
            ("/{1}", "orders/./x", None),
            ("/v{1}", "orders/../x", Some("/v..")),
            ("/{1}?a", "orders/../x", None),
            ("/x?a={1}", "orders/../x", Some("/x?a=..")),
        ] {
            let found = match mapped(path, Format::Raw, topic, b"{}") {
                Mapped::Deliver(delivery) => Some(delivery.errand.target().to_owned()),
                Mapped::Dead(_) | Mapped::Dropped(_) | Mapped::Diverted(..) => None,
            };
            assert_eq!(found.as_deref(), wanted, "{path} for {topic}");
        }
    }

    #[test]
    fn a_call_has_the_body_and_its_type_that_the_format_says() {
        for (format, payload, wanted_type, headers, body) in [
            (Format::Raw, "{ }", "application/json", 0, "{ }"),
            (Format::Raw, "on", "application/octet-stream", 0, "on"),
            (Format::CloudEventBinary, "on", "application/octet-stream", 5, "on"),
            (
                Format::CloudEvent,
                "{ }",
                STRUCTURED,
                0,
                "{\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/mqtt/plant\",\
                 \"type\":\"ilagent.message\",\"subject\":\"orders/7/a\",\
                 \"datacontenttype\":\"application/json\",\"data\":{ }}",
            ),
        ] {
            let mapped = mapped("", format, "orders/7/a", payload.as_bytes());
            let Mapped::Deliver(delivery) = mapped else { panic!("{mapped:?}") };
            let Errand::Call { content_type, headers: found, .. } = &delivery.errand else {
                panic!("{delivery:?}")
            };
            assert_eq!((content_type.as_str(), found.len()), (wanted_type, headers));
            assert_eq!(String::from_utf8_lossy(&delivery.body), body);
            assert_eq!(delivery.lane.sink.as_str(), "webhook shop");
        }
    }

    #[test]
    fn the_order_key_is_what_stands_at_its_path() {
        for (payload, wanted) in [
            (r#"{"order":{"id":"A 7"}}"#, Some("A 7")),
            (r#"{"order":{"id":7}}"#, Some("7")),
            (r#"{"order":{"id":null}}"#, None),
            (r#"{"order":7}"#, None),
            ("on", None),
        ] {
            let Mapped::Deliver(delivery) =
                mapped("", Format::CloudEvent, "orders/7/a", payload.as_bytes())
            else {
                panic!()
            };
            assert_eq!(delivery.order_key.as_deref(), wanted, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_topic_the_path_is_one(level in "[^/\\x00]*", rest in ".*") {
            let topic = format!("orders/{level}/{rest}");
            if let Mapped::Deliver(delivery) = mapped("/x/{1}/{2}?y={1}", Format::Raw, &topic, b"") {
                let path = delivery.errand.target();
                prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
                prop_assert!(path.starts_with("/x/") && !leaves(path), "{}", path);
                prop_assert!(path.matches('?').count() == 1, "{}", path);
            }
        }
    }
}
