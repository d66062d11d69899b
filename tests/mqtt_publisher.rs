//! Publishing, with the queue in front of it: against a broker that follows a script, and against
//! the mosquitto that is installed.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use ilagent::config::{self, Qos, Version};
use ilagent::queue::Storing;
use std::net::TcpStream;
use support::aedes::Aedes;
use support::broker::Broker;
use support::publisher::Publisher;
use support::publishing::Publishing;
use support::session::{Fake, Peer, Rig, broker, framed, quick};
use support::subscriber::Subscriber;
use support::{Folder, PATIENCE, free_port, not_tested, wait_until};

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const QUALITIES: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
const QOS_1: Qos = Qos::AtLeastOnce;
const QOS_2: Qos = Qos::ExactlyOnce;

fn settings(port: u16, version: Version) -> config::Broker {
    config::Broker { version, ..broker(port) }
}

/// Without the delay of small packets, which makes tests slow.
fn mosquitto(lines: &str) -> Broker {
    Broker::with(&format!("persistence false\nset_tcp_nodelay true\n{lines}"))
}

/// Accepts a connection. Whether it begins clean is part of the CONNECT.
#[track_caller]
fn accept(fake: &Fake, version: Version, begins_clean: bool, session_present: bool) -> Peer {
    accept_with(fake, version, begins_clean, session_present, &[])
}

/// The same, with properties of MQTT 5.
#[track_caller]
fn accept_with(
    fake: &Fake,
    version: Version,
    begins_clean: bool,
    session_present: bool,
    properties: &[u8],
) -> Peer {
    let (mut peer, connect) = fake.accept();
    assert_eq!(connect[7] & 2 != 0, begins_clean, "{connect:?}");
    assert!(connect.ends_with(b"\0\x09agent-out"), "{connect:?}");
    let mut body = vec![u8::from(session_present), 0];
    if version == Version::V5 {
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend(properties);
    }
    peer.send(&framed(0x20, &body));
    peer
}

/// The first connection of a process; the one before it only begins clean.
#[track_caller]
fn welcome(fake: &Fake, version: Version, properties: &[u8]) -> Peer {
    let mut peer = accept(fake, version, true, false);
    assert_eq!(peer.rest(), [0xE0]);
    accept_with(fake, version, false, version == Version::V5, properties)
}

/// The next packet: its first byte, and the packet id of a PUBLISH on a topic of one letter.
#[track_caller]
fn next(peer: &mut Peer) -> (u8, u16) {
    let (first, body) = peer.read_on();
    let at = if first >> 4 == 3 { 3 } else { 0 };
    (first, u16::from_be_bytes([body[at], body[at + 1]]))
}

#[test]
fn a_process_begins_clean_and_keeps_its_session_over_reconnects() {
    for version in VERSIONS {
        let fake = Fake::new();
        let _publishing = Publishing::with(&settings(fake.port(), version));
        drop(welcome(&fake, version, &[]));
        drop(accept(&fake, version, false, true));
        accept(&fake, version, false, false);
    }
}

#[test]
fn what_is_not_answered_goes_again_in_its_order_and_is_signed_in_its_order() {
    for version in VERSIONS {
        let fake = Fake::new();
        let mut publishing = Publishing::with(&settings(fake.port(), version));
        let mut peer = welcome(&fake, version, &[]);
        for qos in [QOS_1, QOS_1, QOS_2] {
            publishing.publish("t", qos, "x");
        }
        assert_eq!(
            [next(&mut peer), next(&mut peer), next(&mut peer)],
            [(0x32, 1), (0x32, 2), (0x34, 3)]
        );
        peer.send(&[0x40, 2, 0, 1]);
        wait_until("the first is signed", || publishing.signed() == [0]);
        peer.send(&[0x50, 2, 0, 3]);
        assert_eq!(next(&mut peer), (0x62, 3));
        drop(peer);
        let mut peer = accept(&fake, version, false, true);
        assert_eq!(next(&mut peer), (0x3A, 2), "alone, as it may be why the connection ended");
        peer.send(&[0x40, 2, 0, 2]);
        assert_eq!(next(&mut peer), (0x62, 3), "the broker has it");
        // Somebody else's id, or one that is lost: it has to be released.
        peer.send(&[0x50, 2, 0, 9]);
        assert_eq!(next(&mut peer), (0x62, 9));
        peer.send(&[0x70, 2, 0, 3]);
        publishing.wait_until_all_are_signed();
        assert_eq!(publishing.signed(), [0, 1, 2]);
    }
}

#[test]
fn what_a_broker_without_a_session_had_is_new_to_it() {
    let fake = Fake::new();
    let mut publishing = Publishing::to(fake.port());
    let mut peer = welcome(&fake, Version::V311, &[]);
    publishing.publish("t", QOS_2, "x");
    assert_eq!(next(&mut peer), (0x34, 1));
    peer.send(&[0x50, 2, 0, 1]);
    assert_eq!(next(&mut peer), (0x62, 1));
    drop(peer);
    let mut peer = accept(&fake, Version::V311, false, false);
    assert_eq!(next(&mut peer), (0x34, 2));
    peer.send(&[0x50, 2, 0, 2, 0x70, 2, 0, 2]);
    publishing.wait_until_all_are_signed();
}

#[test]
fn a_publication_that_the_broker_dislikes_is_given_up_and_holds_up_no_other() {
    let fake = Fake::new();
    let mut publishing = Publishing::to(fake.port());
    let mut peer = welcome(&fake, Version::V311, &[]);
    publishing.publish("t", QOS_2, "bad");
    publishing.publish("t", QOS_1, "good");
    for _ in 0..3 {
        assert_eq!(next(&mut peer).0 & 0x36, 0x34);
        drop(peer);
        // The last of them begins clean, as the broker may know the one that is given up.
        let (mut next, connect) = fake.accept();
        next.send(&[0x20, 2, u8::from(connect[7] & 2 == 0), 0]);
        peer = next;
    }
    assert_eq!(peer.rest(), [0xE0], "it only began clean");
    let mut peer = accept(&fake, Version::V311, false, false);
    assert_eq!(next(&mut peer), (0x32, 2));
    peer.send(&[0x40, 2, 0, 2]);
    publishing.wait_for_letters(1);
    publishing.wait_until_all_are_signed();
    assert_eq!(publishing.sink().given_up, 1);
}

#[test]
fn the_limits_of_a_broker_are_obeyed() {
    let fake = Fake::new();
    let mut publishing = Publishing::with(&settings(fake.port(), Version::V5));
    // Receive maximum 1, maximum QoS 1, nothing retained, packets of 20 bytes.
    let limits = b"\x21\0\x01\x24\x01\x25\0\x27\0\0\0\x14";
    let mut peer = welcome(&fake, Version::V5, limits);
    publishing.push("t", QOS_1, true, "retained", Storing::IfRefused);
    publishing.publish("t", QOS_1, "longer than it may be");
    publishing.publish("t", QOS_2, "x");
    publishing.publish("t", QOS_1, "y");
    assert_eq!(next(&mut peer), (0x32, 1));
    publishing.wait_for_letters(2);
    // Quota exceeded: it is tried again, behind the other.
    peer.send(&[0x40, 3, 0, 1, 0x97]);
    assert_eq!(next(&mut peer), (0x32, 2));
    peer.send(&[0x40, 3, 0, 2, 0x10]);
    assert_eq!(next(&mut peer), (0x32, 3));
    // The payload has the wrong format: never again.
    peer.send(&[0x40, 3, 0, 3, 0x99]);
    publishing.wait_for_letters(3);
    publishing.wait_until_all_are_signed();
}

#[test]
fn qos_0_is_delivered_when_it_is_written_and_waits_for_a_connection() {
    let fake = Fake::new();
    let mut publishing = Publishing::to(fake.port());
    publishing.publish("t", Qos::AtMostOnce, "early");
    let mut peer = welcome(&fake, Version::V311, &[]);
    assert_eq!(peer.read_on().1, b"\0\x01tearly");
    publishing.wait_until_all_are_signed();
}

#[test]
fn at_the_stop_what_is_answered_is_settled_and_the_rest_stays_in_the_queue() {
    let fake = Fake::new();
    let mut publishing = Publishing::to(fake.port());
    let mut peer = welcome(&fake, Version::V311, &[]);
    for _ in 0..2 {
        publishing.push("t", QOS_1, false, "x", Storing::AtOnce);
        assert_eq!(next(&mut peer).0, 0x32);
    }
    let stopping = std::thread::spawn(move || (publishing.stop(), publishing));
    peer.send(&[0x40, 2, 0, 1]);
    assert_eq!(peer.rest(), [0xE0]);
    let (took, publishing) = stopping.join().unwrap();
    assert!(took < PATIENCE / 6, "{took:?}");
    assert_eq!(publishing.waiting_after_a_restart(), 1);
}

#[test]
fn every_quality_arrives_in_order_in_both_versions() {
    for version in VERSIONS {
        for storing in [Storing::IfRefused, Storing::AtOnce] {
            // With a window to the subscriber, what has QoS 0 overtakes the rest there.
            let mosquitto = mosquitto("max_inflight_messages 0\n");
            let subscriber = Subscriber::new(mosquitto.port(), "#");
            let mut publishing = Publishing::with(&settings(mosquitto.port(), version));
            for number in 0..60 {
                let qos = QUALITIES[number % 3];
                publishing.push("a/b", qos, number == 58, &number.to_string(), storing);
            }
            let received = subscriber.wait_for(60);
            assert_eq!(subscriber.texts(), numbers(60));
            assert!(received.iter().enumerate().all(|(at, one)| usize::from(one.qos) == at % 3));
            publishing.wait_until_all_are_signed();
            assert_eq!(publishing.sink().delivered, 60);
            let late = Subscriber::new(mosquitto.port(), "#").wait_for(1);
            assert_eq!((late[0].text().as_str(), late[0].retain), ("58", true));
        }
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn a_restart_in_the_middle_repeats_nothing_of_qos_2() {
    for version in VERSIONS {
        let mut mosquitto = Broker::persistent();
        let subscriber = Subscriber::new(mosquitto.port(), "#");
        // What is under way to a subscriber comes again after a restart.
        subscriber.go_away();
        let mut publishing = Publishing::with(&settings(mosquitto.port(), version));
        for number in 0..300 {
            publishing.push("a", QOS_2, false, &number.to_string(), Storing::AtOnce);
            if number % 100 == 50 {
                wait_until("some are there", || publishing.sink().delivered > number / 2);
                mosquitto.stop();
                mosquitto.start();
            }
        }
        publishing.wait_until_all_are_signed();
        subscriber.come_back();
        subscriber.wait_for(300);
        assert_eq!(subscriber.texts(), numbers(300));
    }
}

/// Another client takes our id, and the broker forgets our session.
fn take_over(port: u16) {
    let mut peer = Peer(TcpStream::connect(("127.0.0.1", port)).unwrap());
    peer.send(&framed(0x10, b"\0\x04MQTT\x04\x02\0\x3c\0\x09agent-out"));
    assert_eq!(peer.read().0, 0x20);
    peer.send(&[0xE0, 0]);
}

#[test]
fn a_lost_session_loses_nothing() {
    for version in VERSIONS {
        // Nor does it keep the order of 1 and 2 with a window to the subscriber.
        let mosquitto = mosquitto("max_inflight_messages 0\n");
        let subscriber = Subscriber::new(mosquitto.port(), "#");
        let mut publishing = Publishing::with(&settings(mosquitto.port(), version));
        for number in 0..300 {
            publishing.publish("a", QUALITIES[1 + number % 2], &number.to_string());
            if number % 100 == 50 {
                wait_until("some are there", || publishing.signed().len() > number / 2);
                take_over(mosquitto.port());
            }
        }
        publishing.wait_until_all_are_signed();
        assert_eq!(subscriber.wait_for_different(300), numbers(300));
    }
}

#[test]
fn a_broker_that_takes_one_at_a_time_gets_one_at_a_time() {
    for version in VERSIONS {
        let mosquitto = mosquitto("max_inflight_messages 1\n");
        let subscriber = Subscriber::new(mosquitto.port(), "#");
        let mut publishing = Publishing::with(&settings(mosquitto.port(), version));
        for number in 0..100 {
            publishing.publish("a", QUALITIES[1 + number / 7 % 2], &number.to_string());
        }
        publishing.wait_until_all_are_signed();
        subscriber.wait_for(100);
        assert_eq!(subscriber.texts(), numbers(100));
        assert_eq!(publishing.sink().failed_attempts, 0);
    }
}

#[test]
fn a_publication_above_the_limit_of_mosquitto_becomes_a_dead_letter() {
    for version in VERSIONS {
        let mosquitto = mosquitto("max_packet_size 100\n");
        let subscriber = Subscriber::new(mosquitto.port(), "#");
        let mut publishing = Publishing::with(&settings(mosquitto.port(), version));
        for payload in ["one", &"x".repeat(100), "two"] {
            publishing.publish("a", QOS_1, payload);
        }
        publishing.wait_for_letters(1);
        publishing.wait_until_all_are_signed();
        subscriber.wait_for(2);
        let mut texts = subscriber.texts();
        texts.dedup(); // What was under way beside it may come twice.
        assert_eq!(texts, ["one", "two"]);
        let connects = mosquitto.connects("agent-out");
        let wanted = if version == Version::V5 { 2 } else { 5 };
        assert_eq!(connects, wanted, "5 says its limit; 3.1.1 ends three connections");
    }
}

#[test]
fn what_an_acl_refuses_waits_alone() {
    let folder = Folder::new();
    std::fs::write(folder.join("acl"), "topic write open\ntopic read #\n").unwrap();
    let lines = "persistence false\nset_tcp_nodelay true\nacl_file {folder}/acl\n";
    let mosquitto = Broker::prepared(folder, lines);
    let subscriber = Subscriber::new(mosquitto.port(), "#");
    let mut publishing = Publishing::with(&settings(mosquitto.port(), Version::V5));
    publishing.push("closed", QOS_1, false, "refused", Storing::AtOnce);
    publishing.push("open", QOS_2, false, "taken", Storing::AtOnce);
    subscriber.wait_for(1);
    assert_eq!(subscriber.texts(), ["taken"]);
    wait_until("it was tried again", || publishing.sink().failed_attempts > 1);
    assert!(mosquitto.logged("PUBACK to agent-out (m1, rc135)") == 1, "it was refused with words");
    wait_until("it alone waits", || publishing.health.snapshot().queue.waiting == 1);
    assert_eq!(publishing.health.snapshot().queue.dead_letters, 0);
}

/// Publications go through a WebSocket at `web_port`; `port` is that of the broker.
fn publishes_through_a_websocket(port: u16, web_port: u16, version: Version, qualities: &[Qos]) {
    let mut settings = settings(web_port, version);
    settings.websocket = Some("/mqtt".to_owned());
    let subscriber = Subscriber::new(port, "t/#");
    let mut publishing = Publishing::with(&settings);
    // The lengths around which the head of a frame changes.
    let lengths = [0, 100, 125, 126, 127, 70_000];
    for (length, qos) in lengths.into_iter().zip(qualities.iter().cycle()) {
        publishing.publish("t/x", *qos, &"x".repeat(length));
    }
    publishing.wait_until_all_are_signed();
    let received = subscriber.wait_for(lengths.len());
    let found: Vec<_> = received.iter().map(|message| message.payload.len()).collect();
    assert_eq!(found, lengths, "{version:?}");
}

#[test]
fn a_websocket_carries_publications() {
    let web = free_port();
    let lines =
        format!("listener {{port}} 127.0.0.1\nlistener {web} 127.0.0.1\nprotocol websockets\n");
    let mosquitto = mosquitto(&lines);
    for version in VERSIONS {
        publishes_through_a_websocket(mosquitto.port(), web, version, &QUALITIES);
    }
}

/// Another implementation of both protocols, so that we do not only fit mosquitto.
#[test]
fn a_websocket_of_another_broker_carries_both_sessions() {
    let aedes = match Aedes::start() {
        Ok(aedes) => aedes,
        Err(why) => return not_tested(&format!("another broker with WebSocket: {why}")),
    };
    // Of those with another QoS it sends some sooner than others.
    publishes_through_a_websocket(aedes.port, aedes.web_port, Version::V311, &[QOS_1]);
    let mut settings = broker(aedes.web_port);
    settings.websocket = Some("/mqtt".to_owned());
    let rig = Rig::start(&settings, quick());
    rig.wait_until_ready();
    let mut publisher = Publisher::new(aedes.port);
    for length in [1, 126, 9_000] {
        publisher.publish("a/b", "x".repeat(length));
        let (payload, ticket) = rig.message();
        assert_eq!(payload.len(), length);
        rig.sign(ticket);
    }
    rig.stop();
}
