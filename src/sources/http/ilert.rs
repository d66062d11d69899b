//! Events and heartbeats over HTTP: `/api/events`, `/api/heartbeats/{key}`.

use super::door::{Door, come_again};
use crate::config;
use crate::mapping::event;
use crate::message::{Delivery, Outcome, Ping, masked};
use crate::system::http::{Request, Response, Routes, decode_segment};
use crate::system::plain::{plain, plain_bytes};
use crate::system::web::is_json;
use log::{info, warn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The words of upstream, and what to do.
const CONTENT_TYPE_ERROR: &str =
    r#"Content type error: send it with "Content-Type: application/json""#;

const EVENTS: &str = "/api/events";
const HEARTBEATS: &str = "/api/heartbeats/";

/// Pings under way may hold this part of the connections: they take as long as ilert takes, and
/// must leave room for events.
const HEARTBEATS_PART: usize = 2;

/// The routes below `/api/`.
pub struct Api {
    door: Arc<Door>,
    enrichment: config::Enrichment,
    ping: Arc<Ping>,
    pings: AtomicUsize,
    pings_max: usize,
}

impl Routes for Api {
    /// Looks at the head only, so that we wait for no body without the token.
    fn door(&self, head: &Request) -> Option<Response> {
        self.door.refusal(head)
    }

    /// Blocks until an event is stored or a ping is answered.
    fn answer(&self, request: &Request) -> Option<Response> {
        if !request.path.starts_with("/api/") {
            return None;
        }
        if let Some(refusal) = self.door(request) {
            return Some(refusal);
        }
        Some(match (request.path, request.method) {
            (EVENTS, "POST") => self.event(request),
            (EVENTS, _) => Response::method_not_allowed("POST"),
            (path, method) => match heartbeat_key(path) {
                None => Response::empty(404),
                Some(key) if method == "GET" => self.heartbeat(key),
                Some(_) => Response::method_not_allowed("GET"),
            },
        })
    }
}

impl Api {
    /// Accepted events go through `door`; `ping` passes heartbeats on at once.
    #[must_use]
    pub fn new(settings: &config::Http, door: Arc<Door>, ping: Arc<Ping>) -> Self {
        Api {
            door,
            enrichment: settings.enrichment.clone(),
            ping,
            pings: AtomicUsize::new(0),
            pings_max: (settings.connections_max / HEARTBEATS_PART).max(1),
        }
    }

    fn event(&self, request: &Request) -> Response {
        if !request.header("content-type").is_some_and(is_json) {
            return Response::text(400, CONTENT_TYPE_ERROR);
        }
        let body = match self.door.body(request) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        match event::from_http(&body, &self.enrichment) {
            Ok(event) => self.store(event.delivery, event.echo),
            Err(reject) => {
                info!("http: refused an event: {}", plain_bytes(&reject.body));
                Response::new(reject.status, reject.content_type, reject.body)
            }
        }
    }

    /// Answers 200 when the event is on disk, and not before.
    fn store(&self, delivery: Delivery, echo: Vec<u8>) -> Response {
        let lane = delivery.lane.to_string();
        let alert_key = delivery.order_key.clone();
        let alert_key = plain(alert_key.as_deref().unwrap_or("-"));
        let what = format!("an event for {lane}, alert key {alert_key}");
        match self.door.store(delivery, &what) {
            Ok(()) => Response::json(200, echo),
            Err(refusal) => refusal,
        }
    }

    fn heartbeat(&self, key: &str) -> Response {
        let Some(key) = decode_segment(key) else {
            return Response::text(400, "The key is not UTF-8");
        };
        let under_way = Counted::new(&self.pings);
        if under_way.count > self.pings_max {
            warn!("http: refused a heartbeat for {}: too many are under way", masked(&key));
            return come_again("too many heartbeats are under way");
        }
        match (self.ping)(&key) {
            Outcome::Delivered => {
                info!("http: passed on a heartbeat for {}", masked(&key));
                Response::json(202, "{}")
            }
            Outcome::Later { why, .. } | Outcome::Never { why, .. } => {
                warn!("http: cannot pass on a heartbeat for {}: {why}", masked(&key));
                Response::text(500, "Failed to proxy heartbeat")
            }
        }
    }
}

/// The key in the path of a heartbeat, still percent-encoded. It is one segment: a slash in a
/// key is sent as `%2F`.
fn heartbeat_key(path: &str) -> Option<&str> {
    let key = path.strip_prefix(HEARTBEATS)?;
    (!key.is_empty() && !key.contains('/')).then_some(key)
}

/// One more under way, until dropped.
struct Counted<'a> {
    counter: &'a AtomicUsize,
    /// How many there are, this one included.
    count: usize,
}

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        Counted { counter, count: counter.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::message::Holds;
    use crate::queue::{self, Push, Storing};
    use crate::system::http::Header;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::{Barrier, Mutex};
    use std::thread;
    use std::time::Duration;

    const EVENT: &str =
        r#"{"integrationKey":"il1api123456","eventType":"ALERT","summary":"s","alertKey":"a"}"#;

    fn settings(token: Option<&str>) -> config::Http {
        config::Http {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            token: token.map(Secret::new),
            connections_max: 4,
            ..config::Http::on_port(0)
        }
    }

    /// An API whose queue does `take` and whose ilert answers a ping of `good` only.
    fn api(
        token: Option<&str>,
        take: impl Fn(Vec<Push>) -> Result<(), queue::Error> + Send + Sync + 'static,
    ) -> Api {
        let ping = |key: &str| match key {
            "good/key" => Outcome::Delivered,
            _ => Outcome::Later { why: "no".to_owned(), holds: Holds::Sink, after: None },
        };
        let door = Door::with(&settings(token), Box::new(take));
        Api::new(&settings(token), Arc::new(door), Arc::new(ping))
    }

    fn sign(batch: Vec<Push>) -> Result<(), queue::Error> {
        for push in batch {
            if let Push::Delivery { receipt: Some(receipt), .. } = push {
                receipt.sign();
            }
        }
        Ok(())
    }

    fn ask(api: &Api, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Response> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        api.answer(&Request { method, path, query: "", headers: &headers, body: EVENT.as_bytes() })
    }

    fn post(api: &Api) -> Response {
        ask(api, "POST", EVENTS, &[("content-type", "application/json")]).unwrap()
    }

    fn word(response: &Response) -> String {
        String::from_utf8_lossy(&response.body).into_owned()
    }

    #[test]
    fn routes_are_exact() {
        let api = api(None, sign);
        for (method, path, status, allow) in [
            ("GET", "/api/events", 405, Some("POST")),
            ("HEAD", "/api/events", 405, Some("POST")),
            ("PUT", "/api/events", 405, Some("POST")),
            ("POST", "/api/events/", 404, None),
            ("POST", "/api/v1/events", 404, None),
            ("POST", "/api/Events", 404, None),
            ("GET", "/api/", 404, None),
            ("GET", "/api/heartbeats/", 404, None),
            ("GET", "/api/heartbeats", 404, None),
            ("GET", "/api/heartbeats/a/b", 404, None),
            ("GET", "/api/heartbeats/a/", 404, None),
            ("POST", "/api/heartbeats/a", 405, Some("GET")),
            ("HEAD", "/api/heartbeats/a", 405, Some("GET")),
        ] {
            let response = ask(&api, method, path, &[]).unwrap();
            assert_eq!(
                (response.status, word(&response).as_str()),
                (status, ""),
                "{method} {path}"
            );
            let found = response.headers.iter().find(|(name, _)| *name == "Allow");
            assert_eq!(found.map(|(_, value)| value.as_str()), allow, "{method} {path}");
        }
        for path in ["/", "/api", "/health", "*"] {
            assert_eq!(ask(&api, "GET", path, &[]), None, "{path}");
        }
    }

    #[test]
    fn an_event_is_json_by_its_content_type() {
        let api = api(None, sign);
        for (content_type, status) in [
            (Some("application/json"), 200),
            (Some("Application/JSON; charset=utf-8"), 200),
            (Some("application/cloudevents+json"), 200),
            (Some("text/plain"), 400),
            (Some("text/json"), 400),
            (Some("application/jsonp"), 400),
            (Some("json"), 400),
            (Some(""), 400),
            (None, 400),
        ] {
            let headers: Vec<_> =
                content_type.iter().map(|value| ("Content-Type", *value)).collect();
            let response = ask(&api, "POST", EVENTS, &headers).unwrap();
            assert_eq!(response.status, status, "{content_type:?}");
            if status == 400 {
                assert_eq!(word(&response), CONTENT_TYPE_ERROR);
            }
        }
    }

    #[test]
    fn a_token_guards_all_of_the_api_and_nothing_else() {
        let api = api(Some("opensesame"), sign);
        for (shown, enters) in [
            (Some("Bearer opensesame"), true),
            (Some("bearer  opensesame"), true),
            (Some("Bearer opensesam"), false),
            (Some("Bearer opensesamee"), false),
            (Some("Bearer opensesamE"), false),
            (Some("Bearer "), false),
            (Some("Basic opensesame"), false),
            (Some("opensesame"), false),
            (None, false),
        ] {
            let headers: Vec<_> = shown.iter().map(|value| ("Authorization", *value)).collect();
            for (path, otherwise) in [("/api/unknown", 404), ("/api/events", 405)] {
                let response = ask(&api, "GET", path, &headers).unwrap();
                let wanted = if enters { otherwise } else { 401 };
                assert_eq!(response.status, wanted, "{shown:?}");
                let told = response.headers.contains(&("WWW-Authenticate", "Bearer".to_owned()));
                assert_eq!(told, !enters, "{shown:?}");
            }
        }
        assert_eq!(ask(&api, "GET", "/health", &[]), None);
    }

    #[test]
    fn an_event_goes_to_the_durable_store() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let api = api(None, move |batch| {
            for push in &batch {
                if let Push::Delivery { delivery, storing, .. } = push {
                    noted.lock().unwrap().push((delivery.lane.to_string(), *storing));
                }
            }
            sign(batch)
        });
        let response = post(&api);
        assert_eq!((response.status, response.content_type), (200, "application/json"));
        let echo: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(echo["integrationKey"], "il1api123456");
        assert_eq!(*seen.lock().unwrap(), [("ilert/il1api…".to_owned(), Storing::AtOnce)]);
    }

    #[test]
    fn no_event_is_confirmed_before_it_is_stored() {
        let held = Arc::new(Mutex::new(Vec::new()));
        let hold = Arc::clone(&held);
        let pushed = Arc::new(Barrier::new(2));
        let at_push = Arc::clone(&pushed);
        let api = api(None, move |batch| {
            hold.lock().unwrap().push(batch);
            at_push.wait();
            Ok(())
        });
        thread::scope(|scope| {
            let answer = scope.spawn(|| post(&api));
            pushed.wait();
            // Were it not to wait, it would have an answer after any number of turns.
            (0..1_000).for_each(|_| thread::yield_now());
            assert!(!answer.is_finished());
            sign(held.lock().unwrap().pop().unwrap()).unwrap();
            assert_eq!(answer.join().unwrap().status, 200);
        });
    }

    #[test]
    fn an_event_that_is_not_stored_in_time_is_not_confirmed_and_confuses_no_later_one() {
        let held = Arc::new(Mutex::new(Vec::new()));
        let hold = Arc::clone(&held);
        let take = move |batch| {
            let late = hold.lock().unwrap().pop();
            hold.lock().unwrap().push(batch);
            late.map_or(Ok(()), sign)
        };
        let mut door = Door::with(&settings(None), Box::new(take));
        door.store_max = Duration::from_millis(20);
        let ping = |_: &str| Outcome::never("no");
        let api = Api::new(&settings(None), Arc::new(door), Arc::new(ping));
        // Each push but the first signs the receipt of the one before it, too late.
        for round in 0..3 {
            let response = post(&api);
            assert_eq!(response.status, 503, "round {round}");
            assert!(word(&response).contains("may still be delivered"));
            assert!(response.headers.contains(&("Retry-After", "5".to_owned())));
        }
    }

    #[test]
    fn a_queue_that_cannot_take_an_event_is_told_as_it_is() {
        type Refuse = fn(Vec<Push>) -> Result<(), queue::Error>;
        let cases: [(Refuse, &str); 3] = [
            (|batch| Err(queue::Error::Full(batch)), r#"{"error":"the queue is full"}"#),
            (
                |batch| Err(queue::Error::Unwritable(batch)),
                r#"{"error":"the queue cannot be written"}"#,
            ),
            (|_| Err(queue::Error::Closed), r#"{"error":"shutting down"}"#),
        ];
        for (take, wanted) in cases {
            let response = post(&api(None, take));
            assert_eq!((response.status, word(&response).as_str()), (503, wanted));
            assert!(response.headers.contains(&("Retry-After", "5".to_owned())));
        }
    }

    #[test]
    fn a_heartbeat_is_answered_with_what_became_of_it() {
        let api = api(None, sign);
        for (path, status, body) in [
            ("/api/heartbeats/good%2Fkey", 202, "{}"),
            ("/api/heartbeats/good%252Fkey", 500, "Failed to proxy heartbeat"),
            ("/api/heartbeats/..", 500, "Failed to proxy heartbeat"),
            ("/api/heartbeats/%FF", 400, "The key is not UTF-8"),
        ] {
            let response = ask(&api, "GET", path, &[]).unwrap();
            assert_eq!((response.status, word(&response).as_str()), (status, body), "{path}");
        }
    }

    #[test]
    fn slow_heartbeats_leave_room_for_events() {
        let all_under_way = Arc::new(Barrier::new(3));
        let meet = Arc::clone(&all_under_way);
        let ping = move |_: &str| {
            meet.wait(); // Two are under way …
            meet.wait(); // … until the test has seen what it came for.
            Outcome::Delivered
        };
        let door = Door::with(&settings(None), Box::new(sign));
        let api = Api::new(&settings(None), Arc::new(door), Arc::new(ping));
        thread::scope(|scope| {
            let slow = [(); 2].map(|()| scope.spawn(|| ask(&api, "GET", "/api/heartbeats/a", &[])));
            all_under_way.wait();
            assert_eq!(ask(&api, "GET", "/api/heartbeats/a", &[]).unwrap().status, 503);
            assert_eq!(post(&api).status, 200);
            all_under_way.wait();
            for ping in slow {
                assert_eq!(ping.join().unwrap().unwrap().status, 202);
            }
        });
        assert_eq!(api.pings.load(Ordering::Relaxed), 0);
    }
}
