//! The event around a body that is published: one that is made for it, or the body itself if that is
//! a CloudEvent already. What stands in a JSON document passes as it stands there.

use super::manner::Said;
use crate::mapping::cloudevent::{self, STRUCTURED, Stamp};
use crate::mapping::json::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a body is whose request does not say.
const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
/// What is written in base64.
const BYTES: [&str; 2] = ["application/octet-stream", "application/cloudevents+protobuf"];

/// What an event is if nobody says otherwise.
const TYPE: &str = "com.dapr.event.sent";
const VERSION: &str = "1.0";
/// Where an event comes from that does not say.
const NOWHERE: &str = "Dapr";

/// What an event says beside its data.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The id of the application that publishes.
    pub app_id: &'a str,
    /// The name of the component.
    pub pubsub: &'a str,
    /// The topic, without the component's prefix.
    pub topic: &'a str,
    /// What the body is, as its request says it.
    pub content_type: Option<&'a str>,
    /// What tells the event from all others.
    pub stamp: &'a Stamp,
    /// The trace that it belongs to.
    pub trace: &'a Trace,
    /// When it is worth nothing any more.
    pub expires: Option<SystemTime>,
    /// What is said otherwise. What a CloudEvent says by itself stays.
    pub said: &'a Said,
}

/// The trace that an event belongs to, as W3C writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// `traceparent`
    pub parent: String,
    /// `tracestate`, which may be empty.
    pub state: String,
}

impl Envelope<'_> {
    /// The event with this body. `None` if the body should be an event, and is none.
    #[must_use]
    pub fn around(&self, body: &[u8]) -> Option<Vec<u8>> {
        match media_type(self.content_type.unwrap_or(TEXT)).as_str() {
            STRUCTURED => self.completed(body),
            media_type => Some(self.made(media_type, body)),
        }
    }

    fn made(&self, media_type: &str, body: &[u8]) -> Vec<u8> {
        let said = self.said;
        let or = |said: &'_ Option<String>, otherwise: &str| {
            said.as_deref().unwrap_or(otherwise).to_owned()
        };
        let source = or(&said.source, self.app_id);
        let trace_parent = or(&said.trace_parent, &self.trace.parent);
        let mut event = Members::with_room_for(body);
        event.text("id", &or(&said.id, &self.stamp.id));
        event.text("specversion", VERSION);
        event.text("source", if source.is_empty() { NOWHERE } else { &source });
        event.text("type", &or(&said.kind, TYPE));
        if let Some(subject) = &said.subject {
            event.text("subject", subject);
        }
        event.text("datacontenttype", self.content_type.unwrap_or(TEXT));
        event.text("topic", self.topic);
        event.text("pubsubname", self.pubsub);
        event.time("time", Some(self.stamp.time));
        event.text("traceid", &or(&said.trace_id, &trace_parent));
        event.text("traceparent", &trace_parent);
        event.text("tracestate", &or(&said.trace_state, &self.trace.state));
        event.time("expiration", self.expires);
        event.data(media_type, body);
        event.whole()
    }

    /// The event that a body is, with what it lacks.
    fn completed(&self, body: &[u8]) -> Option<Vec<u8>> {
        /// What is ours to say.
        const OURS: [&str; 2] = ["topic", "pubsubname"];
        let members: &RawValue = serde_json::from_slice(body).ok()?;
        let members: BTreeMap<String, Json> = Json::of(members).members().ok()?;
        let given = |name: &str| members.get(name).filter(|value| !value.is_null());
        let mut event = Members::with_room_for(body);
        for (name, value) in &members {
            let is_ours =
                OURS.contains(&name.as_str()) || (name == "expiration" && self.expires.is_some());
            // A null is kept where nothing takes its place.
            if !is_ours && (!value.is_null() || !COMPLETED.contains(&name.as_str())) {
                event.raw(name, value.raw().get());
            }
        }
        event.text("topic", self.topic);
        event.text("pubsubname", self.pubsub);
        event.time("expiration", self.expires);
        if given("time").is_none() {
            event.time("time", Some(self.stamp.time));
        }
        match (given("traceid"), given("traceparent")) {
            (None, Some(parent)) => event.raw("traceid", parent.raw().get()),
            (None, None) => event.text("traceid", &self.trace.parent),
            (Some(_), _) => (),
        }
        for (name, value) in [
            ("traceparent", self.trace.parent.as_str()),
            ("tracestate", &self.trace.state),
            ("id", &self.stamp.id),
            ("source", NOWHERE),
            ("type", TYPE),
            ("specversion", VERSION),
        ] {
            if given(name).is_none() {
                event.text(name, value);
            }
        }
        Some(event.whole())
    }
}

/// What an event gets if it lacks it.
const COMPLETED: [&str; 8] =
    ["time", "traceid", "traceparent", "tracestate", "id", "source", "type", "specversion"];

/// The part of a content type before its parameters, in lower case.
#[must_use]
pub fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A JSON object that is being written.
struct Members(Vec<u8>);

impl Members {
    fn with_room_for(body: &[u8]) -> Self {
        Members(Vec::with_capacity(body.len() + 512))
    }

    fn whole(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.quoted(name);
        self.0.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        // Texts always have a JSON form, and writing to a vector cannot fail.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    /// Adds a value as it stands in a document.
    fn raw(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.extend_from_slice(value.as_bytes());
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.quoted(text);
    }

    /// Adds a time, in whole seconds, if there is one and the clock that shows it has been set.
    fn time(&mut self, name: &str, time: Option<SystemTime>) {
        let Some(time) = time.filter(|time| cloudevent::is_set(*time)) else { return };
        let seconds = OffsetDateTime::from(time).replace_nanosecond(0);
        if let Some(text) = seconds.ok().and_then(|time| time.format(&Rfc3339).ok()) {
            self.text(name, &text);
        }
    }

    fn data(&mut self, media_type: &str, body: &[u8]) {
        if media_type == JSON
            && !body.is_empty()
            && let Ok(value) = serde_json::from_slice::<&RawValue>(body)
        {
            return self.raw("data", value.get());
        }
        match std::str::from_utf8(body) {
            Ok(text) if !BYTES.contains(&media_type) => self.text("data", text),
            _ => self.text("data_base64", &STANDARD.encode(body)),
        }
    }
}

#[cfg(test)]
mod tests;
