//! What outlives connections: one thread a broker, from the start to the stop.

use crate::config::{Broker, Secret, Version};
use crate::message::{Desk, Message};
use crate::mqtt::accept::{Accept, Arrival, Refused};
use crate::mqtt::bell::Bell;
use crate::mqtt::connection::{self, End};
use crate::mqtt::dial::Dialer;
use crate::mqtt::ledger::{Arrived, Ledger};
use crate::mqtt::material::Materials;
use crate::mqtt::packet::{self, Connect, Oversized, Publish};
use crate::mqtt::pump::Pump;
use crate::mqtt::subscriptions::Subscriptions;
use crate::retry::Backoff;
use crate::system::health::{self, Health};
use crate::system::plain::plain;
use crate::system::pulse::Pulse;
use crate::system::stop::Stop;
use crate::system::threads::{self, Failures};
use log::{debug, info, warn};
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many messages may be in our hands, not safe or not acknowledged; then reading stops.
pub const IN_HAND_MAX: usize = 4_096;

/// After so many connections that ended at once the words hint at a second client.
const SHORT_LIVES_MAX: u32 = 3;

/// A connection that ended earlier ended at once.
const SHORT_LIFE: Duration = Duration::from_secs(5);

/// How patient a session is.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For look-up, TCP, TLS and CONNACK together.
    pub connect: Duration,
    /// A broker that takes no byte for so long is given up.
    pub stall: Duration,
    /// Between two looks at the TLS files.
    pub files: Duration,
    /// Between two tries to connect.
    pub reconnect: Backoff,
    /// A connection that lasted so long was good: back-off begins anew.
    pub good: Duration,
    /// Between two tries to subscribe to what was refused.
    pub subscribe: Backoff,
    /// At the stop, for receipts that are still out.
    pub farewell: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Timing {
            connect: secs(10),
            stall: secs(10),
            files: secs(30),
            reconnect: Backoff { first: Duration::from_millis(100), longest: secs(30) },
            good: secs(30),
            // Half of a wait is dice, so the first is 30 s at least.
            subscribe: Backoff { first: secs(60), longest: secs(300) },
            farewell: Duration::from_millis(1_500),
        }
    }
}

/// A session that is ready to start.
pub struct Session {
    broker: Broker,
    timing: Timing,
    accept: Box<dyn Accept>,
    health: Health,
    materials: Option<Materials>,
    server_name: Option<ServerName<'static>>,
    subscriptions: Subscriptions,
}

/// What a broker's configuration becomes, if it can be used.
struct Checked {
    materials: Option<Materials>,
    server_name: Option<ServerName<'static>>,
    subscriptions: Subscriptions,
}

/// Checks all that can be checked before a connection.
///
/// # Errors
///
/// Says in words which setting or file cannot be used, and why.
pub fn check(broker: &Broker) -> Result<(), String> {
    checked(broker).map(|_| ())
}

fn checked(broker: &Broker) -> Result<Checked, String> {
    connect_packet(broker, broker.version).encode(&mut Vec::new())?;
    let materials = broker.tls.as_ref().map(|files| Materials::load(&broker.name, files));
    let server_name = broker.tls.as_ref().map(|_| {
        ServerName::try_from(broker.host.clone())
            .map_err(|_| format!("`{}` is not a host name that TLS can check", broker.host))
    });
    Ok(Checked {
        materials: materials.transpose()?,
        server_name: server_name.transpose()?,
        subscriptions: Subscriptions::new(&broker.rules, broker.shared_group.as_deref())?,
    })
}

/// Checks all that can be checked before a connection, and reports the session to `health`.
///
/// # Errors
///
/// As [`check`].
pub fn prepare(
    broker: &Broker,
    timing: Timing,
    accept: Box<dyn Accept>,
    health: &Health,
) -> Result<Session, String> {
    let Checked { materials, server_name, subscriptions } = checked(broker)?;
    for (one, other) in subscriptions.overlaps() {
        warn!(
            "mqtt {}: a message can match both '{one}' and '{other}'; a broker that sends a copy \
             for each makes two messages of it",
            broker.name
        );
    }
    health.session(&broker.name, |session| {
        *session = health::Session { error: "not connected yet".to_owned(), ..Default::default() };
    });
    Ok(Session {
        timing,
        accept,
        health: health.clone(),
        materials,
        server_name,
        subscriptions,
        broker: broker.clone(),
    })
}

impl Session {
    /// Connects in the background, for ever, until told to stop.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started, or the system has no poll left.
    pub fn start(self, stop: &Stop, failures: &Failures) -> io::Result<Running> {
        let pump = Pump::new(stop)?;
        let bell = pump.bell().clone();
        let name = format!("mqtt {}", self.broker.name);
        let life = Life::new(self, pump);
        let join = threads::spawn_vital(&name, failures, move || life.run())?;
        Ok(Running { name, join, bell })
    }
}

/// A session that runs.
///
/// To end it, drop the [`Stopper`](crate::system::stop::Stopper), call [`Running::wake`], and
/// [`Running::join`] it: it goes on acknowledging what is signed for a bounded time
/// ([`Timing::farewell`]), so let the sinks run on meanwhile.
pub struct Running {
    name: String,
    join: JoinHandle<()>,
    bell: Arc<Bell>,
}

impl Running {
    /// As its thread is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Wakes the session, so that it sees the stop at once.
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// Where its thread gives signs of life, and what wakes it for that.
    pub fn pulse(&self) -> (Pulse, impl Fn() + Send + 'static) {
        let bell = Arc::clone(&self.bell);
        (bell.pulse().clone(), move || bell.ring())
    }

    /// Waits for the end of its thread.
    pub fn join(self) {
        if self.join.join().is_err() {
            log::error!("mqtt: a session has panicked");
        }
    }

    /// Whether its thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }
}

/// The state of a session that lives as long as the process.
pub(super) struct Life {
    pub broker: Broker,
    pub timing: Timing,
    pub materials: Option<Materials>,
    pub server_name: Option<ServerName<'static>>,
    pub pump: Pump,
    pub dialer: Dialer,
    pub ledger: Ledger,
    pub subscriptions: Subscriptions,
    /// What the next connection speaks.
    pub version: Version,
    /// MQTT 3.1.1 is tried because the broker closed without a word when it heard MQTT 5.
    pub guessing: bool,
    /// The broker has accepted MQTT 5 before, so when it closes that has another reason.
    pub speaks_five: bool,
    /// When the broker accepted the present connection.
    pub up_since: Option<Instant>,
    /// There has been a connection in the life of this process.
    pub has_connected: bool,
    accept: Box<dyn Accept>,
    health: Health,
    desk: Arc<dyn Desk>,
    /// Why the queue does not take messages, if it does not.
    refused: Option<Refused>,
    /// Kept for its memory.
    signed: Vec<u64>,
    failures: u32,
    short_lives: u32,
    /// What was said last, so that it is not said again at every try.
    said: String,
}

impl Life {
    fn new(session: Session, pump: Pump) -> Self {
        Life {
            dialer: Dialer::new(&session.broker.host, session.broker.port),
            desk: pump.bell().clone(),
            version: session.broker.version,
            broker: session.broker,
            timing: session.timing,
            materials: session.materials,
            server_name: session.server_name,
            pump,
            ledger: Ledger::default(),
            subscriptions: session.subscriptions,
            guessing: false,
            speaks_five: false,
            up_since: None,
            has_connected: false,
            accept: session.accept,
            health: session.health,
            refused: None,
            signed: Vec::new(),
            failures: 0,
            short_lives: 0,
            said: String::new(),
        }
    }

    /// One connection after the other, until the stop.
    fn run(mut self) -> Result<(), io::Error> {
        let name = self.broker.name.clone();
        while !self.pump.is_stopped() {
            let end = connection::live(&mut self);
            let up = self.up_since.take().map(|since| since.elapsed());
            match end {
                End::Stopped => break,
                End::Broken(error) => return Err(error),
                End::Again(why) => {
                    info!("mqtt {name}: connecting again: {why}");
                    self.is_down(&why);
                }
                End::Lost(why) => {
                    if up.is_none() {
                        self.dialer.doubt_latest();
                    }
                    self.rest(why, up)?;
                }
            }
        }
        self.is_down("stopped");
        info!("mqtt {name}: stopped");
        Ok(())
    }

    /// Waits before the next try, longer each time until a connection has been good for a while.
    fn rest(&mut self, mut why: String, up: Option<Duration>) -> Result<(), io::Error> {
        let reconnect = self.timing.reconnect;
        let present = reconnect.wait_after(self.failures, 1.0);
        match up {
            Some(up) if up >= self.timing.good.max(present) => {
                self.failures = 0;
                self.said.clear();
            }
            Some(_) | None => (),
        }
        self.short_lives = match up {
            Some(up) if up < SHORT_LIFE => self.short_lives.saturating_add(1),
            Some(_) => 0,
            None => self.short_lives,
        };
        if self.short_lives >= SHORT_LIVES_MAX && up.is_some() {
            why.push_str("; it may be that another client uses the client id `");
            why.push_str(&self.broker.client_id);
            why.push('`');
        }
        self.failures = self.failures.saturating_add(1);
        let wait = reconnect.wait_after(self.failures, fastrand::f64());
        let name = &self.broker.name;
        if why == self.said {
            debug!("mqtt {name}: {why}; trying again in {} ms", wait.as_millis());
        } else {
            warn!("mqtt {name}: {why}; trying again, at first in {} ms", wait.as_millis());
            self.said.clone_from(&why);
        }
        self.is_down(&why);
        let until = Instant::now() + wait;
        while Instant::now() < until && !self.pump.is_stopped() {
            self.pump.wait(Some(until))?;
            if self.collect().is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Reports that there is no connection.
    fn is_down(&self, why: &str) {
        self.health.session(&self.broker.name, |session| {
            session.connected = false;
            session.subscriptions_ready = false;
            why.clone_into(&mut session.error);
        });
    }

    /// Reports how things stand on a connection.
    pub(super) fn is_up(&self) {
        self.health.session(&self.broker.name, |session| {
            session.connected = true;
            session.subscriptions_ready = self.subscriptions.are_ready();
            session.error = match self.refused {
                Some(refused) => refused.to_string(),
                None => self.subscriptions.trouble().to_owned(),
            };
        });
    }

    /// Whether messages may not be read at present.
    pub(super) fn is_paused(&self) -> bool {
        self.refused.is_some() || self.ledger.in_hand() >= IN_HAND_MAX
    }

    /// Takes what was brought to the bell.
    pub(super) fn collect(&mut self) -> Result<(), End> {
        let room = self.pump.bell().collect(&mut self.signed);
        for &ticket in &self.signed {
            self.ledger.signed(ticket);
        }
        if room { self.try_again() } else { Ok(()) }
    }

    /// Offers the batch that was refused once more, if there is one.
    pub(super) fn try_again(&mut self) -> Result<(), End> {
        if self.refused.is_none() {
            return Ok(());
        }
        let taken = self.accept.again(&self.desk);
        self.judge(taken)
    }

    /// Hands a batch in.
    pub(super) fn hand_in(&mut self, arrivals: Vec<Arrival>) -> Result<(), End> {
        if arrivals.is_empty() {
            return Ok(());
        }
        let taken = self.accept.accept(arrivals, &self.desk);
        self.judge(taken)
    }

    fn judge(&mut self, taken: Result<(), Refused>) -> Result<(), End> {
        let refused = taken.err();
        if refused == Some(Refused::Closed) {
            return Err(End::Stopped);
        }
        if refused != self.refused {
            self.refused = refused;
            match refused {
                Some(why) => warn!("mqtt {}: {why}", self.broker.name),
                None => info!("mqtt {}: the queue has room: reading again", self.broker.name),
            }
            if self.up_since.is_some() {
                self.is_up();
            }
        }
        Ok(())
    }

    /// Enters a message and adds it to the batch, unless it is in our hands already.
    pub(super) fn published(&mut self, publish: &Publish<'_>, batch: &mut Vec<Arrival>) {
        let (head, name) = (publish.head, &self.broker.name);
        let Arrived::New(ticket) = self.ledger.arrived(publish.topic, publish.payload, head) else {
            debug!("mqtt {name}: message with id {} came again", head.packet_id);
            return;
        };
        let payload = publish.payload.to_vec();
        let (topic, reason) = readable(publish.topic);
        info!(
            "mqtt {name}: received {} bytes on {} (QoS {}, id {})",
            payload.len(),
            plain(&topic),
            packet::level(head.qos),
            head.packet_id
        );
        batch.push(match reason {
            None => Arrival::Message { message: Message { topic, payload, key: None }, ticket },
            Some(reason) => Arrival::Unreadable { topic, reason, payload, ticket },
        });
    }

    /// The same for a message that was too large to keep.
    pub(super) fn oversized(&mut self, oversized: &Oversized, batch: &mut Vec<Arrival>) {
        let (head, bytes) = (oversized.head, oversized.bytes);
        let size = bytes.to_be_bytes();
        let Arrived::New(ticket) = self.ledger.arrived(&oversized.topic, &size, head) else {
            return;
        };
        let topic = readable(&oversized.topic).0;
        warn!(
            "mqtt {}: a message of {bytes} bytes on {} is too large and is not taken in",
            self.broker.name,
            plain(&topic)
        );
        batch.push(Arrival::Oversized { topic, bytes, ticket });
    }

    /// `host:port` for people.
    pub(super) fn address(&self) -> String {
        let Broker { host, port, .. } = &self.broker;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// A topic as text, and what is wrong with it if anything is.
fn readable(topic: &[u8]) -> (String, Option<&'static str>) {
    match str::from_utf8(topic) {
        Err(_) => {
            (String::from_utf8_lossy(topic).into_owned(), Some("the topic is not valid UTF-8"))
        }
        Ok("") => (String::new(), Some("the topic is empty")),
        Ok(text) if text.contains('\0') => {
            (text.to_owned(), Some("the topic contains the character NUL"))
        }
        Ok(text) => (text.to_owned(), None),
    }
}

/// The CONNECT of a session.
pub(super) fn connect_packet(broker: &Broker, version: Version) -> Connect<'_> {
    Connect {
        version,
        client_id: &broker.client_id,
        username: broker.username.as_deref(),
        password: broker.password.as_ref().map(Secret::expose),
        keep_alive: u16::try_from(broker.keep_alive.as_secs()).unwrap_or(u16::MAX),
    }
}
