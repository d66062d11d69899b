//! What outlives connections: one after the other, from the start to the stop.

mod publishing;

use crate::config::{Broker, Secret, Version};
use crate::message::{Accept, Arrival, Desk, Refused};
use crate::mqtt::bell::Slip;
use crate::mqtt::dial::Dialer;
use crate::mqtt::end::End;
use crate::mqtt::material::Materials;
use crate::mqtt::memory::Memory;
use crate::mqtt::packet::{ConnAck, Connect};
use crate::mqtt::protocol::{Effect, Protocol};
use crate::mqtt::pump::Pump;
use crate::mqtt::subscriptions::Subscriptions;
use crate::mqtt::supply::Supply;
use crate::mqtt::timing::Timing;
use crate::system::health::Health;
use bytes::BytesMut;
use log::{debug, info, warn};
use rustls::pki_types::ServerName;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After this many connections that the broker closed soon, the message suggests a second client.
const SHORT_LIVES_MAX: u32 = 3;

/// A connection that lasted less than this ended soon. Two clients that fight over one client id
/// each last as long as the other waits before it reconnects, which is 30 s at most.
const SHORT_LIFE: Duration = Duration::from_secs(45);

/// A connection that lasted less than this was ended at once, which no firewall or NAT does.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);

/// How many different problems are remembered as logged, until a connection has been good.
const SAID_MAX: usize = 8;

/// What a session is made of.
pub(super) struct Kit {
    pub broker: Broker,
    pub timing: Timing,
    pub health: Health,
    pub materials: Option<Materials>,
    pub server_name: Option<ServerName<'static>>,
    pub subscriptions: Subscriptions,
}

/// What a session is for.
pub(super) enum Role {
    /// To bring messages.
    Subscribe(Box<dyn Accept>, Box<dyn Memory>),
    /// To take publications.
    Publish(Box<dyn Supply>),
}

/// The state of a session that lives as long as the process.
pub(super) struct Life {
    pub broker: Broker,
    pub timing: Timing,
    pub materials: Option<Materials>,
    pub server_name: Option<ServerName<'static>>,
    pub pump: Pump,
    pub dialer: Dialer,
    pub protocol: Protocol,
    /// What the next connection speaks.
    pub version: Version,
    /// MQTT 3.1.1 is tried because the broker closed the connection at a CONNECT of MQTT 5.
    pub guessing: bool,
    /// The broker has accepted MQTT 5 before, so if it closes there is another reason.
    pub speaks_five: bool,
    /// When the broker accepted the present connection.
    up_since: Option<Instant>,
    /// The next connection continues a session of ours. A publisher begins clean: a broker that
    /// knows packet ids of an earlier process would take a publication for a repetition.
    pub resumes: bool,
    role: Role,
    health: Health,
    desk: Arc<dyn Desk>,
    /// How many subscriptions were granted on this connection.
    granted: usize,
    /// Why the queue takes no messages, if it does not.
    refused: Option<Refused>,
    /// A buffer, kept for its memory.
    slips: Vec<Slip>,
    failures: u32,
    short_lives: u32,
    /// What was logged since the last good connection, so that it is not repeated at every attempt.
    said: Vec<String>,
}

impl Life {
    pub(super) fn new(kit: Kit, role: Role, pump: Pump, now: Instant) -> Self {
        let publishes = matches!(role, Role::Publish(_));
        let subscriptions = kit.subscriptions;
        Life {
            dialer: Dialer::new(&kit.broker.host, kit.broker.port),
            desk: pump.bell().clone(),
            protocol: Protocol::new(&kit.broker, kit.timing, subscriptions, publishes, now),
            version: kit.broker.version,
            timing: kit.timing,
            materials: kit.materials,
            server_name: kit.server_name,
            pump,
            guessing: false,
            speaks_five: false,
            up_since: None,
            resumes: !publishes || kit.broker.clean,
            role,
            health: kit.health,
            granted: 0,
            refused: None,
            slips: Vec::new(),
            failures: 0,
            short_lives: 0,
            said: Vec::new(),
            broker: kit.broker,
        }
    }

    /// A connection has ended; `false` if it was the last one. Waits before the next.
    pub(super) fn goes_on_after(&mut self, end: End, now: Instant) -> io::Result<bool> {
        let up = self.up_since.take().map(|since| now.saturating_duration_since(since));
        if let Some(up) = up {
            self.protocol.ended(now, up >= self.timing.good);
            self.leave_publications(&end);
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
                self.rest(&why, up, now)?;
            }
            End::Closed(reason) => {
                let why = self.closed(reason, up.unwrap_or_default(), now);
                self.rest(&why, up, now)?;
            }
        }
        Ok(true)
    }

    /// The orderly end.
    pub(super) fn end(mut self) {
        if let Effect::Remember(name, record) = self.protocol.remember_last() {
            self.remember(name, record);
        }
        self.is_down("stopped");
        info!("mqtt {}: stopped", self.broker.name);
    }

    /// Recalls what earlier processes left.
    pub(super) fn begin(&mut self) {
        let Role::Subscribe(_, memory) = &self.role else { return };
        if let Effect::Remember(name, record) = self.protocol.recall(&|name| memory.recall(name)) {
            self.remember(name, record);
        }
    }

    fn remember(&self, name: &'static str, record: String) {
        if let Role::Subscribe(_, memory) = &self.role {
            memory.remember(name, record);
        }
    }

    /// The broker has accepted a connection.
    pub(super) fn accepted(&mut self, connack: &ConnAck, now: Instant, out: &mut BytesMut) {
        self.up_since = Some(now);
        info!(
            "mqtt {}: connected to {} as {} ({}, {})",
            self.broker.name,
            self.address(),
            self.broker.client_id,
            match self.version {
                Version::V311 => "MQTT 3.1.1",
                Version::V5 => "MQTT 5",
            },
            if connack.session_present { "session resumed" } else { "new session" }
        );
        self.granted = 0;
        if let Role::Subscribe(accept, _) = &mut self.role {
            accept.connected();
        }
        self.protocol.accepted(self.version, connack, now, out);
    }

    /// Whether the broker has only forgotten what it had under our client id. With MQTT 3.1.1 a
    /// session that begins clean ends with its connection, and mosquitto 2.0 does not write one that
    /// began clean to its disk with MQTT 5 either, so both begin with a connection for that alone.
    pub(super) fn only_began_clean(&mut self) -> bool {
        !mem::replace(&mut self.resumes, true)
    }

    /// Does what the protocol asks for.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Nothing => (),
            Effect::HandIn(arrival) => return self.hand_in(vec![arrival]),
            Effect::Remember(name, record) => self.remember(name, record),
            Effect::Report => self.report(),
            Effect::Pinged => return self.try_again(),
            Effect::End(end) => return Err(end),
        }
        Ok(())
    }

    /// Why the broker may have closed a connection that it had accepted.
    fn closed(&mut self, reason: Option<String>, up: Duration, now: Instant) -> String {
        if let Some(why) = self.protocol.blames(now) {
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

    /// Waits before the next attempt, longer each time until a connection has lasted.
    fn rest(&mut self, why: &str, up: Option<Duration>, now: Instant) -> Result<(), io::Error> {
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
        self.wait_until(now + wait)
    }

    fn wait_until(&mut self, until: Instant) -> Result<(), io::Error> {
        while Instant::now() < until && !self.pump.is_stopped() {
            if let Role::Publish(_) = self.role {
                // What comes to be published meanwhile does not wake it.
                self.pump.sleep(Some(until))?;
                continue;
            }
            self.pump.wait(Some(until))?;
            if self.collect().is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Remembers that something was logged; the oldest may be logged again.
    fn note(&mut self, words: String) {
        if self.said.len() == SAID_MAX {
            self.said.remove(0);
        }
        self.said.push(words);
    }

    /// Reports that there is no connection.
    fn is_down(&mut self, why: &str) {
        if let Role::Publish(supply) = &mut self.role {
            supply.lost(why);
            return;
        }
        self.health.session(&self.broker.name, |session| {
            session.connected = false;
            session.subscriptions_ready = false;
            why.clone_into(&mut session.error);
        });
    }

    /// Reports how things stand on a connection.
    fn report(&mut self) {
        let standing = self.protocol.standing();
        if let Role::Publish(supply) = &mut self.role {
            match standing.connected {
                true => supply.connected(),
                false => supply.lost(&standing.trouble),
            }
            return;
        }
        if let Role::Subscribe(accept, _) = &mut self.role
            && standing.granted > self.granted
        {
            accept.subscribed();
        }
        self.granted = standing.granted;
        self.health.session(&self.broker.name, |session| {
            session.connected = standing.connected;
            session.subscriptions_ready = standing.ready;
            session.error = match self.refused {
                Some(refused) if standing.connected => refused.to_string(),
                Some(_) | None => standing.trouble,
            };
        });
    }

    /// Whether nothing may be read at present.
    pub(super) fn is_paused(&self) -> bool {
        self.refused.is_some() || self.protocol.is_full()
    }

    /// Collects what was brought to the bell.
    pub(super) fn collect(&mut self) -> Result<(), End> {
        let room = self.pump.bell().collect(&mut self.slips);
        for &slip in &self.slips {
            self.protocol.take(slip);
        }
        if room { self.try_again() } else { Ok(()) }
    }

    /// Offers the batch that was refused again, if there is one.
    pub(super) fn try_again(&mut self) -> Result<(), End> {
        if self.refused.is_none() {
            return Ok(());
        }
        let Role::Subscribe(accept, _) = &mut self.role else { return Ok(()) };
        let taken = accept.again(&self.desk);
        self.judge(taken)
    }

    /// Hands a batch in.
    pub(super) fn hand_in(&mut self, arrivals: Vec<Arrival>) -> Result<(), End> {
        let Role::Subscribe(accept, _) = &mut self.role else { return Ok(()) };
        if arrivals.is_empty() {
            return Ok(());
        }
        let taken = accept.accept(arrivals, &self.desk);
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
                self.report();
            }
        }
        Ok(())
    }

    /// `host:port` for people, with the path of a WebSocket.
    pub(super) fn address(&self) -> String {
        let Broker { host, port, websocket, .. } = &self.broker;
        let path = websocket.as_deref().unwrap_or_default();
        match host.contains(':') {
            true => format!("[{host}]:{port}{path}"),
            false => format!("{host}:{port}{path}"),
        }
    }
}

/// The CONNECT of a session.
pub(super) fn connect_packet(broker: &Broker, version: Version, clean: bool) -> Connect<'_> {
    Connect {
        version,
        client_id: &broker.client_id,
        clean: clean || broker.clean,
        kept: !broker.clean,
        username: broker.username.as_deref(),
        password: broker.password.as_ref().map(Secret::expose),
        keep_alive: u16::try_from(broker.keep_alive.as_secs()).unwrap_or(u16::MAX),
        will: broker.status.as_ref().map(|status| (&*status.topic, status.format.offline())),
    }
}
