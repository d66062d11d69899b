use super::*;
use crate::message::{Keep, LaneName};
use crate::mqtt::packet::level;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use std::collections::HashMap;

use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

fn delivery(topic: &str, qos: Qos, retain: bool, body: &[u8]) -> Delivery {
    Delivery {
        lane: LaneName::default(),
        order_key: None,
        errand: Errand::Publish { topic: topic.to_owned(), qos, retain },
        keep: Keep::UntilDelivered,
        body: body.to_vec(),
        origin: "here".to_owned(),
    }
}

fn kept() -> ConnAck {
    ConnAck { session_present: true, ..ConnAck::default() }
}

fn answer(step: Step, packet_id: u16, code: u8) -> Answered {
    Answered { packet_id, step, code, text: String::new() }
}

/// An outbox with the publications that were entered.
struct Table {
    outbox: Outbox,
    deliveries: HashMap<u64, Delivery>,
}

impl Table {
    fn new(version: Version, connack: &ConnAck) -> Self {
        let mut outbox = Outbox::new();
        outbox.connected(version, connack);
        Table { outbox, deliveries: HashMap::new() }
    }

    /// Enters publications with these qualities, whose tickets count up from 0.
    fn with(version: Version, connack: &ConnAck, all: &[Qos]) -> Self {
        let mut table = Table::new(version, connack);
        all.iter().for_each(|qos| table.enter(delivery("t", *qos, false, b"x")));
        table
    }

    fn enter(&mut self, delivery: Delivery) {
        let ticket = self.deliveries.len() as u64;
        self.outbox.enter(ticket, &delivery);
        self.deliveries.insert(ticket, delivery);
    }

    /// What goes out: of each packet its first byte and its id.
    #[track_caller]
    fn writes(&mut self, wanted: &[(u8, u16)]) {
        let mut out = BytesMut::new();
        self.outbox.write(&|ticket| &self.deliveries[&ticket], &mut out);
        assert_eq!(packets(&out), wanted);
    }

    #[track_caller]
    fn answered(&mut self, step: Step, packet_id: u16, code: u8, wanted: &[(u8, u16)]) {
        let mut out = BytesMut::new();
        self.outbox.answered(&answer(step, packet_id, code), &mut out);
        assert_eq!(packets(&out), wanted);
    }

    /// What has ended since the last call: tickets, and the beginning of what was said of them.
    #[track_caller]
    fn ended(&mut self, wanted: &[(u64, &str)]) {
        let ended: Vec<(u64, String)> = self
            .outbox
            .verdicts
            .drain(..)
            .map(|(ticket, outcome)| (ticket, words(outcome)))
            .collect();
        let fits = |((ticket, words), (wanted, begin)): (&(u64, String), &(u64, &str))| {
            ticket == wanted && words.starts_with(begin)
        };
        let all_fit = ended.len() == wanted.len() && ended.iter().zip(wanted).all(fits);
        assert!(all_fit, "{ended:?} is not {wanted:?}");
    }
}

fn words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Delivered => "delivered".to_owned(),
        Outcome::Later { why, holds: Holds::Delivery, .. } => format!("later: {why}"),
        Outcome::Later { why, .. } => format!("others wait: {why}"),
        Outcome::Never { why, .. } => format!("never: {why}"),
    }
}

/// First byte and packet id of short packets.
fn packets(mut bytes: &[u8]) -> Vec<(u8, u16)> {
    let mut all = Vec::new();
    while let [first, length, ..] = bytes {
        let (packet, rest) = bytes[2..].split_at(usize::from(*length));
        let at = if first >> 4 == 3 { 2 + usize::from(packet[1]) } else { 0 };
        let has_id = first & 0x06 != 0 || first >> 4 != 3;
        let id = if has_id { u16::from_be_bytes([packet[at], packet[at + 1]]) } else { 0 };
        all.push((*first, id));
        bytes = rest;
    }
    all
}

#[test]
fn each_quality_ends_with_its_own_answer() {
    let all = [AtMostOnce, AtLeastOnce, ExactlyOnce];
    let mut table = Table::with(Version::V311, &ConnAck::default(), &all);
    table.writes(&[(0x30, 0), (0x32, 1), (0x34, 2)]);
    table.ended(&[]);
    table.outbox.flushed();
    table.ended(&[(0, "delivered")]);
    table.answered(Step::Acknowledged, 1, 0, &[]);
    table.ended(&[(1, "delivered")]);
    table.answered(Step::Received, 2, 0, &[(0x62, 2)]);
    table.ended(&[]);
    table.answered(Step::Completed, 2, 0, &[]);
    table.ended(&[(2, "delivered")]);
    assert!(!table.outbox.awaits() && table.outbox.bytes == 0);
}

#[test]
fn an_answer_that_fits_nothing_changes_nothing() {
    let mut table = Table::with(Version::V5, &ConnAck::default(), &[AtLeastOnce, ExactlyOnce]);
    table.writes(&[(0x32, 1), (0x34, 2)]);
    for (step, id, wanted) in [
        (Step::Acknowledged, 2, &[][..]),
        (Step::Acknowledged, 3, &[]),
        (Step::Completed, 2, &[]),
        (Step::Completed, 9, &[]),
        // The broker has a message of somebody who had our client id before.
        (Step::Received, 9, &[(0x62, 9)]),
        (Step::Received, 1, &[(0x62, 1)]),
    ] {
        table.answered(step, id, 0, wanted);
    }
    table.ended(&[]);
    table.answered(Step::Received, 2, 0, &[(0x62, 2)]);
    table.answered(Step::Received, 2, 0, &[(0x62, 2)]);
    table.answered(Step::Completed, 2, 0, &[]);
    table.ended(&[(1, "delivered")]);
}

#[test]
fn what_is_not_answered_goes_again_in_its_order_and_where_it_was() {
    let all = [ExactlyOnce, AtLeastOnce, ExactlyOnce, AtMostOnce, AtLeastOnce];
    let mut table = Table::with(Version::V5, &ConnAck::default(), &all);
    table.writes(&[(0x34, 1)]);
    table.answered(Step::Received, 1, 0, &[(0x62, 1)]);
    table.writes(&[(0x32, 2), (0x34, 3)]);
    table.outbox.connected(Version::V5, &kept());
    table.writes(&[(0x62, 1), (0x3A, 2), (0x3C, 3)]);
    table.answered(Step::Received, 3, 0, &[(0x62, 3)]);
    table.writes(&[(0x30, 0), (0x32, 4)]);
    table.answered(Step::Acknowledged, 4, 0, &[]);
    table.ended(&[(4, "delivered")]);
    table.outbox.connected(Version::V5, &ConnAck::default());
    table.writes(&[(0x34, 5)]);
    table.answered(Step::Completed, 5, 0, &[]);
    table.answered(Step::Received, 5, 0, &[(0x62, 5)]);
    table.writes(&[(0x32, 6), (0x34, 7)]);
    table.answered(Step::Completed, 5, 0, &[]);
    table.ended(&[(0, "delivered")]);
}

#[test]
fn no_more_are_under_way_than_the_broker_takes() {
    let two = ConnAck { receive_max: Some(2), ..ConnAck::default() };
    let all = [AtLeastOnce, AtLeastOnce, AtMostOnce, ExactlyOnce, AtLeastOnce];
    let mut table = Table::with(Version::V5, &two, &all);
    table.writes(&[(0x32, 1), (0x32, 2), (0x30, 0)]);
    table.writes(&[]);
    table.answered(Step::Acknowledged, 2, 0, &[]);
    table.writes(&[(0x34, 3)]);
    table.answered(Step::Received, 3, 0, &[(0x62, 3)]);
    table.writes(&[]);
    let one = ConnAck { receive_max: Some(1), ..kept() };
    table.outbox.connected(Version::V5, &one);
    table.writes(&[(0x3A, 1), (0x30, 0)]);
    table.answered(Step::Acknowledged, 1, 0, &[]);
    table.writes(&[(0x62, 3)]);
    table.answered(Step::Completed, 3, 0, &[]);
    table.writes(&[(0x32, 4)]);
}

#[test]
fn a_broker_that_cannot_say_how_many_it_takes_gets_one_of_qos_2_at_a_time() {
    let all = [ExactlyOnce, ExactlyOnce, AtLeastOnce];
    let mut table = Table::with(Version::V311, &ConnAck::default(), &all);
    table.writes(&[(0x34, 1)]);
    table.answered(Step::Received, 1, 0, &[(0x62, 1)]);
    table.writes(&[]);
    table.answered(Step::Completed, 1, 0, &[]);
    table.writes(&[(0x34, 2)]);
    table.answered(Step::Received, 2, 0, &[(0x62, 2)]);
    table.writes(&[(0x32, 3)]);
}

#[test]
fn what_a_broker_cannot_take_is_never_sent() {
    let strict = ConnAck {
        retains: Some(false),
        packet_bytes_max: Some(20),
        qos_max: Some(AtLeastOnce),
        ..ConnAck::default()
    };
    let mut table = Table::new(Version::V5, &strict);
    for one in [
        delivery("t", AtLeastOnce, true, b""),
        delivery("t", AtLeastOnce, false, &[b'x'; 13]),
        delivery("a/#", AtMostOnce, false, b""),
        delivery("a\0b", AtMostOnce, false, b""),
        delivery("", AtMostOnce, false, b""),
        Delivery {
            errand: Errand::Ping { key: "k".to_owned() },
            ..delivery("t", AtMostOnce, false, b"")
        },
        delivery("t", AtLeastOnce, false, &[b'x'; 12]),
        delivery("t", ExactlyOnce, false, b""),
    ] {
        table.enter(one);
    }
    table.writes(&[(0x32, 1), (0x32, 2)]);
    table.ended(&[
        (0, "never: the broker keeps no retained messages"),
        (1, "never: a packet of 21 bytes; the broker takes at most 20"),
        (2, "never: "),
        (3, "never: "),
        (4, "never: "),
        (5, "never: a broker takes publications alone"),
    ]);
    assert_eq!(table.outbox.was_lowered(), Some(AtLeastOnce));
    assert_eq!(table.outbox.was_lowered(), None, "once for a connection");
    assert_eq!(level(AtLeastOnce), 1);
}

#[test]
fn a_refusal_is_for_ever_or_for_now() {
    for (code, wanted) in [
        (0x00, "delivered"),
        (0x10, "delivered"),
        (0x80, "later: the broker refuses it: unspecified error"),
        (0x83, "later: "),
        (0x87, "later: the broker refuses it: the client is not authorised"),
        (0x97, "later: the broker refuses it: a quota is used up"),
        (0x90, "never: the broker refuses it: the topic name is not accepted"),
        (0x95, "never: "),
        (0x99, "never: "),
        (0x9A, "never: "),
        (0x9B, "never: "),
        (0xF0, "later: the broker refuses it: reason code 0xF0"),
    ] {
        let mut table = Table::with(Version::V5, &ConnAck::default(), &[AtLeastOnce, ExactlyOnce]);
        table.writes(&[(0x32, 1), (0x34, 2)]);
        table.answered(Step::Acknowledged, 1, code, &[]);
        table.ended(&[(0, wanted)]);
        let released: &[_] = if code < 0x80 { &[(0x62, 2)] } else { &[] };
        table.answered(Step::Received, 2, code, released);
        // The broker has had it since PUBREC, whatever it says of PUBREL.
        table.answered(Step::Completed, 2, 0x92, &[]);
        table.ended(&[(1, wanted)]);
    }
}

#[test]
fn a_publication_that_ends_three_connections_in_a_row_is_given_up() {
    let all = [AtLeastOnce, AtLeastOnce, AtMostOnce];
    let mut table = Table::with(Version::V311, &ConnAck::default(), &all);
    table.writes(&[(0x32, 1), (0x32, 2), (0x30, 0)]);
    assert!(!table.outbox.ended(true, None));
    for _ in 0..2 {
        table.outbox.connected(Version::V311, &kept());
        table.writes(&[(0x3A, 1)]);
        table.ended(&[]);
        table.outbox.ended(true, Some("no"));
    }
    table.ended(&[(0, "never: the broker ended 3 connections in a row when it was published: no")]);
    table.outbox.connected(Version::V311, &kept());
    table.writes(&[(0x3A, 2), (0x30, 0)]);
    table.answered(Step::Acknowledged, 2, 0, &[]);
    table.ended(&[(1, "delivered")]);
}

#[test]
fn a_publication_is_not_to_blame_for_an_outage() {
    let mut table = Table::with(Version::V311, &ConnAck::default(), &[AtLeastOnce, AtLeastOnce]);
    table.writes(&[(0x32, 1), (0x32, 2)]);
    for by_broker in [true, false, false, true, false] {
        assert!(!table.outbox.ended(by_broker, None));
        table.outbox.connected(Version::V311, &kept());
        table.writes(&[(0x3A, 1)]);
    }
    table.answered(Step::Acknowledged, 1, 0, &[]);
    table.writes(&[(0x3A, 2)]);
    for _ in 0..2 {
        table.outbox.ended(true, None);
        table.outbox.connected(Version::V311, &kept());
        table.writes(&[(0x3A, 2)]);
    }
    table.answered(Step::Acknowledged, 2, 0, &[]);
    table.ended(&[(0, "delivered"), (1, "delivered")]);
}

/// A broker as MQTT 4.3 and 4.4 describe it, over a network that loses what is in flight.
struct Simulation {
    table: Table,
    version: Version,
    /// Packets on their way to the broker, and to us.
    to_broker: VecDeque<Sent>,
    to_us: VecDeque<Answered>,
    /// QoS 2: ids that are not released, each with its message.
    unreleased: HashMap<u16, usize>,
    /// What was passed on, in order.
    passed_on: Vec<usize>,
    receive_max: u16,
    most: usize,
}

/// A packet of ours: first byte, packet id, number of the message.
#[derive(Clone, Copy)]
struct Sent(u8, u16, usize);

impl Simulation {
    fn publish(&mut self, qos: Qos) {
        let number = u16::try_from(self.table.deliveries.len()).unwrap();
        self.table.enter(delivery("t", qos, false, &number.to_be_bytes()));
    }

    fn write(&mut self) {
        let mut out = BytesMut::new();
        let deliveries = &self.table.deliveries;
        self.table.outbox.write(&|ticket| &deliveries[&ticket], &mut out);
        self.send(&out);
        self.table.outbox.flushed();
        self.most = self.most.max(self.table.outbox.awaited);
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while let [first, length, ..] = bytes {
            let (packet, rest) = bytes[2..].split_at(usize::from(*length));
            let number = match packet {
                [.., high, low] => usize::from(u16::from_be_bytes([*high, *low])),
                _ => panic!("a packet is too short"),
            };
            let id = packets(&bytes[..2 + packet.len()])[0].1;
            self.to_broker.push_back(Sent(*first, id, number));
            bytes = rest;
        }
    }

    /// The broker takes one packet.
    fn take(&mut self) {
        let Some(Sent(first, id, number)) = self.to_broker.pop_front() else { return };
        let step = match (first >> 4, first >> 1 & 3) {
            (6, _) => {
                if let Some(number) = self.unreleased.remove(&id) {
                    self.passed_on.push(number);
                }
                Step::Completed
            }
            (_, 0) => return self.passed_on.push(number),
            (_, 1) => {
                self.passed_on.push(number);
                Step::Acknowledged
            }
            _ => {
                let known = *self.unreleased.entry(id).or_insert(number);
                assert_eq!(known, number, "an id that is in use was given to another message");
                assert!(first & 8 != 0 || !self.to_us.iter().any(|a| a.packet_id == id));
                Step::Received
            }
        };
        self.to_us.push_back(answer(step, id, 0));
    }

    fn hear(&mut self) {
        let Some(answer) = self.to_us.pop_front() else { return };
        let mut out = BytesMut::new();
        self.table.outbox.answered(&answer, &mut out);
        self.send(&out);
    }

    /// QoS 0 that is on its way is lost, and nobody knows.
    fn reconnect(&mut self, kept: bool) {
        let lost = std::mem::take(&mut self.to_broker);
        let lost = lost.into_iter().filter(|sent| sent.0 >> 1 == 0x18);
        self.passed_on.extend(lost.map(|sent| sent.2));
        self.to_us.clear();
        if !kept {
            self.unreleased.clear();
        }
        self.table.outbox.ended(false, None);
        let receive_max = Some(self.receive_max);
        let connack = ConnAck { session_present: kept, receive_max, ..ConnAck::default() };
        self.table.outbox.connected(self.version, &connack);
    }
}

proptest! {
    #[test]
    fn no_publication_is_lost_and_qos_2_is_passed_on_once(
        five in any::<bool>(),
        receive_max in 1..6_u16,
        may_lose in any::<bool>(),
        steps in proptest::collection::vec(any::<(u8, u8)>(), 0..300),
    ) {
        let version = if five { Version::V5 } else { Version::V311 };
        let connack = ConnAck { receive_max: Some(receive_max), ..ConnAck::default() };
        let mut simulation = Simulation {
            table: Table::new(version, &connack),
            version,
            to_broker: VecDeque::new(),
            to_us: VecDeque::new(),
            unreleased: HashMap::new(),
            passed_on: Vec::new(),
            receive_max,
            most: 0,
        };
        let (mut qualities, mut lost_sessions) = (Vec::new(), 0);
        for (step, which) in steps {
            match step % 8 {
                0 | 1 if simulation.table.outbox.line.len() < 8 => {
                    let qos = [AtMostOnce, AtLeastOnce, ExactlyOnce][usize::from(which % 3)];
                    qualities.push(qos);
                    simulation.publish(qos);
                }
                2 => simulation.write(),
                3 | 4 => simulation.take(),
                5 | 6 => simulation.hear(),
                7 if which > 220 => simulation.reconnect(true),
                7 if which > 200 && may_lose => {
                    simulation.reconnect(false);
                    lost_sessions += 1;
                }
                _ => (),
            }
        }
        while !simulation.table.outbox.line.is_empty() {
            simulation.write();
            simulation.take();
            simulation.hear();
        }
        while !simulation.to_broker.is_empty() {
            simulation.take();
        }
        prop_assert!(simulation.most <= usize::from(receive_max));
        let mut first_times = Vec::new();
        for (number, qos) in qualities.iter().enumerate() {
            let times = simulation.passed_on.iter().filter(|passed| **passed == number).count();
            prop_assert!(times >= 1, "message {number} is lost");
            let once = *qos == AtMostOnce || *qos == ExactlyOnce && lost_sessions == 0;
            prop_assert!(times == 1 || !once, "message {number} was passed on {times} times");
            if *qos != AtMostOnce {
                first_times.push(simulation.passed_on.iter().position(|passed| *passed == number));
            }
        }
        prop_assert!(first_times.is_sorted(), "{first_times:?}");
        let delivered = simulation.table.outbox.verdicts.iter();
        prop_assert!(delivered.clone().all(|(_, outcome)| *outcome == Outcome::Delivered));
        prop_assert_eq!(delivered.count(), qualities.len());
    }
}
