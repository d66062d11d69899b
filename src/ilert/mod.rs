//! ilert's HTTP API: sends requests and judges the replies.

mod judge;
mod policy;

use crate::config;
use crate::message::{Errand, Holds, Outcome, masked, path_segment};
use crate::system::web::{self, Call, Limits, Way};
use crate::verdict::{Reply, Secrets, excerpt, time_for};
use judge::{judge, judge_ping};
use std::sync::Arc;
use std::time::Duration;

/// Requests of a policy update.
const POLICY_REQUESTS: u32 = 3;

/// What is sent and expected.
const JSON: &str = "application/json";

/// Heartbeat keys of this kind are pinged on the API's own host.
const API_HEARTBEAT: &str = "il1hbt";

/// A client of ilert's API. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    api: web::Client,
    /// The same as `api` if both hosts are reached the same way.
    beat: web::Client,
    settings: Arc<config::Ilert>,
}

impl Client {
    /// Builds the client; connects nowhere.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the settings or the environment, such as a bad proxy.
    pub fn new(settings: &config::Ilert) -> Result<Self, String> {
        let limits = Limits { timeout: settings.timeout, connections_max: settings.in_flight_max };
        let api = web::Client::new(&settings.api, limits)?;
        let beat = api.toward(&settings.beat)?;
        Ok(Client { api, beat, settings: Arc::new(settings.clone()) })
    }

    /// The way to the API.
    #[must_use]
    pub fn way(&self) -> &Way {
        self.api.way()
    }

    /// Posts one event of the integration key `key`, which the log calls `name`. `path` is below
    /// the host: `/api/events`.
    #[must_use]
    pub fn event(&self, name: &str, key: &str, path: &str, body: &[u8]) -> Outcome {
        let secrets = secrets(&self.settings, key);
        let call = Call {
            method: "POST",
            url: &format!("{}{path}", self.settings.api),
            headers: &[("content-type", JSON)],
            body: Some(body),
            limit: self.settings.timeout + time_for(body.len()),
        };
        let reply = match answer(&self.api, &call, &secrets) {
            Ok(reply) => reply,
            Err(outcome) => return outcome,
        };
        let outcome = judge(&reply, &secrets);
        if outcome == Outcome::Delivered {
            log::info!("ilert: {name} accepted, correlation id {}", reply.correlation(&secrets));
        }
        outcome
    }

    /// Pings one heartbeat monitor.
    #[must_use]
    pub fn heartbeat(&self, key: &str) -> Outcome {
        let Some(segment) = path_segment(key) else {
            return Outcome::never("this is no heartbeat key");
        };
        let secrets = secrets(&self.settings, key);
        let at_api = key.starts_with(API_HEARTBEAT);
        let (client, method, url) = match at_api {
            true => (&self.api, "GET", format!("{}/api/heartbeats/{segment}", self.settings.api)),
            false => (&self.beat, "HEAD", format!("{}/api/pings/{segment}", self.settings.beat)),
        };
        let limit = self.settings.timeout;
        let call = Call { method, url: &url, headers: &[], body: None, limit };
        let outcome = match answer(client, &call, &secrets) {
            Ok(reply) => judge_ping(&Reply { to_head: !at_api, ..reply }, &secrets),
            Err(outcome) => outcome,
        };
        match outcome {
            Outcome::Delivered => {
                log::info!("ilert: heartbeat {} accepted", masked(key));
                Outcome::Delivered
            }
            // That another host is down says nothing about the one that takes events.
            Outcome::Later { why, holds: Holds::Sink, after }
                if !at_api && self.settings.beat != self.settings.api =>
            {
                Outcome::Later { why, holds: Holds::Lane, after }
            }
            outcome => outcome,
        }
    }

    /// Updates an escalation policy; `body` is a [`crate::message::PolicyUpdate`] as JSON.
    #[must_use]
    pub fn policy(&self, body: &[u8]) -> Outcome {
        policy::update(self, body)
    }

    /// Ends all requests under way, and lets no new one begin.
    pub fn cut(&self) {
        // The other client ends with it.
        self.api.cut();
    }

    /// The longest time an attempt at `errand` with this many bytes can take.
    #[must_use]
    pub fn attempt_max(&self, errand: &Errand, bytes: usize) -> Duration {
        match errand {
            Errand::Event { .. } => self.settings.timeout + time_for(bytes),
            Errand::Ping { .. } | Errand::Publish { .. } | Errand::Call { .. } => {
                self.settings.timeout
            }
            Errand::Policy { .. } => self.settings.timeout * POLICY_REQUESTS,
        }
    }
}

/// What must not be shown of a delivery: its key, and the agent's own secrets.
fn secrets<'a>(settings: &'a config::Ilert, key: &'a str) -> Secrets<'a> {
    let own = [&settings.api_key, &settings.heartbeat].into_iter().flatten();
    Secrets::of(own.map(config::Secret::expose).chain([key]).collect())
}

/// Makes a request and reads the reply. A broken or missing one says nothing about the delivery.
fn answer(client: &web::Client, call: &Call<'_>, secrets: &Secrets<'_>) -> Result<Reply, Outcome> {
    client.call(call).map(Reply::from).map_err(|why| Outcome::Later {
        why: excerpt(&why, secrets),
        holds: Holds::Sink,
        after: None,
    })
}

/// The ways to ilert's two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    /// To the API.
    pub api: Way,
    /// To the host that is pinged.
    pub beat: Way,
}

impl Ways {
    /// By the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    ///
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn of(settings: &config::Ilert) -> Result<Self, String> {
        Ok(Ways {
            api: Way::by_environment(&settings.api)?,
            beat: Way::by_environment(&settings.beat)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Instant;

    const TIMEOUT: Duration = Duration::from_secs(1);

    /// Far above what is allowed, far below for ever.
    const LATE: Duration = Duration::from_secs(10);

    /// An event of this many bytes, to an API that does this with each connection.
    fn event(bytes: usize, api: fn(TcpStream)) -> (Outcome, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || listener.incoming().flatten().for_each(api));
        let settings = config::Ilert {
            api: url.clone(),
            beat: url,
            timeout: TIMEOUT,
            ..config::Ilert::default()
        };
        let client = Client::new(&settings).unwrap();
        let began = Instant::now();
        let outcome = client.event("event", "k", "/api/events", &vec![b' '; bytes]);
        (outcome, began.elapsed())
    }

    #[track_caller]
    fn ends_in_time(bytes: usize, api: fn(TcpStream)) {
        let (outcome, took) = event(bytes, api);
        assert!(matches!(outcome, Outcome::Later { holds: Holds::Sink, .. }), "{outcome:?}");
        assert!(took < LATE, "{took:?}");
    }

    #[test]
    fn an_attempt_ends_when_the_api_stops_reading() {
        ends_in_time(8 * 1024 * 1024, |stream| {
            thread::sleep(LATE * 2);
            drop(stream);
        });
    }

    #[test]
    fn an_attempt_ends_when_the_api_says_nothing_or_never_comes_to_an_end() {
        ends_in_time(
            1,
            |mut stream| while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {},
        );
        // Each byte comes in time.
        ends_in_time(1, |stream| trickle(stream, "HTTP/1.1 202 Accepted\r\nX: "));
        ends_in_time(1, |stream| {
            trickle(stream, "HTTP/1.1 202 Accepted\r\nContent-Length: 9999\r\n\r\n");
        });
    }

    #[test]
    fn an_answer_that_comes_before_all_is_sent_is_heard() {
        let (outcome, _) = event(8 * 1024 * 1024, |mut stream| {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(
                b"HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
                  Connection: close\r\n\r\n{}",
            );
        });
        assert_eq!(outcome, Outcome::never("status 413: {}"));
    }

    #[test]
    fn a_large_event_has_more_time_than_a_small_one() {
        let client = Client::new(&config::Ilert::default()).unwrap();
        let timeout = client.settings.timeout;
        for (kind, bytes, wanted) in [
            ("event", 300, timeout),
            ("event", 1024 * 1024, timeout + Duration::from_secs(256)),
            ("heartbeat", 0, timeout),
            ("policy", 100, timeout * 3),
        ] {
            let errand = Errand::of(kind, "x".to_owned(), None).unwrap();
            assert_eq!(client.attempt_max(&errand, bytes), wanted);
        }
    }

    fn trickle(mut stream: TcpStream, beginning: &str) {
        let mut next = stream.write(beginning.as_bytes());
        while next.is_ok() {
            thread::sleep(Duration::from_millis(50));
            next = stream.write(b"x");
        }
    }
}
