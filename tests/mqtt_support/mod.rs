//! What the tests of the MQTT session share: a broker that follows a script, the mosquitto that
//! is installed, and somebody who takes messages in.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic and shout")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs")]

#[path = "../support/ports.rs"]
mod ports;

use ilagent::config::{Broker, Qos, Routing, Rule, Target, Tls, Version};
use ilagent::message::{Desk, Message};
use ilagent::mqtt::accept::{Accept, Arrival, Refused};
use ilagent::mqtt::memory::Memory;
use ilagent::mqtt::session::{Running, Timing, prepare};
use ilagent::retry::Backoff;
use ilagent::system::health::{self, Health};
use ilagent::system::stop::{self, Stopper};
use ilagent::system::threads::Failures;
pub use ports::free_port;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

/// Nothing in these tests takes longer unless it is broken.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A packet as it came: its first byte and what follows its length.
pub type Raw = (u8, Vec<u8>);

/// Waits until `probe` gives something.
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Settings for a broker at `port`.
pub fn broker(port: u16) -> Broker {
    Broker {
        name: "plant".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        client_id: "agent".to_owned(),
        username: None,
        password: None,
        tls: None,
        version: Version::V311,
        keep_alive: Duration::from_secs(60),
        packet_bytes_max: 10_000,
        shared_group: None,
        buffer: false,
        routing: Routing::First,
        rules: vec![rule("a/#", Qos::AtLeastOnce)],
    }
}

pub fn rule(filter: &str, qos: Qos) -> Rule {
    Rule { filter: filter.to_owned(), qos, to: Target::Heartbeat }
}

pub fn tls(ca: &Path) -> Tls {
    Tls { ca: Some(ca.to_owned()), client: None }
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
        self.arrivals.recv_timeout(LIMIT).expect("a message should arrive")
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
        let deadline = Instant::now() + LIMIT;
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
        stream.set_read_timeout(Some(LIMIT)).unwrap();
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
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        let first = byte[0];
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            self.0.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7F) << shift;
            shift += 7;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((first, body))
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

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
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

/// A folder of its own for one test, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("ilagent-mqtt-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The mosquitto that is installed.
pub struct Mosquitto {
    pub port: u16,
    folder: Folder,
    child: Child,
}

impl Mosquitto {
    /// Starts it with `settings` besides the port; its state survives [`Mosquitto::restart`].
    pub fn start(name: &str, settings: &str) -> Self {
        let folder = Folder::new(name);
        let port = free_port();
        let mut text = format!("listener {port} 127.0.0.1\n");
        writeln!(text, "allow_anonymous true").unwrap();
        writeln!(text, "persistence_location {}/", folder.0.display()).unwrap();
        if !settings.contains("persistence ") {
            writeln!(text, "persistence true").unwrap();
        }
        writeln!(text, "log_dest file {}/log", folder.0.display()).unwrap();
        writeln!(text, "log_type all\nuser root\n{settings}").unwrap();
        folder.write("conf", &text);
        let child = spawn_mosquitto(&folder.0, port);
        Mosquitto { port, folder, child }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// SIGTERM, so that it stores its state.
    pub fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.child = spawn_mosquitto(&self.folder.0, self.port);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }

    /// Publishes on a connection of its own and waits until the broker has everything.
    pub fn publish(&self, messages: &[(&str, u8, &str)]) {
        let mut peer = Peer(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        peer.0.set_read_timeout(Some(LIMIT)).unwrap();
        peer.send(&framed(0x10, b"\0\x04MQTT\x04\x02\0\x3c\0\x04test"));
        assert_eq!(peer.read(), (0x20, vec![0, 0]));
        for (&(topic, flags, payload), packet_id) in messages.iter().zip(1..) {
            peer.publish(flags, topic, packet_id, payload.as_bytes());
            match flags & 6 {
                2 => assert_eq!(peer.acks(1), [(0x40, packet_id)]),
                4 => {
                    assert_eq!(peer.acks(1), [(0x50, packet_id)]);
                    let [high, low] = packet_id.to_be_bytes();
                    peer.send(&[0x62, 2, high, low]);
                    assert_eq!(peer.acks(1), [(0x70, packet_id)]);
                }
                _ => (),
            }
        }
        peer.send(&[0xC0, 0]);
        assert_eq!(peer.read().0, 0xD0);
        peer.send(&[0xE0, 0]);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn spawn_mosquitto(folder: &Path, port: u16) -> Child {
    let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("mosquitto is installed");
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    until("mosquitto listens", || {
        assert_eq!(child.try_wait().unwrap(), None, "mosquitto has ended");
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    child
}
