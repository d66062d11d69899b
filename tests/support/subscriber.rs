//! An MQTT 3.1.1 subscriber that keeps account of what it receives, over restarts of its broker.
//!
//! With QoS 2 it takes each packet id once. What is under way to a subscriber when mosquitto restarts
//! is sent again as something new, all the same: a test that counts repetitions sends it away
//! meanwhile, and the broker keeps everything for it.

use super::publisher::text;
use super::session::{framed, read_packet};
use super::{until, wait_until};
use std::collections::HashSet;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(10);

/// One message, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub at: Instant,
}

impl Received {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// How often the broker granted the subscription.
    granted: usize,
    stream: Option<TcpStream>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    away: AtomicBool,
    over: AtomicBool,
}

pub struct Subscriber {
    shared: Arc<Shared>,
}

impl Subscriber {
    /// Subscribes to everything that `filter` matches; the broker has granted it on return.
    pub fn new(port: u16, filter: &str) -> Self {
        Subscriber::with_qos(port, filter, 2)
    }

    pub fn with_qos(port: u16, filter: &str, qos: u8) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let client = format!("subscriber-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::<Shared>::default();
        let (theirs, hello) = (Arc::clone(&shared), hello(&client, filter, qos));
        thread::spawn(move || {
            let mut held = HashSet::new();
            while !theirs.over.load(Ordering::SeqCst) {
                // A broker that is down comes back, or the test is over.
                if !theirs.away.load(Ordering::SeqCst) {
                    let _ = converse(port, &hello, &theirs, &mut held);
                }
                thread::sleep(PAUSE);
            }
        });
        let subscriber = Subscriber { shared };
        wait_until("the subscription is granted", || subscriber.granted() > 0);
        subscriber
    }

    /// How often the broker granted the subscription: once for each connection.
    pub fn granted(&self) -> usize {
        self.shared.state.lock().unwrap().granted
    }

    /// Disconnects, until [`Subscriber::come_back`]; the broker keeps what comes meanwhile.
    pub fn go_away(&self) {
        self.shared.away.store(true, Ordering::SeqCst);
        self.hang_up();
    }

    pub fn come_back(&self) {
        self.shared.away.store(false, Ordering::SeqCst);
    }

    fn hang_up(&self) {
        if let Some(stream) = &self.shared.state.lock().unwrap().stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn count(&self) -> usize {
        self.shared.state.lock().unwrap().received.len()
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.state.lock().unwrap().received.clone()
    }

    /// All messages so far, which it forgets.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.shared.state.lock().unwrap().received)
    }

    /// All payloads so far, as text, in the order of their arrival.
    pub fn texts(&self) -> Vec<String> {
        self.received().iter().map(Received::text).collect()
    }

    /// Waits until so many messages are here, for as long as there is progress.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut seen = self.count();
        while seen < count {
            seen = until(&format!("one of {count} messages arrives, after {seen}"), || {
                Some(self.count()).filter(|now| *now > seen)
            });
        }
        self.received()
    }
}

impl Subscriber {
    /// Waits until so many different texts are here, for as long as there is progress: in the
    /// order in which each came for the first time.
    #[track_caller]
    pub fn wait_for_different(&self, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        while found.len() < count {
            let seen = found.len();
            found = until(&format!("one of {count} texts arrives, after {seen}"), || {
                let (mut texts, mut known) = (self.texts(), HashSet::new());
                texts.retain(|text| known.insert(text.clone()));
                Some(texts).filter(|texts| texts.len() > seen)
            });
        }
        found
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.hang_up();
    }
}

/// CONNECT, without a clean session and without keep-alive, and SUBSCRIBE.
fn hello(client: &str, filter: &str, qos: u8) -> Vec<u8> {
    let connect = [b"\x00\x04MQTT\x04\x00\x00\x00", &text(client)[..]].concat();
    let subscribe = [&[0, 1], &text(filter)[..], &[qos]].concat();
    [framed(0x10, &connect), framed(0x82, &subscribe)].concat()
}

/// One connection, until it ends.
fn converse(
    port: u16,
    hello: &[u8],
    shared: &Shared,
    held: &mut HashSet<[u8; 2]>,
) -> io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    shared.state.lock().unwrap().stream = Some(stream.try_clone()?);
    let mut writer = BufWriter::new(stream.try_clone()?);
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    writer.write_all(hello)?;
    writer.flush()?;
    loop {
        let (first, body) = read_packet(&mut reader)?;
        match first >> 4 {
            2 if body[0] & 1 == 0 => held.clear(),
            3 => publication(first, &body, shared, held, &mut writer)?,
            6 => {
                held.remove(&[body[0], body[1]]);
                writer.write_all(&[0x70, 2, body[0], body[1]])?;
            }
            9 => shared.state.lock().unwrap().granted += 1,
            _ => (),
        }
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
    }
}

fn publication(
    first: u8,
    body: &[u8],
    shared: &Shared,
    held: &mut HashSet<[u8; 2]>,
    writer: &mut impl Write,
) -> io::Result<()> {
    let (length, rest) = body.split_at(2);
    let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes([length[0], length[1]])));
    let qos = first >> 1 & 3;
    let (id, payload) = if qos == 0 { ([0, 0], rest) } else { ([rest[0], rest[1]], &rest[2..]) };
    if qos < 2 || held.insert(id) {
        shared.state.lock().unwrap().received.push(Received {
            topic: String::from_utf8_lossy(topic).into_owned(),
            payload: payload.to_vec(),
            qos,
            retain: first & 1 == 1,
            at: Instant::now(),
        });
    }
    match qos {
        0 => Ok(()),
        1 => writer.write_all(&[0x40, 2, id[0], id[1]]),
        _ => writer.write_all(&[0x50, 2, id[0], id[1]]),
    }
}
