//! What the agent says of itself: `/`, `/health`, `/ready`, `/status`, `/metrics`.

use crate::system::health::{Component, Health, Limits, Session, Snapshot, Trouble};
use crate::system::http::{Request, Response};
use crate::system::plain::plain;
use serde::Serialize;
use std::fmt::{Display, Write};
use std::time::Instant;

/// The media type of the text format that Prometheus reads.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const DELIVERIES: &str = "ilagent_deliveries_total";
const LOST: &str = "ilagent_dead_letters_lost_total";
const UNKEPT: &str = "ilagent_messages_unkept_total";
const FAILING: &str = "ilagent_sink_failing_seconds";
const VERSION: &str = env!("CARGO_PKG_VERSION");

type Tell = fn(&Status, Instant) -> Response;

/// The routes that are not below `/api/`.
#[derive(Debug)]
pub struct Status {
    health: Health,
    limits: Limits,
    started: Instant,
}

impl Status {
    /// Tells what `health` shows. The time of this call counts as the start of the agent.
    #[must_use]
    pub fn new(health: Health, limits: Limits) -> Self {
        Status { health, limits, started: Instant::now() }
    }

    /// Answers a request, or `None` when the path is not one of these.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Option<Response> {
        let tell = Self::route(request.path)?;
        Some(match request.method {
            "GET" | "HEAD" => tell(self, Instant::now()),
            _ => Response::method_not_allowed("GET, HEAD"),
        })
    }

    /// Whether a path is one of these.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        Self::route(path).is_some()
    }

    fn route(path: &str) -> Option<Tell> {
        Some(match path {
            "/" => |_, _| Response::text(200, format!("ilagent/{VERSION}")),
            "/health" => Self::health,
            "/ready" => Self::ready,
            "/status" => Self::status,
            "/metrics" => Self::metrics,
            _ => return None,
        })
    }

    fn health(&self, _now: Instant) -> Response {
        Response::empty(if self.health.snapshot().stopping { 503 } else { 204 })
    }

    fn ready(&self, now: Instant) -> Response {
        self.health.ask();
        match self.health.snapshot().trouble(now, self.limits) {
            None => Response::empty(204),
            Some(trouble) => document(503, &not_ready(&trouble)),
        }
    }

    fn status(&self, now: Instant) -> Response {
        let snapshot = self.health.snapshot();
        let trouble = snapshot.trouble(now, self.limits);
        document(
            200,
            &Report {
                version: VERSION,
                uptime_seconds: seconds_since(self.started, now),
                ready: trouble.is_none(),
                trouble: trouble.as_ref().map(not_ready),
                stopping: snapshot.stopping,
                sessions: sessions(&snapshot),
                queue: queue(&snapshot, now),
                sinks: sinks(&snapshot, now),
            },
        )
    }

    fn metrics(&self, now: Instant) -> Response {
        let snapshot = self.health.snapshot();
        let ready = snapshot.trouble(now, self.limits).is_none();
        let mut out = Metrics(String::with_capacity(2048));
        out.family("ilagent_info", "gauge", "The version of the agent.");
        out.sample("ilagent_info", &[("version", VERSION)], 1);
        out.single("ilagent_ready", "Whether /ready says so.", u8::from(ready));
        let uptime = seconds_since(self.started, now);
        out.single("ilagent_uptime_seconds", "Time since the start of the agent.", uptime);
        let queue = queue(&snapshot, now);
        out.single("ilagent_queue_deliveries", "Deliveries waiting or in flight.", queue.waiting);
        out.single("ilagent_queue_bytes", "Bytes of the deliveries in the queue.", queue.bytes);
        out.single("ilagent_queue_full", "Whether sources are refused.", u8::from(queue.full));
        let writable = u8::from(queue.error.is_empty());
        out.single("ilagent_queue_writable", "Whether the database can be written.", writable);
        out.single("ilagent_dead_letters", "Dead letters kept.", queue.dead_letters);
        for (name, help, count) in [
            (LOST, "Dead letters that had to make room for others.", queue.dead_letters_lost),
            (UNKEPT, "Messages that are no deliveries and were not kept.", queue.messages_unkept),
        ] {
            out.family(name, "counter", help);
            out.sample(name, &[], count);
        }
        out.single(
            "ilagent_oldest_delivery_seconds",
            "Age of the oldest delivery waiting, 0 when none is.",
            queue.oldest_age_seconds.unwrap_or(0),
        );
        out.sessions(&snapshot);
        out.sinks(&snapshot, now);
        Response::new(200, METRICS_TYPE, out.0)
    }
}

/// Why the agent is not ready; the members that upstream has come first, and in its order.
#[derive(Serialize)]
struct NotReady<'a> {
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

fn not_ready(trouble: &Trouble) -> NotReady<'_> {
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
            Component::Mqtt => NotReady {
                connected: Some(session.connected),
                subscriptions_ready: Some(session.subscriptions_ready),
                name: Some(name),
                ..plain("mqtt", &session.error)
            },
            // A consumer is started before anybody can ask, and one that ends ends the agent.
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
struct Report<'a> {
    version: &'static str,
    uptime_seconds: u64,
    ready: bool,
    trouble: Option<NotReady<'a>>,
    stopping: bool,
    sessions: Vec<SessionReport<'a>>,
    queue: QueueReport<'a>,
    sinks: Vec<SinkReport<'a>>,
}

#[derive(Serialize)]
struct SessionReport<'a> {
    component: &'static str,
    name: &'a str,
    connected: bool,
    subscriptions_ready: bool,
    error: &'a str,
}

#[derive(Serialize)]
struct QueueReport<'a> {
    waiting: u64,
    bytes: u64,
    full: bool,
    oldest_age_seconds: Option<u64>,
    dead_letters: u64,
    dead_letters_lost: u64,
    messages_unkept: u64,
    error: &'a str,
}

#[derive(Serialize)]
struct SinkReport<'a> {
    name: &'a str,
    delivered: u64,
    failed_attempts: u64,
    given_up: u64,
    seconds_since_last_delivery: Option<u64>,
    failing_for_seconds: Option<u64>,
    oldest_attempt_seconds: Option<u64>,
    error: &'a str,
}

fn sessions(snapshot: &Snapshot) -> Vec<SessionReport<'_>> {
    let sessions = snapshot.sessions.iter().map(|(name, session)| SessionReport {
        component: session.component.as_str(),
        name,
        connected: session.connected,
        subscriptions_ready: session.subscriptions_ready,
        error: &session.error,
    });
    sessions.collect()
}

fn queue(snapshot: &Snapshot, now: Instant) -> QueueReport<'_> {
    let queue = &snapshot.queue;
    QueueReport {
        waiting: queue.waiting,
        bytes: queue.bytes,
        full: queue.full,
        oldest_age_seconds: queue.oldest_since.map(|since| seconds_since(since, now)),
        dead_letters: queue.dead_letters,
        dead_letters_lost: queue.dead_letters_lost,
        messages_unkept: queue.messages_unkept,
        error: &queue.error,
    }
}

fn sinks(snapshot: &Snapshot, now: Instant) -> Vec<SinkReport<'_>> {
    let age = |since: Option<Instant>| since.map(|since| seconds_since(since, now));
    let sinks = snapshot.sinks.iter().map(|(name, sink)| SinkReport {
        name,
        delivered: sink.delivered,
        failed_attempts: sink.failed_attempts,
        given_up: sink.given_up,
        seconds_since_last_delivery: age(sink.last_delivered),
        failing_for_seconds: age(sink.failing_since),
        oldest_attempt_seconds: age(sink.oldest_attempt),
        error: &sink.error,
    });
    sinks.collect()
}

fn seconds_since(then: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(then).as_secs()
}

fn document(status: u16, content: &impl Serialize) -> Response {
    // Structs of numbers and strings always have a JSON form.
    Response::json(status, serde_json::to_vec(content).unwrap_or_default())
}

/// Metrics in Prometheus' text format, one family after another.
struct Metrics(String);

impl Metrics {
    /// A gauge without labels.
    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
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

    fn sessions(&mut self, snapshot: &Snapshot) {
        for component in [Component::Mqtt, Component::Kafka] {
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
        let sinks = sinks(snapshot, now);
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
        self.family(FAILING, "gauge", "How long every attempt has failed, 0 when none did.");
        for sink in &sinks {
            self.sample(FAILING, &[("sink", sink.name)], sink.failing_for_seconds.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: Limits = Limits { age_max: Duration::from_secs(600) };

    fn answer(health: &Health, method: &str, path: &str) -> Option<Response> {
        let request = Request { method, path, query: "", headers: &[], body: &[] };
        Status::new(health.clone(), LIMITS).answer(&request)
    }

    fn words(health: &Health, path: &str) -> (u16, String) {
        let response = answer(health, "GET", path).unwrap();
        (response.status, String::from_utf8(response.body).unwrap())
    }

    #[test]
    fn a_quiet_agent_is_healthy_and_ready() {
        let health = Health::default();
        assert_eq!(words(&health, "/"), (200, format!("ilagent/{VERSION}")));
        assert_eq!(words(&health, "/health"), (204, String::new()));
        assert_eq!(words(&health, "/ready"), (204, String::new()));
    }

    #[test]
    fn the_first_trouble_is_told_as_upstream_tells_it() {
        let health = Health::default();
        let check = |wanted: &str| assert_eq!(words(&health, "/ready"), (503, wanted.to_owned()));

        health.sink("ilert", |sink| {
            sink.oldest_attempt = Instant::now().checked_sub(Duration::from_secs(61));
            sink.attempts_end = sink.oldest_attempt;
        });
        check(
            r#"{"component":"sink","error":"an attempt has been running for 61 s","name":"ilert"}"#,
        );
        health.queue(|queue| queue.error = "the disk is full".to_owned());
        check(r#"{"component":"queue","error":"the disk is full"}"#);
        health.session("plant", |session| session.error = "connection \"refused\"".to_owned());
        check(
            r#"{"component":"mqtt","connected":false,"subscriptions_ready":false,"error":"connection \"refused\"","name":"plant"}"#,
        );
        assert_eq!(words(&health, "/health"), (204, String::new()));
        health.stopping();
        check(r#"{"component":"daemon","error":"shutting down"}"#);
        assert_eq!(words(&health, "/health"), (503, String::new()));
    }

    #[test]
    fn a_consumer_that_is_not_ready_is_told_as_upstream_tells_it() {
        let health = Health::default();
        health.session("a", |session| {
            (session.connected, session.subscriptions_ready) = (true, true);
        });
        health.consumer("a", |session| session.connected = true);
        let wanted = r#"{"component":"kafka","connected":true,"consumer_started":true,"subscribed":false,"worker_exited":false,"error":"","name":"a"}"#;
        assert_eq!(words(&health, "/ready"), (503, wanted.to_owned()));
        let (_, text) = words(&health, "/metrics");
        assert!(text.contains("\nilagent_kafka_subscribed{session=\"a\"} 0\n"), "{text}");
        health.consumer("a", |session| session.subscriptions_ready = true);
        assert_eq!(words(&health, "/ready"), (204, String::new()));
    }

    #[test]
    fn only_these_paths_and_methods_are_answered() {
        let health = Health::default();
        for path in ["/", "/health", "/ready", "/status", "/metrics"] {
            assert_eq!(answer(&health, "HEAD", path), answer(&health, "GET", path), "{path}");
            let refused = answer(&health, "POST", path).unwrap();
            assert_eq!(refused, Response::method_not_allowed("GET, HEAD"), "{path}");
        }
        for path in ["/health/", "/Ready", "/api/events", "*", "//"] {
            assert_eq!(answer(&health, "GET", path), None, "{path}");
        }
    }

    fn busy() -> Health {
        let health = Health::default();
        health.session("a\"b\\c\nd", |session| session.connected = true);
        health.queue(|queue| {
            queue.waiting = 7;
            queue.bytes = 700;
            queue.dead_letters = 2;
            queue.oldest_since = Instant::now().checked_sub(Duration::from_secs(5));
        });
        health.sink("ilert", |sink| {
            sink.delivered = 100;
            sink.failed_attempts = 3;
            sink.given_up = 1;
            sink.last_delivered = Instant::now().checked_sub(Duration::from_secs(9));
            sink.error = "503 Service Unavailable".to_owned();
        });
        health
    }

    #[test]
    fn the_status_is_the_whole_board() {
        let (status, body) = words(&busy(), "/status");
        let found: serde_json::Value = serde_json::from_str(&body).unwrap();
        let wanted = serde_json::json!({
            "version": VERSION,
            "uptime_seconds": 0,
            "ready": false,
            "trouble": {
                "component": "mqtt", "connected": true, "subscriptions_ready": false,
                "error": "", "name": "a\"b\\c\nd",
            },
            "stopping": false,
            "sessions": [{
                "component": "mqtt", "name": "a\"b\\c\nd", "connected": true, "subscriptions_ready": false, "error": "",
            }],
            "queue": {
                "waiting": 7, "bytes": 700, "full": false, "oldest_age_seconds": 5,
                "dead_letters": 2, "error": "",
                "dead_letters_lost": 0,
                "messages_unkept": 0,
            },
            "sinks": [{
                "name": "ilert", "delivered": 100, "failed_attempts": 3, "given_up": 1,
                "seconds_since_last_delivery": 9, "failing_for_seconds": null,
                "oldest_attempt_seconds": null, "error": "503 Service Unavailable",
            }],
        });
        assert_eq!((status, found), (200, wanted));
    }

    #[test]
    fn metrics_are_what_prometheus_reads() {
        let (status, text) = words(&busy(), "/metrics");
        assert_eq!(status, 200);
        for line in [
            "# TYPE ilagent_queue_deliveries gauge",
            "ilagent_queue_deliveries 7",
            "ilagent_queue_bytes 700",
            "ilagent_dead_letters 2",
            "ilagent_oldest_delivery_seconds 5",
            "ilagent_ready 0",
            r#"ilagent_mqtt_connected{session="a\"b\\c\nd"} 1"#,
            r#"ilagent_mqtt_subscribed{session="a\"b\\c\nd"} 0"#,
            "# TYPE ilagent_deliveries_total counter",
            r#"ilagent_deliveries_total{sink="ilert",outcome="delivered"} 100"#,
            r#"ilagent_deliveries_total{sink="ilert",outcome="later"} 3"#,
            r#"ilagent_deliveries_total{sink="ilert",outcome="given_up"} 1"#,
            r#"ilagent_sink_failing_seconds{sink="ilert"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n---\n{text}");
        }
        // Each sample belongs to the family announced before it, and each family is announced once.
        let mut family = "";
        let mut families = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split(' ').next().unwrap();
                assert!(!families.contains(&family), "{family} twice");
                families.push(family);
            } else if !line.starts_with("# TYPE ") {
                assert_eq!(line.split(['{', ' ']).next().unwrap(), family);
            }
        }
    }
}
