//! How the HTTP client connects: shared look-ups, addresses side by side
//! ([`crate::system::dial`]), a socket on which nothing takes longer than it may, and TLS with the
//! same files and judgement as MQTT's.
//!
//! The client's own transport tries one address after the other, so that the last ones get hardly
//! any time, forgets which one worked, and restarts its time limit with each part of a buffer it
//! sends. Its TLS reads certificates once and for ever.

use crate::system::dial::{LookUp, Memory, connect};
use crate::system::tls::Trust;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport, TransportAdapter, time,
};
use ureq::{Agent, Error, Timeout};

/// Time limits of a socket are rounded up to multiples of this, so that most of them need no change
/// from one call to the next.
const GRAIN: Duration = Duration::from_millis(250);

/// Connections without a limit get this one.
const LIMIT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Connects to hosts. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct Dialer(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    memory: Memory,
    /// Look-ups under way, by host and port: we wait for one that hangs and do not begin another.
    look_ups: Mutex<Vec<(String, u16, LookUp)>>,
    sockets: Mutex<Sockets>,
}

/// The open sockets, and whether there may be any.
#[derive(Debug, Default)]
struct Sockets {
    cut: bool,
    open: Vec<Weak<TcpStream>>,
}

impl Dialer {
    /// A client that connects through it. Without `trust` it cannot use TLS.
    #[must_use]
    pub fn agent(&self, config: ureq::config::Config, trust: Option<Arc<Trust>>) -> Agent {
        let way = ().chain(ConnectProxyConnector::default()).chain(self.clone()).chain(Tls(trust));
        Agent::with_parts(config, way, self.clone())
    }

    /// The last connection led to nothing: another address of the host may be better.
    pub fn doubt_latest(&self) {
        self.0.memory.doubt_latest();
    }

    /// Ends all connections for good: nothing more is sent, and requests under way fail at once.
    pub fn cut(&self) {
        let mut sockets = self.sockets();
        sockets.cut = true;
        for socket in sockets.open.drain(..).filter_map(|socket| socket.upgrade()) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Records a new connection.
    fn enter(&self, stream: TcpStream) -> io::Result<Arc<TcpStream>> {
        let mut sockets = self.sockets();
        if sockets.cut {
            return Err(io::Error::other("the agent is stopping or starting again"));
        }
        let stream = Arc::new(stream);
        sockets.open.retain(|socket| socket.strong_count() > 0);
        sockets.open.push(Arc::downgrade(&stream));
        Ok(stream)
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_up(&self, host: &str, port: u16) -> Result<LookUp, String> {
        let mut look_ups = self.0.look_ups.lock().unwrap_or_else(PoisonError::into_inner);
        look_ups.retain(|(.., look_up)| look_up.found().is_none());
        let same = |(known, at, _): &&(String, u16, LookUp)| known == host && *at == port;
        if let Some((.., look_up)) = look_ups.iter().find(same) {
            return Ok(look_up.clone());
        }
        let look_up = LookUp::start(host, port, || ())?;
        look_ups.push((host.to_owned(), port, look_up.clone()));
        Ok(look_up)
    }

    fn addresses(&self, host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, Error> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let until = Instant::now() + limit;
        match self.look_up(host, port).map(|look_up| look_up.wait(until)) {
            Ok(Some(Ok(found))) => Ok(found),
            Ok(Some(Err(why))) | Err(why) => Err(Error::Io(io::Error::other(why))),
            Ok(None) => Err(Error::Timeout(Timeout::Resolve)),
        }
    }
}

impl Resolver for Dialer {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let (host, port) =
            host_and_port(uri).ok_or_else(|| Error::BadUri("it has no host".to_owned()))?;
        let found = self.addresses(host, port, left(timeout)?)?;
        let mut addresses = self.empty();
        // There is room for as many as we try.
        let _ = found.into_iter().try_for_each(|address| addresses.try_push(address));
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let usual = match uri.scheme_str()? {
        "https" => 443,
        _ => 80,
    };
    Some((uri.host()?.trim_matches(['[', ']']), uri.port_u16().unwrap_or(usual)))
}

/// The time that is left; an error when it is over.
fn left(timeout: NextTimeout) -> Result<Duration, Error> {
    let left = (*timeout.after).min(LIMIT_MAX);
    if left.is_zero() { Err(Error::Timeout(timeout.reason)) } else { Ok(left) }
}

impl<In: Transport> Connector<In> for Dialer {
    type Out = Either<In, Tcp>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        let deadline = Instant::now() + left(details.timeout)?;
        let host = details.uri.host().unwrap_or_default();
        let stream = self.enter(connect(host, &details.addrs, &self.0.memory, deadline)?)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(Tcp {
            stream,
            buffers,
            read_limit: None,
            write_limit: None,
            takes_no_more: false,
        })))
    }
}

/// TLS where the URL asks for it.
#[derive(Debug)]
struct Tls(Option<Arc<Trust>>);

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Sealed>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let (Some(trust), true) = (&self.0, details.needs_tls()) else {
            return Ok(chained.map(Either::A));
        };
        let Some(inner) = chained.filter(|inner| !inner.is_tls()) else {
            return Err(Error::Tls("there is no connection to use it on"));
        };
        Sealed::new(trust, details, inner.boxed()).map(|sealed| Some(Either::B(sealed)))
    }
}

/// A connection in TLS, with its buffers.
pub struct Sealed {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl Sealed {
    fn new(
        trust: &Trust,
        details: &ConnectionDetails<'_>,
        inner: Box<dyn Transport>,
    ) -> Result<Self, Error> {
        let (host, _) =
            host_and_port(details.uri).ok_or_else(|| Error::BadUri("it has no host".to_owned()))?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Tls("the name of the host cannot be in a certificate"))?;
        let mut conn = ClientConnection::new(trust.client()?, name)?;
        let mut sock = TransportAdapter::new(inner, Arc::clone(&details.current_time));
        // What has been used to connect is gone.
        let mut timeout = details.timeout;
        if let time::Instant::Exact(began) = details.now {
            timeout.after = timeout.after.saturating_sub(began.elapsed()).into();
        }
        sock.set_timeout(timeout);
        conn.complete_io(&mut sock)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Sealed { stream: StreamOwned { conn, sock }, buffers })
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({:?})", self.stream.sock.inner())
    }
}

impl Transport for Sealed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// A socket with its buffers.
pub struct Tcp {
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// The limits that the socket has now.
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
    /// The other side takes no more of the request; it may have answered before it closed.
    takes_no_more: bool,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tcp({:?})", self.stream.peer_addr().ok())
    }
}

/// Sets a limit of a socket, unless it is set already.
fn limit(
    wanted: Duration,
    present: &mut Option<Duration>,
    set: impl FnOnce(Option<Duration>) -> io::Result<()>,
) -> io::Result<()> {
    let grains = wanted.as_millis().div_ceil(GRAIN.as_millis()).max(1);
    let wanted = Some(GRAIN * u32::try_from(grains).unwrap_or(u32::MAX));
    if *present != wanted {
        set(wanted)?;
        *present = wanted;
    }
    Ok(())
}

fn is_over(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

impl Transport for Tcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let stalled = timeout.for_write();
        let (whole, step) = (left(timeout)?, left(stalled)?);
        let began = Instant::now();
        let mut rest = &self.buffers.output()[..amount];
        let stream = &self.stream;
        while !rest.is_empty() && !self.takes_no_more {
            let left = whole.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            limit(left.min(step), &mut self.write_limit, |limit| stream.set_write_timeout(limit))?;
            match (&mut &*self.stream).write(rest) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if is_over(error.kind()) => return Err(Error::Timeout(stalled.reason)),
                // A server that refuses a large request does not read all of it.
                Err(error) if is_closed(error.kind()) => self.takes_no_more = true,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let (whole, began) = (left(timeout)?, Instant::now());
        let into = self.buffers.input_append_buf();
        let stream = &self.stream;
        let read = loop {
            let left = whole.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            limit(left, &mut self.read_limit, |limit| stream.set_read_timeout(limit))?;
            match (&mut &*self.stream).read(into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if is_over(error.kind()) => return Err(Error::Timeout(timeout.reason)),
                read => break read?,
            }
        };
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    /// Whatever arrives on an idle connection is its end, or useless.
    fn is_open(&mut self) -> bool {
        let mut scrap = [0];
        let looked = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut scrap));
        let is_quiet = looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        is_quiet && !self.takes_no_more && self.stream.set_nonblocking(false).is_ok()
    }
}
