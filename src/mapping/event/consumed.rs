//! Events from brokers: the payload is any JSON, and the rule says what it means.

use super::{Body, Details, PRIORITIES, SEVERITIES, TYPES, delivery, labels, services};
use crate::config::{EventRule, JsonPath};
use crate::mapping::json::{Document, Json};
use crate::mapping::{Mapped, path, routing};
use crate::message::{Message, Origin, path_segment};
use crate::system::plain::plain;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Maps a payload by a rule, in the order that upstream documents: filter, key, mapped fields,
/// default summary, custom details.
///
/// A native field of the wrong type is read as text where that makes sense. One that a mapping
/// replaces is ignored.
#[must_use]
pub fn from_message(rule: &EventRule, message: &Message) -> Mapped {
    // A payload that cannot have the member a filter asks for does not pass it.
    let nothing = |why: String| match &rule.filter {
        Some(_) => Mapped::Dropped(why),
        None => Mapped::Dead(why),
    };
    let document = match Document::read(&message.payload) {
        Ok(document) => document,
        Err(why) => return nothing(format!("not JSON: {why}")),
    };
    if !document.whole.is_object() {
        return nothing("not a JSON object".to_owned());
    }
    if let Err(why) = routing::pass(rule.filter.as_ref(), &document) {
        return Mapped::Dropped(why);
    }
    map(rule, message, &document).unwrap_or_else(Mapped::Dead)
}

fn map(rule: &EventRule, message: &Message, document: &Document<'_>) -> Result<Mapped, String> {
    let reading = Reading { document, topic: &message.topic };
    let key = match &rule.event_key {
        Some(key) => Cow::Borrowed(key.expose()),
        None => reading.own_key()?,
    };
    let segment = path_segment(&key).ok_or(
        "no usable integration key: the payload needs `integrationKey`, or the rule an event key",
    )?;
    let event_type = event_type(rule, &reading)?;
    let alert_key = reading.mapped_or_own(rule.alert_key.as_ref(), "alertKey")?;
    let summary = match reading.mapped_or_own(rule.summary.as_ref(), "summary")? {
        Some(summary) => summary,
        None => summary_of(&event_type, message),
    };
    let details = reading.details();
    let priority = reading.priority();
    let routing_key = reading.mapped_or_own(rule.routing_key.as_ref(), "routingKey")?;
    let body = Body {
        alert_key: alert_key.as_deref(),
        comments: document.member("comments").filter(|_| event_type == "COMMENT").map(Json::raw),
        custom_details: custom_details(rule, &reading, &message.origin),
        details: details.as_deref(),
        event_type: &event_type,
        images: reading.list("images").map(Json::raw),
        integration_key: &key,
        labels: labels(reading.labels(&rule.labels), &rule.enrichment),
        links: reading.list("links").map(Json::raw),
        priority: priority.as_deref(),
        routing_key: routing_key.as_deref(),
        services: services(reading.list("services"), &rule.enrichment),
        severity: reading
            .severity(rule.severity.as_ref())
            .or(rule.enrichment.severity.map(i64::from)),
        summary: &summary,
    };
    let path = format!("/api/v1/events/{}/{segment}", endpoint(&message.origin));
    let bytes = body.to_bytes();
    Ok(Mapped::Deliver(delivery(&key, alert_key.as_deref(), path, bytes, &message.topic)))
}

/// The summary of an event that has none.
fn summary_of(event_type: &str, message: &Message) -> Cow<'static, str> {
    match event_type {
        "ALERT" => Cow::Owned(format!("New alert from {}", message.topic)),
        _ => Cow::Borrowed(""),
    }
}

fn endpoint(origin: &Origin) -> &'static str {
    match origin {
        Origin::Mqtt => "mqtt",
        Origin::Kafka { .. } => "kafka",
    }
}

fn event_type<'a>(rule: &'a EventRule, reading: &Reading<'a>) -> Result<Cow<'a, str>, String> {
    let types = &rule.event_type;
    let mapped = types.path.as_ref().and_then(|path| reading.mapped(path));
    // Upstream lets the last match win.
    let meaning = |compared: &str| {
        [(&types.resolve, "RESOLVE"), (&types.accept, "ACCEPT"), (&types.alert, "ALERT")]
            .into_iter()
            .find(|(value, _)| value.as_deref() == Some(compared))
            .map(|(_, meaning)| Cow::Borrowed(meaning))
    };
    let is_string = types.path.as_ref().is_some_and(|path| reading.is_string(path));
    let meant = mapped.as_deref().and_then(meaning);
    // Upstream takes anything but a string for the empty text, and so keeps the event's own type.
    let found = match meant.or_else(|| mapped.filter(|_| is_string)).or_else(|| meaning("")) {
        Some(found) => found,
        None => reading.own("eventType")?.unwrap_or(Cow::Borrowed("ALERT")),
    };
    if TYPES.contains(&&*found) {
        Ok(found)
    } else {
        Err(format!("`{}` is not an event type; ilert knows {}", plain(&found), TYPES.join(", ")))
    }
}

fn custom_details<'a>(rule: &EventRule, reading: &Reading<'a>, origin: &'a Origin) -> Details<'a> {
    match reading.document.filled("customDetails") {
        Some(own) => Details::Given(own.raw()),
        None if rule.forward_payload => Details::Given(reading.document.whole.raw()),
        None => match origin {
            Origin::Mqtt => Details::Mqtt { topic: reading.topic },
            Origin::Kafka { key } => Details::Kafka { message_key: key, topic: reading.topic },
        },
    }
}

/// A payload that is being read.
struct Reading<'a> {
    document: &'a Document<'a>,
    topic: &'a str,
}

impl<'a> Reading<'a> {
    /// The integration key under either of its names.
    fn own_key(&self) -> Result<Cow<'a, str>, String> {
        match self.own("integrationKey")? {
            Some(key) => Ok(key),
            None => Ok(self.own("apiKey")?.unwrap_or_default()),
        }
    }

    /// A mapped field, as text. A structure is no text and leaves the native field in place.
    fn mapped(&self, path: &JsonPath) -> Option<Cow<'a, str>> {
        let found = path::find(self.document, path).filter(|value| !value.is_null())?;
        let text = found.text();
        if text.is_none() {
            let topic = plain(self.topic);
            log::warn!("mapping: {topic}: the value at `{}` is not a text", path.0);
        }
        text
    }

    fn is_string(&self, path: &JsonPath) -> bool {
        path::find(self.document, path).is_some_and(|found| found.string().is_some())
    }

    fn own(&self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        match self.document.filled(name) {
            None => Ok(None),
            Some(value) => {
                value.text().map(Some).ok_or_else(|| format!("its member `{name}` is not a text"))
            }
        }
    }

    fn mapped_or_own(
        &self,
        path: Option<&JsonPath>,
        name: &str,
    ) -> Result<Option<Cow<'a, str>>, String> {
        match path.and_then(|path| self.mapped(path)) {
            Some(mapped) => Ok(Some(mapped)),
            None => self.own(name),
        }
    }

    /// Details may be a whole document, which is then shown as text.
    fn details(&self) -> Option<Cow<'a, str>> {
        let details = self.document.filled("details")?;
        Some(details.text().unwrap_or_else(|| Cow::Borrowed(details.raw().get())))
    }

    fn priority(&self) -> Option<Cow<'a, str>> {
        let priority = self.document.filled("priority")?;
        let known = priority.string().filter(|priority| PRIORITIES.contains(&&**priority));
        if known.is_none() {
            self.leave_out(priority, "priority");
        }
        known
    }

    /// A member that must be an array.
    fn list(&self, name: &str) -> Option<Json<'a>> {
        let list = self.document.filled(name)?;
        if !list.is_array() {
            let topic = plain(self.topic);
            log::warn!("mapping: {topic}: `{name}` is not an array and is left out");
        }
        Some(list).filter(|list| list.is_array())
    }

    /// An invalid mapped severity clears it; a missing one leaves the native one.
    fn severity(&self, mapped: Option<&JsonPath>) -> Option<i64> {
        let given = match mapped.and_then(|path| path::find(self.document, path)) {
            Some(given) => given,
            None => self.document.filled("severity")?,
        };
        let known = given.whole_number().filter(|severity| SEVERITIES.contains(severity));
        if known.is_none() {
            self.leave_out(given, "severity");
        }
        known
    }

    fn leave_out(&self, given: Json<'_>, what: &str) {
        let (topic, given) = (plain(self.topic), plain(given.raw().get()));
        log::warn!("mapping: {topic}: {given} is not a {what} and is left out");
    }

    fn labels(&self, mapped: &BTreeMap<String, JsonPath>) -> BTreeMap<String, String> {
        let own = self.document.member("labels").and_then(|own| own.members().ok());
        let mut labels: BTreeMap<String, String> = own
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name, value.text()?.into_owned())))
            .collect();
        for (name, path) in mapped {
            if let Some(text) = self.mapped(path) {
                labels.insert(name.clone(), text.into_owned());
            }
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Enrichment, EventTypeMap, PayloadFilter, Secret, Service};
    use serde_json::{Value, json};

    fn path(text: &str) -> Option<JsonPath> {
        Some(JsonPath(text.to_owned()))
    }

    fn map_one(rule: &EventRule, payload: &str) -> Mapped {
        let message = Message {
            topic: "a/b".to_owned(),
            payload: payload.into(),
            origin: Origin::Mqtt,
            qos: crate::message::Qos::AtLeastOnce,
            retain: false,
            retained: false,
        };
        from_message(rule, &message)
    }

    /// The members that are not null.
    #[track_caller]
    fn sent(rule: &EventRule, payload: &str) -> Value {
        match map_one(rule, payload) {
            Mapped::Deliver(delivery) => {
                let mut body: Value = serde_json::from_slice(&delivery.body).unwrap();
                body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                body
            }
            other => panic!("{payload}: {other:?}"),
        }
    }

    #[test]
    fn native_fields_travel_and_defaults_fill_in() {
        assert_eq!(
            sent(
                &EventRule::default(),
                r#"{"apiKey":"k","summary":5,"details":{"a":1},"alertKey":7}"#
            ),
            json!({"integrationKey":"k","eventType":"ALERT","summary":"5","details":"{\"a\":1}",
                   "alertKey":"7","customDetails":{"topic":"a/b"}})
        );
        let resolve =
            r#"{"integrationKey":"k","eventType":"RESOLVE","priority":"MAYBE","severity":9}"#;
        assert_eq!(
            sent(&EventRule::default(), resolve),
            json!({"integrationKey":"k","eventType":"RESOLVE","summary":"","customDetails":{"topic":"a/b"}})
        );
        assert_eq!(
            sent(&EventRule::default(), r#"{"integrationKey":"k"}"#)["summary"],
            "New alert from a/b"
        );
    }

    #[test]
    fn mapped_fields_win_over_native_ones() {
        let rule = EventRule {
            event_key: Some(Secret::new("own")),
            event_type: EventTypeMap {
                path: path("state"),
                alert: Some("on".to_owned()),
                accept: None,
                resolve: Some("off".to_owned()),
            },
            alert_key: path("device.id"),
            summary: path("text.0"),
            severity: path("sev"),
            labels: BTreeMap::from([("site".to_owned(), JsonPath("site".to_owned()))]),
            forward_payload: true,
            enrichment: Enrichment {
                labels: BTreeMap::from([("by".to_owned(), "agent".to_owned())]),
                severity: Some(2),
                services: vec![Service::Alias("pumps".to_owned())],
            },
            ..EventRule::default()
        };
        let payload = json!({"integrationKey": {"not": "text"}, "alertKey": [], "state": "off",
            "device": {"id": 12}, "text": ["hot"], "sev": "4", "site": "A", "labels": {"x": 1}});
        assert_eq!(
            sent(&rule, &payload.to_string()),
            json!({"integrationKey": "own", "eventType": "RESOLVE", "alertKey": "12",
                "summary": "hot", "severity": 4, "customDetails": payload,
                "labels": {"site": "A", "by": "agent", "x": "1"}, "services": [{"alias": "pumps"}]})
        );
        let invalid = sent(&rule, r#"{"state":"on","alertKey":"a","sev":"high"}"#);
        assert_eq!((&invalid["severity"], &invalid["alertKey"]), (&json!(2), &json!("a")));
    }

    #[test]
    fn a_mapped_type_means_what_it_means_upstream() {
        let rule = |alert: &str, resolve: &str| EventRule {
            event_key: Some(Secret::new("k")),
            event_type: EventTypeMap {
                path: path("s"),
                alert: Some(alert.to_owned()),
                accept: None,
                resolve: Some(resolve.to_owned()),
            },
            ..EventRule::default()
        };
        for (alert, resolve, payload, wanted) in [
            ("on", "off", r#"{"s":"off"}"#, "RESOLVE"),
            ("x", "x", r#"{"s":"x"}"#, "RESOLVE"),
            ("on", "off", r#"{"s":"COMMENT"}"#, "COMMENT"),
            // Ours: numbers and booleans are compared by their text.
            ("1", "0", r#"{"s":0}"#, "RESOLVE"),
            ("true", "false", r#"{"s":false}"#, "RESOLVE"),
            // Upstream's: those that match nothing are no text, so the own type counts.
            ("on", "off", r#"{"s":2}"#, "ALERT"),
            ("on", "off", r#"{"s":true,"eventType":"ACCEPT"}"#, "ACCEPT"),
            ("on", "off", r#"{"s":[1],"eventType":"RESOLVE"}"#, "RESOLVE"),
            ("on", "off", r#"{"s":null}"#, "ALERT"),
            ("on", "off", "{}", "ALERT"),
            // Nothing is compared as the empty text.
            ("on", "", r#"{"s":2}"#, "RESOLVE"),
            ("on", "", r#"{"eventType":"ALERT"}"#, "RESOLVE"),
            ("on", "", r#"{"s":""}"#, "RESOLVE"),
            ("on", "", r#"{"s":"on"}"#, "ALERT"),
        ] {
            let event = sent(&rule(alert, resolve), payload);
            assert_eq!(event["eventType"], wanted, "{alert} {resolve} {payload}");
        }
    }

    #[test]
    fn numbers_are_the_text_that_stands_in_the_message() {
        let rule = EventRule {
            event_key: Some(Secret::new("k")),
            alert_key: path("id"),
            summary: path("v.0"),
            labels: BTreeMap::from([("n".to_owned(), JsonPath("v.1".to_owned()))]),
            routing_key: path("v.2"),
            forward_payload: true,
            ..EventRule::default()
        };
        for number in ["89490200001234567890", "89490200001234567891", "1e3", "-0", "0.1000"] {
            let payload = format!(
                "{{ \"id\":{number},\"v\":[{number}, {number},{number}],\"a\":1,\"a\":2 }}"
            );
            let Mapped::Deliver(delivery) = map_one(&rule, &payload) else { panic!("{number}") };
            assert_eq!(delivery.order_key.as_deref(), Some(number));
            let body = String::from_utf8(delivery.body).unwrap();
            for wanted in [
                format!("\"alertKey\":\"{number}\""),
                format!("\"summary\":\"{number}\""),
                format!("\"labels\":{{\"n\":\"{number}\"}}"),
                format!("\"routingKey\":\"{number}\""),
                format!("\"customDetails\":{payload},"),
            ] {
                assert!(body.contains(&wanted), "{wanted} in {body}");
            }
        }
    }

    #[test]
    fn what_ends_a_text_in_c_and_what_marks_one_is_no_part_of_it() {
        for payload in ["{\"apiKey\":\"k\"}\0", "\u{feff}{\"apiKey\":\"k\"}\r\n\0\0"] {
            assert_eq!(sent(&EventRule::default(), payload)["integrationKey"], "k");
        }
        let Mapped::Dead(why) = map_one(&EventRule::default(), "\0{}") else { panic!("delivered") };
        assert_eq!(why, "not JSON: a NUL (byte 0x00) at line 1 column 1");
    }

    #[test]
    fn what_cannot_become_an_event_says_why() {
        let filter = Some(PayloadFilter { key: "f".to_owned(), value: None });
        let filtered = EventRule { filter, ..EventRule::default() };
        let typed = EventRule {
            event_type: EventTypeMap { path: path("t"), ..EventTypeMap::default() },
            ..EventRule::default()
        };
        for (rule, payload, wanted) in [
            (&EventRule::default(), "hello", "not JSON: "),
            (&EventRule::default(), "[1]", "not a JSON object"),
            (&EventRule::default(), "{}", "no usable integration key"),
            (&EventRule::default(), r#"{"integrationKey":".."}"#, "no usable integration key"),
            (
                &EventRule::default(),
                r#"{"integrationKey":"k","alertKey":[]}"#,
                "its member `alertKey`",
            ),
            (&typed, r#"{"integrationKey":"k","t":"cleared"}"#, "`cleared` is not an event type"),
        ] {
            match map_one(rule, payload) {
                Mapped::Dead(why) => assert!(why.starts_with(wanted), "{payload}: {why}"),
                other => panic!("{payload}: {other:?}"),
            }
        }
        assert!(matches!(map_one(&filtered, r#"{"integrationKey":"k"}"#), Mapped::Dropped(_)));
    }

    #[test]
    fn a_key_stays_in_its_segment_of_the_path() {
        let Mapped::Deliver(delivery) = map_one(
            &EventRule::default(),
            r#"{"integrationKey":"../../../users","alertKey":" A "}"#,
        ) else {
            panic!("it should be delivered")
        };
        assert_eq!(delivery.errand.target(), "/api/v1/events/mqtt/..%2F..%2F..%2Fusers");
        assert_eq!(delivery.order_key.as_deref(), Some("a"));
    }
}
