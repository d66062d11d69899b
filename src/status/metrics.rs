//! `/metrics`: Prometheus' text format, one family after another.

use super::VERSION;
use super::report::{self, QueueReport, SinkReport};
use crate::system::health::{Component, Limits, Session, Snapshot};
use crate::system::plain::plain;
use crate::system::traffic::BOUNDS;
use std::fmt::{Display, Write};
use std::time::Instant;

const DELIVERIES: &str = "ilagent_deliveries_total";
const LOST: &str = "ilagent_dead_letters_lost_total";
const UNKEPT: &str = "ilagent_messages_unkept_total";
const RECEIVED: &str = "ilagent_messages_received_total";
const LATENCY: &str = "ilagent_delivery_duration_seconds";
const FAILING: &str = "ilagent_sink_failing_seconds";
const WAITING: &str = "ilagent_sink_deliveries";
const HELD_BACK: &str = "ilagent_sink_held_back_seconds";
const DEAD: &str = "ilagent_sink_dead_letters";
const RULES: &str = "ilagent_rule_messages_total";

/// All families.
pub(super) fn text(snapshot: &Snapshot, uptime: u64, now: Instant, limits: Limits) -> String {
    let ready = snapshot.trouble(now, limits).is_none();
    let mut out = Metrics(String::with_capacity(2048));
    out.family("ilagent_info", "gauge", "The version of the agent.");
    out.sample("ilagent_info", &[("version", VERSION)], 1);
    out.single("ilagent_ready", "Whether /ready says so.", u8::from(ready));
    out.single("ilagent_uptime_seconds", "Time since the start of the agent.", uptime);
    out.sources(snapshot);
    out.queue(&report::queue(snapshot, now));
    out.sessions(snapshot);
    out.sinks(snapshot, now);
    out.latencies(snapshot);
    out.rules(snapshot);
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

    fn sources(&mut self, snapshot: &Snapshot) {
        if snapshot.sources.is_empty() {
            return;
        }
        self.family(RECEIVED, "counter", "Messages, or points, that came from a source.");
        for (source, count) in &snapshot.sources {
            self.sample(RECEIVED, &[("source", source)], count);
        }
    }

    fn rules(&mut self, snapshot: &Snapshot) {
        if snapshot.rules.is_empty() {
            return;
        }
        self.family(RULES, "counter", "Messages that did not pass a rule, by what came of them.");
        for tally in &snapshot.rules {
            for (outcome, count) in ["stopped", "failed"].into_iter().zip(tally.counts()) {
                self.sample(RULES, &[("rule", &tally.rule), ("outcome", outcome)], count);
            }
        }
    }

    /// How long deliveries took, from their arrival until the sink had them.
    fn latencies(&mut self, snapshot: &Snapshot) {
        let sinks = snapshot.sinks.iter().filter(|(_, sink)| !sink.is_journal);
        let sinks: Vec<_> = sinks.collect();
        if sinks.is_empty() {
            return;
        }
        let help = "Time from the arrival of a message until the sink had it.";
        self.family(LATENCY, "histogram", help);
        let bucket = format!("{LATENCY}_bucket");
        for (name, sink) in sinks {
            let up_to = sink.latency.up_to();
            let bounds = BOUNDS.iter().map(|bound| (f64::from(*bound) / 1_000.0).to_string());
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(up_to) {
                self.sample(&bucket, &[("sink", name), ("le", &bound)], count);
            }
            let sum = sink.latency.sum().as_secs_f64();
            self.sample(&format!("{LATENCY}_sum"), &[("sink", name)], sum);
            self.sample(&format!("{LATENCY}_count"), &[("sink", name)], up_to[BOUNDS.len()]);
        }
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

#[cfg(test)]
mod tests;
