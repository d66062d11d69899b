//! How a session responds to packets and to the passing of time: decided here, without a socket, a
//! clock or a thread, so that a table can test it.
//!
//! What is to be sent is appended to `out`; everything else is an [`Effect`] for the connection to
//! carry out. It calls [`Protocol::received`] for every packet, then [`Protocol::acknowledge`],
//! then [`Protocol::due`] until nothing is due, and only then writes `out` to the socket. So a
//! filter is on record before the broker is asked for it.

mod messages;
mod standing;

use crate::config::{Broker, Version};
use crate::message::Arrival;
use crate::mqtt::bell::Slip;
use crate::mqtt::codec;
use crate::mqtt::end::End;
use crate::mqtt::incoming::Ledger;
use crate::mqtt::incoming::retained::Retained;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::pace::{Due, Pace, Watch};
use crate::mqtt::packet::{Answered, ConnAck, Disconnect, Packet};
use crate::mqtt::subscriptions::{Answer, Subscriptions};
use crate::mqtt::timing::{IN_HAND_MAX, Timing};
use crate::mqtt::words;
use bytes::BytesMut;
use log::{debug, error, info, log, warn};
use std::time::{Duration, Instant};

/// What a session has on record: subscriptions, and retained messages.
const SUBSCRIPTIONS: &str = "subscriptions";
const RETAINED: &str = "retained";

/// What follows, besides what was written.
#[derive(Debug)]
pub(super) enum Effect {
    Nothing,
    /// A message is to be handed in.
    HandIn(Arrival),
    /// This text is to be remembered under this name, before anything is sent.
    Remember(&'static str, String),
    /// The [`Standing`](standing::Standing) may have changed.
    Report,
    /// A ping went out. This is also the moment to offer again what was refused, in case its room
    /// is never announced.
    Pinged,
    /// The connection is over.
    End(End),
}

/// The protocol state of a session. It lives as long as the process.
pub(super) struct Protocol {
    /// Of the broker, and of us.
    name: String,
    client_id: String,
    keep_alive: Duration,
    /// The broker is asked to forget the session at the end of its connection.
    clean: bool,
    timing: Timing,
    ledger: Ledger,
    subscriptions: Subscriptions,
    /// A publisher has nothing to subscribe to, and this.
    pub(super) outbox: Option<Outbox>,
    /// There has been a connection in the life of this process.
    has_connected: bool,
    /// When the connection before this one ended.
    down_since: Option<Instant>,
    /// The loss of the session was logged, and no connection has been good since.
    loss_is_logged: bool,
    /// The broker's idea of how long a session is kept, once it has said so.
    expiry: Option<u32>,
    dice: fastrand::Rng,

    // From here on: of the present connection.
    version: Version,
    pace: Pace,
    /// When what is not granted is asked for again, and how often it was asked for.
    ask_at: Option<Instant>,
    asked: u32,
    /// When what is known of retained messages is remembered.
    save_at: Option<Instant>,
    was_paused: bool,
    /// [`Effect::Report`] is due.
    has_news: bool,
}

impl Protocol {
    pub(super) fn new(
        broker: &Broker,
        timing: Timing,
        subscriptions: Subscriptions,
        publishes: bool,
        now: Instant,
    ) -> Self {
        Protocol {
            name: broker.name.clone(),
            client_id: broker.client_id.clone(),
            keep_alive: broker.keep_alive,
            clean: broker.clean,
            timing,
            ledger: Ledger::default(),
            subscriptions,
            outbox: publishes.then(Outbox::new),
            has_connected: false,
            down_since: None,
            loss_is_logged: false,
            expiry: None,
            dice: fastrand::Rng::new(),
            version: broker.version,
            pace: Pace::new(broker.keep_alive, watch(&timing), now),
            ask_at: None,
            asked: 0,
            save_at: None,
            was_paused: false,
            has_news: false,
        }
    }

    /// Recalls what earlier processes left; `recall` finds it by name. The record of an orderly
    /// stop is true only until messages come, so another may have to take its place.
    pub(super) fn recall(&mut self, recall: &dyn Fn(&str) -> Option<String>) -> Effect {
        if let Some(record) = recall(SUBSCRIPTIONS) {
            self.subscriptions.recall(&record);
        }
        if let Some(record) = recall(RETAINED) {
            self.ledger.recall(Retained::read(&record));
        }
        match self.ledger.retained().is_stale() {
            true => Effect::Remember(RETAINED, self.ledger.remembered(false)),
            false => Effect::Nothing,
        }
    }

    /// At the orderly end: all that is known of retained messages.
    pub(super) fn remember_last(&mut self) -> Effect {
        let record = self.ledger.remembered(true);
        match self.ledger.retained().is_empty() {
            true => Effect::Nothing,
            false => Effect::Remember(RETAINED, record),
        }
    }

    /// The broker has accepted a connection: says what is lost, and asks for what is wanted.
    pub(super) fn accepted(
        &mut self,
        version: Version,
        connack: &ConnAck,
        now: Instant,
        out: &mut BytesMut,
    ) {
        let keep_alive = connack.keep_alive.map(|secs| Duration::from_secs(secs.into()));
        self.version = version;
        self.pace = Pace::new(keep_alive.unwrap_or(self.keep_alive), watch(&self.timing), now);
        (self.asked, self.save_at, self.was_paused, self.has_news) = (0, None, false, true);
        if let Some(outbox) = &mut self.outbox {
            return outbox.connected(version, connack);
        }
        self.ledger.connected(connack.session_present);
        if !self.clean {
            self.tell_losses(connack, now);
        }
        self.begin_subscriptions(connack);
        if self.subscriptions.is_careful() {
            // The broker may not hear what comes behind a subscription that it dislikes.
            self.subscriptions.give_back(version, out);
            self.ask(now, out);
        } else {
            self.ask(now, out);
            self.subscriptions.give_back(version, out);
        }
        self.has_connected = true;
    }

    fn tell_losses(&mut self, connack: &ConnAck, now: Instant) {
        let name = &self.name;
        if !connack.session_present && self.subscriptions.holds_any() && !self.loss_is_logged {
            self.loss_is_logged = true;
            let since = match self.down_since {
                Some(since) => {
                    let ago = now.saturating_duration_since(since).as_secs();
                    format!("the connection ended {ago} s ago")
                }
                None => "the agent was connected last".to_owned(),
            };
            warn!(
                "mqtt {name}: the broker has not kept the session: what was published since \
                 {since} is lost"
            );
        }
        if let Some(secs) = connack.expiry.filter(|_| connack.expiry != self.expiry) {
            self.expiry = connack.expiry;
            warn!(
                "mqtt {name}: the broker keeps the session for only {secs} s after a connection \
                 ends: what is published after that is lost"
            );
        }
    }

    /// We may only ask for copies that we would recognise. MQTT 5 sends none where nothing is new.
    fn begin_subscriptions(&mut self, connack: &ConnAck) {
        let kept = connack.session_present;
        let retained = self.ledger.retained();
        let knows_copies =
            if self.has_connected { !retained.is_full() } else { retained.is_complete() };
        let believed = kept && self.version == Version::V311 && !knows_copies;
        let is_numbered = self.version == Version::V5 && !connack.forbids_numbers;
        self.subscriptions.begin(kept, believed, is_numbered);
        self.tell_overlaps();
        if !kept || (self.version == Version::V311 && !believed) {
            self.ledger.sees_all_copies();
        }
    }

    fn tell_overlaps(&mut self) {
        if let Some((level, words)) = self.subscriptions.news() {
            log!(level, "mqtt {}: {words}", self.name);
        }
    }

    /// Subscribes to what is wanted, and arranges for this to be repeated until it is granted.
    fn ask(&mut self, now: Instant, out: &mut BytesMut) {
        self.subscriptions.ask(self.version, out);
        self.asked = self.asked.saturating_add(1);
        self.ask_at = if self.subscriptions.are_settled() {
            self.subscriptions.left_out_until()
        } else {
            Some(now + self.timing.subscribe.wait_after(self.asked, self.dice.f64()))
        };
    }

    /// What follows from a packet of the broker.
    pub(super) fn received(&mut self, packet: Packet<'_>, out: &mut BytesMut) -> Effect {
        match packet {
            Packet::Publish(_) | Packet::Oversized(_) if self.outbox.is_some() => {
                debug!("mqtt {}: a message came that was not subscribed to", self.name);
            }
            Packet::Publish(publish) => return self.published(&publish),
            Packet::Oversized(oversized) => return self.oversized(&oversized),
            Packet::PubRel { packet_id } => self.ledger.released(packet_id, out),
            Packet::SubAck(suback) => {
                let answer = self.subscriptions.answer(&suback);
                self.answered(answer, out);
            }
            Packet::UnsubAck(unsuback) => {
                let answer = self.subscriptions.given_back(&unsuback);
                self.answered(answer, out);
            }
            Packet::PingResp => self.ledger.answered(),
            Packet::Disconnect(disconnect) => return Effect::End(self.sent_away(&disconnect)),
            Packet::ConnAck(_) => {
                return Effect::End(End::Lost("the broker sent a second CONNACK".to_owned()));
            }
            Packet::Answered(answer) => self.publication_answered(&answer, out),
        }
        Effect::Nothing
    }

    /// A broker answers a publication of ours, or of an earlier owner of our client id.
    fn publication_answered(&mut self, answer: &Answered, out: &mut BytesMut) {
        let known = self.outbox.as_mut().is_some_and(|outbox| outbox.answered(answer, out));
        if !known {
            let (name, id) = (&self.name, answer.packet_id);
            debug!("mqtt {name}: an answer belongs to no publication (id {id})");
        }
    }

    /// A SUBSCRIBE or UNSUBSCRIBE was answered: the next one may be asked for, if there is one.
    fn answered(&mut self, answer: Answer, out: &mut BytesMut) {
        let name = &self.name;
        match answer {
            Answer::Granted(words) => info!("mqtt {name}: {words}"),
            Answer::Refused(words) => error!("mqtt {name}: {words}; it is tried again"),
            Answer::StillRefused(words) => debug!("mqtt {name}: {words}"),
            Answer::Preliminary => return,
            Answer::Unknown => debug!("mqtt {name}: an answer belongs to nothing that was asked"),
        }
        self.subscriptions.ask(self.version, out);
        if self.subscriptions.are_settled() {
            (self.ask_at, self.asked) = (self.subscriptions.left_out_until(), 0);
        }
        self.has_news = true;
    }

    /// The broker of MQTT 5 says why it ends the connection.
    fn sent_away(&self, disconnect: &Disconnect) -> End {
        const TAKEN_OVER: u8 = 0x8E;
        let mut why = words::with_text(&words::reason(disconnect.code), &disconnect.text);
        if disconnect.code == TAKEN_OVER {
            why = format!("{why}, `{}`; each client needs its own", self.client_id);
        }
        if words::is_about_us(disconnect.code) {
            return End::Closed(Some(why));
        }
        End::Lost(format!("the broker ended the connection: {why}"))
    }

    /// What is due by now; call it until nothing is. While `paused` nothing is read, so silence
    /// means nothing.
    pub(super) fn due(&mut self, now: Instant, paused: bool, out: &mut BytesMut) -> Effect {
        if self.was_paused && !paused {
            self.heard(now); // What came meanwhile is still to be read.
        }
        self.was_paused = paused;
        if self.ask_at.is_some_and(|at| at <= now) {
            for words in self.subscriptions.want_again(now) {
                warn!("mqtt {}: {words}", self.name);
            }
            self.tell_overlaps();
            self.ask(now, out);
            self.has_news = true;
        }
        if let Some(record) = self.subscriptions.record() {
            return Effect::Remember(SUBSCRIPTIONS, record);
        }
        if std::mem::take(&mut self.has_news) {
            return Effect::Report;
        }
        if let Some(record) = self.retained_record(now) {
            return Effect::Remember(RETAINED, record);
        }
        if self.ledger.wants_ping() {
            self.ping(now, out);
        }
        match self.pace.due(now, paused) {
            Due::Nothing => Effect::Nothing,
            Due::Ping => {
                self.ping(now, out);
                Effect::Pinged
            }
            Due::Worry => {
                self.pace.worry();
                Effect::Report
            }
            Due::GiveUp => Effect::End(End::Lost("the broker does not answer a ping".to_owned())),
        }
    }

    /// Copies come in a burst, so they share one write, which waits until they are safe.
    fn retained_record(&mut self, now: Instant) -> Option<String> {
        if !self.ledger.retained().is_stale() {
            return None;
        }
        let at = *self.save_at.get_or_insert(now + self.timing.remember);
        if at > now || !self.ledger.is_settled() {
            return None;
        }
        self.save_at = None;
        Some(self.ledger.remembered(false))
    }

    fn ping(&mut self, now: Instant, out: &mut BytesMut) {
        codec::ping(out);
        self.ledger.pinged();
        self.pace.pinged(now);
    }

    /// When [`Protocol::due`] has something to do next.
    pub(super) fn wake_at(&self, paused: bool) -> Option<Instant> {
        let save_at = self.save_at.filter(|_| self.ledger.is_settled());
        [self.pace.wake_at(paused), self.ask_at, save_at].into_iter().flatten().min()
    }

    /// Bytes have come.
    pub(super) fn heard(&mut self, now: Instant) {
        self.has_news |= self.pace.heard(now);
    }

    /// Bytes have gone.
    pub(super) fn sent(&mut self, now: Instant) {
        self.pace.sent(now);
    }

    /// Somebody asks for our state, so the broker is watched more closely for a while.
    pub(super) fn watched(&mut self, now: Instant) {
        self.pace.watched(now);
    }

    /// Takes a slip from the bell.
    pub(super) fn take(&mut self, slip: Slip) {
        match slip {
            Slip::Signed(ticket) => self.ledger.signed(ticket),
            Slip::PartlySigned(ticket) => self.ledger.partly_signed(ticket),
        }
    }

    /// Acknowledges what is due.
    pub(super) fn acknowledge(&mut self, out: &mut BytesMut) {
        self.ledger.acknowledge(out);
    }

    /// Whether we have so much in hand that reading stops.
    pub(super) fn is_full(&self) -> bool {
        self.ledger.in_hand() >= IN_HAND_MAX
    }

    /// Whether the broker of this connection waits for an acknowledgement.
    pub(super) fn owes(&self) -> bool {
        self.ledger.owes()
    }

    /// The orderly end: the last acknowledgements, past what is not safe yet.
    pub(super) fn leave(&mut self, out: &mut BytesMut) {
        self.ledger.leave_unsigned();
        self.ledger.acknowledge(out);
    }

    /// A connection that the broker had accepted has ended; it was good if it lasted.
    pub(super) fn ended(&mut self, now: Instant, was_good: bool) {
        self.down_since = Some(now);
        self.loss_is_logged &= !was_good;
        if was_good && self.ledger.in_hand() == 0 {
            self.ledger.begin_round();
            self.subscriptions.begin_round();
        }
    }

    /// Why the broker may have closed the connection, if that is due to a subscription.
    pub(super) fn blames(&mut self, now: Instant) -> Option<String> {
        self.subscriptions.closed(now, self.timing.left_out)
    }
}

/// How closely the broker is watched while somebody asks.
fn watch(timing: &Timing) -> Watch {
    Watch { interval: timing.watch, worry: timing.worry }
}

#[cfg(test)]
mod tests;
