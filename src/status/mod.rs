//! What the agent reports about itself: `/`, `/health`, `/ready`, `/status`, `/metrics`.

mod letters;
mod metrics;
mod page;
mod report;

use crate::commissioned;
use crate::config::{Commissioned, Secret};
use crate::system::health::{Health, Limits, Queue};
use crate::system::http::{Request, Response, Routes, token};
use crate::system::plain;
pub use letters::Ask;
use letters::{Letters, Shelf};
use page::Key;
use report::Report;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// The media type of the text format that Prometheus reads.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const VERSION: &str = env!("CARGO_PKG_VERSION");

type Tell = fn(&Status, Instant) -> Response;

/// Who sees what others wrote: dead letters, what waits, lines of the log.
pub enum Access {
    /// Everybody, and nobody may change anything: whoever reaches the listener may post to it.
    Open,
    /// Those who show this token, and they may put dead letters back or drop them.
    Token(Secret),
    /// Nobody: those who may use this listener prove it in another way.
    Closed,
}

/// The routes that are not below `/api/`.
pub struct Status {
    health: Health,
    limits: Limits,
    started: Instant,
    access: Access,
    shelf: Option<Shelf>,
    services: Arc<[Commissioned]>,
}

impl Routes for Status {
    /// The page waits for the queue, so it is none.
    fn is_probe(&self, head: &Request) -> bool {
        Self::route(head.path).is_some() && !page::is_wanted(head)
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        let tell = Self::route(request.path)?;
        Some(match request.method {
            "GET" | "HEAD" if page::is_wanted(request) => {
                self.health.ask();
                page::answer(self, request, Instant::now())
            }
            "GET" | "HEAD" => tell(self, Instant::now()),
            _ => Response::method_not_allowed("GET, HEAD"),
        })
    }
}

impl Status {
    /// Reports what `health` shows. The time of this call counts as the start of the agent.
    #[must_use]
    pub fn new(health: Health, limits: Limits) -> Self {
        Status {
            health,
            limits,
            started: Instant::now(),
            access: Access::Closed,
            shelf: None,
            services: Arc::from([]),
        }
    }

    /// Also says how these services are.
    #[must_use]
    pub fn with_services(mut self, services: &[Commissioned]) -> Self {
        commissioned::show(services, &self.health);
        self.services = Arc::from(services);
        self
    }

    /// The same on a listener. `ask` asks the queue what the page shows of it.
    #[must_use]
    pub fn on(&self, access: Access, ask: Box<Ask>) -> Self {
        let Status { health, limits, started, .. } = self;
        let (health, shelf) = (health.clone(), Some(Shelf::new(ask)));
        let services = Arc::clone(&self.services);
        Status { health, limits: *limits, started: *started, access, shelf, services }
    }

    fn key(&self, request: &Request) -> Key {
        let token = match &self.access {
            Access::Open => return Key::None,
            Access::Closed => return Key::Elsewhere,
            Access::Token(token) => token.expose(),
        };
        match token::shown(request) {
            None => Key::Wanted,
            Some(shown) if token::same(shown, token) => Key::Shown,
            Some(_) => Key::Wrong,
        }
    }

    /// What waits and what was given up, if there is anything of it.
    fn letters(&self, queue: &Queue, now: Instant) -> Arc<Letters> {
        let is_empty = queue.waiting == 0 && queue.dead_letters == 0;
        let shelf = self.shelf.as_ref().filter(|_| !is_empty);
        shelf.map_or_else(Arc::default, |shelf| shelf.letters(now))
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
            Some(trouble) => Response::json(503, text(&report::not_ready(&trouble))),
        }
    }

    fn status(&self, now: Instant) -> Response {
        Response::json(200, self.document(now))
    }

    /// The document of `/status`, in which nothing from the network can move a cursor.
    #[must_use]
    pub fn document(&self, now: Instant) -> String {
        let snapshot = self.health.snapshot();
        let trouble = snapshot.trouble(now, self.limits);
        text(&Report {
            version: VERSION,
            uptime_seconds: report::seconds_since(self.started, now),
            ready: trouble.is_none(),
            trouble: trouble.as_ref().map(report::not_ready),
            stopping: snapshot.stopping,
            sessions: report::sessions(&snapshot),
            queue: report::queue(&snapshot, now),
            sinks: report::sinks(&snapshot, now),
            services: commissioned::services(&self.services, &snapshot, now),
        })
    }

    fn metrics(&self, now: Instant) -> Response {
        let uptime = report::seconds_since(self.started, now);
        let text = metrics::text(&self.health.snapshot(), uptime, now, self.limits);
        Response::new(200, METRICS_TYPE, text)
    }
}

fn text(content: &impl Serialize) -> String {
    // Structs of numbers and strings always have a JSON form.
    let document = serde_json::to_string(content).unwrap_or_default();
    plain::json(&document).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::health;
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
            queue.dead_letters_of_sinks.insert("ilert".to_owned(), 2);
            queue.oldest_since = Instant::now().checked_sub(Duration::from_secs(5));
        });
        health.sink("ilert", |sink| {
            sink.delivered = 100;
            sink.failed_attempts = 3;
            sink.given_up = 1;
            sink.last_delivered = Instant::now().checked_sub(Duration::from_secs(9));
            sink.error = "503 Service Unavailable".to_owned();
        });
        health.sinks_are_seen_by(|sinks| {
            let sink = health::of(sinks, "ilert");
            let held_back = (Duration::from_secs(60), Duration::from_secs(6));
            (sink.waiting, sink.held_back) = (5, Some(held_back));
        });
        let tally = health::Tally::new("s-m[0], rule 2".to_owned());
        tally.stopped.store(4, std::sync::atomic::Ordering::Relaxed);
        health.rules(vec![tally]);
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
                "put_aside": [],
            },
            "sinks": [{
                "name": "ilert", "delivered": 100, "failed_attempts": 3, "given_up": 1,
                "seconds_since_last_delivery": 9, "failing_for_seconds": null,
                "oldest_attempt_seconds": null, "error": "503 Service Unavailable",
                "waiting": 5, "held_back_seconds": 60, "next_attempt_seconds": 6,
                "keys_held_back": 0, "dead_letters": 2,
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
            r#"ilagent_sink_deliveries{sink="ilert"} 5"#,
            r#"ilagent_sink_held_back_seconds{sink="ilert"} 60"#,
            r#"ilagent_sink_dead_letters{sink="ilert"} 2"#,
            r#"ilagent_rule_messages_total{rule="s-m[0], rule 2",outcome="stopped"} 4"#,
            r#"ilagent_rule_messages_total{rule="s-m[0], rule 2",outcome="failed"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n---\n{text}");
        }
    }
}
