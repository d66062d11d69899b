//! The MQTT session against the mosquitto that is installed: restarts, TLS and its reload.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use ilagent::config::{ClientCertificate, Qos, Tls, Version};
use ilagent::message::Arrival;
use ilagent::mqtt::session::Timing;
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::broker::Broker;
use support::certificates::Authority;
use support::session::{Notes, Rig, broker, quick, rule, thorough};
use support::{Folder, free_port, until};

/// Flags of a PUBLISH.
const QOS_1: u8 = 2;
const QOS_2: u8 = 4;
const RETAIN: u8 = 1;

#[test]
fn a_burst_far_beyond_the_window_of_the_broker_comes_through() {
    for version in [Version::V311, Version::V5] {
        let mosquitto = Broker::with("persistence true\n");
        let mut settings = broker(mosquitto.port());
        settings.version = version;
        settings.rules = vec![rule("a/#", Qos::ExactlyOnce)];
        let rig = Rig::start(&settings, thorough());
        rig.wait_until_ready();
        let texts: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        let messages: Vec<(&str, u8, &str)> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| ("a/b", [QOS_1, QOS_2][at % 2], &**text))
            .collect();
        mosquitto.publish(&messages);
        for wanted in &texts {
            let (payload, ticket) = rig.message();
            assert_eq!(payload, *wanted);
            rig.sign(ticket);
        }
        rig.stop_without_a_wait();
        // Nothing is left behind: a second agent of the same name gets nothing.
        let rig = Rig::start(&settings, thorough());
        rig.wait_until_ready();
        rig.nothing_arrives_for(Duration::from_millis(300));
    }
}

#[test]
fn a_restart_of_the_agent_brings_what_was_not_signed_and_nothing_else() {
    let mosquitto = Broker::with("persistence true\n");
    let mut settings = broker(mosquitto.port());
    settings.rules = vec![rule("a/#", Qos::ExactlyOnce)];
    let rig = Rig::start(&settings, quick());
    rig.wait_until_ready();
    mosquitto.publish(&[("a", QOS_1, "one"), ("a", QOS_2, "two"), ("a", QOS_2, "three")]);
    let tickets = ["one", "two", "three"].map(|wanted| {
        let (payload, ticket) = rig.message();
        assert_eq!(payload, wanted);
        ticket
    });
    rig.sign(tickets[0]);
    rig.sign(tickets[1]);
    rig.stop();
    let rig = Rig::start(&settings, quick());
    let (payload, ticket) = rig.message();
    assert_eq!(payload, "three");
    rig.sign(ticket);
    rig.nothing_arrives_for(Duration::from_millis(300));
}

#[test]
fn a_restart_of_the_broker_loses_and_doubles_nothing() {
    for (version, kill) in [(Version::V311, false), (Version::V5, false), (Version::V311, true)] {
        let mut mosquitto = Broker::persistent();
        let mut settings = broker(mosquitto.port());
        settings.version = version;
        settings.rules = vec![rule("a/#", Qos::ExactlyOnce)];
        let rig = Rig::start(&settings, thorough());
        rig.wait_until_ready();
        mosquitto.publish(&[("a", QOS_1, "one"), ("a", QOS_2, "two"), ("a", QOS_1, "three")]);
        let tickets = [(); 3].map(|()| rig.message().1);
        if kill {
            mosquitto.kill();
        } else {
            mosquitto.stop();
        }
        rig.wait_until("down", |session| !session.connected);
        rig.sign(tickets[0]);
        mosquitto.start();
        rig.wait_until_ready();
        rig.sign(tickets[1]);
        rig.sign(tickets[2]);
        mosquitto.publish(&[("a", QOS_1, "four")]);
        let (payload, ticket) = rig.message();
        assert_eq!(payload, "four");
        rig.sign(ticket);
        rig.stop_without_a_wait();
        let rig = Rig::start(&settings, thorough());
        rig.wait_until_ready();
        rig.nothing_arrives_for(Duration::from_millis(300));
    }
}

#[test]
fn a_retained_message_comes_once_and_an_oversized_one_is_told() {
    let mut mosquitto = Broker::new();
    mosquitto.publish(&[("a/state", QOS_1 | RETAIN, "on")]);
    let mut settings = broker(mosquitto.port());
    settings.rules.push(rule("a/state", Qos::AtLeastOnce)); // Covered: it brings no second copy.
    let rig = Rig::start(&settings, quick());
    let (payload, ticket) = rig.message();
    assert_eq!(payload, "on");
    rig.sign(ticket);
    mosquitto.kill(); // And forgets everything.
    rig.wait_until("down", |session| !session.connected);
    mosquitto.start();
    rig.wait_until_ready();
    mosquitto.publish(&[("a/state", QOS_1 | RETAIN, "on")]);
    rig.sign(rig.message().1);
    mosquitto.publish(&[("a/big", QOS_1, &"x".repeat(20_000)), ("a", QOS_1, "after")]);
    let Arrival::Oversized { topic, ticket, .. } = rig.arrival() else { panic!() };
    assert_eq!(topic, "a/big");
    rig.sign(ticket);
    assert_eq!(rig.message().0, "after");
}

#[test]
fn a_broker_that_stands_still_is_reported_while_its_connection_is_open() {
    let mosquitto = Broker::with("persistence true\n");
    let millis = Duration::from_millis;
    let timing = Timing { watch: millis(50), worry: millis(100), ..quick() };
    let rig = Rig::start(&broker(mosquitto.port()), timing);
    rig.wait_until_ready();
    mosquitto.signal("STOP");
    rig.health.ask();
    rig.wait_until("reported", |session| {
        !session.connected && session.error.contains("though its connection is open")
    });
    mosquitto.signal("CONT");
    rig.wait_until_ready();
    assert_eq!(rig.session().error, "");
    assert_eq!(mosquitto.connects("agent"), 1, "the connection was kept");
}

#[test]
fn two_agents_of_a_group_share_the_messages() {
    let mosquitto = Broker::with("persistence true\n");
    let rigs = ["one", "two"].map(|client_id| {
        let mut settings = broker(mosquitto.port());
        settings.version = Version::V5;
        settings.client_id = client_id.to_owned();
        settings.shared_group = Some("team".to_owned());
        let rig = Rig::start(&settings, quick());
        rig.wait_until_ready();
        rig
    });
    let texts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let messages: Vec<(&str, u8, &str)> =
        texts.iter().map(|text| ("a/b", QOS_1, text.as_str())).collect();
    mosquitto.publish(&messages);
    let mut seen = HashSet::new();
    until("all have come", || {
        for rig in &rigs {
            while let Some(ticket) = rig.message_within(Duration::from_millis(50)) {
                rig.sign(ticket);
                seen.insert((std::ptr::from_ref(rig), ticket));
            }
        }
        (seen.len() == texts.len()).then_some(())
    });
    for rig in &rigs {
        rig.nothing_arrives();
    }
}

/// A broker that wants client certificates and calls each client by the name in its own.
fn mosquitto_with_tls(folder: &Folder, authority: &Authority) -> Broker {
    let ca = folder.write("broker-ca.pem", &authority.pem);
    authority.issue(folder.path(), "broker", "broker");
    let path = |name: &str| folder.join(name).display().to_string();
    Broker::with(&format!(
        "persistence true\ncafile {}\ncertfile {}\nkeyfile {}\n\
         require_certificate true\nuse_identity_as_username true\n",
        ca.display(),
        path("broker.pem"),
        path("broker.key"),
    ))
}

fn client_files(folder: &Path) -> Tls {
    Tls {
        ca: Some(folder.join("ca.pem").into()),
        client: Some(ClientCertificate {
            chain: folder.join("client.pem").into(),
            key: folder.join("client.key").into(),
        }),
        ..Tls::default()
    }
}

fn wait_for_client(mosquitto: &Broker, user: &str, times: usize) {
    let user = format!("u'{user}'");
    mosquitto.wait_for_log(&user, times);
}

#[test]
fn changed_tls_files_are_taken_over_and_broken_ones_change_nothing() {
    let folder = Folder::new();
    let authority = Authority::new();
    let mosquitto = mosquitto_with_tls(&folder, &authority);
    folder.write("ca.pem", &authority.pem);
    authority.issue(folder.path(), "client", "first");
    let mut settings = broker(mosquitto.port());
    settings.tls = Some(client_files(folder.path()));
    let rig = Rig::start(&settings, thorough());
    rig.wait_until_ready();
    wait_for_client(&mosquitto, "first", 1);

    // Half of a new pair, then none of it: the connection stays.
    folder.write("client.key", "nonsense");
    rig.nothing_arrives_for(Duration::from_millis(300)); // Several looks at the files.
    assert!(rig.session().connected);
    assert_eq!(mosquitto.logged("New client connected"), 1);

    authority.issue(folder.path(), "client", "second");
    wait_for_client(&mosquitto, "second", 1);
    rig.wait_until_ready();
    rig.stop_without_a_wait();
}

#[test]
fn a_certificate_that_the_broker_refuses_is_rolled_back() {
    let folder = Folder::new();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mosquitto = mosquitto_with_tls(&folder, &authority);
    folder.write("ca.pem", &authority.pem);
    authority.issue(folder.path(), "client", "first");
    let mut settings = broker(mosquitto.port());
    settings.tls = Some(client_files(folder.path()));
    let rig = Rig::start(&settings, quick());
    rig.wait_until_ready();
    wait_for_client(&mosquitto, "first", 1);

    stranger.issue(folder.path(), "client", "stranger");
    wait_for_client(&mosquitto, "first", 2);
    rig.wait_until_ready();
    // A CA that the broker's certificate does not come from is no better.
    authority.issue(folder.path(), "client", "third");
    wait_for_client(&mosquitto, "third", 1);
    rig.wait_until_ready();
    folder.write("ca.pem", &stranger.pem);
    wait_for_client(&mosquitto, "third", 2);
    rig.wait_until_ready();
    // What was refused is not tried over and over.
    let before = mosquitto.logged("New connection");
    rig.nothing_arrives_for(Duration::from_millis(300)); // Several looks at the files.
    assert_eq!(mosquitto.logged("New connection"), before);
    assert!(rig.session().connected);
}

/// Runs openssl in `folder`, with the arguments in one line.
fn openssl(folder: &Folder, arguments: &str) {
    let run = Command::new("openssl")
        .args(arguments.split(' ').filter(|word| !word.is_empty()))
        .current_dir(folder.path())
        .output()
        .expect("openssl is installed");
    assert!(run.status.success(), "{arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

/// Signs a certificate for `name` with `ca`, with a key of its own.
fn sign(folder: &Folder, name: &str, ca: &str, key: &str, signing: &str) {
    openssl(folder, &format!("genpkey {key} -out {name}.key"));
    openssl(folder, &format!("req -new -key {name}.key -out {name}.csr -subj /CN=localhost"));
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 \
             -out {name}.pem {signing}"
        ),
    );
}

/// What the guides on the web make, against the real mosquitto: most other clients take it.
#[test]
fn certificates_as_people_make_them_are_accepted_or_refused_in_words() {
    let folder = Folder::new();
    folder.write("names", "subjectAltName=IP:127.0.0.1");
    let rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    let short = "-algorithm RSA -pkeyopt rsa_keygen_bits:1024";
    let authority = |name: &str, key: &str, names: &str| {
        openssl(&folder, &format!("genpkey {key} -out {name}.key"));
        openssl(
            &folder,
            &format!(
                "req -x509 -new -key {name}.key -out {name}.pem -days 30 -subj /CN={name} {names}"
            ),
        );
    };
    authority("ca", rsa, "");
    authority("weak", short, "");
    authority("own", rsa, "-addext subjectAltName=IP:127.0.0.1");
    authority("elsewhere", rsa, "-addext subjectAltName=DNS:elsewhere");
    sign(&folder, "v1", "ca", rsa, "");
    sign(&folder, "p521", "ca", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521", "-extfile names");
    sign(&folder, "short", "ca", short, "-extfile names");
    sign(&folder, "sha1", "ca", rsa, "-extfile names -sha1");
    sign(&folder, "weakly", "weak", rsa, "-extfile names");
    sign(&folder, "leaf", "ca", rsa, "-extfile names");
    for (name, ca, wanted) in [
        ("own", "own", ""),
        ("leaf", "leaf", ""),
        ("own", "ca", "its certificate is a CA itself; make one with `-addext basicConstraints"),
        (
            "elsewhere",
            "elsewhere",
            "its certificate is only valid for elsewhere, not for `127.0.0.1`",
        ),
        ("leaf", "own", "its certificate comes from a CA that is not trusted here"),
        ("v1", "ca", "its certificate is of version 1; make one of version 3"),
        ("p521", "ca", "a key on the curve P-521 and older ciphers are not supported"),
        ("short", "ca", "its certificate has an RSA key of 1024 bits, which is too short"),
        ("weakly", "weak", "its certificate comes from a CA with an RSA key of 1024 bits"),
        ("sha1", "ca", "its certificate is signed with SHA-1"),
    ] {
        let port = free_port();
        let path = |name: String| folder.join(&name).display().to_string();
        let _mosquitto = Broker::with(&format!(
            "listener {{port}} 127.0.0.1\nlistener {port} 127.0.0.1\n\
             certfile {}\nkeyfile {}\nciphers DEFAULT:@SECLEVEL=0",
            path(format!("{name}.pem")),
            path(format!("{name}.key"))
        ));
        let mut settings = broker(port);
        settings.tls = Some(Tls {
            ca: Some(folder.join(&format!("{ca}.pem")).into()),
            client: None,
            ..Tls::default()
        });
        let rig = Rig::start(&settings, quick());
        rig.wait_until(&format!("{name} with {ca}: {wanted}"), |session| match wanted {
            "" => session.connected,
            words => session.error.contains(words),
        });
        let error = rig.session().error;
        for name_of_type in ["Other", "Error", "Context", "BadSignature", "DnsName", "{"] {
            assert!(!error.contains(name_of_type), "{error}");
        }
    }
}

#[test]
fn a_broker_without_tls_and_one_that_wants_a_certificate_are_told_apart() {
    let folder = Folder::new();
    let authority = Authority::new();
    let mosquitto = mosquitto_with_tls(&folder, &authority);
    let ca = folder.write("ca.pem", &authority.pem);
    let plain = Broker::with("persistence true\n");
    for (port, words) in [
        (mosquitto.port(), "it wants a client certificate"),
        (plain.port(), "closed the connection during the TLS handshake; is this its port for TLS?"),
    ] {
        let mut settings = broker(port);
        settings.tls = Some(Tls { ca: Some(ca.clone().into()), client: None, ..Tls::default() });
        let rig = Rig::start(&settings, quick());
        rig.wait_until(words, |session| session.error.contains(words));
    }
}

#[test]
fn large_and_small_messages_come_through_tls() {
    let folder = Folder::new();
    let authority = Authority::new();
    let ca = folder.write("ca.pem", &authority.pem);
    authority.issue(folder.path(), "broker", "broker");
    let port = free_port();
    let path = |name: &str| folder.join(name).display().to_string();
    let mosquitto = Broker::with(&format!(
        "listener {{port}} 127.0.0.1\nlistener {port} 127.0.0.1\ncertfile {}\nkeyfile {}",
        path("broker.pem"),
        path("broker.key")
    ));
    let mut settings = broker(port);
    settings.tls = Some(Tls { ca: Some(ca.into()), client: None, ..Tls::default() });
    settings.packet_bytes_max = 400_000;
    let rig = Rig::start(&settings, thorough());
    rig.wait_until_ready();
    let large = "x".repeat(300_000);
    mosquitto.publish(&[("a/1", QOS_1, &large), ("a/2", QOS_1, "small"), ("a/3", QOS_1, &large)]);
    for wanted in [300_000, 5, 300_000] {
        let (payload, ticket) = rig.message();
        assert_eq!(payload.len(), wanted);
        rig.sign(ticket);
    }
    rig.stop_without_a_wait();
}

/// Of topics that several filters match, each message comes once, and a second one that says the
/// same comes, too.
#[test]
fn filters_that_overlap_bring_a_message_once() {
    let mosquitto = Broker::with("persistence true\n");
    let covered = ["factory/machine1/temperature", "factory/#"];
    let crossed = ["a/+", "+/b", "a/b/#"];
    for (version, filters, topic) in [
        (Version::V311, &covered[..], covered[0]),
        (Version::V5, &covered, covered[0]),
        (Version::V311, &crossed, "a/b"),
        (Version::V5, &crossed, "a/b"),
    ] {
        let mut settings = broker(mosquitto.port());
        settings.version = version;
        settings.client_id = format!("agent {}{}", filters[0], version == Version::V5);
        settings.rules = filters.iter().map(|filter| rule(filter, Qos::ExactlyOnce)).collect();
        let notes = Notes::default();
        let rig = Rig::remembering(&settings, thorough(), &notes);
        rig.wait_until_ready();
        let sent = [0, QOS_1, QOS_1, QOS_2, 0].map(|flags| (topic, flags, "same"));
        let unwanted = ("x/unwanted", QOS_1, "x");
        mosquitto.publish(&[&sent[..], &[unwanted, (topic, QOS_2, "last")]].concat());
        for wanted in ["same"; 5].into_iter().chain(["last"]) {
            let (payload, ticket) = rig.message();
            assert_eq!(payload, wanted, "{version:?} {filters:?}");
            rig.sign(ticket);
        }
        rig.stop_without_a_wait();
        let rig = Rig::remembering(&settings, thorough(), &notes);
        rig.wait_until_ready();
        rig.nothing_arrives_for(Duration::from_millis(200));
    }
}

/// A change of the filters, and a retained message that both the old and the new ones match.
#[test]
fn filters_that_come_to_overlap_bring_retained_and_waiting_messages_once() {
    for version in [Version::V311, Version::V5] {
        let mosquitto = Broker::with("persistence true\n");
        mosquitto.publish(&[("a/b/state", QOS_1 | RETAIN, "retained")]);
        let notes = Notes::default();
        let rounds = [
            (&["a/+/+"][..], "retained"),
            (&["a/+/+", "+/b/+"], "1 waits"),
            (&["+/b/+", "a/#"], "2 waits"),
            (&["#"], "3 waits"),
            (&["a/+/+", "+/b/+"], "4 waits"),
        ];
        for (round, (filters, wanted)) in (1..).zip(rounds) {
            let mut settings = broker(mosquitto.port());
            settings.version = version;
            settings.rules = filters.iter().map(|filter| rule(filter, Qos::AtLeastOnce)).collect();
            let rig = Rig::remembering(&settings, quick(), &notes);
            let (payload, ticket) = rig.message();
            assert_eq!(payload, wanted, "{version:?} {filters:?}");
            rig.sign(ticket);
            rig.wait_until_ready();
            rig.nothing_arrives_for(Duration::from_millis(200));
            rig.stop();
            mosquitto.publish(&[("a/b/c", QOS_1, &format!("{round} waits"))]);
        }
    }
}

/// In a WebSocket, with TLS and without: messages of any size, and what came meanwhile.
#[test]
fn a_websocket_carries_a_session() {
    for is_secret in [false, true] {
        let folder = Folder::new();
        let authority = Authority::new();
        let ca = folder.write("ca.pem", &authority.pem);
        authority.issue(folder.path(), "broker", "127.0.0.1");
        let web = free_port();
        let mut lines = format!(
            "persistence true\nlistener {{port}} 127.0.0.1\nlistener {web} 127.0.0.1\n\
             protocol websockets\n"
        );
        let mut settings = broker(web);
        settings.websocket = Some("/mqtt".to_owned());
        if is_secret {
            let path = |name: &str| folder.join(name).display().to_string();
            lines += &format!("certfile {}\nkeyfile {}\n", path("broker.pem"), path("broker.key"));
            settings.tls = Some(Tls { ca: Some(ca.into()), client: None, ..Tls::default() });
        }
        let mut mosquitto = Broker::with(&lines);
        let rig = Rig::start(&settings, quick());
        rig.wait_until_ready();
        // The last is above the limit. This mosquitto sends 40 KB a second here, so it is not more.
        let texts = [1, 125, 126, 9_000, 12_000].map(|length| "x".repeat(length));
        let messages: Vec<_> = texts.iter().map(|text| ("a", QOS_1, &text[..])).collect();
        mosquitto.publish(&messages);
        for text in &texts[..4] {
            let (payload, ticket) = rig.message();
            assert_eq!(payload.len(), text.len());
            rig.sign(ticket);
        }
        let Arrival::Oversized { ticket, .. } = rig.arrival() else { panic!("it is too large") };
        rig.sign(ticket);
        rig.stop();
        mosquitto.wait_for_log("Client agent disconnected.", 1);
        mosquitto.publish(&[("a", QOS_2, "meanwhile")]);
        let rig = Rig::start(&settings, quick());
        let (payload, ticket) = rig.message();
        assert_eq!(payload, "meanwhile");
        rig.sign(ticket);
        mosquitto.kill();
        rig.wait_until("down", |session| !session.connected);
    }
}

#[test]
fn a_port_without_websocket_is_reported_in_words() {
    let mosquitto = Broker::new();
    let mut settings = broker(mosquitto.port());
    settings.websocket = Some("/mqtt".to_owned());
    let rig = Rig::start(&settings, quick());
    rig.wait_until("an end", |session| session.error.ends_with("is this its port for WebSocket?"));
}
