//! What outlives connections: one after the other, from the start to the stop.

use crate::config::{Broker, Secret, Version};
use crate::message::{Accept, Arrival, Desk, Message, Origin, Refused};
use crate::mqtt::bell::Slip;
use crate::mqtt::dial::Dialer;
use crate::mqtt::end::End;
use crate::mqtt::incoming::retained::Retained;
use crate::mqtt::incoming::{Arrived, Ledger};
use crate::mqtt::material::Materials;
use crate::mqtt::memory::Memory;
use crate::mqtt::pace::Watch;
use crate::mqtt::packet::{self, ConnAck, Connect, Oversized, Publish, PublishHead};
use crate::mqtt::pump::Pump;
use crate::mqtt::subscriptions::Subscriptions;
use crate::mqtt::timing::{IN_HAND_MAX, Timing};
use crate::system::health::Health;
use crate::system::plain::plain;
use log::{debug, info, warn};
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After so many connections that the broker closed soon the words hint at a second client.
const SHORT_LIVES_MAX: u32 = 3;

/// A connection that ended earlier ended soon. Two clients that take turns with one client id each
/// live as long as the other waits before it connects again, which is 30 s at most.
const SHORT_LIFE: Duration = Duration::from_secs(45);

/// A connection that ended earlier ended at once, which nothing on the way does.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);

/// How many different troubles are each said once, until a connection has been good.
const SAID_MAX: usize = 8;

/// That it was said that the broker lost the session.
const LOST: &str = "the broker has not kept the session";

/// What a session has on record: subscriptions, and retained messages.
const SUBSCRIPTIONS: &str = "subscriptions";
const RETAINED: &str = "retained";

/// What a session is made of.
pub(super) struct Kit {
    pub broker: Broker,
    pub timing: Timing,
    pub accept: Box<dyn Accept>,
    pub memory: Box<dyn Memory>,
    pub health: Health,
    pub materials: Option<Materials>,
    pub server_name: Option<ServerName<'static>>,
    pub subscriptions: Subscriptions,
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
    /// When the connection before this one ended.
    down_since: Option<Instant>,
    /// The broker's idea of how long a session is kept, once it has been told.
    expiry: Option<u32>,
    accept: Box<dyn Accept>,
    memory: Box<dyn Memory>,
    health: Health,
    desk: Arc<dyn Desk>,
    /// Why the queue does not take messages, if it does not.
    refused: Option<Refused>,
    /// Kept for its memory.
    slips: Vec<Slip>,
    failures: u32,
    short_lives: u32,
    /// What was said since the last good connection, so that it is not said again at every try.
    said: Vec<String>,
}

impl Life {
    pub(super) fn new(kit: Kit, pump: Pump) -> Self {
        Life {
            dialer: Dialer::new(&kit.broker.host, kit.broker.port),
            desk: pump.bell().clone(),
            version: kit.broker.version,
            broker: kit.broker,
            timing: kit.timing,
            materials: kit.materials,
            server_name: kit.server_name,
            pump,
            ledger: Ledger::default(),
            subscriptions: kit.subscriptions,
            guessing: false,
            speaks_five: false,
            up_since: None,
            has_connected: false,
            down_since: None,
            expiry: None,
            accept: kit.accept,
            memory: kit.memory,
            health: kit.health,
            refused: None,
            slips: Vec::new(),
            failures: 0,
            short_lives: 0,
            said: Vec::new(),
        }
    }

    /// A connection has ended; `false` if it was the last one. Waits before the next.
    pub(super) fn goes_on_after(&mut self, end: End) -> io::Result<bool> {
        let up = self.up_since.take().map(|since| since.elapsed());
        if let Some(up) = up {
            self.down_since = Some(Instant::now());
            if up >= self.timing.good && self.ledger.in_hand() == 0 {
                self.ledger.begin_round();
                self.subscriptions.begin_round();
            }
        }
        match end {
            End::Stopped => return Ok(false),
            End::Broken(error) => return Err(error),
            End::Again(why) => {
                info!("mqtt {}: connecting again: {why}", self.broker.name);
                self.is_down(&why);
            }
            End::Lost(why) => {
                match up {
                    Some(_) => self.short_lives = 0,
                    None => self.dialer.doubt_latest(),
                }
                self.rest(&why, up)?;
            }
            End::Closed(reason) => {
                let why = self.closed(reason, up.unwrap_or_default());
                self.rest(&why, up)?;
            }
        }
        Ok(true)
    }

    /// The orderly end.
    pub(super) fn end(mut self) {
        self.remember_retained(true);
        self.is_down("stopped");
        info!("mqtt {}: stopped", self.broker.name);
    }

    /// Takes up what earlier processes left.
    pub(super) fn begin(&mut self) {
        if let Some(record) = self.memory.recall(SUBSCRIPTIONS) {
            self.subscriptions.recall(&record);
        }
        if let Some(record) = self.memory.recall(RETAINED) {
            self.ledger.recall(Retained::read(&record));
        }
        if self.ledger.retained().is_stale() {
            self.remember_retained(false);
        }
    }

    /// Remembers what the broker holds for us, if that has changed.
    pub(super) fn remember_subscriptions(&mut self) {
        if let Some(record) = self.subscriptions.record() {
            self.memory.remember(SUBSCRIPTIONS, record);
        }
    }

    /// Remembers which retained messages were seen to; at the orderly end, which were seen last.
    pub(super) fn remember_retained(&mut self, last: bool) {
        if last && self.ledger.retained().is_empty() {
            return;
        }
        let record = self.ledger.remembered(last);
        self.memory.remember(RETAINED, record);
    }

    /// The broker has accepted a connection: says what is lost, and what will be asked for.
    pub(super) fn session_begins(&mut self, connack: &ConnAck) {
        let (name, kept) = (self.broker.name.clone(), connack.session_present);
        if !kept && self.subscriptions.holds_any() && !self.said.iter().any(|said| said == LOST) {
            let since = match self.down_since {
                Some(since) => format!("the connection ended {} s ago", since.elapsed().as_secs()),
                None => "the agent was connected last".to_owned(),
            };
            warn!("mqtt {name}: {LOST}: what was published since {since} is lost");
            self.note(LOST.to_owned());
        }
        if let Some(secs) = connack.expiry.filter(|_| connack.expiry != self.expiry) {
            self.expiry = connack.expiry;
            warn!(
                "mqtt {name}: the broker keeps the session for {secs} s only when the connection \
                 has ended, not for ever: what is published after that is lost"
            );
        }
        // Copies that are asked for have to be known; MQTT 5 sends none where nothing is new.
        let retained = self.ledger.retained();
        let knows_copies =
            if self.has_connected { !retained.is_full() } else { retained.is_complete() };
        let believed = kept && self.version == Version::V311 && !knows_copies;
        self.subscriptions.begin(kept, believed);
        if !kept || (self.version == Version::V311 && !believed) {
            self.ledger.sees_all_copies();
        }
        self.has_connected = true;
    }

    /// Why the broker may have closed a connection that it had accepted.
    fn closed(&mut self, reason: Option<String>, up: Duration) -> String {
        let left_out = self.timing.left_out;
        if let Some(why) = self.subscriptions.closed(Instant::now(), left_out) {
            self.short_lives = 0;
            return match reason {
                None => why,
                Some(reason) => format!("{why} (`{reason}`)"),
            };
        }
        if let Some(reason) = reason {
            self.short_lives = 0;
            return format!("the broker ended the connection: {reason}");
        }
        self.short_lives = if up < SHORT_LIFE { self.short_lives.saturating_add(1) } else { 0 };
        let mut why = "the broker closed the connection".to_owned();
        if self.short_lives >= SHORT_LIVES_MAX {
            why.push_str("; it may be that another client uses the client id `");
            why.push_str(&self.broker.client_id);
            why.push('`');
            if up >= SHORTEST_LIFE {
                why.push_str(", or that something on the way ends silent connections");
            }
        }
        why
    }

    /// Waits before the next try, longer each time until a connection has been good for a while.
    fn rest(&mut self, why: &str, up: Option<Duration>) -> Result<(), io::Error> {
        let reconnect = self.timing.reconnect;
        let present = reconnect.wait_after(self.failures, 1.0);
        match up {
            Some(up) if up >= self.timing.good.max(present) => {
                self.failures = 0;
                self.said.clear();
            }
            Some(_) | None => (),
        }
        self.failures = self.failures.saturating_add(1);
        let wait = reconnect.wait_after(self.failures, fastrand::f64());
        let name = &self.broker.name;
        if self.said.iter().any(|said| said == why) {
            debug!("mqtt {name}: {why}; trying again in {} ms", wait.as_millis());
        } else {
            warn!("mqtt {name}: {why}; trying again, at first in {} ms", wait.as_millis());
            self.note(why.to_owned());
        }
        self.is_down(why);
        let until = Instant::now() + wait;
        while Instant::now() < until && !self.pump.is_stopped() {
            self.pump.wait(Some(until))?;
            if self.collect().is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Notes that something was said; what was said long ago may be said again.
    fn note(&mut self, words: String) {
        if self.said.len() == SAID_MAX {
            self.said.remove(0);
        }
        self.said.push(words);
    }

    /// Reports that there is no connection.
    fn is_down(&self, why: &str) {
        self.health.session(&self.broker.name, |session| {
            session.connected = false;
            session.subscriptions_ready = false;
            why.clone_into(&mut session.error);
        });
    }

    /// How closely the broker is watched while somebody asks.
    pub(super) fn watch(&self) -> Watch {
        Watch { interval: self.timing.watch, worry: self.timing.worry }
    }

    /// Reports that the broker does not answer, its connection open, or does so again.
    pub(super) fn is_silent(&self, silent: bool) {
        self.is_up();
        if silent {
            let secs = self.timing.worry.as_secs();
            self.health.session(&self.broker.name, |session| {
                session.connected = false;
                session.error = format!(
                    "the broker has not answered a ping for {secs} s, though its connection is open"
                );
            });
        }
    }

    /// Reports how things stand on a connection.
    pub(super) fn is_up(&self) {
        self.health.session(&self.broker.name, |session| {
            session.connected = true;
            session.subscriptions_ready = self.subscriptions.are_ready();
            session.error = match self.refused {
                Some(refused) => refused.to_string(),
                None => self.subscriptions.trouble(),
            };
        });
    }

    /// Whether messages may not be read at present.
    pub(super) fn is_paused(&self) -> bool {
        self.refused.is_some() || self.ledger.in_hand() >= IN_HAND_MAX
    }

    /// Takes what was brought to the bell.
    pub(super) fn collect(&mut self) -> Result<(), End> {
        let room = self.pump.bell().collect(&mut self.slips);
        for &slip in &self.slips {
            match slip {
                Slip::Signed(ticket) => self.ledger.signed(ticket),
                Slip::PartlySigned(ticket) => self.ledger.partly_signed(ticket),
            }
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
        let copies = self.copies(publish.topic, head);
        let arrived = self.ledger.arrived(publish.topic, publish.payload, head, copies);
        let (ticket, retained) = match arrived {
            Arrived::New(ticket) => (ticket, false),
            Arrived::NewCopy(ticket) => (ticket, true),
            Arrived::Again => {
                debug!("mqtt {name}: message with id {} came again", head.packet_id);
                return;
            }
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
            None => Arrival::Message {
                message: Message { topic, payload, origin: Origin::Mqtt, retained },
                ticket,
            },
            Some(reason) => Arrival::Unreadable { topic, reason, payload, ticket },
        });
    }

    /// The same for a message that was too large to keep.
    pub(super) fn oversized(&mut self, oversized: &Oversized, batch: &mut Vec<Arrival>) {
        let (head, bytes) = (oversized.head, oversized.bytes);
        let size = bytes.to_be_bytes();
        let copies = self.copies(&oversized.topic, head);
        let arrived = self.ledger.arrived(&oversized.topic, &size, head, copies);
        let (Arrived::New(ticket) | Arrived::NewCopy(ticket)) = arrived else {
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

    /// How many retained copies of a topic are to be expected.
    fn copies(&self, topic: &[u8], head: PublishHead) -> u32 {
        if head.retain { self.subscriptions.copies(topic) } else { 0 }
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
