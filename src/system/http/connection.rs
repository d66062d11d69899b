//! One connection, by deadlines: read a request, have it answered, write, again.

use crate::system::http::head::{KeepAlive, Sizes};
use crate::system::http::incoming::{Incoming, Progress};
use crate::system::http::refusal::Refusal;
use crate::system::http::slots::{Slot, Slots};
use crate::system::http::{Ending, Handler, Limits, Request, Response};
use crate::system::stop::Stop;
use log::debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Changing a socket's timeout costs a call, so one that is off by this much is left alone.
const TIMEOUT_SLACK: Duration = Duration::from_millis(100);
/// What a refused client may still send, so that it can read why.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
/// How long it may take for that.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// How long a client may take over a request if there are only places for probes.
const PROBE_MAX: Duration = Duration::from_secs(1);
/// A larger buffer is given back after the answer that needed it.
const ANSWER_BYTES_KEPT: usize = 4 * 1024;

/// Answers the requests of one connection until either side has enough.
pub(super) fn serve(slot: &Slot, slots: &Slots, limits: &Limits, handler: &Handler, stop: &Stop) {
    let Limits { head_bytes_max, body_bytes_max, .. } = *limits;
    let connection = Connection {
        slot,
        limits,
        incoming: Incoming::new(Sizes { head_bytes_max, body_bytes_max }),
        outgoing: Vec::new(),
        read_timeout: Duration::ZERO,
    };
    if let Err(error) = connection.run(slots, handler, stop) {
        debug!("http: {}: {error}", slot.peer);
    }
}

struct Connection<'a> {
    slot: &'a Slot,
    limits: &'a Limits,
    incoming: Incoming,
    outgoing: Vec<u8>,
    /// As the socket has it; zero stands for none.
    read_timeout: Duration,
}

/// The result of waiting for a request.
enum Received {
    /// It is whole.
    Request,
    /// It is not acceptable.
    Refused(Refusal),
    /// Its head was enough for an answer.
    Answered(Response),
    /// The client has gone, or has nothing to say.
    Gone,
}

impl Connection<'_> {
    fn run(mut self, slots: &Slots, handler: &Handler, stop: &Stop) -> io::Result<()> {
        let stream = &self.slot.stream;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(self.limits.write_max))?;
        let limit = if self.slot.is_for_probes { PROBE_MAX } else { self.limits.request_max };
        let mut deadline = Instant::now() + limit;
        let mut first = true;
        loop {
            match self.receive(deadline, first, handler)? {
                Received::Gone => return Ok(()),
                Received::Refused(refusal) => return self.refuse(refusal, handler),
                Received::Answered(response) => return self.dismiss(&response),
                Received::Request => (),
            }
            if !self.slot.answers() {
                return Ok(());
            }
            let ending = self.answer(handler, || stop.is_set() || slots.closing());
            // From here on we wait for the client.
            self.slot.work();
            self.send(Instant::now() + self.limits.write_max)?;
            if ending == Ending::Close {
                return Ok(());
            }
            self.incoming.next();
            first = false;
            let Some(next) = self.next_deadline(slots) else { return Ok(()) };
            deadline = next;
        }
    }

    /// When the next request must begin, or be whole if it has begun. `None` if there is to be
    /// none.
    fn next_deadline(&self, slots: &Slots) -> Option<Instant> {
        let now = Instant::now();
        if !self.incoming.is_empty() {
            self.slot.work();
            return Some(now + self.limits.request_max);
        }
        self.slot.rest_since(now);
        // After becoming idle: the thread that closes sets the flag before it looks at the slots.
        (!slots.closing()).then(|| now + self.limits.idle_max)
    }

    /// Reads until a request is whole.
    ///
    /// The first request must be whole at `deadline`. A later one must begin before it, and its
    /// time counts from there.
    fn receive(
        &mut self,
        mut deadline: Instant,
        first: bool,
        handler: &Handler,
    ) -> io::Result<Received> {
        // A request may have arrived together with the previous one.
        let mut count = 0;
        let mut is_seen = false;
        loop {
            let progress = self.incoming.advance(count);
            if !is_seen
                && let Some(refusal) = self.incoming.head(|head| self.at_door(handler, head))
            {
                is_seen = true;
                if let Some(response) = refusal {
                    return Ok(Received::Answered(response));
                }
            }
            match progress {
                Ok(Progress::Whole) => return Ok(Received::Request),
                Ok(Progress::Partial) => (),
                Ok(Progress::Awaited) => self.ask_for_the_body(deadline)?,
                Err(refusal) => return Ok(Received::Refused(refusal)),
            }
            let waiting = self.incoming.is_empty();
            count = match self.read(deadline) {
                Ok(0) => return Ok(Received::Gone),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Ok(self.timed_out(waiting));
                }
                Err(error) => return Err(error),
            };
            if waiting && !self.slot.work() {
                return Ok(Received::Gone);
            }
            if waiting && !first {
                deadline = Instant::now() + self.limits.request_max;
            }
        }
    }

    fn ask_for_the_body(&mut self, deadline: Instant) -> io::Result<()> {
        self.outgoing.clear();
        self.outgoing.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.send(deadline)
    }

    fn timed_out(&self, waiting: bool) -> Received {
        match (self.slot.is_for_probes, waiting) {
            (true, _) => Received::Answered(Response::crowded()),
            (false, true) => Received::Gone,
            (false, false) => Received::Refused(Refusal::TIMED_OUT),
        }
    }

    /// The answer to a head before its body is read, if there is one.
    fn at_door(&self, handler: &Handler, head: &Request) -> Option<Response> {
        let is_late = self.slot.is_for_probes && !handler.is_probe(head);
        if is_late { Some(Response::crowded()) } else { handler.door(head) }
    }

    /// Gets the answer to the request and prepares it for sending.
    fn answer(&mut self, handler: &Handler, ends: impl FnOnce() -> bool) -> Ending {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        outgoing.clear();
        let is_for_probes = self.slot.is_for_probes;
        let answered = self.incoming.request(|request, keep_alive| {
            let response = match is_for_probes && !handler.is_probe(request) {
                true => Response::crowded(),
                false => handler.answer(request),
            };
            let ending = match keep_alive {
                KeepAlive::No => Ending::Close,
                _ if is_for_probes => Ending::Close,
                _ if ends() => Ending::Close,
                KeepAlive::Yes => Ending::KeepAlive,
                KeepAlive::YesAndSaySo => Ending::KeepAliveTold,
            };
            response.put(&mut outgoing, ending, request.method == "HEAD");
            ending
        });
        self.outgoing = outgoing;
        answered.unwrap_or(Ending::Close)
    }

    fn refuse(&mut self, refusal: Refusal, handler: &Handler) -> io::Result<()> {
        let Refusal { status, why } = refusal;
        debug!("http: {}: {status} {why}", self.slot.peer);
        self.dismiss(&handler.refused(status, why))
    }

    /// Says why, and gives the client time to read it: closing a socket with unread bytes would
    /// discard the answer.
    fn dismiss(&mut self, response: &Response) -> io::Result<()> {
        self.outgoing.clear();
        response.put(&mut self.outgoing, Ending::Close, false);
        self.send(Instant::now() + self.limits.write_max)?;
        self.slot.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + DRAIN_MAX;
        let mut waste = [0; 2048];
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            arm(&self.slot.stream, &mut self.read_timeout, deadline)?;
            match (&self.slot.stream).read(&mut waste)? {
                0 => break,
                count => drained += count,
            }
        }
        Ok(())
    }

    /// Reads once; fails with `TimedOut` at the deadline.
    fn read(&mut self, deadline: Instant) -> io::Result<usize> {
        let mut stream = &self.slot.stream;
        loop {
            arm(stream, &mut self.read_timeout, deadline)?;
            match stream.read(self.incoming.room()) {
                // The deadline decides, not the socket.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                done => return done,
            }
        }
    }

    /// Sends what is prepared, in one call unless the client is slow.
    fn send(&mut self, deadline: Instant) -> io::Result<()> {
        let mut stream = &self.slot.stream;
        let mut left = self.outgoing.as_slice();
        while !left.is_empty() {
            match stream.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
            if !left.is_empty() && Instant::now() >= deadline {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        if self.outgoing.capacity() > ANSWER_BYTES_KEPT {
            self.outgoing = Vec::new();
        }
        Ok(())
    }
}

/// Makes the next read end about at the deadline; fails when that has passed.
fn arm(stream: &TcpStream, armed: &mut Duration, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    if armed.is_zero() || armed.abs_diff(left) > TIMEOUT_SLACK {
        stream.set_read_timeout(Some(left))?;
        *armed = left;
    }
    Ok(())
}
