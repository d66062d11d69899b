//! The MQTT session against a broker that does on command what a real one does on bad days.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use ilagent::config::{Broker, Qos, Version};
use ilagent::message::Arrival;
use ilagent::mqtt::session::{IN_HAND_MAX, Timing};
use ilagent::retry::Backoff;
use std::time::{Duration, Instant};
use support::session::{Fake, Peer, Rig, broker, publish, quick, rule, thorough};
use support::{PATIENCE, until};

/// Flags of a PUBLISH.
const QOS_1: u8 = 2;
const QOS_2: u8 = 4;
const DUP: u8 = 8;
const RETAIN: u8 = 1;

/// First bytes.
const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBCOMP: u8 = 0x70;

#[test]
fn messages_are_acknowledged_in_the_order_they_came() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    rig.wait_until_ready();
    for (packet_id, payload) in [(1, "one"), (2, "two"), (3, "three")] {
        peer.publish(QOS_1, "a/b", packet_id, payload.as_bytes());
    }
    let tickets: Vec<u64> = ["one", "two", "three"]
        .map(|wanted| {
            let (payload, ticket) = rig.message();
            assert_eq!(payload, wanted);
            ticket
        })
        .into();
    rig.sign(tickets[2]);
    rig.sign(tickets[0]);
    assert_eq!(peer.acks(1), [(PUBACK, 1)]);
    rig.sign(tickets[1]);
    assert_eq!(peer.acks(2), [(PUBACK, 2), (PUBACK, 3)]);
}

#[test]
fn a_message_sent_again_is_not_handed_in_again() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    peer.publish(QOS_1, "a", 7, b"one");
    peer.publish(QOS_1, "a", 8, b"two");
    let (one, two) = (rig.message().1, rig.message().1);
    drop(peer);
    rig.wait_until("down", |session| !session.connected && !session.subscriptions_ready);
    rig.sign(one); // While there is nobody to tell.
    let mut peer = fake.welcome(true, true);
    peer.publish(QOS_1 | DUP, "a", 7, b"one");
    peer.publish(QOS_1 | DUP, "a", 8, b"two");
    assert_eq!(peer.acks(1), [(PUBACK, 7)]);
    rig.sign(two);
    assert_eq!(peer.acks(1), [(PUBACK, 8)]);
    peer.publish(QOS_1, "a", 9, b"three");
    assert_eq!(rig.message().0, "three");
    rig.nothing_arrives();
}

#[test]
fn every_connection_subscribes_again_whatever_the_broker_says_of_the_session() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(true, true);
    rig.wait_until_ready();
    peer.publish(QOS_1, "a", 7, b"old");
    let old = rig.message().1;
    drop(peer);
    let mut peer = fake.welcome(true, true);
    rig.wait_until_ready();
    peer.publish(QOS_1, "a", 8, b"x");
    let x = rig.message().1;
    drop(peer);
    let mut peer = fake.welcome(false, true);
    rig.wait_until_ready();
    // Ids of the lost session are nobody's business any more.
    rig.sign(old);
    rig.sign(x);
    peer.publish(QOS_1, "a", 9, b"new");
    rig.sign(rig.message().1);
    assert_eq!(peer.acks(1), [(PUBACK, 9)]);
}

#[test]
fn a_clean_session_leaves_nothing_at_the_broker() {
    const CLEAN: u8 = 2;
    let fake = Fake::new();
    for (clean, wanted) in [(false, 0), (true, CLEAN)] {
        let settings = Broker { clean, ..broker(fake.port()) };
        let rig = Rig::start(&settings, quick());
        for _ in 0..2 {
            let (mut peer, connect) = fake.accept();
            assert_eq!(connect[7] & CLEAN, wanted);
            peer.send(&[0x20, 2, 0, 0]);
            peer.subscribed();
        }
        rig.stop();
    }
}

#[test]
fn qos_2_goes_on_after_reconnects_and_restarts() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(true, true);
    // What an earlier process had begun.
    peer.send(&[0x62, 2, 0, 99]);
    assert_eq!(peer.acks(1), [(PUBCOMP, 99)]);
    peer.publish(QOS_2, "a", 5, b"once");
    rig.sign(rig.message().1);
    assert_eq!(peer.acks(1), [(PUBREC, 5)]);
    drop(peer);
    let mut peer = fake.welcome(true, true);
    peer.publish(QOS_2 | DUP, "a", 5, b"once");
    assert_eq!(peer.acks(1), [(PUBREC, 5)]);
    peer.send(&[0x62, 2, 0, 5]);
    assert_eq!(peer.acks(1), [(PUBCOMP, 5)]);
    peer.publish(QOS_2, "a", 5, b"twice");
    assert_eq!(rig.message().0, "twice");
    rig.nothing_arrives();
}

#[test]
fn an_oversized_message_is_reported_acknowledged_and_stops_nothing() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    let large = publish(QOS_1, b"a/big", 1, &vec![b'x'; 500_000]);
    peer.send(&large);
    peer.publish(QOS_1, "a", 2, b"small");
    let ticket = match rig.arrival() {
        Arrival::Oversized { topic, bytes, ticket } => {
            assert_eq!((topic.as_str(), bytes), ("a/big", large.len()));
            ticket
        }
        other => panic!("{other:?}"),
    };
    rig.sign(ticket);
    rig.sign(rig.message().1);
    assert_eq!(peer.acks(2), [(PUBACK, 1), (PUBACK, 2)]);
}

#[test]
fn a_topic_that_is_none_is_reported_and_stops_nothing() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    peer.send(&publish(QOS_1, b"a/\xff", 1, b"x"));
    peer.send(&publish(QOS_1, b"a/\0", 2, b"y"));
    for (packet_id, wanted) in
        [(1, "the topic is not valid UTF-8"), (2, "the topic contains the character NUL")]
    {
        let Arrival::Unreadable { reason, ticket, .. } = rig.arrival() else { panic!() };
        assert_eq!(reason, wanted);
        rig.sign(ticket);
        assert_eq!(peer.acks(1), [(PUBACK, packet_id)]);
    }
}

#[test]
fn a_refused_subscription_shows_and_is_tried_again_on_the_same_connection() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.rules.push(rule("secret/#", Qos::AtLeastOnce));
    let rig = Rig::start(&settings, quick());
    let mut peer = fake.welcome(false, true);
    let second = peer.subscribed();
    peer.send(&[0x90, 3, second[0], second[1], 0x80]);
    rig.wait_until("refused", |session| session.error.contains("'secret/#'"));
    assert!(rig.session().connected && !rig.session().subscriptions_ready);
    assert_eq!(peer.subscribed(), second);
    // Less than asked for is no better where the broker is the only buffer.
    peer.send(&[0x90, 3, second[0], second[1], 0]);
    rig.wait_until("downgraded", |session| session.error.contains("grants QoS 0 and not 1"));
    assert_eq!(peer.subscribed(), second);
    peer.send(&[0x90, 3, second[0], second[1], 1]);
    rig.wait_until_ready();
    assert_eq!(rig.session().error, "");
    peer.publish(0, "a", 0, b"still here");
    assert_eq!(rig.message().0, "still here");
}

#[test]
fn a_subscription_that_is_never_answered_is_tried_again() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, false);
    let first = peer.subscribed();
    assert_eq!(peer.subscribed(), first);
    assert!(!rig.session().subscriptions_ready);
}

#[test]
fn a_broker_that_does_not_speak_5_is_used_with_3_1_1() {
    let answers: [&[u8]; 3] = [b"\x20\x02\0\x01", b"\x20\x03\0\x84\0", b""];
    for answer in answers {
        let fake = Fake::new();
        let mut settings = broker(fake.port());
        settings.version = Version::V5;
        settings.shared_group = Some("team".to_owned());
        let rig = Rig::start(&settings, quick());
        let (mut peer, connect) = fake.accept();
        assert_eq!(connect[6], 5, "MQTT 5 is tried first");
        peer.send(answer);
        drop(peer);
        let (mut peer, connect) = fake.accept();
        assert_eq!(connect[6], 4, "after {answer:?}");
        peer.send(b"\x20\x02\0\0");
        let (first, body) = peer.read();
        assert_eq!((first, &body[4..]), (0x82, &b"$share/team/a/#\x01"[..]));
        peer.send(&[0x90, 3, body[0], body[1], 1]);
        rig.wait_until_ready();
        drop(peer);
        let (_peer, connect) = fake.accept();
        assert_eq!(connect[6], 4, "it stays so");
    }
}

#[test]
fn a_broker_that_only_closed_once_is_asked_for_5_again() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.version = Version::V5;
    let _rig = Rig::start(&settings, quick());
    for wanted in [5, 4, 5, 4, 5] {
        let (_closed, connect) = fake.accept();
        assert_eq!(connect[6], wanted);
    }
}

#[test]
fn mqtt_5_reasons_are_told_in_words() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.version = Version::V5;
    let rig = Rig::start(&settings, quick());
    let (mut peer, connect) = fake.accept();
    assert_eq!(connect[6], 5);
    peer.send(b"\x20\x03\0\0\0");
    let packet_id = peer.subscribed();
    peer.send(&[0x90, 4, packet_id[0], packet_id[1], 0, 1]);
    rig.wait_until_ready();
    peer.send(b"\x32\x09\0\x01a\0\x07\0one");
    rig.sign(rig.message().1);
    assert_eq!(peer.acks(1), [(PUBACK, 7)]);
    peer.send(b"\xe0\x01\x8e");
    rig.wait_until("taken over", |session| {
        session.error.contains("another client has connected with the same client id, `agent`")
    });
    let (mut peer, connect) = fake.accept();
    assert_eq!(connect[6], 5, "a broker that has spoken 5 goes on to");
    peer.send(b"\x20\x08\0\x86\x05\x1f\0\x02no");
    rig.wait_until("refused", |session| {
        session.error == "the broker refuses the connection: user name or password is wrong (`no`)"
    });
}

#[test]
fn credentials_that_are_refused_are_tried_for_ever_and_shown() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    for _ in 0..3 {
        let (mut peer, _) = fake.accept();
        peer.send(b"\x20\x02\0\x05");
        rig.wait_until("refused", |session| session.error.contains("not authorised"));
    }
    let _peer = fake.welcome(false, true);
}

#[test]
fn a_full_queue_stops_reading_and_keeps_the_connection() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.keep_alive = Duration::from_secs(1);
    let rig = Rig::start(&settings, quick());
    let mut peer = fake.welcome(false, true);
    rig.make_full();
    peer.publish(QOS_1, "a", 1, b"one");
    rig.wait_until("full", |session| session.error == "the queue is full: reading stopped");
    peer.publish(QOS_1, "a", 2, b"two");
    // The answers are not read either; that this is forgiven for ever is tested in virtual time.
    for _ in 0..2 {
        assert_eq!(peer.read().0, 0xC0, "pings go on");
        peer.send(&[0xD0, 0]);
    }
    assert!(rig.session().connected);
    rig.nothing_arrives();
    assert!(rig.refusals() >= 1);
    rig.make_room();
    for (wanted, packet_id) in [("one", 1), ("two", 2)] {
        let (payload, ticket) = rig.message();
        assert_eq!(payload, wanted);
        rig.sign(ticket);
        let ack = until("the ack comes", || match peer.read() {
            (0xC0, _) => None,
            ack => Some(ack),
        });
        assert_eq!(ack, (PUBACK, vec![0, packet_id]));
    }
    rig.wait_until("well", |session| session.error.is_empty());
}

#[test]
fn a_batch_that_was_refused_survives_its_connection() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    rig.make_full();
    peer.publish(QOS_1, "a", 1, b"one");
    rig.wait_until("full", |session| session.error.contains("full"));
    drop(peer);
    rig.wait_until("down", |session| !session.connected);
    let mut peer = fake.welcome(true, true);
    peer.publish(QOS_1 | DUP, "a", 1, b"one");
    rig.wait_until("up", |session| session.connected && session.error.contains("full"));
    rig.make_room();
    rig.sign(rig.message().1);
    assert_eq!(peer.acks(1), [(PUBACK, 1)]);
    rig.nothing_arrives();
}

#[test]
fn messages_in_our_hands_are_bounded() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    let count = 3 * IN_HAND_MAX;
    let mut writer = Peer(peer.0.try_clone().unwrap());
    let payload = vec![b'x'; 1_000];
    let sender = std::thread::spawn(move || {
        for packet_id in 1..=u16::try_from(count).unwrap() {
            writer.publish(QOS_1, "a", packet_id, &payload);
        }
    });
    let mut tickets: Vec<u64> = (0..IN_HAND_MAX).map(|_| rig.message().1).collect();
    // One read may go beyond the limit, not more.
    while let Some(ticket) = rig.message_within(Duration::from_millis(300)) {
        tickets.push(ticket);
    }
    assert!(tickets.len() < IN_HAND_MAX + 100, "{}", tickets.len());
    for ticket in tickets.drain(..) {
        rig.sign(ticket);
    }
    let mut acked = 0;
    while acked < count {
        // A ping is not answered: the other thread writes.
        acked += usize::from(peer.read().0 == PUBACK);
        while let Some(ticket) = rig.message_within(Duration::ZERO) {
            rig.sign(ticket);
        }
    }
    sender.join().unwrap();
}

#[test]
fn retained_copies_are_not_multiplied() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    peer.publish(QOS_1 | RETAIN, "a/state", 1, b"on");
    rig.sign(rig.message().1);
    assert_eq!(peer.acks(1), [(PUBACK, 1)]);
    drop(peer);
    let mut peer = fake.welcome(false, true);
    peer.publish(QOS_1 | RETAIN, "a/state", 1, b"on");
    assert_eq!(peer.acks(1), [(PUBACK, 1)]);
    peer.publish(QOS_1 | RETAIN, "a/state", 2, b"off");
    assert_eq!(rig.message().0, "off");
}

#[test]
fn a_connection_that_ends_at_once_makes_the_next_wait_longer() {
    let fake = Fake::new();
    let reconnect = Backoff { first: Duration::from_millis(40), longest: Duration::from_secs(10) };
    let rig = Rig::start(&broker(fake.port()), Timing { reconnect, ..quick() });
    let begin = Instant::now();
    for session_present in [false, true, true, true, true] {
        drop(fake.welcome(session_present, true));
    }
    // The fixed halves of 40, 80, 160 and 320 ms: a message or a CONNACK is no reason to hurry.
    assert!(begin.elapsed() > Duration::from_millis(300), "{:?}", begin.elapsed());
    rig.wait_until("explained", |session| {
        session.error.ends_with("it may be that another client uses the client id `agent`")
    });
}

/// How often the session's thread has gone to sleep.
#[cfg(target_os = "linux")]
fn sleeps() -> u64 {
    let status = std::fs::read_dir("/proc/self/task").unwrap().find_map(|task| {
        let task = task.unwrap().path();
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        (name.trim() == "mqtt sleeper")
            .then(|| std::fs::read_to_string(task.join("status")).unwrap())
    });
    let status = status.expect("the session runs");
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_session_sleeps_even_while_the_queue_is_full() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.name = "sleeper".to_owned();
    let rig = Rig::start(&settings, quick());
    let mut peer = fake.welcome(false, true);
    peer.publish(QOS_1, "a", 1, b"one");
    let ticket = rig.message().1;
    for full in [false, true] {
        if full {
            rig.make_full();
            peer.publish(QOS_1, "a", 2, b"two");
            peer.publish(QOS_1, "a", 3, b"three");
            until("it is refused", || (rig.refusals() > 0).then_some(()));
        }
        let before = until("it sleeps", || {
            let before = sleeps();
            rig.nothing_arrives_for(Duration::from_millis(50));
            (sleeps() == before).then_some(before)
        });
        rig.nothing_arrives_for(Duration::from_millis(1_000));
        assert_eq!(sleeps(), before);
    }
    rig.sign(ticket);
    assert_eq!(peer.acks(1), [(PUBACK, 1)]);
}

#[test]
fn a_silent_broker_is_left() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.keep_alive = Duration::from_secs(1);
    let rig = Rig::start(&settings, quick());
    let mut peer = fake.welcome(false, true);
    assert_eq!(peer.read().0, 0xC0);
    rig.wait_until("lost", |session| session.error == "the broker does not answer a ping");
    let _peer = fake.welcome(true, true);
}

#[test]
fn a_broker_that_does_not_finish_the_handshake_is_left() {
    let fake = Fake::new();
    let timing = Timing { connect: Duration::from_secs(2), ..quick() };
    let rig = Rig::start(&broker(fake.port()), timing);
    let _silent = fake.accept();
    rig.wait_until("left", |session| session.error.starts_with("no CONNACK within"));
    let _peer = fake.welcome(false, true);
}

#[test]
fn nonsense_is_no_reason_to_panic_or_to_lose_what_came_before() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    let mut bytes = publish(QOS_1, b"a", 1, b"one");
    bytes.extend(b"\x10\x02\0\0");
    peer.send(&bytes);
    assert_eq!(rig.message().0, "one");
    rig.wait_until("told", |session| {
        session.error.starts_with("the broker sent a malformed packet")
    });
    for nonsense in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\xff\xff\xff\xff\xff", b"\x32\x01"]
    {
        let (mut peer, _) = fake.accept();
        peer.send(nonsense);
    }
    let _peer = fake.welcome(true, true);
    rig.wait_until_ready();
}

#[test]
fn a_stop_waits_for_receipts_and_says_goodbye() {
    let fake = Fake::new();
    let mut rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = fake.welcome(false, true);
    peer.publish(QOS_1, "a", 1, b"one");
    let ticket = rig.message().1;
    let running = rig.begin_to_stop();
    // Not read any more: it stays with the broker.
    peer.publish(QOS_1, "a", 2, b"two");
    rig.sign(ticket);
    assert_eq!(peer.acks(1), [(PUBACK, 1)]);
    assert_eq!(peer.rest(), [0xE0]);
    drop(peer);
    running.join();
    rig.nothing_arrives();
    assert_eq!(rig.session().error, "stopped");
}

#[test]
fn a_stop_does_not_wait_for_ever_and_what_is_safe_is_acknowledged() {
    let fake = Fake::new();
    let timing = Timing { farewell: Duration::from_millis(200), ..quick() };
    let mut rig = Rig::start(&broker(fake.port()), timing);
    let mut peer = fake.welcome(false, true);
    peer.publish(QOS_1, "a", 1, b"stuck");
    peer.publish(QOS_1, "a", 2, b"done");
    let _stuck = rig.message();
    let done = rig.message().1;
    rig.sign(done);
    let running = rig.begin_to_stop();
    assert_eq!(peer.acks(1), [(PUBACK, 2)]);
    assert_eq!(peer.rest(), [0xE0]);
    drop(peer);
    running.join();
}

#[test]
fn at_a_stop_an_alert_of_which_a_part_is_open_keeps_its_resolve_with_the_broker() {
    let fake = Fake::new();
    let timing = Timing { farewell: Duration::from_millis(200), ..quick() };
    let mut rig = Rig::start(&broker(fake.port()), timing);
    let mut peer = fake.welcome(false, true);
    peer.publish(QOS_1, "a", 1, b"another");
    peer.publish(QOS_1, "a", 2, b"ALERT, for two sinks");
    peer.publish(QOS_1, "a", 3, b"RESOLVE");
    let [another, alert, resolve] = [(); 3].map(|()| rig.message().1);
    rig.sign_partly(alert);
    rig.sign(resolve);
    rig.sign(another);
    let running = rig.begin_to_stop();
    assert_eq!(peer.acks(1), [(PUBACK, 1)]);
    assert_eq!(peer.rest(), [0xE0]);
    drop(peer);
    running.join();
}

#[test]
fn a_stop_is_obeyed_at_once_wherever_the_session_is() {
    // Waiting to connect again, for CONNACK, and with nobody listening.
    let long = Backoff { first: PATIENCE, longest: PATIENCE };
    let slow = Timing { connect: PATIENCE, reconnect: long, ..thorough() };
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), slow);
    let _silent = fake.accept();
    rig.stop_without_a_wait();

    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), slow);
    drop(fake.accept());
    rig.wait_until("hung up on", |session| !session.error.is_empty());
    rig.stop_without_a_wait();

    let fake = Fake::new();
    let port = fake.port();
    drop(fake);
    let mut settings = broker(port);
    settings.host = "localhost".to_owned();
    let rig = Rig::start(&settings, slow);
    rig.wait_until("refused", |session| session.error.starts_with("cannot connect to localhost"));
    rig.stop_without_a_wait();
}
