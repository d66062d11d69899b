//! The one place where a session sleeps.

use crate::mqtt::bell::Bell;
use crate::system::stop::Stop;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::sync::Arc;
use std::time::Instant;

const BELL: Token = Token(0);
const SOCKET: Token = Token(1);

/// A session waits for its socket and its bell, and for nothing else.
const EVENTS_MAX: usize = 4;

/// Waits for the socket, the bell, the stop and the time.
pub(super) struct Pump {
    poll: Poll,
    events: Events,
    bell: Arc<Bell>,
    stop: Stop,
}

/// What happened to the socket. Events are edges, so each is reported once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    pub readable: bool,
    pub writable: bool,
    /// The other side will send nothing more.
    pub closed: bool,
}

impl Pump {
    pub(super) fn new(stop: &Stop) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Arc::new(Bell::new(Waker::new(poll.registry(), BELL)?));
        Ok(Pump { poll, events: Events::with_capacity(EVENTS_MAX), bell, stop: stop.clone() })
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// Watches a socket, until it is closed.
    pub(super) fn add(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.poll.registry().register(stream, SOCKET, Interest::READABLE | Interest::WRITABLE)
    }

    /// Sleeps until something happens, at most until `until`. Returns at once when something
    /// has been brought to the bell, and after any ring of it: the caller collects it, and looks
    /// at the stop.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> io::Result<Ready> {
        let until = if self.bell.doze() { Some(Instant::now()) } else { until };
        let ready = self.sleep(until);
        self.bell.rise();
        ready
    }

    /// Like [`Pump::wait`], for a caller that does not collect: what is brought meanwhile is kept
    /// and does not wake it.
    pub(super) fn sleep(&mut self, until: Option<Instant>) -> io::Result<Ready> {
        self.bell.pulse().answer();
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Ready::default()),
            polled => polled?,
        }
        let mut ready = Ready::default();
        for event in self.events.iter().filter(|event| event.token() == SOCKET) {
            ready.closed |= event.is_read_closed() || event.is_error();
            ready.readable |= event.is_readable() || ready.closed;
            ready.writable |= event.is_writable() || ready.closed;
        }
        Ok(ready)
    }
}
