//! The HTTP client of every sink: proxies, roots, limits, and one time for a whole call.

use super::Way;
use crate::system::tls::Trust;
use crate::system::tls::words::{in_words, io_in_words};
use crate::system::transport::Dialer;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::{HeaderMap, Request, Response, Version};
use ureq::{Agent, Body, Error, ProxyProtocol, Timeout};

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
    trust: Option<Arc<Trust>>,
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
    pub method: &'a str,
    /// Where it goes.
    pub url: &'a str,
    /// Names and values; a media type is among them where there is a body.
    pub headers: &'a [(&'a str, &'a str)],
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

/// Why there is no whole reply.
#[derive(Clone, Debug)]
pub struct NoReply {
    /// In words, which may come from outside and contain secrets.
    pub why: String,
    /// What happened.
    pub how: Failure,
}

/// How a request can end without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is nobody to ask.
    Away,
    /// The connection ended after the request had been sent.
    Broken,
    /// The time was over.
    Late,
    /// What came is no reply.
    Odd,
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
        Client::trusting(url, limits, &|| Trust::new(None, None))
    }

    /// The same, with what `trust` gives if TLS is needed.
    ///
    /// # Errors
    ///
    /// As [`Client::new`], and those of `trust`.
    pub fn trusting(
        url: &str,
        limits: Limits,
        trust: &dyn Fn() -> Result<Trust, String>,
    ) -> Result<Self, String> {
        let way = Way::by_environment(url)?;
        let trust = if needs_tls(url, &way) { Some(Arc::new(trust()?)) } else { None };
        Ok(Self::with(Dialer::default(), way, trust, limits))
    }

    /// A client of another host, which shares what it can with this one and ends with it.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn toward(&self, url: &str) -> Result<Self, String> {
        let way = Way::by_environment(url)?;
        let lacks_tls = self.trust.is_none() && needs_tls(url, &way);
        if way == self.way && !lacks_tls {
            return Ok(self.clone());
        }
        let trust = match lacks_tls {
            true => Some(Arc::new(Trust::new(None, None)?)),
            false => self.trust.clone(),
        };
        Ok(Self::with(self.dialer.clone(), way, trust, self.limits))
    }

    fn with(dialer: Dialer, way: Way, trust: Option<Arc<Trust>>, limits: Limits) -> Self {
        let agent = dialer.agent(config(limits, &way), trust.clone());
        Client { agent, dialer, way, trust, limits }
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

    /// A client of a host that is reached directly, whatever the environment says of proxies. In
    /// TLS whoever answers is trusted.
    #[must_use]
    pub fn direct(url: &str, limits: Limits) -> Self {
        let way = Way::Direct;
        let trust = needs_tls(url, &way).then(|| Arc::new(Trust::in_anybody()));
        Self::with(Dialer::default(), way, trust, limits)
    }

    /// Makes a request and reads its reply.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`], in words.
    pub fn call(&self, call: &Call<'_>) -> Result<Reply, String> {
        self.ask(call).map_err(|none| none.why)
    }

    /// Makes a request and reads its reply.
    ///
    /// The other side may just have closed an idle connection. A request that fails for that reason
    /// is made once more, on a new connection: there was no answer, and deliveries are made at
    /// least once anyway.
    ///
    /// # Errors
    ///
    /// Says why there is no whole reply.
    pub fn ask(&self, call: &Call<'_>) -> Result<Reply, NoReply> {
        let began = Instant::now();
        let replied = match self.run(call, call.limit) {
            Err(Error::Io(error)) if was_closed(error.kind()) && began.elapsed() < call.limit => {
                self.run(call, call.limit.saturating_sub(began.elapsed()))
            }
            replied => replied,
        };
        replied.and_then(read).map_err(|error| {
            self.dialer.doubt_latest();
            NoReply { why: self.words(&error), how: failure(&error) }
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
    let scheme = url.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("https") || asks_in_tls
}

fn config(limits: Limits, way: &Way) -> Config {
    let Limits { timeout, connections_max } = limits;
    Agent::config_builder()
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
        .proxy(way.proxy().cloned())
        .build()
}

fn was_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof)
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Io(error) if was_closed(error.kind()) => Failure::Broken,
        Error::Timeout(Timeout::Resolve | Timeout::Connect)
        | Error::Io(_)
        | Error::HostNotFound
        | Error::ConnectionFailed
        | Error::Rustls(_)
        | Error::Tls(_) => Failure::Away,
        Error::Timeout(_) => Failure::Late,
        _ => Failure::Odd,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tls::Pem;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Mutex;
    use std::thread;

    /// A certificate of 127.0.0.1 and its key.
    fn identity() -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap(), key)
    }

    /// A server with this certificate, for clients with that one.
    fn server(own: &(rcgen::Certificate, KeyPair), of: &rcgen::Certificate) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(of.der().clone()).unwrap();
        let provider = crate::system::tls::provider();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![own.0.der().clone()], own.1.serialize_der().try_into().unwrap());
        Arc::new(config.unwrap())
    }

    #[test]
    fn certificates_may_be_renewed_while_it_runs() {
        let folder = std::env::temp_dir().join(format!("ilagent-web-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [ca, chain, key] = ["ca.pem", "chain.pem", "key.pem"].map(|name| folder.join(name));
        let (first, second, client) = (identity(), identity(), identity());
        fs::write(&ca, first.0.pem()).unwrap();
        fs::write(&chain, client.0.pem()).unwrap();
        fs::write(&key, client.1.serialize_pem()).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let present = Arc::new(Mutex::new(server(&first, &client.0)));
        let shown = Arc::clone(&present);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&shown.lock().unwrap()));
                let mut stream = StreamOwned::new(connection.unwrap(), stream);
                if stream.read(&mut [0; 4096]).is_ok() {
                    let _ = stream.write_all(b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
                }
            }
        });

        let limits = Limits { timeout: Duration::from_secs(10), connections_max: 1 };
        let [trusted, chain, key] = [&ca, &chain, &key].map(|path| Pem::File(path.clone()));
        let trusting = |pair| Client::trusting(&url, limits, &|| Trust::new(Some(&trusted), pair));
        let call =
            Call { method: "GET", url: &url, headers: &[], body: None, limit: limits.timeout };
        let agent = trusting(Some((&chain, &key))).unwrap();
        assert_eq!(agent.call(&call).unwrap().status, 204);
        assert!(trusting(None).unwrap().call(&call).is_err(), "it shows no certificate");

        *present.lock().unwrap() = server(&second, &client.0);
        let why = agent.call(&call).unwrap_err();
        assert!(why.starts_with("TLS failed: "), "{why}");
        fs::write(&ca, second.0.pem()).unwrap();
        assert_eq!(agent.call(&call).unwrap().status, 204);
        fs::write(&ca, "no certificate").unwrap();
        assert_eq!(agent.call(&call).unwrap().status, 204, "what cannot be used changes nothing");
        fs::remove_dir_all(&folder).unwrap();
    }
}
