//! One connection to a broker, from dialling to its end.

use crate::config::Broker;
use crate::message::Arrival;
use crate::mqtt::codec;
use crate::mqtt::dial::NoDial;
use crate::mqtt::end::End;
use crate::mqtt::handshake::shake_hands;
use crate::mqtt::life::Life;
use crate::mqtt::material::Materials;
use crate::mqtt::protocol::Effect;
use crate::mqtt::reader::Reader;
use crate::mqtt::websocket::{Place, WebSocket};
use crate::mqtt::wire::{NO_WEBSOCKET, Wire};
use crate::system::tls::words::{in_words, io_in_words};
use log::debug;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ClientConnection;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// After this many reads acknowledgements go out and timers are checked.
const READS_PER_TURN: usize = 8;

/// After this many writes of publications answers are read and timers are checked.
const WRITES_PER_TURN: usize = 8;

/// While the broker leaves more than this many bytes unread, nothing is read from it.
const BACKLOG_MAX: usize = 64 * 1024;

/// How long the last bytes may take at the end, and how long the broker may take to close.
const GOODBYE_MAX: Duration = Duration::from_millis(300);

/// The bytes of one connection.
struct Connection {
    wire: Wire,
    reader: Reader,
    /// Since when the broker has read nothing of what is waiting.
    stalled: Option<Instant>,
    /// When the TLS files are looked at.
    look_at: Option<Instant>,
}

/// Connects, and stays until something ends it.
pub(super) fn live(life: &mut Life) -> End {
    let ended = Connection::open(life).and_then(|mut connection| connection.serve(life));
    match ended {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

/// What [`Connection::serve`] returns when it does not fail: it always ends for a reason.
enum Never {}

impl Connection {
    fn open(life: &mut Life) -> Result<Self, End> {
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
        let mut wire = Wire::new(stream, tls, websocket(&life.broker).map_err(End::Lost)?);
        let mut reader = Reader::new(life.version, life.broker.packet_bytes_max);
        let connack = shake_hands(&mut wire, &mut reader, life, deadline)?;
        let now = Instant::now();
        let mut connection =
            Connection { wire, reader, stalled: None, look_at: next_look(life, now) };
        if life.only_began_clean() {
            connection.goodbye(life);
            return Err(End::Again("with a clean session".to_owned()));
        }
        life.accepted(&connack, now, &mut connection.wire.out);
        Ok(connection)
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
            let now = Instant::now();
            life.protocol.acknowledge(&mut self.wire.out);
            if self.is_paused(life) && self.wire.is_closed() {
                return Err(End::Closed(None));
            }
            self.do_what_is_due(life, now)?;
            let look_again = self.publish(life, now)?;
            self.flush(life, now)?;
            let paused = self.is_paused(life);
            let busy = self.wire.is_readable() && !paused || look_again == Some(now);
            if busy && self.wire.is_flushed() {
                continue;
            }
            let wake_at = self.wake_at(life, paused);
            let until = if busy { Some(now) } else { wake_at.into_iter().chain(look_again).min() };
            self.wire.note(life.pump.wait(until)?);
        }
    }

    /// Nothing is read while nothing could be done with it. A publisher reads on: until it has read
    /// the answers, the broker may not read what it sends.
    fn is_paused(&self, life: &Life) -> bool {
        life.is_paused() || self.wire.backlog() > BACKLOG_MAX && life.protocol.outbox.is_none()
    }

    /// Writes what there is to publish, as long as the socket takes it, but not for ever. Returns
    /// when to look again, which is at once if there may be more.
    fn publish(&mut self, life: &mut Life, now: Instant) -> Result<Option<Instant>, End> {
        for _ in 0..WRITES_PER_TURN {
            let look_again = life.publish(now, &mut self.wire.out);
            if self.wire.out.is_empty() {
                return Ok(look_again);
            }
            self.flush(life, now)?;
            if !self.wire.is_flushed() {
                return Ok(look_again);
            }
            life.flushed();
        }
        Ok(Some(now))
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
            life.protocol.heard(Instant::now());
        }
        self.parse(life)
    }

    /// Goes through all packets that are complete, and hands their messages in together.
    fn parse(&mut self, life: &mut Life) -> Result<(), End> {
        if self.is_paused(life) {
            return Ok(());
        }
        let mut batch = Vec::new();
        let parsed = self.parse_into(life, &mut batch);
        // Messages in front of a malformed packet are in the ledger, so they must be handed in.
        life.hand_in(batch)?;
        parsed
    }

    fn parse_into(&mut self, life: &mut Life, batch: &mut Vec<Arrival>) -> Result<(), End> {
        while let Some(packet) = self.reader.next()? {
            match life.protocol.received(packet, &mut self.wire.out) {
                Effect::HandIn(arrival) => batch.push(arrival),
                effect => life.carry_out(effect)?,
            }
        }
        Ok(())
    }

    fn do_what_is_due(&mut self, life: &mut Life, now: Instant) -> Result<(), End> {
        if life.pump.bell().was_asked() {
            life.protocol.watched(now);
        }
        loop {
            let paused = self.is_paused(life);
            match life.protocol.due(now, paused, &mut self.wire.out) {
                Effect::Nothing => break,
                effect => life.carry_out(effect)?,
            }
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = next_look(life, now);
            if life.materials.as_mut().is_some_and(Materials::look) {
                self.goodbye(life);
                return Err(End::Again("with the new TLS files".to_owned()));
            }
        }
        if self.stalled.is_some_and(|since| since + life.timing.stall <= now) {
            return Err(End::Lost("the broker has stopped reading".to_owned()));
        }
        Ok(())
    }

    fn wake_at(&self, life: &Life, paused: bool) -> Option<Instant> {
        let stall = self.stalled.map(|since| since + life.timing.stall);
        [life.protocol.wake_at(paused), self.look_at, stall].into_iter().flatten().min()
    }

    fn flush(&mut self, life: &mut Life, now: Instant) -> Result<(), End> {
        let wrote = self.wire.flush().map_err(|error| broke(&error))?;
        if wrote {
            life.protocol.sent(now);
            self.stalled = None;
        }
        if self.wire.is_flushed() {
            self.stalled = None;
        } else if self.stalled.is_none() {
            debug!("mqtt {}: the broker is slow to read what we send", life.broker.name);
            self.stalled = Some(now);
        }
        Ok(())
    }

    /// The orderly end: nothing more is read, but what is signed meanwhile is acknowledged.
    fn farewell(&mut self, life: &mut Life) {
        let deadline = Instant::now() + life.timing.farewell;
        if life.protocol.outbox.is_some() {
            return self.last_answers(life, deadline);
        }
        let _ = life.try_again();
        loop {
            if life.collect().is_err() {
                break;
            }
            life.protocol.acknowledge(&mut self.wire.out);
            let now = Instant::now();
            if !life.protocol.owes() || now >= deadline || self.wire.is_closed() {
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
        life.protocol.leave(&mut self.wire.out);
        self.goodbye(life);
    }

    /// The orderly end of a publisher: nothing more is taken on, and what is answered meanwhile is
    /// settled. The rest stays in the queue.
    fn last_answers(&mut self, life: &mut Life, deadline: Instant) {
        while life.awaits_answers() && Instant::now() < deadline {
            let took = self.take_in(life).and_then(|()| self.flush(life, Instant::now()));
            if took.is_err() || self.wire.is_closed() {
                return;
            }
            if life.awaits_answers() {
                match life.pump.wait(Some(deadline)) {
                    Ok(ready) => self.wire.note(ready),
                    Err(_) => return,
                }
            }
        }
        self.goodbye(life);
    }

    /// Sends what is left and a DISCONNECT, and waits a moment for the broker to close.
    fn goodbye(&mut self, life: &mut Life) {
        let deadline = Instant::now() + GOODBYE_MAX;
        life.say_offline(&mut self.wire.out);
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

/// The WebSocket of a connection, if the broker is reached through one.
fn websocket(broker: &Broker) -> Result<Option<WebSocket>, String> {
    let Broker { host, port, websocket: Some(path), tls, .. } = broker else { return Ok(None) };
    let default_port = if tls.is_some() { 443 } else { 80 };
    let mut key = [0; 16];
    let random = SystemRandom::new();
    random.fill(&mut key).map_err(|_| "the system has no random numbers".to_owned())?;
    let place = Place { host, port: *port, default_port, path };
    Ok(Some(WebSocket::new(&place, key, mask)))
}

/// A mask for a frame. It hides nothing, so one that is known does no harm.
fn mask() -> [u8; 4] {
    let mut mask = [0; 4];
    let _ = SystemRandom::new().fill(&mut mask);
    mask
}

/// When the TLS files are looked at again, if there are any.
fn next_look(life: &Life, now: Instant) -> Option<Instant> {
    let has_files = life.materials.as_ref().is_some_and(Materials::has_files);
    has_files.then(|| now + life.timing.files)
}

fn broke(error: &io::Error) -> End {
    match error.kind() {
        // It may not have read all that we had sent.
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => End::Closed(None),
        NO_WEBSOCKET => End::Lost(error.to_string()),
        _ => End::Lost(format!("the connection broke: {}", io_in_words(error))),
    }
}
