//! Binding, accepting and stopping.

use crate::system::http::connection;
use crate::system::http::slots::{Slots, Taken};
use crate::system::http::{Ending, Handler, Limits, Response};
use crate::system::stop::Stop;
use crate::system::threads;
use log::{debug, warn};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The pause after a failed accept: the system is short of something, and only time brings it back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A complaint is not repeated for this long.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(30);
/// The longest time the accepting thread may take to notice its own wake-up call.
const WAKE_MAX: Duration = Duration::from_secs(1);
/// Reads of 4 KiB that a client is worth for which there is no slot.
const TURNED_AWAY_READS_MAX: u32 = 16;

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Binds, so that a port in use is found before anything starts.
///
/// # Errors
///
/// Fails when the address cannot be bound.
pub fn bind(address: IpAddr, port: u16) -> io::Result<Listener> {
    let socket = TcpListener::bind((address, port))?;
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

impl Listener {
    /// Where it listens; useful when the system chose the port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests with `handler`, one thread a connection.
    ///
    /// Once `stop` is set, answers still go out, but each closes its connection; the probes stay
    /// true to the end. [`Running::stop`] ends it.
    ///
    /// # Errors
    ///
    /// Fails when the first thread cannot be started.
    pub fn start(self, limits: Limits, handler: Arc<Handler>, stop: &Stop) -> io::Result<Running> {
        let slots = Slots::new(limits.connections_max);
        let accepting =
            Accepting { slots: Arc::clone(&slots), limits, handler, stop: stop.clone() };
        let address = self.address;
        threads::spawn("http", move || accepting.run(&self.socket))?;
        Ok(Running { address, slots })
    }
}

/// A listener at work.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    slots: Arc<Slots>,
}

impl Running {
    /// Takes no more connections, closes those that rest, and waits for requests under way.
    ///
    /// Those that are not answered at the deadline are cut off, and the answer is `false`.
    pub fn stop(self, deadline: Instant) -> bool {
        self.slots.close();
        self.wake();
        self.slots.wait(deadline)
    }

    /// Ends the accept under way: a connection is the only thing it hears of.
    fn wake(&self) {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        // When this fails the system is short of sockets; then the accept has failed as well, and
        // its thread looks at the flag after its pause.
        let _ = TcpStream::connect_timeout(&address, WAKE_MAX);
    }
}

/// What the accepting thread needs.
struct Accepting {
    slots: Arc<Slots>,
    limits: Limits,
    handler: Arc<Handler>,
    stop: Stop,
}

impl Accepting {
    fn run(&self, socket: &TcpListener) {
        let mut failed = Complaint::default();
        let mut crowded = Complaint::default();
        loop {
            let accepted = socket.accept();
            if self.slots.closing() {
                break;
            }
            match accepted {
                Ok((stream, peer)) => match self.slots.take(stream, peer) {
                    Ok(taken) => self.connect(taken, &mut failed),
                    Err(stream) => {
                        let count = self.limits.connections_max;
                        crowded
                            .say(&format!("all {count} connections are in use, {peer} is refused"));
                        turn_away(&stream);
                    }
                },
                // The client was gone before it was its turn.
                Err(error) if is_clients(&error) => debug!("http: {error}"),
                Err(error) => {
                    failed.say(&format!("cannot accept connections: {error}"));
                    self.slots.make_room();
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
        self.slots.accepting_ended();
    }

    fn connect(&self, taken: Taken, failed: &mut Complaint) {
        let Accepting { limits, handler, stop, .. } = self;
        let (limits, handler, stop) = (*limits, Arc::clone(handler), stop.clone());
        let slot = Arc::clone(&taken.slot);
        let serve = move || connection::serve(&taken.slot, &taken.slots, &limits, &*handler, &stop);
        if let Err(error) = threads::spawn("http-connection", serve) {
            failed.say(&format!("cannot start a thread for {}: {error}", slot.peer));
            turn_away(&slot.stream);
        }
    }
}

/// Answers 503 from the accepting thread, which never waits for a client: what does not fit into
/// the buffers of a new socket is not sent.
fn turn_away(mut stream: &TcpStream) {
    let response = Response::json(503, r#"{"error":"too many connections"}"#);
    let mut out = Vec::new();
    response.with("Retry-After", "1").put(&mut out, Ending::Close, false);
    let told = stream.set_nonblocking(true).and_then(|()| stream.write_all(&out));
    if told.and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        // Bytes left unread would make the system reset the connection and the answer with it.
        let mut waste = [0; 4096];
        for _ in 0..TURNED_AWAY_READS_MAX {
            if !stream.read(&mut waste).is_ok_and(|count| count == waste.len()) {
                break;
            }
        }
    }
}

/// Failures of an accept that say something about one client only; see accept(2).
fn is_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

/// A warning that does not flood the log.
#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    unsaid: u32,
}

impl Complaint {
    fn say(&mut self, what: &str) {
        if self.last.is_some_and(|last| last.elapsed() < COMPLAINT_PAUSE) {
            self.unsaid = self.unsaid.saturating_add(1);
            return;
        }
        match std::mem::take(&mut self.unsaid) {
            0 => warn!("http: {what}"),
            unsaid => warn!("http: {what} (and {unsaid} more since the last warning)"),
        }
        self.last = Some(Instant::now());
    }
}
