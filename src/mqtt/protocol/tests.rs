//! Sessions in virtual time: what a broker says, what the clock says, and what follows.

use super::standing::Standing;
use super::*;
use crate::config::{Address, Qos, Rule, Target};
use crate::mqtt::packet::{Oversized, Publish, PublishHead, Step, SubAck};

const QOS_1: PublishHead =
    PublishHead { qos: Qos::AtLeastOnce, packet_id: 1, dup: false, retain: false };

/// A session of two subscriptions, `a` and `b`, and the broker's side of it.
struct Table {
    protocol: Protocol,
    out: BytesMut,
    start: Instant,
    paused: bool,
}

/// An event after this many milliseconds, and what follows from it, in words.
type Row<'a> = (u64, &'a str, &'a str);

impl Table {
    fn new() -> Self {
        let rule = |filter: &str| Rule {
            filter: filter.to_owned(),
            qos: Qos::AtLeastOnce,
            to: Target::Heartbeat,
        };
        let address = Address { host: "broker".to_owned(), ..Address::default() };
        let broker = Broker {
            client_id: "me".to_owned(),
            keep_alive: Duration::from_secs(60),
            ..Broker::at(address)
        };
        let subscriptions = Subscriptions::new(&[rule("a"), rule("b")], None).unwrap();
        let start = Instant::now();
        let mut protocol = Protocol::new(&broker, Timing::default(), subscriptions, false, start);
        protocol.dice = fastrand::Rng::with_seed(1);
        Table { protocol, out: BytesMut::new(), start, paused: false }
    }

    /// A session that publishes, and is connected.
    fn publishing() -> Self {
        let mut table = Table::new();
        let broker = Broker::at(Address { host: "broker".to_owned(), ..Address::default() });
        let nothing = Subscriptions::new(&[], None).unwrap();
        table.protocol = Protocol::new(&broker, Timing::default(), nothing, true, table.start);
        table.accepted(0, &ConnAck::default());
        table
    }

    /// A session of which everything is granted.
    fn ready() -> Self {
        let mut table = Table::new();
        table.accepted(0, &ConnAck::default());
        table.suback(1, 1);
        table.suback(2, 1);
        table.due(0);
        table
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn accepted(&mut self, millis: u64, connack: &ConnAck) {
        let now = self.at(millis);
        self.protocol.accepted(Version::V311, connack, now, &mut self.out);
    }

    fn received(&mut self, packet: Packet<'_>) -> String {
        let effect = self.protocol.received(packet, &mut self.out);
        self.follows(vec![effect])
    }

    fn suback(&mut self, packet_id: u16, code: u8) -> String {
        self.received(Packet::SubAck(SubAck { packet_id, code, text: String::new() }))
    }

    fn publish(&mut self, packet_id: u16, payload: &[u8]) -> String {
        let head = PublishHead { packet_id, ..QOS_1 };
        self.received(Packet::Publish(Publish { topic: b"a", payload, properties: b"", head }))
    }

    /// Everything that is due, and what was sent.
    fn due(&mut self, millis: u64) -> String {
        let now = self.at(millis);
        let mut effects = Vec::new();
        self.protocol.acknowledge(&mut self.out);
        loop {
            match self.protocol.due(now, self.paused, &mut self.out) {
                Effect::Nothing => return self.follows(effects),
                Effect::End(end) => return format!("{end:?}"),
                effect => effects.push(effect),
            }
        }
    }

    /// Effects, and behind them the packets that were written, in short.
    fn follows(&mut self, effects: Vec<Effect>) -> String {
        let mut words = Vec::new();
        for effect in effects {
            words.push(match effect {
                Effect::Nothing => continue,
                Effect::HandIn(Arrival::Message { ticket, .. }) => format!("message {ticket}"),
                Effect::HandIn(Arrival::Oversized { bytes, .. }) => format!("oversized {bytes}"),
                Effect::HandIn(Arrival::Unreadable { reason, .. }) => reason.into_owned(),
                Effect::Remember(name, _) => format!("remember {name}"),
                Effect::Report => {
                    let Standing { connected, ready, .. } = self.protocol.standing();
                    format!("report {connected} {ready}")
                }
                Effect::Pinged => "pinged".to_owned(),
                Effect::End(end) => format!("{end:?}"),
            });
        }
        words.extend(packets(&self.out));
        self.out.clear();
        words.join(", ")
    }

    #[track_caller]
    fn check(&mut self, rows: &[Row<'_>]) {
        for &(millis, what, wanted) in rows {
            let now = self.at(millis);
            match what {
                "time" => (),
                "bytes" => self.protocol.heard(now),
                "asked" => self.protocol.watched(now),
                "pause" => self.paused = true,
                "go on" => self.paused = false,
                "grant a" => drop(self.suback(1, 1)),
                "grant b" => drop(self.suback(2, 1)),
                "refuse a" => drop(self.suback(1, 0x80)),
                "sign 0" => self.protocol.take(Slip::Signed(0)),
                "sign 1" => self.protocol.take(Slip::Signed(1)),
                other => panic!("{other}"),
            }
            assert_eq!(self.due(millis), wanted, "{what} after {millis} ms");
        }
    }
}

fn packets(mut bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (body, behind) = rest.split_at(usize::from(*length));
        let id = body.first_chunk().map(|id| u16::from_be_bytes(*id)).unwrap_or_default();
        seen.push(match first {
            0x40 => format!("PUBACK {id}"),
            0x50 => format!("PUBREC {id}"),
            0x70 => format!("PUBCOMP {id}"),
            0x82 => format!("SUBSCRIBE {id}"),
            0xA2 => format!("UNSUBSCRIBE {id}"),
            0xC0 => "PINGREQ".to_owned(),
            other => format!("{other:x}"),
        });
        bytes = behind;
    }
    seen
}

#[test]
fn an_idle_broker_is_pinged_reported_and_given_up() {
    Table::ready().check(&[
        (44_999, "time", ""),
        (45_000, "time", "pinged, PINGREQ"),
        (54_999, "time", ""),
        (55_000, "time", "report false true"),
        (60_000, "bytes", "report true true"),
        (89_999, "time", ""),
        (90_000, "time", "pinged, PINGREQ"),
        (100_000, "time", "report false true"),
        (120_000, "time", "Lost(\"the broker does not answer a ping\")"),
    ]);
}

#[test]
fn a_session_that_is_asked_for_watches_its_broker_more_closely() {
    Table::ready().check(&[
        (1_000, "asked", ""),
        (15_000, "time", "pinged, PINGREQ"),
        (15_100, "bytes", ""),
        (30_100, "time", "pinged, PINGREQ"),
    ]);
}

#[test]
fn while_nothing_is_read_the_broker_is_not_given_up() {
    Table::ready().check(&[
        (1_000, "pause", ""),
        (45_000, "time", "pinged, PINGREQ"),
        (90_000, "time", "pinged, PINGREQ"),
        (134_000, "time", ""),
        (134_000, "go on", ""),
        (135_000, "time", "pinged, PINGREQ"),
    ]);
}

#[test]
fn the_keep_alive_of_the_broker_counts() {
    let mut table = Table::new();
    table.accepted(0, &ConnAck { keep_alive: Some(20), ..ConnAck::default() });
    table.due(0);
    table.check(&[
        (100, "grant a", "remember subscriptions, report true false"),
        (100, "grant b", "remember subscriptions, report true true"),
        (14_999, "time", ""),
        (15_000, "time", "pinged, PINGREQ"),
    ]);
}

#[test]
fn filters_are_on_record_before_the_broker_is_asked_and_asked_for_until_granted() {
    let mut table = Table::new();
    table.accepted(0, &ConnAck::default());
    let first = "remember subscriptions, report true false, SUBSCRIBE 1, SUBSCRIBE 2";
    assert_eq!(table.due(0), first);
    table.check(&[
        (10, "grant a", "remember subscriptions, report true false"),
        (7_499, "time", ""),
        // Never answered.
        (16_000, "time", "report true false, SUBSCRIBE 2"),
    ]);
    assert_eq!(
        table.protocol.standing().trouble,
        "the broker has not answered the subscription to 'b'"
    );
    table.check(&[
        (16_010, "grant b", "remember subscriptions, report true true"),
        (44_000, "time", ""),
    ]);
    assert_eq!(table.protocol.wake_at(false), Some(table.at(45_000)), "for the ping alone");
}

#[test]
fn what_is_refused_is_asked_for_again_on_the_same_connection() {
    let mut table = Table::new();
    table.accepted(0, &ConnAck::default());
    table.due(0);
    table.check(&[
        (10, "grant b", "remember subscriptions, report true false"),
        (10, "refuse a", "report true false"),
        (16_000, "time", "report true false, SUBSCRIBE 1"),
        (16_010, "grant a", "remember subscriptions, report true true"),
        (44_000, "time", ""),
    ]);
}

#[test]
fn messages_are_acknowledged_in_order_when_they_are_safe() {
    let mut table = Table::ready();
    assert_eq!(table.publish(7, b"one"), "message 0");
    assert_eq!(table.publish(8, b"two"), "message 1");
    table.check(&[
        (10, "sign 1", ""),
        // And a ping, once, to learn how the broker numbers its messages.
        (20, "sign 0", "PUBACK 7, PUBACK 8, PINGREQ"),
        (30, "bytes", ""),
    ]);
    assert_eq!(table.received(Packet::PubRel { packet_id: 9 }), "PUBCOMP 9", "known or not");
}

#[test]
fn no_message_ends_a_connection() {
    let mut table = Table::ready();
    let head = QOS_1;
    for (topic, wanted) in [
        (&b""[..], "the topic is empty"),
        (b"a\0", "the topic contains the character NUL"),
        (b"\xff", "the topic is not valid UTF-8"),
        (b"a/#", "message 3"),
    ] {
        let publish = Publish { topic, payload: b"", properties: b"", head };
        assert_eq!(table.received(Packet::Publish(publish)), wanted);
    }
    let topic = b"a".to_vec();
    let head = PublishHead { packet_id: 2, ..head };
    let oversized = Oversized { topic, bytes: 9_999, properties: Vec::new(), head };
    assert_eq!(table.received(Packet::Oversized(oversized)), "oversized 9999");
}

#[test]
fn what_is_in_hand_is_bounded() {
    let mut table = Table::ready();
    for packet_id in 1..=u16::try_from(IN_HAND_MAX).unwrap() {
        assert!(!table.protocol.is_full());
        table.publish(packet_id, b"");
    }
    assert!(table.protocol.is_full());
    table.protocol.take(Slip::Signed(1));
    table.due(10);
    assert!(table.protocol.is_full(), "it is safe, and waits for one that is not");
    table.protocol.take(Slip::Signed(0));
    assert!(table.due(20).starts_with("PUBACK 1, PUBACK 2"));
    assert!(!table.protocol.is_full());
}

#[test]
fn retained_copies_are_remembered_in_one_write_when_they_are_safe() {
    let mut table = Table::ready();
    for packet_id in 1..=2 {
        let head = PublishHead { packet_id, retain: true, ..QOS_1 };
        let topic = [b"a", b"b"][usize::from(packet_id) - 1];
        table.received(Packet::Publish(Publish { topic, payload: b"on", properties: b"", head }));
    }
    table.check(&[
        (1_000, "time", ""),
        (3_500, "sign 0", "PUBACK 1, PINGREQ"),
        (4_000, "sign 1", "remember retained, PUBACK 2"),
        (9_000, "time", ""),
    ]);
    let head = PublishHead { packet_id: 3, dup: true, retain: true, ..QOS_1 };
    let again = Publish { topic: b"a", payload: b"on", properties: b"", head };
    assert_eq!(table.received(Packet::Publish(again)), "message 2", "one SUBSCRIBE, one copy");
}

#[test]
fn an_end_says_whose_it_is() {
    let mut table = Table::ready();
    let second = "Lost(\"the broker sent a second CONNACK\")";
    assert_eq!(table.received(Packet::ConnAck(ConnAck::default())), second);
    for (code, text, wanted) in [
        (0x8B, "", "Lost(\"the broker ended the connection: the server is shutting down\")"),
        (0x87, "no", "Closed(Some(\"the client is not authorised (`no`)\"))"),
        (
            0x8E,
            "",
            "Lost(\"the broker ended the connection: another client has connected with the same \
             client id, `me`; each client needs its own\")",
        ),
    ] {
        let disconnect = Disconnect { code, text: text.to_owned() };
        assert_eq!(table.received(Packet::Disconnect(disconnect)), wanted);
    }
}

#[test]
fn the_next_connection_takes_up_what_this_one_left() {
    let mut table = Table::ready();
    table.publish(1, b"one");
    let end = table.at(50_000);
    table.protocol.ended(end, true);
    let kept = ConnAck { session_present: true, ..ConnAck::default() };
    table.accepted(60_000, &kept);
    assert_eq!(table.due(60_000), "report true false, SUBSCRIBE 1, SUBSCRIBE 2");
    table.check(&[(60_000, "sign 0", "")]);
    let head = PublishHead { dup: true, ..QOS_1 };
    let again = Publish { topic: b"a", payload: b"one", properties: b"", head };
    assert_eq!(table.received(Packet::Publish(again)), "");
    assert_eq!(table.due(60_010), "PUBACK 1, PINGREQ", "not handed in twice");
}

#[test]
fn at_the_stop_what_is_safe_is_acknowledged_and_the_rest_stays_with_the_broker() {
    let mut table = Table::ready();
    for packet_id in 1..=4 {
        table.publish(packet_id, &[u8::try_from(packet_id).unwrap()]);
    }
    table.protocol.take(Slip::Signed(1));
    table.protocol.take(Slip::PartlySigned(2));
    table.protocol.take(Slip::Signed(3));
    assert!(table.protocol.owes());
    table.protocol.leave(&mut table.out);
    assert_eq!(packets(&table.out), ["PUBACK 2"]);
    assert!(matches!(table.protocol.remember_last(), Effect::Remember(RETAINED, _)));
}

#[test]
fn a_publisher_asks_for_nothing_and_watches_its_broker_as_a_subscriber_does() {
    let mut table = Table::publishing();
    table.check(&[(0, "time", "report true true")]);
    assert_eq!(table.publish(1, b"x"), "", "nobody subscribed to it");
    let answered = |step| Answered { packet_id: 9, step, code: 0, text: String::new() };
    assert_eq!(table.received(Packet::Answered(answered(Step::Acknowledged))), "");
    assert_eq!(table.received(Packet::Answered(answered(Step::Received))), "62", "PUBREL");
    table.check(&[
        (45_000, "time", "pinged, PINGREQ"),
        (55_000, "time", "report false true"),
        (60_000, "bytes", "report true true"),
    ]);
    assert_eq!(Table::ready().received(Packet::Answered(answered(Step::Received))), "");
}
