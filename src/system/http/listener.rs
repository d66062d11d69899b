//! Binding, accepting and stopping.

use crate::system::http::connection;
use crate::system::http::slots::{Slots, Taken};
use crate::system::http::{Ending, Handler, Limits, Response};
use crate::system::stop::Stop;
use crate::system::threads;
use log::{debug, error, warn};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pause after a failed accept: the system is short of something, and only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A complaint is not repeated for this long.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(30);
/// How many reads of 4 KiB we spend on a client without a slot.
const TURNED_AWAY_READS_MAX: u32 = 16;
/// What the accepting thread waits for: connections, and the call to end.
const CONNECTIONS: Token = Token(0);
const CALL: Token = Token(1);

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
    /// Fails when the first thread or its poll cannot be created.
    pub fn start(self, limits: Limits, handler: Arc<Handler>, stop: &Stop) -> io::Result<Running> {
        let slots = Slots::new(limits.connections_max);
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), CALL)?;
        self.socket.set_nonblocking(true)?;
        let mut socket = mio::net::TcpListener::from_std(self.socket);
        poll.registry().register(&mut socket, CONNECTIONS, Interest::READABLE)?;
        let accepting =
            Accepting { slots: Arc::clone(&slots), limits, handler, stop: stop.clone() };
        let accepting = threads::spawn("http", move || accepting.run(poll, socket))?;
        Ok(Running { address: self.address, slots, waker, accepting: Some(accepting) })
    }
}

/// A listener at work. Dropped, it takes no more connections.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    slots: Arc<Slots>,
    waker: Waker,
    /// Gives the socket back at its end.
    accepting: Option<JoinHandle<mio::net::TcpListener>>,
}

impl Running {
    /// Takes no more connections and closes idle ones. New connections wait in the socket that is
    /// given back, until it is started again or dropped: none is refused.
    pub fn release(&mut self) -> Option<Listener> {
        let accepting = self.accepting.take()?;
        self.slots.close();
        if let Err(error) = self.waker.wake() {
            error!("http: the listener cannot be woken: {error}");
            return None;
        }
        let socket = accepting.join();
        let socket = socket.inspect_err(|_| error!("http: the listener has panicked")).ok()?;
        Some(Listener { socket: socket.into(), address: self.address })
    }

    /// Takes no more connections, closes idle ones, and waits for requests under way.
    ///
    /// Those that are not answered at the deadline are cut off, and the answer is `false`.
    pub fn stop(mut self, deadline: Instant) -> bool {
        drop(self.release());
        self.slots.wait(deadline)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.release());
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
    /// Accepts until it is called to end. It sleeps in the poll and never in the accept, so it
    /// takes no connection that it does not serve.
    fn run(&self, mut poll: Poll, socket: mio::net::TcpListener) -> mio::net::TcpListener {
        let mut events = Events::with_capacity(2);
        let mut failed = Complaint::default();
        let mut crowded = Complaint::default();
        let mut pause = None;
        loop {
            if let Err(error) = poll.poll(&mut events, pause)
                && error.kind() != ErrorKind::Interrupted
            {
                failed.say(&format!("cannot wait for connections: {error}"));
            }
            pause = loop {
                if self.slots.closing() {
                    return socket;
                }
                match socket.accept() {
                    Ok((stream, peer)) => {
                        self.accepted(stream.into(), peer, &mut failed, &mut crowded);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                    // The client left before its turn.
                    Err(error) if is_clients(&error) => debug!("http: {error}"),
                    Err(error) => {
                        failed.say(&format!("cannot accept connections: {error}"));
                        self.slots.make_room();
                        break Some(ACCEPT_PAUSE);
                    }
                }
            };
        }
    }

    fn accepted(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        failed: &mut Complaint,
        crowded: &mut Complaint,
    ) {
        if let Err(error) = stream.set_nonblocking(false) {
            debug!("http: {peer}: {error}");
            return;
        }
        match self.slots.take(stream, peer) {
            Ok(taken) => {
                if taken.slot.is_for_probes {
                    crowded.say(&self.crowded(peer));
                }
                self.connect(taken, failed);
            }
            Err(stream) => {
                crowded.say(&self.crowded(peer));
                turn_away(&stream);
            }
        }
    }

    fn crowded(&self, peer: SocketAddr) -> String {
        let count = self.limits.connections_max;
        format!("all {count} connections are in use; {peer} is answered nothing but probes")
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
    let mut out = Vec::new();
    Response::crowded().put(&mut out, Ending::Close, false);
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

/// Failures of an accept that concern one client only; see accept(2).
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
