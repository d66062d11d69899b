//! Which publications are under way, in their order, and what each waits for: the twin of the
//! ledger of [`incoming`](super::incoming).
//!
//! This is the protocol state of MQTT 4.3 and 4.4 on the sending side. It lives as long as the
//! process: what a connection leaves without an answer is sent again on the next one, in the same
//! order, and at the place where it was if the broker has kept the session. The publications
//! themselves stay with their owner, who is asked for each that is written.
//!
//! A broker may close the connection because it dislikes a publication, and would do so for ever.
//! So the first one without an answer is suspected when a broker ends a connection: on the next
//! connection nothing goes out beside it, and after [`ENDED_MAX`] connections in a row it is given
//! up.

use crate::config::Version;
use crate::message::{Delivery, Errand, Holds, Outcome, Qos};
use crate::mqtt::codec;
use crate::mqtt::packet::{Answered, ConnAck, PACKET_BYTES_MAX, PublishHead, Step};
use crate::mqtt::words;
use crate::topic;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::mem;

/// Most publications that are under way at a time.
pub const UNDER_WAY_MAX: usize = 512;

/// Most bytes of them, unless a single one is larger.
const BYTES_MAX: usize = 512 * 1024;

/// Most bytes that are written before they go to the socket.
const WRITTEN_MAX: usize = 32 * 1024;

/// A broker of MQTT 3.1.1 does not say how many publications of QoS 2 it keeps, and has no word for
/// "too many": mosquitto confirms what it throws away. One at a time is safe with any limit.
const QOS_2_UNASKED: usize = 1;

/// After this many connections in a row that the broker ended, the publication that was under way
/// is given up.
pub(super) const ENDED_MAX: u32 = 3;

/// What became of publications: their tickets and outcomes.
pub(super) type Verdicts = Vec<(u64, Outcome)>;

/// The publications of one session that are not settled.
#[derive(Debug)]
pub(super) struct Outbox {
    line: VecDeque<Entry>,
    /// How many of them, from the front, have been written on this connection.
    written: usize,
    /// How many of those wait for an answer, and how many of these have QoS 2.
    awaited: usize,
    awaited_twice: usize,
    bytes: usize,
    id_last: u16,
    suspect: Option<Suspect>,
    version: Version,
    limits: Limits,
    /// The broker has answered one of them on this connection.
    pub(super) was_answered: bool,
    /// A publication has less QoS than was asked for, because the broker does not know more.
    lowered: bool,
    /// What became of publications since they were taken last.
    pub(super) verdicts: Verdicts,
}

/// A publication that is not settled.
#[derive(Clone, Copy, Debug)]
struct Entry {
    ticket: u64,
    bytes: usize,
    qos: Qos,
    /// 0 for none.
    packet_id: u16,
    stage: Stage,
}

/// What the session at the broker knows of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    New,
    /// It may have got it, so it is marked as a repetition.
    Sent,
    /// It has it, and waits for PUBREL.
    Received,
}

/// The first publication without an answer when the broker ended a connection.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    ticket: u64,
    /// How many connections in a row ended with it.
    ended: u32,
}

/// What a broker takes, from its CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    awaited: usize,
    awaited_twice: usize,
    qos: Qos,
    retains: bool,
    packet_bytes: usize,
}

impl Limits {
    fn of(version: Version, connack: &ConnAck) -> Self {
        let awaited = connack.receive_max.map_or(UNDER_WAY_MAX, usize::from).max(1);
        Limits {
            awaited,
            awaited_twice: if version == Version::V311 { QOS_2_UNASKED } else { awaited },
            qos: connack.qos_max.unwrap_or(Qos::ExactlyOnce),
            retains: connack.retains.unwrap_or(true),
            packet_bytes: connack
                .packet_bytes_max
                .and_then(|bytes| usize::try_from(bytes).ok())
                .map_or(PACKET_BYTES_MAX, |bytes| bytes.min(PACKET_BYTES_MAX)),
        }
    }
}

impl Outbox {
    pub(super) fn new() -> Self {
        let version = Version::V311;
        Outbox {
            line: VecDeque::new(),
            written: 0,
            awaited: 0,
            awaited_twice: 0,
            bytes: 0,
            id_last: 0,
            suspect: None,
            version,
            limits: Limits::of(version, &ConnAck::default()),
            was_answered: false,
            lowered: false,
            verdicts: Vec::new(),
        }
    }

    /// The broker accepted a connection. What it has no session for is new to it.
    pub(super) fn connected(&mut self, version: Version, connack: &ConnAck) {
        (self.version, self.limits) = (version, Limits::of(version, connack));
        (self.written, self.awaited, self.awaited_twice) = (0, 0, 0);
        (self.was_answered, self.lowered) = (false, false);
        if !connack.session_present {
            for entry in &mut self.line {
                (entry.stage, entry.packet_id) = (Stage::New, 0);
            }
        }
    }

    /// Whether another publication may be entered.
    pub(super) fn has_room(&self) -> bool {
        self.line.len() < UNDER_WAY_MAX && (self.bytes < BYTES_MAX || self.line.is_empty())
    }

    /// Whether an answer may come to something that was written.
    pub(super) fn awaits(&self) -> bool {
        self.awaited > 0
    }

    /// Enters a publication behind all others.
    pub(super) fn enter(&mut self, ticket: u64, delivery: &Delivery) {
        let bytes = delivery.body.len() + delivery.errand.target().len();
        self.bytes += bytes;
        let (qos, stage) = (Qos::AtMostOnce, Stage::New);
        self.line.push_back(Entry { ticket, bytes, qos, packet_id: 0, stage });
    }

    /// Appends what may go out now, in order.
    pub(super) fn write<'a>(&mut self, delivery: &dyn Fn(u64) -> &'a Delivery, out: &mut BytesMut) {
        while out.len() < WRITTEN_MAX
            && let Some(&entry) = self.line.get(self.written)
        {
            if entry.stage == Stage::Received {
                if !self.may_await(Qos::ExactlyOnce) {
                    return;
                }
                codec::release(out, entry.packet_id);
            } else if let Err(outcome) = self.publish(entry, delivery(entry.ticket), out) {
                let Some(outcome) = outcome else { return };
                self.end(self.written, outcome);
                continue;
            }
            let qos = self.line[self.written].qos;
            self.written += 1;
            self.awaited += usize::from(qos != Qos::AtMostOnce);
            self.awaited_twice += usize::from(qos == Qos::ExactlyOnce);
        }
    }

    /// Appends a PUBLISH. `Err(None)` if it has to wait for an answer to another one.
    fn publish(
        &mut self,
        entry: Entry,
        delivery: &Delivery,
        out: &mut BytesMut,
    ) -> Result<(), Option<Outcome>> {
        let Errand::Publish { topic, qos: wanted, retain } = &delivery.errand else {
            return Err(Some(Outcome::never("a broker takes publications alone")));
        };
        let (is_new, retain) = (entry.stage == Stage::New, *retain);
        let qos = if is_new { self.limits.qos.min(*wanted) } else { entry.qos };
        if !self.may_await(qos) {
            return Err(None);
        }
        let body = &delivery.body;
        let bytes = codec::publish_bytes(self.version, topic, qos, body);
        self.judge(topic, retain, bytes).map_err(|why| Some(Outcome::never(why)))?;
        let packet_id = match qos {
            Qos::AtMostOnce => 0,
            _ if is_new => self.free_id(),
            _ => entry.packet_id,
        };
        self.lowered |= qos < *wanted;
        let head = PublishHead { qos, packet_id, dup: !is_new, retain };
        codec::publish(out, self.version, head, topic, body);
        let stage = if qos == Qos::AtMostOnce { Stage::New } else { Stage::Sent };
        self.line[self.written] = Entry { qos, packet_id, stage, ..entry };
        Ok(())
    }

    /// Whether the broker takes one more publication of this kind before it answers others.
    fn may_await(&self, qos: Qos) -> bool {
        let most = if self.suspect.is_some() { 1 } else { self.limits.awaited };
        match qos {
            // A broker passes a publication of QoS 2 on when it is released, and one of less QoS at
            // once, which may not overtake it.
            Qos::AtMostOnce | Qos::AtLeastOnce if self.has_unreleased() => false,
            Qos::AtMostOnce => self.suspect.is_none() || self.awaited == 0,
            Qos::AtLeastOnce => self.awaited < most,
            Qos::ExactlyOnce => {
                self.awaited < most && self.awaited_twice < self.limits.awaited_twice
            }
        }
    }

    fn has_unreleased(&self) -> bool {
        let is_unreleased =
            |entry: &Entry| entry.qos == Qos::ExactlyOnce && entry.stage == Stage::Sent;
        self.awaited_twice > 0 && self.line.iter().take(self.written).any(is_unreleased)
    }

    /// Why a publication may not be sent: the broker would end the connection, each time.
    fn judge(&self, topic: &str, retain: bool, bytes: usize) -> Result<(), String> {
        topic::check_topic(topic)?;
        if retain && !self.limits.retains {
            return Err("the broker keeps no retained messages".to_owned());
        }
        let most = self.limits.packet_bytes;
        if bytes > most {
            return Err(format!("a packet of {bytes} bytes; the broker takes at most {most}"));
        }
        Ok(())
    }

    /// Appends something retained in front of the end of the connection. The broker reads it, and
    /// nobody waits for its answer.
    pub(super) fn say_last(&mut self, topic: &str, payload: &[u8], out: &mut BytesMut) {
        let most =
            if self.may_await(Qos::AtLeastOnce) { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        let qos = most.min(self.limits.qos);
        if self.judge(topic, true, codec::publish_bytes(self.version, topic, qos, payload)).is_err()
        {
            return;
        }
        let packet_id = if qos == Qos::AtMostOnce { 0 } else { self.free_id() };
        let head = PublishHead { qos, packet_id, dup: false, retain: true };
        codec::publish(out, self.version, head, topic, payload);
    }

    /// Ids count up, so that none returns soon.
    fn free_id(&mut self) -> u16 {
        loop {
            self.id_last = self.id_last.checked_add(1).unwrap_or(1);
            if !self.line.iter().any(|entry| entry.packet_id == self.id_last) {
                return self.id_last;
            }
        }
    }

    /// All that was written is in the socket, and no answer comes to QoS 0.
    pub(super) fn flushed(&mut self) {
        if self.written == self.awaited {
            return;
        }
        let mut at = 0;
        while at < self.written {
            if self.line[at].qos == Qos::AtMostOnce {
                self.end(at, Outcome::Delivered);
            } else {
                at += 1;
            }
        }
    }

    /// The broker answers a publication. `false` if there is none that it can mean.
    pub(super) fn answered(&mut self, answer: &Answered, out: &mut BytesMut) -> bool {
        let Answered { packet_id, step, .. } = *answer;
        let mut entries = self.line.iter().take(self.written);
        let at = entries.position(|entry| {
            let waits_for = match (entry.qos, entry.stage) {
                (Qos::AtMostOnce, _) => return false,
                (Qos::AtLeastOnce, _) => Step::Acknowledged,
                (Qos::ExactlyOnce, Stage::Received) => Step::Completed,
                (Qos::ExactlyOnce, _) => Step::Received,
            };
            entry.packet_id == packet_id && waits_for == step
        });
        let Some(at) = at else {
            // It waits for an earlier owner of the client id, or lost our PUBREL.
            if step == Step::Received {
                codec::release(out, packet_id);
            }
            return false;
        };
        self.was_answered = true;
        let ticket = self.line[at].ticket;
        if self.suspect.is_some_and(|suspect| suspect.ticket == ticket) {
            self.suspect = None;
        }
        match (step, refusal(answer)) {
            // It has had the message since PUBREC.
            (Step::Completed, _) | (Step::Acknowledged, None) => self.end(at, Outcome::Delivered),
            (Step::Received, None) => {
                self.line[at].stage = Stage::Received;
                codec::release(out, packet_id);
            }
            (Step::Acknowledged | Step::Received, Some(outcome)) => self.end(at, outcome),
        }
        true
    }

    /// A connection has ended. If the broker ended it, the first publication without an answer may
    /// be why. `true` if one is given up that the session at the broker may still know.
    pub(super) fn ended(&mut self, by_broker: bool, reason: Option<&str>) -> bool {
        let mut written = self.line.iter().take(self.written);
        let first = written.position(|entry| entry.qos != Qos::AtMostOnce);
        let Some(at) = first.filter(|_| by_broker) else { return false };
        let Entry { ticket, qos, .. } = self.line[at];
        let ended = match self.suspect {
            Some(suspect) if suspect.ticket == ticket => suspect.ended + 1,
            _ => 1,
        };
        self.suspect = Some(Suspect { ticket, ended });
        if ended < ENDED_MAX {
            return false;
        }
        let mut why =
            format!("the broker ended {ended} connections in a row when it was published");
        if let Some(reason) = reason {
            why.extend([": ", reason]);
        }
        self.suspect = None;
        self.end(at, Outcome::never(why));
        qos == Qos::ExactlyOnce
    }

    /// Whether a publication went out with less QoS than was asked for; once for a connection.
    pub(super) fn was_lowered(&mut self) -> Option<Qos> {
        mem::take(&mut self.lowered).then_some(self.limits.qos)
    }

    fn end(&mut self, at: usize, outcome: Outcome) {
        let Some(entry) = self.line.remove(at) else { return };
        self.bytes -= entry.bytes;
        if at < self.written {
            self.written -= 1;
            self.awaited -= usize::from(entry.qos != Qos::AtMostOnce);
            self.awaited_twice -= usize::from(entry.qos == Qos::ExactlyOnce);
        }
        self.verdicts.push((entry.ticket, outcome));
    }
}

/// What a code says about a publication, if the broker refuses it. It is about this one alone.
fn refusal(answer: &Answered) -> Option<Outcome> {
    let Answered { code, text, .. } = answer;
    if *code < 0x80 {
        return None;
    }
    let why = words::with_text(&words::reason(*code), text);
    let why = format!("the broker refuses it: {why}");
    Some(match code {
        0x90 | 0x95 | 0x99 | 0x9A | 0x9B => Outcome::never(why),
        _ => Outcome::Later { why, holds: Holds::Delivery, after: None },
    })
}

#[cfg(test)]
mod tests;
