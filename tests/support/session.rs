//! An MQTT session in the process of the test, with the test in the place of intake, and a broker
//! that follows a script.

use super::{PATIENCE, until};
use ilagent::config::{Address, Broker, Qos, Routing, Rule, Target, Tls};
use ilagent::message::{Accept, Arrival, Desk, Message, Refused};
use ilagent::mqtt::memory::Memory;
use ilagent::mqtt::session::{Running, Timing, prepare};
use ilagent::retry::Backoff;
use ilagent::system::health::{self, Health};
use ilagent::system::stop::{self, Stopper};
use ilagent::system::threads::Failures;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A packet as it came: its first byte and what follows its length.
pub type Raw = (u8, Vec<u8>);

/// Settings for a broker at `port`.
pub fn broker(port: u16) -> Broker {
    let host = "127.0.0.1".to_owned();
    Broker {
        name: "plant".to_owned(),
        port,
        client_id: "agent".to_owned(),
        packet_bytes_max: 10_000,
        routing: Routing::First,
        rules: vec![rule("a/#", Qos::AtLeastOnce)],
        ..Broker::at(Address { host, ..Address::default() })
    }
}

pub fn rule(filter: &str, qos: Qos) -> Rule {
    Rule { filter: filter.to_owned(), qos, to: Target::Heartbeat }
}

pub fn tls(ca: &Path) -> Tls {
    Tls { ca: Some(ca.to_owned().into()), client: None, ..Tls::default() }
}

/// A session's patience, for tests that have none.
pub fn quick() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        connect: Duration::from_secs(5),
        files: millis(50),
        reconnect: Backoff { first: millis(10), longest: millis(100) },
        subscribe: Backoff { first: millis(50), longest: millis(100) },
        left_out: millis(400),
        remember: millis(10),
        ..Timing::default()
    }
}

/// The same for a session that is to owe nothing at its end: it would wait for very long.
pub fn thorough() -> Timing {
    Timing { farewell: PATIENCE, ..quick() }
}

/// What outlives a session, as the database of the queue does.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<BTreeMap<String, String>>>);

impl Notes {
    /// What is written down under a name, or nothing.
    pub fn read(&self, name: &str) -> String {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// As they are at this moment, for a process that is killed now.
    pub fn snapshot(&self) -> Notes {
        Notes(Arc::new(Mutex::new(self.0.lock().unwrap().clone())))
    }
}

impl Memory for Notes {
    fn recall(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }

    fn remember(&self, name: &str, text: String) {
        self.0.lock().unwrap().insert(name.to_owned(), text);
    }
}

/// A session that runs, and the test in the place of intake.
pub struct Rig {
    pub health: Health,
    arrivals: Receiver<Arrival>,
    desk: Arc<Mutex<Option<Arc<dyn Desk>>>>,
    full: Arc<AtomicBool>,
    refusals: Arc<AtomicUsize>,
    running: Option<(Stopper, Running)>,
}

/// Takes everything in and signs nothing, unless it is full.
struct Hand {
    out: Sender<Arrival>,
    desk: Arc<Mutex<Option<Arc<dyn Desk>>>>,
    full: Arc<AtomicBool>,
    refusals: Arc<AtomicUsize>,
    kept: Vec<Arrival>,
}

impl Accept for Hand {
    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        assert!(self.kept.is_empty(), "a batch was handed in although another was refused");
        assert!(!arrivals.is_empty(), "an empty batch was handed in");
        self.desk.lock().unwrap().get_or_insert_with(|| desk.clone());
        self.kept = arrivals;
        self.again(desk)
    }

    fn again(&mut self, _desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        if self.full.load(Ordering::SeqCst) {
            self.refusals.fetch_add(1, Ordering::SeqCst);
            return Err(Refused::Full);
        }
        for arrival in self.kept.drain(..) {
            // A test that has ended does not listen any more.
            let _ = self.out.send(arrival);
        }
        Ok(())
    }
}

impl Rig {
    pub fn start(broker: &Broker, timing: Timing) -> Self {
        Rig::remembering(broker, timing, &Notes::default())
    }

    /// With what an earlier process has written down.
    pub fn remembering(broker: &Broker, timing: Timing, memory: &Notes) -> Self {
        let (out, arrivals) = mpsc::channel();
        let (desk, full, refusals) = (Arc::default(), Arc::default(), Arc::default());
        let hand = Hand {
            out,
            desk: Arc::clone(&desk),
            full: Arc::clone(&full),
            refusals: Arc::clone(&refusals),
            kept: Vec::new(),
        };
        let health = Health::default();
        let memory = Box::new(memory.clone());
        let session = prepare(broker, timing, Box::new(hand), memory, &health).unwrap();
        let (stopper, stop) = stop::pair();
        let (failures, _) = crossbeam_channel::bounded(1);
        let running = session.start(&stop, &Failures(failures)).unwrap();
        Rig { health, arrivals, desk, full, refusals, running: Some((stopper, running)) }
    }

    #[track_caller]
    pub fn arrival(&self) -> Arrival {
        self.arrivals.recv_timeout(PATIENCE).expect("a message should arrive")
    }

    /// The next message's payload as text, and its ticket.
    #[track_caller]
    pub fn message(&self) -> (String, u64) {
        match self.arrival() {
            Arrival::Message { message: Message { payload, .. }, ticket } => {
                (String::from_utf8(payload).unwrap(), ticket)
            }
            other => panic!("not a message: {other:?}"),
        }
    }

    /// The ticket of the next message, if one comes in that time.
    pub fn message_within(&self, time: Duration) -> Option<u64> {
        match self.arrivals.recv_timeout(time) {
            Ok(Arrival::Message { ticket, .. }) => Some(ticket),
            _ => None,
        }
    }

    #[track_caller]
    pub fn nothing_arrives(&self) {
        let arrival = self.arrivals.try_recv();
        assert!(arrival.is_err(), "{arrival:?}");
    }

    /// Nothing for a while: for the real broker, which does not say when it has nothing to send.
    #[track_caller]
    pub fn nothing_arrives_for(&self, time: Duration) {
        let arrival = self.arrivals.recv_timeout(time);
        assert_eq!(arrival, Err(RecvTimeoutError::Timeout));
    }

    pub fn sign(&self, ticket: u64) {
        self.desk().signed(ticket);
    }

    /// One of several deliveries of a message is done.
    pub fn sign_partly(&self, ticket: u64) {
        self.desk().partly_signed(ticket);
    }

    pub fn make_full(&self) {
        self.full.store(true, Ordering::SeqCst);
    }

    pub fn make_room(&self) {
        self.full.store(false, Ordering::SeqCst);
        self.desk().room();
    }

    pub fn refusals(&self) -> usize {
        self.refusals.load(Ordering::SeqCst)
    }

    fn desk(&self) -> Arc<dyn Desk> {
        self.desk.lock().unwrap().clone().expect("something has arrived")
    }

    pub fn session(&self) -> health::Session {
        let snapshot = self.health.snapshot();
        snapshot.sessions.into_iter().find(|(name, _)| name == "plant").unwrap().1
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, is: impl Fn(&health::Session) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is(&self.session()) {
            assert!(Instant::now() < deadline, "not {what}: {:?}", self.session());
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    pub fn wait_until_ready(&self) {
        self.wait_until("ready", |session| session.connected && session.subscriptions_ready);
    }

    /// Tells the session to stop; join it with [`Rig::stop`].
    pub fn begin_to_stop(&mut self) -> Running {
        let (stopper, running) = self.running.take().unwrap();
        drop(stopper);
        running.wake();
        running
    }

    /// Stops a session whose timing is [`thorough`]: it waits for nobody.
    #[track_caller]
    pub fn stop_without_a_wait(self) {
        let took = self.stop();
        assert!(took < PATIENCE / 2, "{took:?}");
    }

    /// Stops the session and says how long that took.
    pub fn stop(mut self) -> Duration {
        let begin = Instant::now();
        self.begin_to_stop().join();
        begin.elapsed()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.begin_to_stop();
        }
    }
}

/// A broker that follows a script.
pub struct Fake(pub TcpListener);

impl Fake {
    pub fn new() -> Self {
        Fake(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Waits for a connection and its CONNECT.
    #[track_caller]
    pub fn accept(&self) -> (Peer, Vec<u8>) {
        let mut peer = self.accept_silent();
        let (first, body) = peer.read();
        assert_eq!(first, 0x10, "not a CONNECT");
        (peer, body)
    }

    #[track_caller]
    pub fn accept_silent(&self) -> Peer {
        self.0.set_nonblocking(true).unwrap();
        let stream = until("somebody connects", || self.0.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer(stream)
    }

    /// Accepts a connection of MQTT 3.1.1 and grants its only subscription, if it comes.
    #[track_caller]
    pub fn welcome(&self, session_present: bool, subscribes: bool) -> Peer {
        let (mut peer, _) = self.accept();
        peer.send(&[0x20, 2, u8::from(session_present), 0]);
        if subscribes {
            let packet_id = peer.subscribed();
            peer.send(&[0x90, 3, packet_id[0], packet_id[1], 1]);
        }
        peer
    }
}

/// One connection of the scripted broker.
pub struct Peer(pub TcpStream);

impl Peer {
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    #[track_caller]
    pub fn read(&mut self) -> Raw {
        self.try_read().expect("a packet should come")
    }

    pub fn try_read(&mut self) -> io::Result<Raw> {
        read_packet(&mut self.0)
    }

    /// The packet id of the SUBSCRIBE that comes next.
    #[track_caller]
    pub fn subscribed(&mut self) -> [u8; 2] {
        let (first, body) = self.read();
        assert_eq!(first, 0x82, "not a SUBSCRIBE");
        [body[0], body[1]]
    }

    /// The next packet that is not a ping; pings are answered.
    #[track_caller]
    pub fn read_on(&mut self) -> Raw {
        loop {
            match self.read() {
                (0xC0, _) => self.send(&[0xD0, 0]),
                packet => return packet,
            }
        }
    }

    /// The next packets besides pings, as `(first byte, packet id)`.
    #[track_caller]
    pub fn acks(&mut self, count: usize) -> Vec<(u8, u16)> {
        let ack = |(first, body): Raw| (first, u16::from_be_bytes([body[0], body[1]]));
        (0..count).map(|_| ack(self.read_on())).collect()
    }

    pub fn publish(&mut self, flags: u8, topic: &str, packet_id: u16, payload: &[u8]) {
        self.send(&publish(flags, topic.as_bytes(), packet_id, payload));
    }

    /// Everything but pings until the session closes its side: the packets by first byte.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut seen = Vec::new();
        while let Ok((first, _)) = self.try_read() {
            seen.push(first);
        }
        seen.retain(|first| *first != 0xC0);
        seen
    }
}

pub fn read_packet(reader: &mut impl Read) -> io::Result<Raw> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    let first = byte[0];
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        reader.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((first, body))
}

/// A PUBLISH of MQTT 3.1.1; `flags` are the low bits of its first byte.
pub fn publish(flags: u8, topic: &[u8], packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend(topic);
    if flags & 6 != 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(payload);
    framed(0x30 | flags, &body)
}

pub fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    while length > 127 {
        packet.push(u8::try_from(length % 128).unwrap() | 0x80);
        length /= 128;
    }
    packet.push(u8::try_from(length).unwrap());
    packet.extend(body);
    packet
}
