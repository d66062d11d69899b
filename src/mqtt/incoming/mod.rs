//! Which messages are in our hands, and in which order they are acknowledged.
//!
//! This is the protocol state of MQTT 4.3 and 4.4 on the receiving side. It lives as long as the
//! process: when a connection is lost the broker sends again what it has not seen acknowledged,
//! and a message that is still in our hands must not be handed in a second time.

pub(super) mod arrival;
mod copies;
mod recent;
pub(super) mod retained;

use crate::config::Qos;
use crate::mqtt::codec;
use crate::mqtt::packet::PublishHead;
use bytes::BytesMut;
use copies::{Copies, Original};
use recent::Recent;
use retained::{Flagged, Retained};
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher};

/// What is to be done with a message that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Hand it in under this ticket.
    New(u64),
    /// As [`Arrived::New`], and it is a retained copy.
    NewCopy(u64),
    /// Nothing: it is in our hands, or was. It will be acknowledged.
    Again,
    /// Nothing: no rule wants it. It will be acknowledged.
    Unwanted,
}

/// What our subscriptions have to do with a message.
#[derive(Debug, Default)]
pub(super) struct By {
    /// A rule wants it.
    pub wanted: bool,
    /// It has the retain flag, and did not get it from its publisher.
    pub may_be_copy: bool,
    /// How many retained copies of its topic they explain.
    pub copies: u32,
    /// The numbers of those that brought it, as far as the broker says so.
    pub numbers: Vec<u32>,
    /// The numbers of all that bring a copy of it, if more than one may.
    pub all: Vec<u32>,
}

/// The messages of one session.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    ticket_next: u64,
    held: HashMap<u64, Held>,
    /// How many of `held` are not signed.
    unsettled: usize,
    /// Packet ids of this session that are not acknowledged.
    by_id: HashMap<u16, u64>,
    /// What has arrived on this connection and is not acknowledged, in order of arrival.
    line: VecDeque<Turn>,
    /// QoS 2: acknowledged with PUBREC, and not yet released by the broker with PUBREL.
    unreleased: HashSet<u16>,
    recent: Recent,
    copies: Copies,
    retained: Retained,
    hasher: RandomState,
}

/// A message that is not acknowledged.
#[derive(Debug)]
struct Held {
    /// 0 when there is nothing to acknowledge: QoS 0, or the broker lost the session.
    packet_id: u16,
    content: u64,
    topic: u64,
    /// One of several deliveries is done, so what shares its order key may have followed.
    begun: bool,
    signed: bool,
}

/// A place in the order of acknowledgements.
#[derive(Debug)]
struct Turn {
    qos: Qos,
    packet_id: u16,
    /// What has to be signed first, if anything.
    ticket: Option<u64>,
}

impl Ledger {
    /// The broker accepted a connection. Acknowledgements belong to the connection on which the
    /// message came, so each waits until the broker has sent its message again.
    pub(super) fn connected(&mut self, session_present: bool) {
        self.line.clear();
        self.recent.connected();
        if session_present {
            return;
        }
        self.by_id.clear();
        self.unreleased.clear();
        self.copies = Copies::default();
        self.recent = Recent::default();
        self.held.retain(|_, held| !held.signed);
        for held in self.held.values_mut() {
            held.packet_id = 0;
        }
    }

    /// Recalls which retained messages earlier processes have handled.
    pub(super) fn recall(&mut self, retained: Retained) {
        self.retained = retained;
        self.copies = Copies::recall(std::mem::take(&mut self.retained.missing));
    }

    /// No more copies are on their way.
    pub(super) fn begin_round(&mut self) {
        self.retained.begin_round();
    }

    /// Everything was subscribed to in a way that brings every retained message.
    pub(super) fn sees_all_copies(&mut self) {
        self.retained.sees_all();
    }

    /// What is known of retained messages.
    pub(super) fn retained(&self) -> &Retained {
        &self.retained
    }

    /// The record of retained messages; at the orderly end it says more.
    pub(super) fn remembered(&mut self, last: bool) -> String {
        let unsigned = self.held.values().filter(|held| !held.signed);
        let topics = unsigned.map(|held| held.topic).collect();
        if last {
            self.retained.missing = self.copies.record();
            return self.retained.write_last(&topics);
        }
        self.retained.write(&topics)
    }

    /// Whether all messages in our hands are safe.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    /// Decides what to do with a message.
    pub(super) fn arrived(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        head: PublishHead,
        by: &By,
    ) -> Arrived {
        let content = if head.qos == Qos::AtMostOnce { 0 } else { self.hash(&[topic, payload]) };
        if head.qos != Qos::AtMostOnce {
            if self.is_known(head, content) {
                return Arrived::Again;
            }
            self.recent.learn(head);
        }
        if !by.wanted {
            self.take_turn(head, None);
            return Arrived::Unwanted;
        }
        // A retained copy is not brought by a message, but by a SUBSCRIBE.
        let numbers = if by.may_be_copy { &[] } else { &by.numbers[..] };
        let message = if numbers.is_empty() { 0 } else { retained::hash_message(topic, payload) };
        if self.is_copy(head, content, message, numbers) {
            return Arrived::Again;
        }
        let (topic, payload) = (retained::hash(topic), retained::hash(payload));
        let is_copy =
            match by.may_be_copy.then(|| self.retained.flagged(topic, payload, by.copies, head)) {
                None => {
                    self.retained.live(topic, payload);
                    false
                }
                Some(Flagged::Repeats) => {
                    self.take_turn(head, None);
                    return Arrived::Again;
                }
                Some(Flagged::News) => true,
                // Sent again, it is still a copy.
                Some(Flagged::Live) => head.dup,
            };
        let ticket = self.hold(head, content, topic, false);
        self.unsettled += 1;
        self.copies.expect(message, ticket, numbers, &by.all);
        if is_copy { Arrived::NewCopy(ticket) } else { Arrived::New(ticket) }
    }

    /// Holds a message until it is signed and acknowledged.
    fn hold(&mut self, head: PublishHead, content: u64, topic: u64, signed: bool) -> u64 {
        let ticket = self.ticket_next;
        self.ticket_next += 1;
        let packet_id = head.packet_id;
        self.held.insert(ticket, Held { packet_id, content, topic, begun: false, signed });
        if head.qos != Qos::AtMostOnce {
            self.by_id.insert(packet_id, ticket);
        }
        self.take_turn(head, Some(ticket));
        ticket
    }

    /// Whether another subscription brought this message before. If so, its acknowledgement is
    /// arranged: it has to wait for the message only if that one has no acknowledgement itself.
    fn is_copy(&mut self, head: PublishHead, content: u64, message: u64, by: &[u32]) -> bool {
        let Some(Original(original)) = self.copies.original(message, by) else { return false };
        if head.qos == Qos::AtMostOnce {
            return true;
        }
        let ticket = original.unwrap_or(u64::MAX);
        match self.held.get_mut(&ticket).filter(|held| held.packet_id == 0) {
            Some(held) => {
                (held.packet_id, held.content) = (head.packet_id, content);
                self.by_id.insert(head.packet_id, ticket);
                self.take_turn(head, Some(ticket));
            }
            None => {
                self.hold(head, content, 0, true);
            }
        }
        true
    }

    /// Whether a message is one we had before. If so, its acknowledgement is arranged.
    fn is_known(&mut self, head: PublishHead, content: u64) -> bool {
        let packet_id = head.packet_id;
        if head.qos == Qos::ExactlyOnce && self.unreleased.contains(&packet_id) {
            self.take_turn(head, None);
            return true;
        }
        if let Some(&ticket) = self.by_id.get(&packet_id) {
            let held = self.held.get_mut(&ticket);
            if held.as_ref().is_some_and(|held| held.content == content) {
                if !self.line.iter().any(|turn| turn.ticket == Some(ticket)) {
                    self.take_turn(head, Some(ticket));
                }
                return true;
            }
            // The broker gave the id to another message, so it no longer waits for this one.
            if let Some(held) = held {
                held.packet_id = 0;
            }
            self.by_id.remove(&packet_id);
            self.drop_if_done(ticket);
        }
        if head.qos == Qos::AtLeastOnce && self.recent.is_repeated(head, content) {
            self.take_turn(head, None);
            return true;
        }
        false
    }

    fn take_turn(&mut self, head: PublishHead, ticket: Option<u64>) {
        if head.qos != Qos::AtMostOnce {
            self.line.push_back(Turn { qos: head.qos, packet_id: head.packet_id, ticket });
        }
    }

    /// The message with this ticket is safe.
    pub(super) fn signed(&mut self, ticket: u64) {
        if let Some(held) = self.held.get_mut(&ticket)
            && !held.signed
        {
            held.signed = true;
            self.unsettled -= 1;
            self.drop_if_done(ticket);
        }
    }

    /// One of several deliveries of the message with this ticket is done.
    pub(super) fn partly_signed(&mut self, ticket: u64) {
        if let Some(held) = self.held.get_mut(&ticket) {
            held.begun = true;
        }
    }

    /// Forgets a message that is safe and needs no acknowledgement.
    fn drop_if_done(&mut self, ticket: u64) {
        if self.held.get(&ticket).is_some_and(|held| held.signed && held.packet_id == 0) {
            self.held.remove(&ticket);
        }
    }

    /// Appends the acknowledgements that are due, in the order in which the messages came.
    pub(super) fn acknowledge(&mut self, out: &mut BytesMut) {
        while let Some(turn) = self.line.front() {
            let content = match turn.ticket.map(|ticket| (ticket, self.held.get(&ticket))) {
                Some((_, Some(held))) if !held.signed && held.packet_id != 0 => return,
                Some((ticket, Some(held))) if held.packet_id != 0 => {
                    let content = held.content;
                    self.held.remove(&ticket);
                    self.by_id.remove(&turn.packet_id);
                    Some(content)
                }
                // The id belongs to another message by now, which has its own turn.
                Some(_) => {
                    self.line.pop_front();
                    continue;
                }
                None => None,
            };
            codec::acknowledge(out, turn.qos, turn.packet_id);
            match (turn.qos, content) {
                (Qos::ExactlyOnce, _) => {
                    self.unreleased.insert(turn.packet_id);
                }
                (Qos::AtLeastOnce, Some(content)) => self.recent.note(turn.packet_id, content),
                (Qos::AtLeastOnce | Qos::AtMostOnce, _) => (),
            }
            self.line.pop_front();
        }
    }

    /// The last chance before the end: drops what would hold up acknowledgements that are due.
    ///
    /// Messages that are not safe stay with the broker. Those behind them would be sent again
    /// after a restart and delivered twice, which is worse than a gap in the order.
    ///
    /// A message of which only a part is done ends that. After a restart all of it is delivered
    /// again, and what came behind it may be about the same alert: once acknowledged, a RESOLVE
    /// would not follow its ALERT a second time. While nothing of a message is done, nothing
    /// behind it with the same order key can be safe.
    pub(super) fn leave_unsigned(&mut self) {
        let held = &self.held;
        let unsigned = |turn: &Turn| {
            let held = turn.ticket.and_then(|ticket| held.get(&ticket));
            held.filter(|held| !held.signed)
        };
        let is_begun = |turn| unsigned(turn).is_some_and(|held| held.begun);
        let end = self.line.iter().position(is_begun).unwrap_or(self.line.len());
        self.line.truncate(end);
        self.line.retain(|turn| unsigned(turn).is_none());
    }

    /// The broker released a QoS 2 message. PUBCOMP is due whether or not we know the id: the
    /// PUBREC may have been sent before a restart.
    pub(super) fn released(&mut self, packet_id: u16, out: &mut BytesMut) {
        self.unreleased.remove(&packet_id);
        codec::complete(out, packet_id);
    }

    /// Whether the answer to a ping would tell how the broker numbers its messages.
    pub(super) fn wants_ping(&self) -> bool {
        self.recent.wants_ping()
    }

    /// A PINGREQ goes out behind all acknowledgements so far.
    pub(super) fn pinged(&mut self) {
        self.recent.pinged();
    }

    /// The PINGREQ was answered, so the broker has all that went out in front of it.
    pub(super) fn answered(&mut self) {
        self.recent.confirm();
    }

    /// How many messages are in our hands: not safe yet, or not acknowledged because one that
    /// came before them is not safe.
    pub(super) fn in_hand(&self) -> usize {
        self.unsettled.max(self.line.len())
    }

    /// Whether the broker of this connection waits for an acknowledgement.
    pub(super) fn owes(&self) -> bool {
        !self.line.is_empty()
    }

    fn hash(&self, fields: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for field in fields {
            hasher.write_usize(field.len());
            hasher.write(field);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::recent::RECENT_MAX;
    use super::*;
    use Arrived::{Again, New, NewCopy};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    impl Ledger {
        /// A message by the only subscription that matches it.
        fn comes(
            &mut self,
            topic: &[u8],
            payload: &[u8],
            head: PublishHead,
            copies: u32,
        ) -> Arrived {
            let may_be_copy = head.retain;
            self.arrived(
                topic,
                payload,
                head,
                &By { wanted: true, may_be_copy, copies, ..By::default() },
            )
        }
    }

    fn qos_1(packet_id: u16) -> PublishHead {
        PublishHead { qos: Qos::AtLeastOnce, packet_id, dup: false, retain: false }
    }

    fn qos_2(packet_id: u16) -> PublishHead {
        PublishHead { qos: Qos::ExactlyOnce, ..qos_1(packet_id) }
    }

    fn again(head: PublishHead) -> PublishHead {
        PublishHead { dup: true, ..head }
    }

    fn copy(head: PublishHead) -> PublishHead {
        PublishHead { retain: true, ..head }
    }

    /// Acknowledgements as `(first byte, packet id)`.
    fn due(ledger: &mut Ledger) -> Vec<(u8, u16)> {
        let mut out = BytesMut::new();
        ledger.acknowledge(&mut out);
        out.chunks(4).map(|ack| (ack[0], u16::from_be_bytes([ack[2], ack[3]]))).collect()
    }

    fn connected() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.connected(false);
        ledger
    }

    /// The next connection, after one that has been good.
    fn connect_again(ledger: &mut Ledger) {
        ledger.connected(false);
        ledger.begin_round();
    }

    #[test]
    fn acknowledgements_go_out_in_the_order_of_arrival() {
        let mut ledger = connected();
        assert_eq!(ledger.comes(b"t", b"a", qos_1(5), 1), New(0));
        assert_eq!(ledger.comes(b"t", b"b", qos_2(6), 1), New(1));
        let qos_0 = PublishHead { qos: Qos::AtMostOnce, packet_id: 0, ..qos_1(1) };
        assert_eq!(ledger.comes(b"t", b"c", qos_0, 1), New(2));
        assert_eq!(ledger.comes(b"t", b"d", qos_1(7), 1), New(3));
        assert_eq!(ledger.unsettled, 4);
        ledger.signed(3);
        ledger.signed(1);
        assert_eq!(due(&mut ledger), []);
        ledger.signed(0);
        ledger.signed(0);
        assert_eq!(due(&mut ledger), [(0x40, 5), (0x50, 6), (0x40, 7)]);
        assert!(!ledger.owes());
        assert_eq!(ledger.unsettled, 1);
        ledger.signed(2);
        assert_eq!((ledger.unsettled, ledger.held.len()), (0, 0));
    }

    #[test]
    fn a_message_in_our_hands_is_not_handed_in_again() {
        let mut ledger = connected();
        ledger.comes(b"t", b"a", qos_1(5), 1);
        ledger.comes(b"t", b"b", qos_1(6), 1);
        ledger.connected(true);
        ledger.signed(0);
        assert_eq!(due(&mut ledger), [], "the broker has not sent it on this connection");
        assert_eq!(ledger.comes(b"t", b"a", again(qos_1(5)), 1), Again);
        assert_eq!(due(&mut ledger), [(0x40, 5)]);
        assert_eq!(ledger.comes(b"t", b"b", again(qos_1(6)), 1), Again);
        assert_eq!(due(&mut ledger), []);
        ledger.signed(1);
        assert_eq!(due(&mut ledger), [(0x40, 6)]);
        assert_eq!((ledger.held.len(), ledger.by_id.len()), (0, 0));
    }

    const BOTH: [u32; 2] = [7, 8];

    /// A message of which both subscriptions bring a copy, and this is the one of `number`.
    fn brought(ledger: &mut Ledger, payload: &[u8], head: PublishHead, number: u32) -> Arrived {
        let (numbers, all) = (vec![number], BOTH.to_vec());
        ledger.arrived(b"t", payload, head, &By { wanted: true, numbers, all, ..By::default() })
    }

    #[test]
    fn a_copy_is_acknowledged_behind_the_message_and_not_handed_in() {
        let mut ledger = connected();
        assert_eq!(brought(&mut ledger, b"a", qos_1(5), 7), New(0));
        assert_eq!(brought(&mut ledger, b"a", qos_2(6), 8), Again);
        assert_eq!(brought(&mut ledger, b"a", qos_1(9), 7), New(2), "it is said a second time");
        assert_eq!(due(&mut ledger), []);
        ledger.signed(0);
        assert_eq!(due(&mut ledger), [(0x40, 5), (0x50, 6)]);
        ledger.signed(2);
        assert_eq!(due(&mut ledger), [(0x40, 9)]);
        assert_eq!((ledger.unsettled, ledger.held.len(), ledger.by_id.len()), (0, 0, 0));
    }

    #[test]
    fn a_copy_with_a_higher_qos_is_acknowledged_when_the_message_is_safe() {
        let mut ledger = connected();
        let qos_0 = PublishHead { qos: Qos::AtMostOnce, packet_id: 0, ..qos_1(1) };
        assert_eq!(brought(&mut ledger, b"a", qos_0, 7), New(0));
        assert_eq!(brought(&mut ledger, b"a", qos_1(6), 8), Again);
        assert_eq!(due(&mut ledger), []);
        ledger.signed(0);
        assert_eq!(due(&mut ledger), [(0x40, 6)]);
        assert_eq!((ledger.unsettled, ledger.held.len(), ledger.by_id.len()), (0, 0, 0));
    }

    #[test]
    fn a_copy_that_is_sent_again_is_known() {
        let mut ledger = connected();
        brought(&mut ledger, b"a", qos_1(5), 7);
        brought(&mut ledger, b"a", qos_1(6), 8);
        ledger.connected(true);
        assert_eq!(brought(&mut ledger, b"a", again(qos_1(5)), 7), Again);
        assert_eq!(brought(&mut ledger, b"a", again(qos_1(6)), 8), Again);
        ledger.signed(0);
        assert_eq!(due(&mut ledger), [(0x40, 5), (0x40, 6)]);
        brought(&mut ledger, b"b", qos_1(5), 7);
        ledger.connected(false);
        assert_eq!(brought(&mut ledger, b"b", qos_1(6), 8), New(3), "no copy is on its way");
    }

    #[test]
    fn what_no_rule_wants_is_acknowledged_and_leaves_nothing_behind() {
        let mut ledger = connected();
        for head in [qos_1(5), qos_2(6), copy(qos_1(7))] {
            assert_eq!(ledger.arrived(b"t", b"a", head, &By::default()), Arrived::Unwanted);
        }
        assert_eq!(due(&mut ledger), [(0x40, 5), (0x50, 6), (0x40, 7)]);
        assert!(ledger.held.is_empty() && ledger.retained.is_empty());
    }

    #[test]
    fn a_message_under_an_old_id_is_a_new_one() {
        let mut ledger = connected();
        ledger.comes(b"t", b"a", qos_1(5), 1);
        ledger.connected(true);
        assert_eq!(ledger.comes(b"t", b"other", qos_1(5), 1), New(1));
        ledger.signed(0);
        assert_eq!(due(&mut ledger), []);
        ledger.signed(1);
        assert_eq!(due(&mut ledger), [(0x40, 5)]);
        assert_eq!((ledger.held.len(), ledger.by_id.len()), (0, 0));
    }

    #[test]
    fn an_id_used_twice_at_once_is_acknowledged_once() {
        let mut ledger = connected();
        ledger.comes(b"t", b"a", qos_1(5), 1);
        assert_eq!(ledger.comes(b"t", b"b", qos_1(5), 1), New(1));
        ledger.signed(0);
        assert_eq!(due(&mut ledger), []);
        ledger.signed(1);
        assert_eq!(due(&mut ledger), [(0x40, 5)]);
    }

    #[test]
    fn at_the_end_what_is_safe_is_acknowledged_past_what_is_not() {
        let mut ledger = connected();
        ledger.comes(b"t", b"a", qos_1(5), 1);
        ledger.comes(b"t", b"b", qos_1(6), 1);
        ledger.signed(1);
        assert_eq!(due(&mut ledger), []);
        ledger.leave_unsigned();
        assert_eq!(due(&mut ledger), [(0x40, 6)]);
    }

    /// A message and its deliveries, each with an order key; some of them may be done.
    struct Several {
        keys: Vec<u8>,
        ticket: u64,
        delivered: Vec<bool>,
    }

    proptest! {
        /// Each message has a packet id that is its number. Deliveries of a key follow each other
        /// as the queue has it, and what is not acknowledged at the end is delivered whole, later.
        #[test]
        fn over_a_stop_the_last_word_of_every_order_key_is_the_last_that_was_published(
            messages in proptest::collection::vec(proptest::collection::vec(0..3_u8, 1..3), 1..8),
            steps in proptest::collection::vec(any::<(u8, u8)>(), 0..30),
        ) {
            let mut ledger = connected();
            let mut all: Vec<Several> = Vec::new();
            for (keys, number) in messages.into_iter().zip(1..) {
                let payload = [u8::try_from(number).unwrap()];
                let New(ticket) = ledger.comes(b"t", &payload, qos_1(number), 1) else { panic!() };
                all.push(Several { delivered: vec![false; keys.len()], keys, ticket });
            }
            let mut said: HashMap<u8, usize> = HashMap::new();
            for (which, part) in steps {
                let number = usize::from(which) % all.len();
                let part = usize::from(part) % all[number].keys.len();
                let key = all[number].keys[part];
                let waits = |several: &Several| {
                    let mut parts = several.keys.iter().zip(&several.delivered);
                    parts.any(|(&other, &delivered)| other == key && !delivered)
                };
                if all[number].delivered[part] || all[..number].iter().any(waits) {
                    continue;
                }
                all[number].delivered[part] = true;
                said.insert(key, number);
                let several = &all[number];
                match several.delivered.iter().all(|&delivered| delivered) {
                    true => ledger.signed(several.ticket),
                    false => ledger.partly_signed(several.ticket),
                }
            }
            let mut acknowledged = due(&mut ledger);
            ledger.leave_unsigned();
            acknowledged.extend(due(&mut ledger));
            for (number, several) in all.iter().enumerate() {
                let packet_id = u16::try_from(number + 1).unwrap();
                if acknowledged.contains(&(0x40, packet_id)) {
                    prop_assert!(several.delivered.iter().all(|&delivered| delivered));
                } else {
                    said.extend(several.keys.iter().map(|&key| (key, number)));
                }
            }
            for (key, last) in said {
                let published = all.iter().rposition(|several| several.keys.contains(&key));
                prop_assert_eq!(published, Some(last), "key {}", key);
            }
        }
    }

    #[test]
    fn at_the_end_nothing_is_acknowledged_past_what_is_done_in_part() {
        let mut ledger = connected();
        for packet_id in 1..=4_u16 {
            ledger.comes(b"t", &packet_id.to_be_bytes(), qos_1(packet_id), 1);
        }
        ledger.signed(1);
        ledger.partly_signed(2);
        ledger.signed(3);
        ledger.leave_unsigned();
        assert_eq!(due(&mut ledger), [(0x40, 2)], "1 is not begun, 3 is in part, 4 is behind it");
    }

    #[test]
    fn a_lost_session_ends_all_debts() {
        let mut ledger = connected();
        ledger.comes(b"t", b"a", qos_1(5), 1);
        ledger.comes(b"t", b"b", qos_1(6), 1);
        ledger.signed(1);
        ledger.connected(false);
        ledger.signed(0);
        assert_eq!(due(&mut ledger), []);
        assert_eq!((ledger.held.len(), ledger.unsettled), (0, 0));
        assert_eq!(ledger.comes(b"t", b"a", qos_1(5), 1), New(2));
    }

    /// Takes a message in and acknowledges it.
    fn settle(ledger: &mut Ledger, payload: &[u8], packet_id: u16) {
        let New(ticket) = ledger.comes(b"t", payload, qos_1(packet_id), 1) else {
            panic!("message {packet_id} was not new")
        };
        ledger.signed(ticket);
        assert_eq!(due(ledger), [(0x40, packet_id)]);
    }

    #[test]
    fn an_acknowledgement_that_was_lost_is_given_again() {
        let mut ledger = connected();
        settle(&mut ledger, b"a", 5);
        assert!(ledger.wants_ping());
        ledger.pinged();
        assert!(!ledger.wants_ping());
        ledger.answered();
        settle(&mut ledger, b"a", 6); // Although 5 is free: it counts up.
        ledger.connected(true);
        assert_eq!(ledger.comes(b"t", b"a", again(qos_1(6)), 1), Again);
        assert_eq!(due(&mut ledger), [(0x40, 6)]);
        // Confirmed by an answered ping: what comes now under this id is another message.
        ledger.pinged();
        ledger.answered();
        assert_eq!(ledger.comes(b"t", b"a", again(qos_1(6)), 1), New(2));
        assert!(!ledger.wants_ping());
    }

    #[test]
    fn where_ids_return_at_once_no_message_is_taken_for_another() {
        let mut ledger = connected();
        settle(&mut ledger, b"a", 1);
        ledger.connected(true);
        assert_eq!(ledger.comes(b"t", b"a", again(qos_1(1)), 1), New(1), "nothing is known yet");
        ledger.signed(1);
        due(&mut ledger);
        settle(&mut ledger, b"a", 1);
        assert!(!ledger.wants_ping());
        ledger.connected(true);
        assert_eq!(ledger.comes(b"t", b"a", again(qos_1(1)), 1), New(3));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut ledger = connected();
        for packet_id in 1..=4_000 {
            let New(ticket) = ledger.comes(b"t", b"a", qos_1(packet_id), 1) else { panic!() };
            let topic = packet_id.to_be_bytes();
            let qos_0 = PublishHead { qos: Qos::AtMostOnce, packet_id: 0, ..qos_1(1) };
            assert_ne!(ledger.comes(&topic, b"x", copy(qos_0), 1), Again);
            ledger.signed(ticket);
            ledger.signed(ticket + 1);
            due(&mut ledger);
        }
        assert_eq!(ledger.recent.len(), RECENT_MAX);
        assert_eq!((ledger.held.len(), ledger.line.len()), (0, 0));
    }

    #[test]
    fn qos_2_is_acknowledged_in_two_steps_that_survive_a_connection() {
        let mut ledger = connected();
        ledger.comes(b"t", b"a", qos_2(5), 1);
        ledger.signed(0);
        assert_eq!(due(&mut ledger), [(0x50, 5)]);
        ledger.connected(true);
        assert_eq!(ledger.comes(b"t", b"a", again(qos_2(5)), 1), Again);
        assert_eq!(due(&mut ledger), [(0x50, 5)]);
        let mut out = BytesMut::new();
        ledger.released(5, &mut out);
        ledger.released(999, &mut out);
        assert_eq!(out[..], [0x70, 2, 0, 5, 0x70, 2, 0x03, 0xE7]);
        assert_eq!(ledger.comes(b"t", b"a", qos_2(5), 1), New(1));
    }

    #[test]
    fn a_retained_copy_is_handed_in_when_it_says_something_new() {
        let mut ledger = connected();
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(1)), 1), NewCopy(0));
        connect_again(&mut ledger);
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(1)), 1), Again);
        assert_eq!(due(&mut ledger), [(0x40, 1)]);
        assert_eq!(ledger.comes(b"t", b"off", qos_1(2), 1), New(1));
        assert_eq!(ledger.comes(b"t", b"off", qos_1(3), 1), New(2), "only copies are repeated");
        connect_again(&mut ledger);
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(1)), 1), NewCopy(3));
        assert_eq!(ledger.comes(b"u", b"on", copy(qos_1(2)), 1), NewCopy(4));
    }

    #[test]
    fn a_copy_that_is_sent_again_after_a_lost_acknowledgement_is_counted_once() {
        let mut ledger = connected();
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(1)), 1), NewCopy(0));
        ledger.signed(0);
        due(&mut ledger);
        ledger.connected(true);
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(2)), 2), Again);
        // The connection ends before it is acknowledged, so it comes with the next SUBSCRIBE, too.
        ledger.connected(true);
        assert_eq!(ledger.comes(b"t", b"on", again(copy(qos_1(2))), 3), Again);
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(3)), 3), Again);
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(4)), 3), New(1), "no copy");
        assert_eq!(due(&mut ledger), [(0x40, 2), (0x40, 3)]);
    }

    #[test]
    fn a_live_message_that_its_publisher_retains_is_no_copy() {
        let mut ledger = connected();
        let live = By { wanted: true, ..By::default() };
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(1)), 1), NewCopy(0));
        for (packet_id, ticket) in [(2, 1), (3, 2)] {
            assert_eq!(ledger.arrived(b"t", b"on", copy(qos_1(packet_id)), &live), New(ticket));
        }
        connect_again(&mut ledger);
        assert_eq!(ledger.comes(b"t", b"on", copy(qos_1(1)), 1), Again);
        assert_eq!(ledger.arrived(b"t", b"on", copy(qos_1(2)), &live), New(3));
    }

    /// A broker as MQTT 4.3 and 4.4 describe it, over a network that loses what is in flight.
    #[derive(Default)]
    struct Simulation {
        ledger: Ledger,
        counts_up: bool,
        id_last: u16,
        in_flight: Vec<Sent>,
        /// Packets on their way to the broker.
        under_way: VecDeque<(u8, u16)>,
        /// Tickets that are not signed, each with the number of its message.
        held: Vec<(u64, usize)>,
        signed: HashSet<usize>,
        /// How often each message was handed in.
        handed_in: Vec<usize>,
    }

    #[derive(Clone, Copy)]
    struct Sent {
        number: usize,
        head: PublishHead,
        received: bool,
    }

    impl Simulation {
        fn publish(&mut self, qos: Qos, arrives: bool) {
            let is_free = |id: &u16| !self.in_flight.iter().any(|sent| sent.head.packet_id == *id);
            let from = if self.counts_up { self.id_last + 1 } else { 1 };
            self.id_last = (from..).find(is_free).unwrap();
            let number = self.handed_in.len();
            self.handed_in.push(0);
            let head = PublishHead { qos, ..qos_1(self.id_last) };
            let sent = Sent { number, head, received: false };
            self.in_flight.push(sent);
            if arrives {
                self.arrives(sent);
            } else {
                self.reconnect();
            }
        }

        /// Publishers repeat themselves: every content is the same.
        fn arrives(&mut self, sent: Sent) {
            match self.ledger.comes(b"t", b"same", sent.head, 1) {
                New(ticket) => {
                    self.handed_in[sent.number] += 1;
                    self.held.push((ticket, sent.number));
                }
                NewCopy(_) | Arrived::Unwanted => panic!("it is wanted and not retained"),
                Again => assert!(self.handed_in[sent.number] > 0, "a message is lost"),
            }
        }

        fn sign(&mut self, which: usize) {
            if !self.held.is_empty() {
                let (ticket, number) = self.held.remove(which % self.held.len());
                self.ledger.signed(ticket);
                self.signed.insert(number);
            }
        }

        fn acknowledge(&mut self) {
            self.under_way.extend(due(&mut self.ledger));
        }

        fn ping(&mut self) {
            self.ledger.pinged();
            self.under_way.push_back((0xC0, 0));
        }

        /// The broker takes one packet.
        fn take(&mut self) {
            let Some((kind, id)) = self.under_way.pop_front() else { return };
            if kind == 0xC0 {
                return self.ledger.answered();
            }
            let at = self.in_flight.iter().position(|sent| sent.head.packet_id == id).unwrap();
            assert!(self.signed.contains(&self.in_flight[at].number), "acknowledged unsigned");
            if kind == 0x50 {
                self.in_flight[at].received = true;
                self.release(id);
            } else {
                self.in_flight.remove(at);
            }
        }

        fn release(&mut self, packet_id: u16) {
            self.ledger.released(packet_id, &mut BytesMut::new());
            self.under_way.push_back((0x70, packet_id));
        }

        fn reconnect(&mut self) {
            self.under_way.clear();
            self.ledger.connected(true);
            for mut sent in self.in_flight.clone() {
                if sent.received {
                    self.release(sent.head.packet_id);
                } else {
                    sent.head.dup = true;
                    self.arrives(sent);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_message_is_lost_and_qos_2_comes_once(
            counts_up in any::<bool>(), steps in proptest::collection::vec(any::<(u8, u8)>(), 0..300)
        ) {
            let mut simulation = Simulation { counts_up, ..Simulation::default() };
            let mut qos_2 = HashSet::new();
            for (step, which) in steps {
                match step % 8 {
                    0 | 1 if simulation.in_flight.len() < 6 => {
                        let qos = [Qos::AtLeastOnce, Qos::ExactlyOnce][usize::from(which % 2)];
                        if qos == Qos::ExactlyOnce {
                            qos_2.insert(simulation.handed_in.len());
                        }
                        simulation.publish(qos, which > 30);
                    }
                    2 | 3 => simulation.sign(which.into()),
                    4 => simulation.acknowledge(),
                    5 | 6 => simulation.take(),
                    7 if which > 200 => simulation.reconnect(),
                    7 if which > 100 => simulation.ping(),
                    _ => (),
                }
            }
            simulation.reconnect();
            while !simulation.in_flight.is_empty() || !simulation.held.is_empty() {
                simulation.sign(0);
                simulation.acknowledge();
                simulation.take();
            }
            for (number, &times) in simulation.handed_in.iter().enumerate() {
                prop_assert!(times >= 1, "message {number} is lost");
                prop_assert!(times == 1 || !qos_2.contains(&number), "message {number} came twice");
            }
            prop_assert_eq!((simulation.ledger.held.len(), simulation.ledger.in_hand()), (0, 0));
        }
    }
}
