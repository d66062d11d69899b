//! Points in datagrams of line protocol: Kapacitor's `[[udp]]`.
//!
//! Nobody is answered, so what cannot be taken is lost. One thread does nothing but read, so that
//! what is lost is lost here, where it is counted, and not in the kernel; the other evaluates.

use crate::alerts::line::{Lines, Shelf};
use crate::alerts::{Name, Point};
use crate::config;
use crate::system::plain::plain;
use crate::system::stop::Stop;
use crate::system::threads;
use crate::watch::{Watch, now};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use log::{info, warn};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The largest datagram there can be.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// Most datagrams that wait to be evaluated, and most bytes of them.
const WAITING_MAX: usize = 1_000;
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most datagrams that are evaluated in one go.
const TOGETHER_MAX: usize = 100;
/// How long nothing is said of losses after something was.
const SILENCE: Duration = Duration::from_secs(60);
/// The pause after a failed read.
const READ_PAUSE: Duration = Duration::from_millis(100);
/// What the reading thread waits for: datagrams, and the call to end.
const DATAGRAMS: Token = Token(0);
const CALL: Token = Token(1);

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    settings: config::Udp,
    socket: UdpSocket,
    address: SocketAddr,
}

/// Binds, so that a port in use is found before anything starts.
///
/// # Errors
///
/// Says in words why the address cannot be bound.
pub fn bind(settings: &config::Udp) -> Result<Listener, String> {
    let bound = UdpSocket::bind((settings.bind, settings.port))
        .and_then(|socket| Ok((socket.local_addr()?, socket)));
    let (address, socket) = bound.map_err(|error| {
        format!("udp: cannot listen on {} port {}: {error}", settings.bind, settings.port)
    })?;
    info!("udp: listening on {address} for points of `{}`", plain(&settings.database));
    Ok(Listener { settings: settings.clone(), socket, address })
}

impl Listener {
    /// Where it listens; useful when the system chose the port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Evaluates what comes until `stop`; [`Running::wake`] has it look.
    ///
    /// # Errors
    ///
    /// Fails when a thread or its poll cannot be had.
    pub fn start(self, watch: Arc<Watch>, stop: &Stop) -> io::Result<Running> {
        let Listener { settings, socket, address } = self;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), CALL)?;
        socket.set_nonblocking(true)?;
        let mut socket = mio::net::UdpSocket::from_std(socket);
        poll.registry().register(&mut socket, DATAGRAMS, Interest::READABLE)?;
        let (give, taken) = bounded(WAITING_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let losses = Losses::new(address, "came faster than they could be evaluated");
        let reading = Reading { give, bytes: Arc::clone(&bytes), losses, stop: stop.clone() };
        let losses = Losses::new(address, "could not be read or taken");
        let evaluating = Evaluating::new(&settings, watch, bytes, losses);
        let threads = [
            threads::spawn("udp", move || reading.run(poll, &socket))?,
            threads::spawn("udp points", move || evaluating.run(&taken))?,
        ];
        Ok(Running { waker, threads })
    }
}

/// A listener at work.
#[derive(Debug)]
pub struct Running {
    waker: Waker,
    threads: [JoinHandle<()>; 2],
}

impl Running {
    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            warn!("udp: cannot wake its thread: {error}");
        }
    }

    /// Waits for its end. What waits then is still evaluated.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("udp: a thread ended in disorder");
            }
        }
    }
}

/// The thread that reads.
struct Reading {
    give: Sender<Box<[u8]>>,
    /// Of the datagrams that wait.
    bytes: Arc<AtomicUsize>,
    losses: Losses,
    stop: Stop,
}

impl Reading {
    fn run(mut self, mut poll: Poll, socket: &mio::net::UdpSocket) {
        let mut events = Events::with_capacity(2);
        let mut room = vec![0; DATAGRAM_BYTES_MAX];
        while !self.stop.is_set() {
            match poll.poll(&mut events, self.losses.due()) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    warn!("udp: cannot wait for datagrams: {error}");
                    let _ = self.stop.is_set_within(READ_PAUSE);
                }
                Ok(()) | Err(_) => (),
            }
            self.read_all(socket, &mut room);
            self.losses.tell();
        }
        self.losses.tell_at_once();
    }

    fn read_all(&mut self, socket: &mio::net::UdpSocket, room: &mut [u8]) {
        while !self.stop.is_set() {
            match socket.recv_from(room) {
                Ok((length, _)) => self.pass_on(&room[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => {
                    warn!("udp: {}: {error}", self.losses.address);
                    let _ = self.stop.is_set_within(READ_PAUSE);
                }
            }
        }
    }

    fn pass_on(&mut self, datagram: &[u8]) {
        if self.bytes.fetch_add(datagram.len(), Ordering::AcqRel) <= WAITING_BYTES_MAX {
            match self.give.try_send(datagram.into()) {
                Ok(()) => return,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => (),
            }
        }
        self.bytes.fetch_sub(datagram.len(), Ordering::AcqRel);
        self.losses.add(1, || "a datagram".to_owned());
    }
}

/// The thread that evaluates.
struct Evaluating {
    database: Name,
    retention_policy: Name,
    precision: config::Precision,
    watch: Arc<Watch>,
    bytes: Arc<AtomicUsize>,
    losses: Losses,
    shelf: Shelf,
}

impl Evaluating {
    fn new(
        settings: &config::Udp,
        watch: Arc<Watch>,
        bytes: Arc<AtomicUsize>,
        losses: Losses,
    ) -> Self {
        Evaluating {
            database: settings.database.as_str().into(),
            retention_policy: settings.retention_policy.as_str().into(),
            precision: settings.precision,
            watch,
            bytes,
            losses,
            shelf: Shelf::default(),
        }
    }

    fn run(mut self, taken: &Receiver<Box<[u8]>>) {
        while let Ok(first) = taken.recv() {
            let more = std::iter::from_fn(|| taken.try_recv().ok()).take(TOGETHER_MAX - 1);
            let mut points = Vec::new();
            for datagram in std::iter::once(first).chain(more) {
                self.read(&datagram, &mut points);
                self.bytes.fetch_sub(datagram.len(), Ordering::AcqRel);
            }
            if !points.is_empty()
                && let Err(refused) = self.watch.feed(&points, None, None)
                && !refused.is_evaluated
            {
                self.losses.add(points.len(), || refused.error.to_string());
            }
            self.losses.tell();
        }
        self.losses.tell_at_once();
    }

    /// Adds the points of a datagram that some task wants; a line that cannot be read spoils no
    /// other.
    fn read(&mut self, datagram: &[u8], points: &mut Vec<Point>) {
        let wanted = self.watch.wanted();
        let wanted = wanted.in_database(&self.database, &self.retention_policy);
        let mut lines = match Lines::new(datagram, self.precision) {
            Ok(lines) => lines,
            Err(fault) => return self.losses.add(1, || fault.to_string()),
        };
        let (to, now) = ((&self.database, &self.retention_policy), now());
        while let Some(line) = lines.next() {
            match line {
                Ok(line) if wanted.has(&line.measurement()) => {
                    points.push(line.point(to, now, &mut self.shelf));
                }
                Ok(_) => (),
                Err(fault) => self.losses.add(1, || fault.to_string()),
            }
        }
    }
}

/// What was lost, said once a minute while it goes on.
struct Losses {
    address: SocketAddr,
    how: &'static str,
    /// Since it was said last.
    count: usize,
    /// The first of them.
    first: String,
    said: Option<Instant>,
}

impl Losses {
    fn new(address: SocketAddr, how: &'static str) -> Self {
        Losses { address, how, count: 0, first: String::new(), said: None }
    }

    fn add(&mut self, count: usize, what: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = what();
        }
        self.count += count;
    }

    /// How long to wait until there is something to say.
    fn due(&self) -> Option<Duration> {
        let said = self.said.filter(|_| self.count > 0)?;
        Some((said + SILENCE).saturating_duration_since(Instant::now()))
    }

    fn tell(&mut self) {
        if self.said.is_none_or(|said| said.elapsed() >= SILENCE) {
            self.tell_at_once();
        }
    }

    fn tell_at_once(&mut self) {
        if self.count > 0 {
            let Losses { address, how, count, first, .. } = self;
            warn!("udp: {address}: {count} datagrams or lines {how}; the first: {}", plain(first));
            (self.count, self.said) = (0, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;
    use crate::system::stop;
    use crate::watch::testing::Rig;
    use std::net::{IpAddr, Ipv4Addr};

    #[track_caller]
    fn wait_for(what: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !what() {
            assert!(Instant::now() < until, "it does not come");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn points_come_in_datagrams_and_a_bad_line_spoils_no_other() {
        let rig = Rig::new("udp", "cpu");
        let bound = bind(&config::Udp {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            database: "telegraf".to_owned(),
            retention_policy: "autogen".to_owned(),
            precision: Precision::Seconds,
        })
        .unwrap();
        let address = bound.address();
        let taken = bind(&config::Udp { port: address.port(), ..bound.settings.clone() });
        assert!(taken.unwrap_err().starts_with("udp: cannot listen on 127.0.0.1 port "));
        let (open, stop) = stop::pair();
        let running = bound.start(Arc::clone(&rig.watch), &stop).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let send = |datagram: &[u8]| socket.send_to(datagram, address).unwrap();
        let _ = (send(b"\xff"), send(b""), send(b"cpu v\ncpu,host=a v=1 1\ncpu v=x"));
        wait_for(|| rig.last().contains("1970-01-01T00:00:01Z"));
        send(b"cpu,host=b v=2");
        wait_for(|| rig.last().contains(",2]"));
        drop(open);
        running.wake();
        running.join();
    }

    #[test]
    fn what_is_lost_is_counted() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let mut losses = Losses::new(address, "could not be read");
        assert_eq!(losses.due(), None);
        losses.add(1, || "first".to_owned());
        losses.tell();
        assert!(losses.count == 0 && losses.due().is_none(), "it has been said");
        losses.add(2, || "second".to_owned());
        losses.add(3, || "third".to_owned());
        losses.tell();
        assert_eq!((losses.count, losses.first.as_str()), (5, "second"), "a while ago");
        assert!(losses.due().is_some_and(|wait| wait <= SILENCE));
    }
}
