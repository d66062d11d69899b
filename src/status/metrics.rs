//! `/metrics`: Prometheus' text format, one family after another.

use super::VERSION;
use super::report::{self, QueueReport, SinkReport};
use crate::system::health::{Component, Limits, Session, Snapshot};
use crate::system::plain::plain;
use std::fmt::{Display, Write};
use std::time::Instant;

const DELIVERIES: &str = "ilagent_deliveries_total";
const LOST: &str = "ilagent_dead_letters_lost_total";
const UNKEPT: &str = "ilagent_messages_unkept_total";
const FAILING: &str = "ilagent_sink_failing_seconds";
const WAITING: &str = "ilagent_sink_deliveries";
const HELD_BACK: &str = "ilagent_sink_held_back_seconds";
const DEAD: &str = "ilagent_sink_dead_letters";

/// All families.
pub(super) fn text(snapshot: &Snapshot, uptime: u64, now: Instant, limits: Limits) -> String {
    let ready = snapshot.trouble(now, limits).is_none();
    let mut out = Metrics(String::with_capacity(2048));
    out.family("ilagent_info", "gauge", "The version of the agent.");
    out.sample("ilagent_info", &[("version", VERSION)], 1);
    out.single("ilagent_ready", "Whether /ready says so.", u8::from(ready));
    out.single("ilagent_uptime_seconds", "Time since the start of the agent.", uptime);
    out.queue(&report::queue(snapshot, now));
    out.sessions(snapshot);
    out.sinks(snapshot, now);
    out.0
}

struct Metrics(String);

impl Metrics {
    /// A gauge without labels.
    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A gauge with a value for each sink.
    fn gauge_of(
        &mut self,
        sinks: &[SinkReport<'_>],
        name: &str,
        help: &str,
        value: fn(&SinkReport<'_>) -> u64,
    ) {
        self.family(name, "gauge", help);
        for sink in sinks {
            self.sample(name, &[("sink", sink.name)], value(sink));
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str(r"\\"),
                    '"' => self.0.push_str(r#"\""#),
                    '\n' => self.0.push_str(r"\n"),
                    other => {
                        let _ = write!(self.0, "{}", plain(other.encode_utf8(&mut [0; 4])));
                    }
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn queue(&mut self, queue: &QueueReport<'_>) {
        self.single("ilagent_queue_deliveries", "Deliveries waiting or in flight.", queue.waiting);
        self.single("ilagent_queue_bytes", "Bytes of the deliveries in the queue.", queue.bytes);
        self.single("ilagent_queue_full", "Whether sources are refused.", u8::from(queue.full));
        let writable = u8::from(queue.error.is_empty());
        self.single("ilagent_queue_writable", "Whether the database can be written.", writable);
        self.single("ilagent_dead_letters", "Dead letters kept.", queue.dead_letters);
        for (name, help, count) in [
            (LOST, "Dead letters that had to make room for others.", queue.dead_letters_lost),
            (UNKEPT, "Messages that are no deliveries and were not kept.", queue.messages_unkept),
        ] {
            self.family(name, "counter", help);
            self.sample(name, &[], count);
        }
        let aside = queue.put_aside.len();
        self.single("ilagent_files_put_aside", "Files moved aside that are still there.", aside);
        self.single(
            "ilagent_oldest_delivery_seconds",
            "Age of the oldest delivery waiting, 0 when none is.",
            queue.oldest_age_seconds.unwrap_or(0),
        );
    }

    fn sessions(&mut self, snapshot: &Snapshot) {
        for component in [Component::Mqtt, Component::Kafka, Component::App] {
            let is_one = |(_, session): &&(String, Session)| session.component == component;
            let sessions: Vec<_> = snapshot.sessions.iter().filter(is_one).collect();
            if sessions.is_empty() {
                continue;
            }
            let name = component.as_str();
            let connected = format!("ilagent_{name}_connected");
            self.family(&connected, "gauge", "Whether the connection is up.");
            for (session, Session { connected: up, .. }) in &sessions {
                self.sample(&connected, &[("session", session)], u8::from(*up));
            }
            let subscribed = format!("ilagent_{name}_subscribed");
            self.family(&subscribed, "gauge", "Whether everything asked for is subscribed.");
            for (session, Session { subscriptions_ready: ready, .. }) in &sessions {
                self.sample(&subscribed, &[("session", session)], u8::from(*ready));
            }
        }
    }

    fn sinks(&mut self, snapshot: &Snapshot, now: Instant) {
        let sinks = report::sinks(snapshot, now);
        if sinks.is_empty() {
            return;
        }
        self.family(DELIVERIES, "counter", "Attempts to hand a delivery over, by what came of it.");
        for sink in &sinks {
            for (outcome, count) in [
                ("delivered", sink.delivered),
                ("later", sink.failed_attempts),
                ("given_up", sink.given_up),
            ] {
                self.sample(DELIVERIES, &[("sink", sink.name), ("outcome", outcome)], count);
            }
        }
        self.gauge_of(
            &sinks,
            FAILING,
            "How long every attempt has failed, 0 when none did.",
            |sink| sink.failing_for_seconds.unwrap_or(0),
        );
        self.gauge_of(&sinks, WAITING, "Deliveries waiting for a sink or in flight.", |sink| {
            sink.waiting
        });
        self.gauge_of(
            &sinks,
            HELD_BACK,
            "How long a sink has been held back, 0 when it is not.",
            |sink| sink.held_back_seconds.unwrap_or(0),
        );
        self.gauge_of(&sinks, DEAD, "Dead letters of a sink.", |sink| sink.dead_letters);
    }
}
