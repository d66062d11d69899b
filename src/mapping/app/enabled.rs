//! What the application gets, and where: the event, its route, its headers.

mod moment;
#[cfg(test)]
mod tests;

use crate::config::{AppRule, Raw};
use crate::mapping::Mapped;
use crate::mapping::cloudevent::{STRUCTURED, Stamp};
use crate::mapping::json::{Document, Json, trimmed};
use crate::message::{BULK, DEAD_LETTER, Delivery, Errand, Keep, LaneName, Message, RAW};
use crate::topic;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use std::borrow::Cow;
use std::time::SystemTime;

/// What a header's value may not hold as it is, beside what is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// The longest `tracestate` that is passed on, in bytes.
const TRACESTATE_MAX: usize = 512;

/// An event on its way to the application.
struct Event<'a> {
    body: Cow<'a, [u8]>,
    /// Its bytes are inside `data_base64`.
    is_raw: bool,
    /// It is an object with members; `null` has none.
    members: Option<Document<'a>>,
    /// From this moment on nobody wants it.
    expires: Option<SystemTime>,
}

/// Maps a message on a topic that the subscription of `rule` matches. An event that is built for it
/// has what `stamp` gives, which stays with it for all attempts.
#[must_use]
pub fn from_message(rule: &AppRule, message: &Message, stamp: &dyn Fn() -> Stamp) -> Mapped {
    let topic = message.topic.strip_prefix(&rule.prefix).unwrap_or(&message.topic);
    let event = match event(rule, topic, &message.payload, stamp) {
        Ok(event) => event,
        Err(why) => return refused(rule, message, why),
    };
    if event.expires.is_some_and(|at| at <= stamp().time) {
        let why = "it has expired".to_owned();
        return copied(rule, message, why.clone()).unwrap_or(Mapped::Dropped(why));
    }
    let path = match route(rule, &event) {
        Ok(Some(path)) => path.to_owned(),
        Ok(None) => {
            let why = "it matches no route".to_owned();
            return copied(rule, message, why.clone()).unwrap_or(Mapped::Dropped(why));
        }
        Err(why) => return refused(rule, message, why),
    };
    Mapped::Deliver(Delivery {
        lane: LaneName { sink: rule.sink.clone().into(), key: lane(rule) },
        order_key: rule.subscription.bulk.is_none().then(|| order_key(rule, topic)),
        errand: Errand::Call {
            path,
            content_type: STRUCTURED.to_owned(),
            headers: headers(rule, topic, message.retain, &event),
        },
        keep: event.expires.map_or(Keep::UntilDelivered, Keep::Before),
        body: event.body.into_owned(),
        origin: message.topic.clone(),
    })
}

/// What the application can never take: a copy for the dead-letter topic, or a dead letter of ours.
fn refused(rule: &AppRule, message: &Message, why: String) -> Mapped {
    copied(rule, message, why.clone()).unwrap_or(Mapped::Dead(why))
}

/// The message as it came, for the dead-letter topic if there is one.
fn copied(rule: &AppRule, message: &Message, why: String) -> Option<Mapped> {
    let dead_letter_topic = rule.subscription.dead_letter_topic.as_ref()?;
    let copy = Delivery {
        lane: LaneName { sink: rule.publisher.clone().into(), key: String::new() },
        order_key: None,
        errand: Errand::Publish {
            topic: format!("{}{dead_letter_topic}", rule.prefix),
            qos: rule.qos,
            retain: rule.retain,
        },
        keep: Keep::UntilDelivered,
        body: message.payload.clone(),
        origin: message.topic.clone(),
    };
    Some(Mapped::Diverted(copy, why))
}

/// What the payload is for the application.
fn event<'a>(
    rule: &AppRule,
    topic: &str,
    payload: &'a [u8],
    stamp: &dyn Fn() -> Stamp,
) -> Result<Event<'a>, String> {
    let built = || Event {
        body: Cow::Owned(built(&rule.component, topic, payload, &stamp().id)),
        is_raw: true,
        members: None,
        expires: None,
    };
    if rule.subscription.raw == Raw::Yes {
        return Ok(built());
    }
    let read = Document::read(payload);
    let is_event = |document: &Document<'_>| {
        document.whole.is_object() && document.member("specversion").is_some()
    };
    if rule.subscription.raw == Raw::Auto && !read.as_ref().is_ok_and(is_event) {
        return Ok(built());
    }
    let document = read.map_err(|why| format!("it is no event: {why}"))?;
    if !document.whole.is_object() && !document.whole.is_null() {
        return Err("it is no event: a JSON document, but no object".to_owned());
    }
    let expires = text(&document, "expiration").and_then(|text| moment::read(&text));
    Ok(Event {
        body: Cow::Borrowed(text_of(payload)),
        is_raw: false,
        members: document.whole.is_object().then_some(document),
        expires,
    })
}

/// The payload as it came, blanks and all, but for what firmware in C and editors add and no
/// application could read.
fn text_of(payload: &[u8]) -> &[u8] {
    let is_plain = payload.last() != Some(&0) && payload.first().is_some_and(u8::is_ascii);
    if is_plain { payload } else { trimmed(payload) }
}

/// An event around bytes that are none.
fn built(component: &str, topic: &str, payload: &[u8], id: &str) -> Vec<u8> {
    let quoted = |text: &str| Value::from(text).to_string();
    let mut body = String::with_capacity(payload.len() * 4 / 3 + topic.len() + 256);
    for part in [
        "{\"id\":",
        &quoted(id),
        ",\"specversion\":\"1.0\",\"type\":\"com.dapr.event.sent\",\"source\":\"Dapr\",\"topic\":",
        &quoted(topic),
        ",\"pubsubname\":",
        &quoted(component),
        ",\"datacontenttype\":\"application/octet-stream\",\"data_base64\":\"",
    ] {
        body.push_str(part);
    }
    STANDARD.encode_string(payload, &mut body);
    body.push_str("\"}");
    body.into_bytes()
}

/// The path of the first route that is true of an event, if one is.
fn route<'r>(rule: &'r AppRule, event: &Event<'_>) -> Result<Option<&'r str>, String> {
    let mut read: Option<Value> = None;
    for route in &rule.routes {
        let Some(expression) = &route.matches else { return Ok(Some(&route.path)) };
        if read.is_none() {
            read = Some(value(event)?);
        }
        let answer = expression.evaluate(read.as_ref().unwrap_or(&Value::Null));
        if answer.map_err(|why| format!("the expression `{}`: {why}", expression.text()))? {
            return Ok(Some(&route.path));
        }
    }
    Ok(None)
}

/// The event as expressions see it.
fn value(event: &Event<'_>) -> Result<Value, String> {
    if !event.is_raw && event.members.is_none() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(&event.body).map_err(|why| format!("it is no event: {why}"))
}

/// A component is a lane; events that go together have one for their subscription, in whose order
/// they are.
fn lane(rule: &AppRule) -> String {
    match rule.subscription.bulk {
        None => rule.component.clone(),
        Some(_) => format!("{}/{}", rule.component, rule.subscription.topic),
    }
}

/// First attempts of deliveries with the same key follow each other.
fn order_key(rule: &AppRule, topic: &str) -> String {
    let filter = topic::unshared(&rule.subscription.topic);
    match (rule.one_at_a_time, filter == topic) {
        (true, _) => "app".to_owned(),
        (false, true) => topic.to_owned(),
        (false, false) => format!("{topic} ({filter})"),
    }
}

/// Headers for the application, and in those with a colon what the sink has to know.
fn headers(
    rule: &AppRule,
    topic: &str,
    retained: bool,
    event: &Event<'_>,
) -> Vec<(String, String)> {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut headers = Vec::with_capacity(6);
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    add("Pubsubname", encoded(&rule.component));
    add("Retained", retained.to_string());
    add("Mqtt-Topic", encoded(topic));
    if let Some(document) = &event.members
        && let Some(parent) = text(document, "traceparent").filter(|text| is_traceparent(text))
    {
        add("traceparent", parent.into_owned());
        if let Some(state) = text(document, "tracestate").filter(|text| is_tracestate(text)) {
            add("tracestate", state.into_owned());
        }
    }
    if let Some(dead_letter_topic) = &rule.subscription.dead_letter_topic {
        add(DEAD_LETTER, encoded(&format!("{}{dead_letter_topic}", rule.prefix)));
    }
    if event.is_raw {
        add(RAW, "yes".to_owned());
    }
    if let Some(bulk) = &rule.subscription.bulk {
        add(BULK, bulk.note());
    }
    headers
}

/// A member that is a text.
fn text<'a>(document: &Document<'a>, name: &str) -> Option<Cow<'a, str>> {
    document.member(name).and_then(Json::string)
}

/// `00-TRACE-PARENT-FLAGS`, with digits of which not all are zero.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { return false };
    let fits = |part: &str, length| part.len() == length && part.bytes().all(is_hex);
    let is_set = |part: &str| part.bytes().any(|digit| digit != b'0');
    fits(version, 2)
        && version != "ff"
        && fits(trace, 32)
        && is_set(trace)
        && fits(parent, 16)
        && is_set(parent)
        && fits(flags, 2)
}

fn is_tracestate(text: &str) -> bool {
    let is_printable = |byte: u8| (b' '..=b'~').contains(&byte);
    !text.is_empty() && text.len() <= TRACESTATE_MAX && text.bytes().all(is_printable)
}
