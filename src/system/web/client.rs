//! The HTTP client of every sink: proxies, roots, limits, and one time for a whole call.

use super::Way;
use crate::system::tls;
use crate::system::tls::words::{in_words, io_in_words};
use crate::system::transport::Dialer;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::{HeaderMap, Request, Response, Version};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, ProxyProtocol};

/// How long connecting may take, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A connection that was idle for longer is not used again: a NAT on the way, or the other side,
/// may have forgotten it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Most bytes read of a reply.
const REPLY_MAX: u64 = 256 * 1024;

/// Buffers of a connection, in each direction, in bytes.
const BUFFER: usize = 8 * 1024;

/// A client of one host. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    dialer: Dialer,
    way: Way,
    /// Without TLS no roots are read.
    tls: Option<TlsConfig>,
    limits: Limits,
}

/// Bounds of a client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest silence of the other side, and the longest stall of a write, that we accept.
    pub timeout: Duration,
    /// Most connections that are kept for the next request.
    pub connections_max: usize,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Where it goes.
    pub url: &'a str,
    /// Names and values; a media type is among them where there is a body.
    pub headers: &'a [(&'static str, &'a str)],
    /// What is sent.
    pub body: Option<&'a [u8]>,
    /// How long it may take from the look-up to the last byte of the reply.
    pub limit: Duration,
}

/// What the other side answered.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// It speaks HTTP/1.0.
    pub is_http_1_0: bool,
    /// The body; `None` for one that is too long.
    pub body: Option<Vec<u8>>,
    headers: HeaderMap,
}

impl Reply {
    /// A header, as far as it can be read: strange bytes do not make it absent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

impl Client {
    /// A client of the host of `url`, which is reached as the environment says; connects nowhere.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the environment: a bad proxy, or roots that cannot be read.
    pub fn new(url: &str, limits: Limits) -> Result<Self, String> {
        let way = Way::by_environment(url)?;
        let tls = if needs_tls(url, &way) { Some(trust()?) } else { None };
        Ok(Self::with(Dialer::default(), way, tls, limits))
    }

    /// A client of another host, which shares what it can with this one and ends with it.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn toward(&self, url: &str) -> Result<Self, String> {
        let way = Way::by_environment(url)?;
        let lacks_tls = self.tls.is_none() && needs_tls(url, &way);
        if way == self.way && !lacks_tls {
            return Ok(self.clone());
        }
        let tls = if lacks_tls { Some(trust()?) } else { self.tls.clone() };
        Ok(Self::with(self.dialer.clone(), way, tls, self.limits))
    }

    fn with(dialer: Dialer, way: Way, tls: Option<TlsConfig>, limits: Limits) -> Self {
        let agent = dialer.agent(config(limits, &way, tls.as_ref()));
        Client { agent, dialer, way, tls, limits }
    }

    /// The way to the host.
    #[must_use]
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Ends all calls under way, and lets no new one begin.
    pub fn cut(&self) {
        self.dialer.cut();
    }

    /// Makes a request and reads its reply.
    ///
    /// The other side may just have closed an idle connection. A request that fails for that reason
    /// is made once more, on a new connection: there was no answer, and deliveries are made at
    /// least once anyway.
    ///
    /// # Errors
    ///
    /// Says why there is no whole reply. The words may come from outside and contain secrets.
    pub fn call(&self, call: &Call<'_>) -> Result<Reply, String> {
        let began = Instant::now();
        let replied = match self.run(call, call.limit) {
            Err(Error::Io(error)) if was_closed(error.kind()) && began.elapsed() < call.limit => {
                self.run(call, call.limit.saturating_sub(began.elapsed()))
            }
            replied => replied,
        };
        replied.and_then(read).map_err(|error| {
            self.dialer.doubt_latest();
            self.words(&error)
        })
    }

    fn run(&self, call: &Call<'_>, limit: Duration) -> Result<Response<Body>, Error> {
        let mut request = Request::builder().method(call.method).uri(call.url);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        let request = self.agent.configure_request(request.body(())?);
        let request = request.timeout_per_call(Some(limit)).build();
        match call.body {
            None => self.agent.run(request),
            Some(body) => self.agent.run(Request::from_parts(request.into_parts().0, body)),
        }
    }

    fn words(&self, error: &Error) -> String {
        let failed = |words: String| format!("TLS failed: {words}");
        let words = match error {
            Error::Rustls(error) => failed(in_words(error)),
            Error::Io(error) if error.get_ref().is_some_and(|it| it.is::<rustls::Error>()) => {
                failed(io_in_words(error))
            }
            Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        match &self.way {
            Way::Direct => words,
            way @ Way::Proxy { .. } => format!("{way}: {words}"),
        }
    }
}

fn needs_tls(url: &str, way: &Way) -> bool {
    let asks_in_tls = way.proxy().is_some_and(|proxy| proxy.protocol() == ProxyProtocol::Https);
    url.starts_with("https:") || asks_in_tls
}

fn config(limits: Limits, way: &Way, tls: Option<&TlsConfig>) -> Config {
    let Limits { timeout, connections_max } = limits;
    let builder = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("ilagent/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(connections_max)
        .max_idle_connections_per_host(connections_max)
        .max_idle_age(IDLE_MAX)
        .timeout_connect(Some(CONNECT_MAX.min(timeout)))
        .timeout_recv_response(Some(timeout))
        .timeout_recv_body(Some(timeout))
        .timeout_per_write(Some(timeout))
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

fn read(response: Response<Body>) -> Result<Reply, Error> {
    let (head, mut body) = response.into_parts();
    let body = match body.with_config().limit(REPLY_MAX).read_to_vec() {
        Ok(body) => Some(body),
        Err(Error::BodyExceedsLimit(_)) => None,
        Err(error) => return Err(error),
    };
    let is_http_1_0 = head.version < Version::HTTP_11;
    Ok(Reply { status: head.status.as_u16(), is_http_1_0, body, headers: head.headers })
}
