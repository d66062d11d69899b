//! ilert's HTTP API: sends requests and judges the replies.

mod judge;
mod policy;
mod secrets;

use crate::config;
use crate::message::{Errand, Holds, Outcome, masked, path_segment};
use crate::system::tls;
use crate::system::tls::words::{in_words, io_in_words};
use crate::system::transport::Dialer;
use crate::system::web::Way;
use judge::{Reply, excerpt, judge};
use secrets::Secrets;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::{HeaderMap, Response, Version, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, ProxyProtocol, RequestBuilder};

/// How long connecting may take, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// The slowest line on which large events still get through, in bytes a second. An event has as
/// much extra time as its bytes need on it.
const SLOWEST: u64 = 4 * 1024;

/// Requests of a policy update.
const POLICY_REQUESTS: u32 = 3;

/// A connection that was idle for longer is not used again: a NAT on the way, or the other side,
/// may have forgotten it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Most bytes read of a reply: more than any of ilert's has, even a policy with all its people.
const REPLY_MAX: u64 = 256 * 1024;

/// Buffers of a connection, in each direction, in bytes.
const BUFFER: usize = 8 * 1024;

/// Heartbeat keys of this kind are pinged on the API's own host.
const API_HEARTBEAT: &str = "il1hbt";

/// A client of ilert's API. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    api: Agent,
    /// The same as `api` if both hosts are reached the same way.
    beat: Agent,
    dialer: Dialer,
    ways: Arc<Ways>,
    settings: Arc<config::Ilert>,
}

impl Client {
    /// Builds the client; connects nowhere.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the settings or the environment, such as a bad proxy.
    pub fn new(settings: &config::Ilert) -> Result<Self, String> {
        let ways = Ways::of(settings)?;
        let is_https = |url: &String| url.starts_with("https:");
        let asks_in_tls =
            |way: &Way| way.proxy().is_some_and(|proxy| proxy.protocol() == ProxyProtocol::Https);
        let needs_tls = [&settings.api, &settings.beat].into_iter().any(is_https)
            || [&ways.api, &ways.beat].into_iter().any(asks_in_tls);
        let tls = if needs_tls { Some(trust()?) } else { None };
        let dialer = Dialer::default();
        let api = dialer.agent(agent_config(settings, &ways.api, tls.as_ref()));
        let beat = match ways.beat == ways.api {
            true => api.clone(),
            false => dialer.agent(agent_config(settings, &ways.beat, tls.as_ref())),
        };
        let (ways, settings) = (Arc::new(ways), Arc::new(settings.clone()));
        Ok(Client { api, beat, dialer, ways, settings })
    }

    /// The way to the API.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.ways.api
    }

    /// Posts one event of the integration key `key`, which the log calls `name`. `path` is below
    /// the host: `/api/events`.
    #[must_use]
    pub fn event(&self, name: &str, key: &str, path: &str, body: &[u8]) -> Outcome {
        let secrets = Secrets::of(&self.settings, key);
        let request = |limit| {
            within(limit, self.api.post(format!("{}{path}", self.settings.api)))
                .header(header::CONTENT_TYPE, "application/json")
                .send(body)
        };
        let limit = self.settings.timeout + time_for(body.len());
        let reply = match self.answer(&self.ways.api, limit, &request, &secrets) {
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
        let secrets = Secrets::of(&self.settings, key);
        let at_api = key.starts_with(API_HEARTBEAT);
        let way = if at_api { &self.ways.api } else { &self.ways.beat };
        let request = |limit| match at_api {
            true => {
                let url = format!("{}/api/heartbeats/{segment}", self.settings.api);
                within(limit, self.api.get(url)).call()
            }
            false => {
                let url = format!("{}/api/pings/{segment}", self.settings.beat);
                within(limit, self.beat.head(url)).call()
            }
        };
        let outcome = match self.answer(way, self.settings.timeout, &request, &secrets) {
            Ok(reply) => judge(&Reply { to_head: !at_api, to_ping: true, ..reply }, &secrets),
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
        self.dialer.cut();
    }

    /// The longest time an attempt at `errand` with this many bytes can take.
    #[must_use]
    pub fn attempt_max(&self, errand: &Errand, bytes: usize) -> Duration {
        match errand {
            Errand::Event { .. } => self.settings.timeout + time_for(bytes),
            Errand::Ping { .. } => self.settings.timeout,
            Errand::Policy { .. } => self.settings.timeout * POLICY_REQUESTS,
        }
    }

    /// Makes a request, which may take `limit`, and reads its reply.
    ///
    /// The other side may just have closed an idle connection. A request that fails for that reason
    /// is made once more, on a new connection: there was no answer, and deliveries are made at
    /// least once anyway.
    fn answer(
        &self,
        way: &Way,
        limit: Duration,
        request: &dyn Fn(Duration) -> Result<Response<Body>, Error>,
        secrets: &Secrets<'_>,
    ) -> Result<Reply, Outcome> {
        let began = Instant::now();
        let replied = match request(limit) {
            Err(Error::Io(error)) if was_closed(error.kind()) && began.elapsed() < limit => {
                request(limit.saturating_sub(began.elapsed()))
            }
            replied => replied,
        };
        replied.and_then(read).map_err(|error| {
            self.dialer.doubt_latest();
            unreachable(&error, way, secrets)
        })
    }
}

/// How much time these bytes need on the slowest line.
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX) / SLOWEST)
}

/// A request that takes at most `limit` as a whole.
fn within<Any>(limit: Duration, request: RequestBuilder<Any>) -> RequestBuilder<Any> {
    request.config().timeout_per_call(Some(limit)).build()
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
        let way = |url: &str| {
            Way::to(url, &|name| std::env::var_os(name))
                .map_err(|what| format!("{what} (on the way to {url})"))
        };
        Ok(Ways { api: way(&settings.api)?, beat: way(&settings.beat)? })
    }
}

fn agent_config(settings: &config::Ilert, way: &Way, tls: Option<&TlsConfig>) -> Config {
    let builder = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("ilagent/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(settings.in_flight_max)
        .max_idle_connections_per_host(settings.in_flight_max)
        .max_idle_age(IDLE_MAX)
        .timeout_connect(Some(CONNECT_MAX.min(settings.timeout)))
        .timeout_recv_response(Some(settings.timeout))
        .timeout_recv_body(Some(settings.timeout))
        .timeout_per_write(Some(settings.timeout))
        .proxy(way.proxy().cloned());
    match tls {
        Some(tls) => builder.tls_config(tls.clone()),
        None => builder,
    }
    .build()
}

fn trust() -> Result<TlsConfig, String> {
    let roots: Vec<Certificate<'static>> =
        tls::system_roots()?.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let roots =
        if roots.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(roots)) };
    Ok(TlsConfig::builder()
        .root_certs(roots)
        .unversioned_rustls_crypto_provider(tls::provider())
        .build())
}

fn was_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

fn read(mut response: Response<Body>) -> Result<Reply, Error> {
    let body = match response.body_mut().with_config().limit(REPLY_MAX).read_to_vec() {
        Ok(body) => Some(body),
        // A reply that long is not ilert's.
        Err(Error::BodyExceedsLimit(_)) => None,
        Err(error) => return Err(error),
    };
    let headers = response.headers();
    Ok(Reply {
        status: response.status().as_u16(),
        to_head: false,
        to_ping: false,
        is_http_1_0: response.version() < Version::HTTP_11,
        content_type: text(headers, "content-type").unwrap_or_default(),
        location: text(headers, "location"),
        retry_after: text(headers, "retry-after"),
        date: text(headers, "date"),
        correlation_id: text(headers, "correlation-id"),
        body,
    })
}

/// A header, as far as it can be read: strange bytes do not make it absent.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A broken or missing reply says nothing about the delivery.
fn unreachable(error: &Error, way: &Way, secrets: &Secrets<'_>) -> Outcome {
    let failed = |words: String| format!("TLS failed: {words}");
    let words = match error {
        Error::Rustls(error) => failed(in_words(error)),
        Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            failed(io_in_words(error))
        }
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    };
    let words = match way {
        Way::Direct => words,
        Way::Proxy { .. } => format!("{way}: {words}"),
    };
    Outcome::Later { why: excerpt(&words, secrets), holds: Holds::Sink, after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

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
            let errand = Errand::of(kind, "x".to_owned()).unwrap();
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
