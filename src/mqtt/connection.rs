//! One connection to a broker, from dialling to its end.

use crate::config::Version;
use crate::message::Arrival;
use crate::mqtt::codec;
use crate::mqtt::dial::NoDial;
use crate::mqtt::end::End;
use crate::mqtt::handshake::shake_hands;
use crate::mqtt::life::Life;
use crate::mqtt::pace::{Due, Pace};
use crate::mqtt::packet::{ConnAck, Disconnect, Packet};
use crate::mqtt::reader::Reader;
use crate::mqtt::subscriptions::Answer;
use crate::mqtt::wire::Wire;
use crate::mqtt::words;
use crate::system::tls::words::{in_words, io_in_words};
use log::{debug, error, info, warn};
use rustls::ClientConnection;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// After so many reads acknowledgements go out and timers are looked at.
const READS_PER_TURN: usize = 8;

/// With so many bytes that a broker does not take, nothing more is read from it.
const BACKLOG_MAX: usize = 64 * 1024;

/// How long the last bytes may take at the end, and how long the broker may take to close.
const GOODBYE_MAX: Duration = Duration::from_millis(300);

/// What one connection needs to know.
pub(super) struct Connection {
    pub wire: Wire,
    pub reader: Reader,
    pace: Pace,
    /// Since when the broker has taken no byte of what waits.
    stalled: Option<Instant>,
    /// When what is not granted is asked for again.
    ask_at: Option<Instant>,
    asked: u32,
    /// When what is known of retained messages is remembered.
    save_at: Option<Instant>,
    /// When the TLS files are looked at.
    look_at: Option<Instant>,
    was_paused: bool,
}

/// Connects, and stays until something ends it.
pub(super) fn live(life: &mut Life) -> End {
    let ended = Connection::open(life).and_then(|(mut connection, connack)| {
        connection.begin(life, &connack);
        connection.serve(life)
    });
    match ended {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// What [`Connection::serve`] returns when it does not fail: it always ends for a reason.
enum Never {}

impl Connection {
    fn open(life: &mut Life) -> Result<(Self, ConnAck), End> {
        let deadline = Instant::now() + life.timing.connect;
        if let Some(materials) = &mut life.materials {
            materials.look();
        }
        let dialled = life.dialer.dial(&mut life.pump, deadline);
        let (stream, address) = dialled.map_err(|no| match no {
            NoDial::Stopped => End::Stopped,
            NoDial::Failed(why) => End::Lost(why),
            NoDial::Broken(error) => End::Broken(error),
        })?;
        debug!("mqtt {}: connected to {address}", life.broker.name);
        let tls = match (&life.materials, &life.server_name) {
            (Some(materials), Some(name)) => {
                let tls = ClientConnection::new(materials.client(), name.clone());
                Some(tls.map_err(|error| {
                    End::Lost(format!("TLS cannot be used: {}", in_words(&error)))
                })?)
            }
            _ => None,
        };
        let now = Instant::now();
        let mut connection = Connection {
            wire: Wire::new(stream, tls),
            reader: Reader::new(life.version, life.broker.packet_bytes_max),
            pace: Pace::new(life.broker.keep_alive, life.watch(), now),
            stalled: None,
            ask_at: None,
            asked: 0,
            save_at: None,
            look_at: None,
            was_paused: false,
        };
        let connack = shake_hands(&mut connection.wire, &mut connection.reader, life, deadline)?;
        Ok((connection, connack))
    }

    /// The broker has accepted the connection.
    fn begin(&mut self, life: &mut Life, connack: &ConnAck) {
        let now = Instant::now();
        let keep_alive = connack.keep_alive.map(|secs| Duration::from_secs(secs.into()));
        self.pace = Pace::new(keep_alive.unwrap_or(life.broker.keep_alive), life.watch(), now);
        self.look_at = life
            .materials
            .as_ref()
            .and_then(|materials| materials.has_files().then(|| now + life.timing.files));
        life.up_since = Some(now);
        life.ledger.connected(connack.session_present);
        info!(
            "mqtt {}: connected to {} as {} ({}, {})",
            life.broker.name,
            life.address(),
            life.broker.client_id,
            match life.version {
                Version::V311 => "MQTT 3.1.1",
                Version::V5 => "MQTT 5",
            },
            if connack.session_present { "session resumed" } else { "new session" }
        );
        life.session_begins(connack);
        if life.subscriptions.is_careful() {
            // The broker may not hear what comes behind a subscription that it dislikes.
            life.subscriptions.give_back(life.version, &mut self.wire.out);
            self.ask(life, now);
        } else {
            self.ask(life, now);
            life.subscriptions.give_back(life.version, &mut self.wire.out);
        }
        life.is_up();
    }

    /// Subscribes to what is wanted, and sees to it that this is repeated until it is granted.
    fn ask(&mut self, life: &mut Life, now: Instant) {
        life.subscriptions.ask(life.version, &mut self.wire.out);
        life.remember_subscriptions();
        self.asked = self.asked.saturating_add(1);
        self.ask_at = if life.subscriptions.are_settled() {
            life.subscriptions.left_out_until()
        } else {
            Some(now + life.timing.subscribe.wait_after(self.asked, fastrand::f64()))
        };
    }

    /// Reads, acknowledges and keeps the connection alive until something ends it.
    fn serve(&mut self, life: &mut Life) -> Result<Never, End> {
        loop {
            if life.pump.is_stopped() {
                self.farewell(life);
                return Err(End::Stopped);
            }
            life.collect()?;
            self.take_in(life)?;
            life.ledger.acknowledge(&mut self.wire.out);
            let now = Instant::now();
            if life.ledger.wants_ping() {
                self.ping(life, now);
            }
            let paused = self.is_paused(life);
            if paused && self.wire.is_closed() {
                return Err(End::Closed(None));
            }
            if self.was_paused && !paused {
                self.heard(life, now); // What came meanwhile is still to be read.
            }
            if life.pump.bell().was_asked() {
                self.pace.watched(now);
            }
            self.was_paused = paused;
            self.look_at_timers(life, now, paused)?;
            self.flush(life, now)?;
            let busy = self.wire.is_readable() && !paused;
            if busy && self.wire.is_flushed() {
                continue;
            }
            let until = if busy { Some(now) } else { self.wake_at(life, paused) };
            self.wire.note(life.pump.wait(until)?);
        }
    }

    /// Nothing is read while nothing could be done with it.
    fn is_paused(&self, life: &Life) -> bool {
        life.is_paused() || self.wire.out.len() > BACKLOG_MAX
    }

    fn take_in(&mut self, life: &mut Life) -> Result<(), End> {
        for _ in 0..READS_PER_TURN {
            self.parse(life)?;
            if self.is_paused(life) || !self.wire.is_readable() {
                return Ok(());
            }
            match self.wire.read(self.reader.space()) {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return Err(End::Closed(None)),
                Ok(Some(bytes)) => self.reader.filled(bytes),
                Err(error) => return Err(broke(&error)),
            }
            self.heard(life, Instant::now());
        }
        self.parse(life)
    }

    fn heard(&mut self, life: &mut Life, now: Instant) {
        if self.pace.heard(now) {
            life.is_silent(false);
        }
    }

    /// Makes sense of all packets that are complete, and hands the messages in together.
    fn parse(&mut self, life: &mut Life) -> Result<(), End> {
        if self.is_paused(life) {
            return Ok(());
        }
        let mut batch = Vec::new();
        let parsed = self.parse_into(life, &mut batch);
        // Messages in front of a malformed packet are entered, so they have to be handed in.
        life.hand_in(batch)?;
        parsed
    }

    fn parse_into(&mut self, life: &mut Life, batch: &mut Vec<Arrival>) -> Result<(), End> {
        let mut answered = false;
        while let Some(packet) = self.reader.next()? {
            match packet {
                Packet::Publish(publish) => life.published(&publish, batch),
                Packet::Oversized(oversized) => life.oversized(&oversized, batch),
                Packet::PubRel { packet_id } => {
                    life.ledger.released(packet_id, &mut self.wire.out);
                }
                Packet::SubAck(suback) => {
                    let answer = life.subscriptions.answer(&suback);
                    note_answer(life, answer);
                    answered = true;
                }
                Packet::UnsubAck(unsuback) => {
                    let answer = life.subscriptions.given_back(&unsuback);
                    note_answer(life, answer);
                    answered = true;
                }
                Packet::PingResp => life.ledger.answered(),
                Packet::Disconnect(disconnect) => return Err(sent_away(life, &disconnect)),
                Packet::ConnAck(_) => {
                    return Err(End::Lost("the broker sent a second CONNACK".to_owned()));
                }
                Packet::Ignored(name) => debug!("mqtt {}: ignored {name}", life.broker.name),
            }
        }
        if answered {
            self.go_on_asking(life);
        }
        Ok(())
    }

    /// Answers have come: the next subscription may be asked for, if there is one.
    fn go_on_asking(&mut self, life: &mut Life) {
        life.subscriptions.ask(life.version, &mut self.wire.out);
        life.remember_subscriptions();
        if life.subscriptions.are_settled() {
            (self.ask_at, self.asked) = (life.subscriptions.left_out_until(), 0);
        }
        life.is_up();
    }

    fn look_at_timers(&mut self, life: &mut Life, now: Instant, paused: bool) -> Result<(), End> {
        if self.ask_at.is_some_and(|at| at <= now) {
            for words in life.subscriptions.want_again(now) {
                warn!("mqtt {}: {words}", life.broker.name);
            }
            self.ask(life, now);
            life.is_up();
        }
        self.remember_retained(life, now);
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = Some(now + life.timing.files);
            if life.materials.as_mut().is_some_and(|materials| materials.look()) {
                self.goodbye(life);
                return Err(End::Again("with the new TLS files".to_owned()));
            }
        }
        match self.pace.due(now, paused) {
            Due::Nothing => (),
            Due::Ping => {
                self.ping(life, now);
                life.try_again()?;
            }
            Due::Worry => {
                self.pace.worry();
                life.is_silent(true);
            }
            Due::GiveUp => {
                return Err(End::Lost("the broker does not answer a ping".to_owned()));
            }
        }
        if self.stalled.is_some_and(|since| since + life.timing.stall <= now) {
            return Err(End::Lost("the broker takes no bytes any more".to_owned()));
        }
        Ok(())
    }

    /// Copies come in a burst, so one write is for all of them; and none before they are safe.
    fn remember_retained(&mut self, life: &mut Life, now: Instant) {
        if !life.ledger.retained().is_stale() {
            return;
        }
        let at = *self.save_at.get_or_insert(now + life.timing.remember);
        if at <= now && life.ledger.is_settled() {
            life.remember_retained(false);
            self.save_at = None;
        }
    }

    fn ping(&mut self, life: &mut Life, now: Instant) {
        codec::ping(&mut self.wire.out);
        life.ledger.pinged();
        self.pace.pinged(now);
    }

    fn wake_at(&self, life: &Life, paused: bool) -> Option<Instant> {
        let stall = self.stalled.map(|since| since + life.timing.stall);
        let save_at = self.save_at.filter(|_| life.ledger.is_settled());
        let all = [self.pace.wake_at(paused), self.ask_at, self.look_at, save_at, stall];
        all.into_iter().flatten().min()
    }

    fn flush(&mut self, life: &Life, now: Instant) -> Result<(), End> {
        let wrote = self.wire.flush().map_err(|error| broke(&error))?;
        if wrote {
            self.pace.sent(now);
            self.stalled = None;
        }
        if self.wire.is_flushed() {
            self.stalled = None;
        } else if self.stalled.is_none() {
            debug!("mqtt {}: the broker is slow to take what we send", life.broker.name);
            self.stalled = Some(now);
        }
        Ok(())
    }

    /// The orderly end: nothing more is read, but what is signed meanwhile is acknowledged.
    fn farewell(&mut self, life: &mut Life) {
        let deadline = Instant::now() + life.timing.farewell;
        let _ = life.try_again();
        loop {
            if life.collect().is_err() {
                break;
            }
            life.ledger.acknowledge(&mut self.wire.out);
            let settled = !life.ledger.owes();
            let now = Instant::now();
            if settled || now >= deadline || self.wire.is_closed() {
                break;
            }
            if self.flush(life, now).is_err() {
                return;
            }
            match life.pump.wait(Some(deadline)) {
                Ok(ready) => self.wire.note(ready),
                Err(_) => return,
            }
        }
        life.ledger.leave_unsigned();
        life.ledger.acknowledge(&mut self.wire.out);
        self.goodbye(life);
    }

    /// Sends what is left and a DISCONNECT, and waits a moment for the broker to close.
    fn goodbye(&mut self, life: &mut Life) {
        let deadline = Instant::now() + GOODBYE_MAX;
        codec::disconnect(&mut self.wire.out);
        self.wire.say_goodbye();
        let mut shut = false;
        loop {
            if self.wire.flush().is_err() {
                return;
            }
            if self.wire.is_flushed() && !shut {
                self.wire.shut();
                shut = true;
            }
            if (shut && self.wire.drain()) || Instant::now() >= deadline {
                return;
            }
            match life.pump.sleep(Some(deadline)) {
                Ok(ready) => self.wire.note(ready),
                Err(_) => return,
            }
        }
    }
}

fn broke(error: &io::Error) -> End {
    match error.kind() {
        // It may not have read all that we had sent.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => End::Closed(None),
        _ => End::Lost(format!("the connection broke: {}", io_in_words(error))),
    }
}

fn note_answer(life: &Life, answer: Answer) {
    let name = &life.broker.name;
    match answer {
        Answer::Granted(words) => info!("mqtt {name}: {words}"),
        Answer::Refused(words) => error!("mqtt {name}: {words}; it is tried again"),
        Answer::StillRefused(words) => debug!("mqtt {name}: {words}"),
        Answer::Unknown => debug!("mqtt {name}: an answer belongs to nothing that was asked"),
    }
}

/// The broker of MQTT 5 says why it ends the connection.
fn sent_away(life: &Life, disconnect: &Disconnect) -> End {
    const TAKEN_OVER: u8 = 0x8E;
    let mut why = words::with_text(&words::reason(disconnect.code), &disconnect.text);
    if disconnect.code == TAKEN_OVER {
        why = format!("{why}, `{}`; each client needs its own", life.broker.client_id);
    }
    if words::is_about_us(disconnect.code) {
        return End::Closed(Some(why));
    }
    End::Lost(format!("the broker ended the connection: {why}"))
}
