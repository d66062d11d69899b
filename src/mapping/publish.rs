//! From a message to a publication at a broker.

use super::Mapped;
use crate::config::PublishRule;
use crate::message::{Delivery, Errand, Keep, LaneName, Message, Qos};

/// Maps a message that a rule with this filter wants. Its payload passes byte for byte.
#[must_use]
pub fn from_message(rule: &PublishRule, filter: &str, message: &Message) -> Mapped {
    let topic = match rule.topic.render(filter, &message.topic) {
        Ok(topic) => topic,
        Err(why) => return Mapped::Dead(format!("a publication that cannot be made: {why}")),
    };
    let (qos, retain) = (rule.qos.unwrap_or(message.qos), rule.retain.unwrap_or(message.retain));
    let body = message.payload.clone();
    Mapped::Deliver(delivery(rule, topic, qos, retain, body, &message.topic))
}

/// A publication by a rule of what came on the topic `origin`.
pub(super) fn delivery(
    rule: &PublishRule,
    topic: String,
    qos: Qos,
    retain: bool,
    body: Vec<u8>,
    origin: &str,
) -> Delivery {
    Delivery {
        lane: LaneName { sink: PublishRule::sink_name(&rule.to).into(), key: String::new() },
        // The broker gets what is for it in order in any case.
        order_key: None,
        errand: Errand::Publish { topic, qos, retain },
        keep: Keep::UntilDelivered,
        body,
        origin: origin.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Origin;
    use crate::topic::{Pattern, TopicTemplate};

    #[test]
    fn a_publication_keeps_what_the_rule_does_not_change() {
        for (qos, retain, wanted) in [
            (None, None, (Qos::AtMostOnce, true)),
            (Some(Qos::ExactlyOnce), None, (Qos::ExactlyOnce, true)),
            (Some(Qos::AtMostOnce), Some(false), (Qos::AtMostOnce, false)),
        ] {
            let pattern = Pattern::parse("plant/+line/#").unwrap();
            let topic = TopicTemplate::parse("cloud/{line}/{2}", &pattern).unwrap();
            let rule = PublishRule { to: "cloud".to_owned(), topic, qos, retain, shape: None };
            let message = |topic: &str| Message {
                topic: topic.to_owned(),
                payload: b"\xff\0".to_vec(),
                origin: Origin::Mqtt,
                qos: Qos::AtMostOnce,
                retain: true,
                retained: false,
            };
            let mapped = from_message(&rule, &pattern.filter, &message("plant/7/temp/max"));
            let Mapped::Deliver(delivery) = mapped else { panic!("{mapped:?}") };
            let topic = "cloud/7/temp/max".to_owned();
            assert_eq!(delivery.errand, Errand::Publish { topic, qos: wanted.0, retain: wanted.1 });
            assert_eq!(delivery.lane.sink.as_str(), "mqtt cloud");
            assert_eq!(delivery.body, b"\xff\0");
            let mapped = from_message(&rule, &pattern.filter, &message("elsewhere"));
            assert!(matches!(mapped, Mapped::Dead(_)), "{mapped:?}");
        }
    }
}
