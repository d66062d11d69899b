//! From a message to an update of an escalation policy.

use super::json::{Document, Json};
use super::{Mapped, path, routing};
use crate::config::PolicyRule;
use crate::message::{Delivery, Errand, ILERT, Keep, LaneName, Message, POLICIES, PolicyUpdate};

/// Maps a message on a policy topic, as iLert documents it under "escalation policies".
#[must_use]
pub fn from_message(rule: &PolicyRule, message: &Message) -> Mapped {
    let document = match Document::read(&message.payload) {
        Ok(document) => document,
        // It cannot have the member that a filter asks for.
        Err(why) if rule.filter.is_some() => return Mapped::Dropped(format!("not JSON: {why}")),
        Err(why) => return Mapped::Dead(format!("a policy update that is not JSON: {why}")),
    };
    if let Err(why) = routing::pass(rule.filter.as_ref(), &document) {
        return Mapped::Dropped(why);
    }
    update(rule, &document).map_or_else(Mapped::Dead, |update| {
        Mapped::Deliver(Delivery {
            lane: LaneName { sink: ILERT, key: POLICIES.to_owned() },
            order_key: Some(update.routing_key.clone()),
            errand: Errand::Policy { routing_key: update.routing_key.clone() },
            keep: Keep::UntilDelivered,
            body: serde_json::to_vec(&update).expect("texts and a number are JSON"),
            origin: message.topic.clone(),
        })
    })
}

fn update(rule: &PolicyRule, document: &Document<'_>) -> Result<PolicyUpdate, String> {
    let email = path::find(document, &rule.email).and_then(Json::string).unwrap_or_default();
    if email.is_empty() {
        return Err(format!("a policy update without an e-mail address at `{}`", rule.email.0));
    }
    let level = path::find(document, &rule.shift).and_then(Json::whole_number).unwrap_or(0);
    let shift = level.saturating_add(rule.shift_offset).max(0);
    let routing_key: String = rule
        .routing_keys
        .iter()
        .filter_map(|name| document.member(name.trim()).and_then(Json::string))
        .collect();
    if routing_key.is_empty() {
        let names = rule.routing_keys.join(", ");
        return Err(format!("a policy update without a routing key in {names}"));
    }
    Ok(PolicyUpdate { email: email.into_owned(), shift, routing_key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::JsonPath;
    use crate::message::{Origin, Qos};

    fn mapped(offset: i64, payload: &str) -> Option<PolicyUpdate> {
        let rule = PolicyRule {
            filter: None,
            routing_keys: vec!["site".to_owned(), " team ".to_owned()],
            email: JsonPath("data.email".to_owned()),
            shift: JsonPath("data.shift".to_owned()),
            shift_offset: offset,
        };
        let message = Message {
            topic: "p".to_owned(),
            payload: payload.into(),
            origin: Origin::Mqtt,
            qos: Qos::AtLeastOnce,
            retain: false,
            retained: false,
        };
        match from_message(&rule, &message) {
            Mapped::Deliver(delivery) => serde_json::from_slice(&delivery.body).ok(),
            _ => None,
        }
    }

    #[test]
    fn routing_keys_are_joined_and_the_level_is_shifted() {
        for (offset, payload, wanted) in [
            (0, r#"{"site":"A","team":"b","data":{"email":"x@y","shift":2}}"#, Some(("Ab", 2))),
            (-1, r#"{"site":"A","data":{"email":"x@y","shift":"3"}}"#, Some(("A", 2))),
            (-5, r#"{"site":"A","data":{"email":"x@y","shift":3}}"#, Some(("A", 0))),
            (1, r#"{"site":"A","data":{"email":"x@y","shift":"no"}}"#, Some(("A", 1))),
            (0, r#"{"site":"","data":{"email":"x@y"}}"#, None),
            (0, r#"{"site":"A","data":{"email":""}}"#, None),
        ] {
            let found = mapped(offset, payload);
            let found = found.as_ref().map(|update| (update.routing_key.as_str(), update.shift));
            assert_eq!(found, wanted, "{payload}");
        }
    }
}
