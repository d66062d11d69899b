//! Subscriptions over connections and restarts, against a broker that forgets, hangs up and keeps
//! silent on command.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use ilagent::config::{Qos, Rule, Version};
use ilagent::mqtt::session::Timing;
use std::sync::Mutex;
use std::time::Duration;
use support::session::{Fake, Notes, Peer, Rig, broker, quick, rule};
use support::until;

/// Flags of a PUBLISH.
const QOS_1: u8 = 2;
const RETAIN: u8 = 1;

/// First bytes.
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const UNSUBSCRIBE: u8 = 0xA2;

fn rules(filters: &[&str]) -> Vec<Rule> {
    filters.iter().map(|filter| rule(filter, Qos::AtLeastOnce)).collect()
}

/// Accepts a connection of MQTT 3.1.1 and says whether the session was kept.
fn welcome(fake: &Fake, session_present: bool) -> Peer {
    let (mut peer, _) = fake.accept();
    peer.send(&[0x20, 2, u8::from(session_present), 0]);
    peer
}

/// Reads the next packet, which has to be a SUBSCRIBE or UNSUBSCRIBE of MQTT 3.1.1 for `filter`.
fn expect(peer: &mut Peer, first: u8, filter: &str) -> [u8; 2] {
    let (found, body) = peer.read_on();
    let end = 4 + usize::from(body[3]);
    assert_eq!((found, std::str::from_utf8(&body[4..end]).unwrap()), (first, filter));
    [body[0], body[1]]
}

/// Grants the next SUBSCRIBE, which has to be for `filter`.
fn grant(peer: &mut Peer, filter: &str) {
    let [high, low] = expect(peer, SUBSCRIBE, filter);
    peer.send(&[0x90, 3, high, low, 1]);
}

/// Publishes to the agent and waits until it has acknowledged: what it sent before is read by then.
fn check_acknowledged(rig: &Rig, peer: &mut Peer, packet_id: u8) {
    peer.publish(QOS_1, "a/x", packet_id.into(), b"still here");
    let (payload, ticket) = rig.message();
    assert_eq!(payload, "still here");
    rig.sign(ticket);
    assert_eq!(peer.acks(1), [(PUBACK, packet_id.into())]);
}

/// An agent that is ready with a/# and has seen one retained message and one live one.
fn first_life(fake: &Fake, notes: &Notes) -> (Rig, Peer) {
    let rig = Rig::remembering(&broker(fake.port()), quick(), notes);
    let mut peer = welcome(fake, false);
    grant(&mut peer, "a/#");
    rig.wait_until_ready();
    peer.publish(QOS_1 | RETAIN, "a/kept", 1, b"on");
    rig.sign(rig.message().1);
    peer.publish(QOS_1, "a/live", 2, b"on");
    rig.sign(rig.message().1);
    assert_eq!(peer.acks(2), [(PUBACK, 1), (PUBACK, 2)]);
    until("the copy is written down", || {
        notes.read("retained").contains("copies\":{\"").then_some(())
    });
    (rig, peer)
}

#[test]
fn a_session_without_its_subscriptions_is_found_at_the_next_connection() {
    let fake = Fake::new();
    let (rig, peer) = first_life(&fake, &Notes::default());
    drop(peer);
    let mut peer = welcome(&fake, true);
    grant(&mut peer, "a/#");
    rig.wait_until_ready();
    // Copies of what is known come once more, and are not handed in.
    peer.publish(QOS_1 | RETAIN, "a/kept", 3, b"on");
    peer.publish(QOS_1 | RETAIN, "a/live", 4, b"on");
    assert_eq!(peer.acks(2), [(PUBACK, 3), (PUBACK, 4)]);
    rig.nothing_arrives();
    check_acknowledged(&rig, &mut peer, 5);
}

#[test]
fn mqtt_5_asks_for_retained_messages_only_where_the_subscription_is_new() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.version = Version::V5;
    let _rig = Rig::start(&settings, quick());
    for session_present in [0, 1, 1] {
        let (mut peer, _) = fake.accept();
        peer.send(&[0x20, 3, session_present, 0, 0]);
        let (first, body) = peer.read_on();
        assert_eq!((first, &body[2..]), (SUBSCRIBE, &b"\0\0\x03a/#\x11"[..]));
        peer.send(&[0x90, 4, body[0], body[1], 0, 1]);
    }
}

#[test]
fn after_a_crash_what_is_on_record_is_believed_and_no_retained_message_comes_again() {
    let fake = Fake::new();
    let notes = Notes::default();
    let (rig, peer) = first_life(&fake, &notes);
    let left = notes.snapshot();
    rig.stop();
    drop(peer);
    let rig = Rig::remembering(&broker(fake.port()), quick(), &left);
    let mut peer = welcome(&fake, true);
    rig.wait_until_ready();
    check_acknowledged(&rig, &mut peer, 7);
    rig.nothing_arrives();
}

#[test]
fn after_an_orderly_stop_it_subscribes_again_and_knows_every_copy() {
    let fake = Fake::new();
    let notes = Notes::default();
    let (rig, peer) = first_life(&fake, &notes);
    rig.stop();
    drop(peer);
    let rig = Rig::remembering(&broker(fake.port()), quick(), &notes);
    let mut peer = welcome(&fake, true);
    grant(&mut peer, "a/#");
    for (topic, packet_id) in [("a/kept", 3), ("a/live", 4)] {
        peer.publish(QOS_1 | RETAIN, topic, packet_id, b"on");
        assert_eq!(peer.acks(1), [(PUBACK, packet_id)]);
    }
    rig.nothing_arrives();
    peer.publish(QOS_1 | RETAIN, "a/new", 5, b"on");
    let (payload, ticket) = rig.message();
    assert_eq!(payload, "on", "it was published while nobody listened");
    rig.sign(ticket);
    assert_eq!(peer.acks(1), [(PUBACK, 5)]);
    // A broker that leaves the flag on live messages: when as many copies have come as there were
    // subscriptions, of this process and the one before, the next is none.
    peer.publish(QOS_1 | RETAIN, "a/kept", 6, b"on");
    assert_eq!(peer.acks(1), [(PUBACK, 6)]);
    rig.nothing_arrives();
    peer.publish(QOS_1 | RETAIN, "a/kept", 7, b"on");
    assert_eq!(rig.message().0, "on");
}

#[test]
fn a_copy_that_was_not_safe_comes_again_after_a_crash() {
    let fake = Fake::new();
    let notes = Notes::default();
    let rig = Rig::remembering(&broker(fake.port()), quick(), &notes);
    let mut peer = welcome(&fake, false);
    grant(&mut peer, "a/#");
    peer.publish(QOS_1 | RETAIN, "a/kept", 1, b"on");
    assert_eq!(rig.message().0, "on");
    drop(peer);
    rig.stop(); // Signed by nobody.
    let rig = Rig::remembering(&broker(fake.port()), quick(), &notes);
    let mut peer = until("it subscribes", || {
        let mut peer = welcome(&fake, false);
        let (first, body) = peer.try_read().ok()?;
        assert_eq!(first, SUBSCRIBE);
        peer.send(&[0x90, 3, body[0], body[1], 1]);
        Some(peer)
    });
    peer.publish(QOS_1 | RETAIN, "a/kept", 1, b"on");
    assert_eq!(rig.message().0, "on");
}

#[test]
fn a_retained_copy_is_marked_and_a_live_message_is_not() {
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    let mut peer = welcome(&fake, false);
    grant(&mut peer, "a/#");
    for (flags, retained) in [(QOS_1 | RETAIN, true), (QOS_1, false), (QOS_1 | RETAIN, false)] {
        peer.publish(flags, "a/beat", 1, b"alive");
        let ilagent::message::Arrival::Message { message, ticket } = rig.arrival() else {
            panic!()
        };
        assert_eq!(message.retained, retained);
        rig.sign(ticket);
        assert_eq!(peer.acks(1), [(PUBACK, 1)]);
    }
}

#[test]
fn what_an_earlier_configuration_subscribed_to_is_given_back() {
    for version in [Version::V311, Version::V5] {
        let fake = Fake::new();
        let notes = Notes::default();
        let mut settings = broker(fake.port());
        settings.version = version;
        let properties = usize::from(version == Version::V5);
        let connack: &[u8] = if properties == 1 { b"\x20\x03\x01\0\0" } else { b"\x20\x02\x01\0" };
        let ack = |peer: &mut Peer, first: u8, code: Option<u8>| {
            let (found, body) = peer.read_on();
            assert_eq!(found, first);
            let answer = [&body[..2], &[0][..properties], code.as_slice()].concat();
            let kind = if first == SUBSCRIBE { 0x90 } else { 0xB0 };
            peer.send(&[&[kind, u8::try_from(answer.len()).unwrap()], &answer[..]].concat());
            String::from_utf8_lossy(&body[2..]).into_owned()
        };
        settings.rules = rules(&["#"]);
        let rig = Rig::remembering(&settings, quick(), &notes);
        let (mut peer, _) = fake.accept();
        peer.send(connack);
        ack(&mut peer, SUBSCRIBE, Some(1));
        rig.wait_until_ready();
        rig.stop();
        drop(peer);

        settings.rules = rules(&["a/#", "b"]);
        let rig = Rig::remembering(&settings, quick(), &notes);
        let mut peer = until("the new one", || {
            let (mut peer, _) = fake.accept();
            peer.send(connack);
            let first = peer.try_read().ok()?;
            assert_eq!(first.0, SUBSCRIBE);
            let answer = [&first.1[..2], &[0][..properties], &[1]].concat();
            peer.send(&[&[0x90, u8::try_from(answer.len()).unwrap()], &answer[..]].concat());
            Some(peer)
        });
        assert!(ack(&mut peer, SUBSCRIBE, Some(1)).contains('b'));
        let no_code = (version == Version::V5).then_some(0);
        assert!(ack(&mut peer, UNSUBSCRIBE, no_code).ends_with('#'));
        until("it is written down", || {
            let text = notes.read("subscriptions");
            (text == r#"{"a/#":1,"b":1}"#).then_some(())
        });
        rig.wait_until_ready();
    }
}

#[test]
fn a_broker_that_hangs_up_at_a_subscription_gets_the_others() {
    let fake = Fake::new();
    let mut settings = broker(fake.port());
    settings.rules = rules(&["a/#", "forbidden/#", "c"]);
    let timing = Timing { left_out: Duration::from_secs(3), ..quick() };
    let rig = Rig::start(&settings, timing);
    let words = "the broker closed the connection without answering the subscription";
    // All at once, twice; then one by one.
    for _ in 0..2 {
        let mut peer = welcome(&fake, false);
        grant(&mut peer, "a/#");
        expect(&mut peer, SUBSCRIBE, "forbidden/#");
        drop(peer);
        rig.wait_until("told", |session| session.error.starts_with(words));
    }
    let mut peer = welcome(&fake, false);
    grant(&mut peer, "a/#");
    expect(&mut peer, SUBSCRIBE, "forbidden/#");
    drop(peer);
    let mut peer = welcome(&fake, false);
    grant(&mut peer, "a/#");
    grant(&mut peer, "c");
    rig.wait_until("told", |session| {
        session.connected
            && session.error
                == "the broker closed the connection without answering the subscription to \
                    'forbidden/#': it may not be allowed, or its QoS; it is left out for a while"
    });
    check_acknowledged(&rig, &mut peer, 1);
    // After a while it is asked for again.
    grant(&mut peer, "forbidden/#");
    rig.wait_until_ready();
    assert_eq!(rig.session().error, "");
}

#[test]
fn a_subscription_that_is_not_answered_is_told_at_once() {
    let fake = Fake::new();
    let timing = Timing { subscribe: Timing::default().subscribe, ..quick() };
    let rig = Rig::start(&broker(fake.port()), timing);
    let mut peer = welcome(&fake, false);
    let [high, low] = expect(&mut peer, SUBSCRIBE, "a/#");
    rig.wait_until("told", |session| {
        session.connected
            && session.error == "the broker has not answered the subscription to 'a/#'"
    });
    peer.send(&[0x90, 3, high, low, 1]);
    rig.wait_until_ready();
    assert_eq!(rig.session().error, "");
}

#[test]
fn a_refused_subscription_is_asked_for_again_within_half_a_minute() {
    let subscribe = Timing::default().subscribe;
    for tries in 1..20 {
        assert!(subscribe.wait_after(tries, 1.0) <= Duration::from_secs(30));
    }
}

#[test]
fn a_second_client_is_suspected_only_where_there_may_be_one() {
    const HINT: &str = "another client uses the client id";
    let fake = Fake::new();
    let rig = Rig::start(&broker(fake.port()), quick());
    // A malformed packet, and a subscription that is not answered, have other causes.
    for round in 0..6 {
        let mut peer = welcome(&fake, false);
        let words = if round % 2 == 0 {
            grant(&mut peer, "a/#");
            peer.send(b"\xff\xff\xff\xff\xff");
            "malformed"
        } else {
            expect(&mut peer, SUBSCRIBE, "a/#");
            "without answering"
        };
        drop(peer);
        rig.wait_until(words, |session| session.error.contains(words));
        assert!(!rig.session().error.contains(HINT), "{:?}", rig.session());
    }
    for _ in 0..3 {
        let mut peer = welcome(&fake, true);
        grant(&mut peer, "a/#");
        rig.wait_until_ready();
    }
    rig.wait_until("suspected", |session| session.error.contains(HINT));
}

#[test]
fn a_lost_session_and_a_short_one_are_told_once() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    struct Log;
    impl log::Log for Log {
        fn enabled(&self, metadata: &log::Metadata) -> bool {
            metadata.level() <= log::Level::Warn
        }
        fn log(&self, record: &log::Record) {
            if self.enabled(record.metadata()) {
                SAID.lock().unwrap().push(record.args().to_string());
            }
        }
        fn flush(&self) {}
    }
    let said =
        |words: &str| SAID.lock().unwrap().iter().filter(|line| line.contains(words)).count();
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Warn);

    let fake = Fake::new();
    let notes = Notes::default();
    let mut settings = broker(fake.port());
    "short".clone_into(&mut settings.name);
    settings.version = Version::V5;
    let rig = Rig::remembering(&settings, quick(), &notes);
    let serve = |session_present: u8| {
        let (mut peer, _) = fake.accept();
        peer.send(&[0x20, 8, session_present, 0, 5, 0x11, 0, 0, 0x0E, 0x10]);
        let (first, body) = peer.read_on();
        assert_eq!(first, SUBSCRIBE);
        peer.send(&[0x90, 4, body[0], body[1], 0, 1]);
        peer
    };
    drop(serve(0));
    assert_eq!(said("mqtt short: the broker has not kept the session"), 0, "there was none");
    for _ in 0..3 {
        drop(serve(0));
    }
    drop(serve(1));
    assert_eq!(said("mqtt short: the broker has not kept the session"), 1);
    assert_eq!(said("mqtt short: the broker keeps the session for only 3600 s"), 1);
    rig.stop();

    "later".clone_into(&mut settings.name);
    let _rig = Rig::remembering(&settings, quick(), &notes);
    until("the new one has told", || {
        drop(serve(0));
        (said("mqtt later: the broker has not kept the session") == 1).then_some(())
    });
    let words = "what was published since the agent was connected last is lost";
    assert_eq!(said(&format!("mqtt later: the broker has not kept the session: {words}")), 1);
}
