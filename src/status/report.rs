//! The documents of `/ready` and `/status`.

use crate::commissioned::ServiceReport;
use crate::system::health::{Component, Snapshot, Trouble};
use serde::Serialize;
use std::time::Instant;

/// Why the agent is not ready. Upstream's members come first, in upstream's order.
#[derive(Serialize)]
pub(super) struct NotReady<'a> {
    component: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_ready: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_started: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_exited: Option<bool>,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

pub(super) fn not_ready(trouble: &Trouble) -> NotReady<'_> {
    let plain = |component, error| NotReady {
        component,
        connected: None,
        subscriptions_ready: None,
        consumer_started: None,
        subscribed: None,
        worker_exited: None,
        error,
        name: None,
    };
    match trouble {
        Trouble::Stopping => plain("daemon", "shutting down"),
        Trouble::Session(name, session) => match session.component {
            Component::Mqtt | Component::App => NotReady {
                connected: Some(session.connected),
                subscriptions_ready: Some(session.subscriptions_ready),
                name: Some(name),
                ..plain(session.component.as_str(), &session.error)
            },
            // Consumers start before anybody can ask, and the agent ends with the first that ends.
            Component::Kafka => NotReady {
                connected: Some(session.connected),
                consumer_started: Some(true),
                subscribed: Some(session.subscriptions_ready),
                worker_exited: Some(false),
                name: Some(name),
                ..plain("kafka", &session.error)
            },
        },
        Trouble::Queue(what) => plain("queue", what),
        Trouble::Sink(name, what) => NotReady { name: Some(name), ..plain("sink", what) },
    }
}

/// The document of `/status`.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) version: &'static str,
    pub(super) uptime_seconds: u64,
    pub(super) ready: bool,
    pub(super) trouble: Option<NotReady<'a>>,
    pub(super) stopping: bool,
    pub(super) sessions: Vec<SessionReport<'a>>,
    pub(super) queue: QueueReport<'a>,
    pub(super) sinks: Vec<SinkReport<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) services: Vec<ServiceReport<'a>>,
}

#[derive(Serialize)]
pub(super) struct SessionReport<'a> {
    component: &'static str,
    name: &'a str,
    connected: bool,
    subscriptions_ready: bool,
    error: &'a str,
}

#[derive(Serialize)]
pub(super) struct QueueReport<'a> {
    pub(super) waiting: u64,
    pub(super) bytes: u64,
    pub(super) full: bool,
    pub(super) oldest_age_seconds: Option<u64>,
    pub(super) dead_letters: u64,
    pub(super) dead_letters_lost: u64,
    pub(super) messages_unkept: u64,
    pub(super) put_aside: &'a [String],
    pub(super) error: &'a str,
}

#[derive(Serialize)]
pub(super) struct SinkReport<'a> {
    pub(super) name: &'a str,
    pub(super) delivered: u64,
    pub(super) failed_attempts: u64,
    pub(super) given_up: u64,
    pub(super) seconds_since_last_delivery: Option<u64>,
    pub(super) failing_for_seconds: Option<u64>,
    pub(super) oldest_attempt_seconds: Option<u64>,
    pub(super) waiting: u64,
    pub(super) held_back_seconds: Option<u64>,
    pub(super) next_attempt_seconds: Option<u64>,
    pub(super) keys_held_back: usize,
    pub(super) dead_letters: u64,
    pub(super) error: &'a str,
}

pub(super) fn sessions(snapshot: &Snapshot) -> Vec<SessionReport<'_>> {
    let sessions = snapshot.sessions.iter().map(|(name, session)| SessionReport {
        component: session.component.as_str(),
        name,
        connected: session.connected,
        subscriptions_ready: session.subscriptions_ready,
        error: &session.error,
    });
    sessions.collect()
}

pub(super) fn queue(snapshot: &Snapshot, now: Instant) -> QueueReport<'_> {
    let queue = &snapshot.queue;
    QueueReport {
        waiting: queue.waiting,
        bytes: queue.bytes,
        full: queue.full,
        oldest_age_seconds: queue.oldest_since.map(|since| seconds_since(since, now)),
        dead_letters: queue.dead_letters,
        dead_letters_lost: queue.dead_letters_lost,
        messages_unkept: queue.messages_unkept,
        put_aside: &queue.put_aside,
        error: &queue.error,
    }
}

pub(super) fn sinks(snapshot: &Snapshot, now: Instant) -> Vec<SinkReport<'_>> {
    let age = |since: Option<Instant>| since.map(|since| seconds_since(since, now));
    let sinks = snapshot.sinks.iter().map(|(name, sink)| SinkReport {
        name,
        delivered: sink.delivered,
        failed_attempts: sink.failed_attempts,
        given_up: sink.given_up,
        seconds_since_last_delivery: age(sink.last_delivered),
        failing_for_seconds: age(sink.failing_since),
        oldest_attempt_seconds: age(sink.oldest_attempt),
        waiting: sink.waiting,
        held_back_seconds: sink.held_back.map(|(since, _)| since.as_secs()),
        next_attempt_seconds: sink.held_back.map(|(_, next)| next.as_secs()),
        keys_held_back: sink.lanes_held_back,
        dead_letters: sink.dead_letters,
        error: &sink.error,
    });
    sinks.collect()
}

pub(super) fn seconds_since(then: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(then).as_secs()
}
