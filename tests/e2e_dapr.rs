//! The agent as the sidecar of an application that was written for Dapr, with a real mosquitto.

#![cfg(feature = "dapr")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::account::Account;
use support::aedes::Aedes;
use support::broker::Broker;
use support::dapr::{APP_ID, Sidecar, component};
use support::packages::npm;
use support::subscriber::Subscriber;
use support::{PATIENCE, not_tested, wait_until};

/// A sidecar with one component, `plantbus`, that runs.
fn sidecar(broker: &Broker, lines: &str) -> Sidecar {
    let mut sidecar = Sidecar::new(&[]);
    sidecar.folder.write("res/plantbus.yaml", &component("plantbus", broker.port(), lines));
    sidecar.start();
    sidecar
}

fn json(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap()
}

#[test]
fn what_is_published_is_an_event_at_the_broker() {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    let broker = Broker::new();
    let sidecar = sidecar(&broker, "");
    let subscriber = Subscriber::new(broker.port(), "#");
    let post = |target: &str, headers: &[(&str, &str)], body: &[u8]| {
        sidecar.ask("POST", &format!("/v1.0/publish/{target}"), headers, body).unwrap()
    };
    let taken = (204, String::new());
    assert_eq!(post("plantbus/press/3/done", JSON, br#"{"n":18446744073709551615}"#), taken);
    let first = subscriber.wait_for(1).remove(0);
    assert_eq!((first.topic.as_str(), first.qos, first.retain), ("press/3/done", 1, false));
    let event = json(&first.payload);
    for (name, wanted) in [
        ("source", APP_ID),
        ("topic", "press/3/done"),
        ("pubsubname", "plantbus"),
        ("datacontenttype", "application/json"),
        ("type", "com.dapr.event.sent"),
        ("specversion", "1.0"),
    ] {
        assert_eq!(event[name], wanted, "{name} in {event}");
    }
    assert!(first.text().contains(r#""data":{"n":18446744073709551615}"#), "{}", first.text());

    let bulk = br#"[{"entryID":"1","event":"AQ==","contentType":"application/octet-stream"},
        {"entryId":"2","event":{"k":1},"contentType":"application/json"}]"#;
    assert_eq!(post("bulk/plantbus/x", JSON, bulk), taken);
    assert_eq!(post("plantbus/a/b?metadata.rawPayload=true", &[], b"\x01\0"), taken);
    assert_eq!(post("plantbus/lamp%2F%2Fon", &[("content-type", "text/plain")], b"1"), taken);
    // This one would end the connection to the broker for good.
    let (status, answer) = post("plantbus/bad/%23", &[], b"x");
    assert_eq!(
        (status, &json(answer.as_bytes())["errorCode"]),
        (400, &"ERR_TOPIC_NAME_INVALID".into())
    );
    let (status, answer) = sidecar.ask("PUT", "/v1.0/publish/plantbus/note", &[], b"hi").unwrap();
    assert_eq!((status, answer.as_str()), (204, ""));
    let received = subscriber.wait_for(6);
    let topics: Vec<&str> = received.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["press/3/done", "x", "x", "a/b", "lamp//on", "note"], "in their order");
    assert_eq!(json(&received[1].payload)["data_base64"], "AQ==");
    assert!(received[2].text().contains(r#""data":{"k":1}"#), "{}", received[2].text());
    assert_eq!(received[3].payload, b"\x01\0");
    assert_eq!(json(&received[4].payload)["data"], "1");
    let note = json(&received[5].payload);
    assert_eq!((&note["data"], &note["datacontenttype"]), (&"hi".into(), &"text/plain".into()));
    // What the broker keeps comes again, and goes with an empty body.
    assert_eq!(post("plantbus/kept?metadata.retain=true&metadata.rawPayload=1", &[], b"k"), taken);
    subscriber.wait_for(7);
    let later = Subscriber::new(broker.port(), "kept");
    assert!(later.wait_for(1)[0].retain);
}

#[test]
fn a_sidecar_says_what_it_is_and_ends_when_it_is_asked() {
    const TOKEN: &[(&str, &str)] = &[("dapr-api-token", "opensesame")];
    let broker = Broker::new();
    let mut sidecar = Sidecar::new(&[]).env("DAPR_API_TOKEN", TOKEN[0].1);
    sidecar.folder.write("res/plantbus.yaml", &component("plantbus", broker.port(), ""));
    sidecar.start();
    wait_until("it is ready", || sidecar.status("GET", "/v1.0/healthz") == Some(204));
    assert_eq!(sidecar.status("GET", "/v1.0/metadata"), Some(401));
    let (status, metadata) = sidecar.says("GET", "/v1.0/metadata", TOKEN, b"");
    assert_eq!((status, &metadata["id"]), (200, &APP_ID.into()));
    assert_eq!(metadata["components"][0]["type"], "pubsub.mqtt");
    let (status, answer) = sidecar.says("GET", "/v1.0/state/store/key", TOKEN, b"");
    assert_eq!((status, &answer["errorCode"]), (404, &"ERR_DIRECT_INVOKE".into()));
    assert_eq!(sidecar.says("GET", "/elsewhere", TOKEN, b"").0, 404);
    let probe = |path| sidecar.ask("GET", path, TOKEN, b"").map(|(status, _)| status);
    wait_until("the broker is there", || probe("/ready") == Some(204));
    let large = vec![b'x'; 5 << 20];
    let refused = sidecar.ask("POST", "/v1.0/publish/plantbus/x", TOKEN, &large);
    // Whoever goes on sending may not see the answer.
    if let Some((status, answer)) = refused {
        let code = &json(answer.as_bytes())["errorCode"];
        assert_eq!((status, code), (413, &"ERR_PUBSUB_PUBLISH_MESSAGE".into()));
    }

    // On the socket that it had, with a component more.
    sidecar.folder.write("res/second.yaml", &component("second", broker.port(), SECOND));
    sidecar.process.signal("HUP");
    let subscriber = Subscriber::new(broker.port(), "#");
    wait_until("the second component is there", || {
        let answer = sidecar.ask("POST", "/v1.0/publish/second/x", TOKEN, b"hi");
        answer.expect("nobody is refused meanwhile").0 == 204
    });
    assert_eq!(json(&subscriber.wait_for(1)[0].payload)["pubsubname"], "second");
    assert_eq!(sidecar.status("POST", "/v1.0/shutdown"), Some(401));
    let ended = sidecar.ask("POST", "/v1.0/shutdown", TOKEN, b"");
    assert_eq!(ended, Some((204, String::new())));
    assert!(sidecar.wait_end().success(), "{}", sidecar.log());
}

/// A second component at the same broker, which confirms what is published.
const SECOND: &str =
    "  - {name: consumerID, value: second}\n  - {name: ilagent.confirm, value: broker}\n";

#[test]
fn a_broker_that_is_away_gets_everything_later() {
    let mut broker = Broker::new();
    let port = broker.port();
    let subscriber = Subscriber::new(port, "#");
    subscriber.go_away();
    broker.kill();
    let sidecar = sidecar(&broker, "");
    for (target, body) in [
        ("a?metadata.rawPayload=1", "first"),
        ("a?metadata.rawPayload=1&metadata.ttl=0", "too late"),
        ("a?metadata.rawPayload=1&metadata.ttlInSeconds=3600", "second"),
    ] {
        let target = format!("/v1.0/publish/plantbus/{target}");
        assert_eq!(sidecar.ask("POST", &target, &[], body.as_bytes()), Some((204, String::new())));
    }
    assert_eq!(sidecar.waiting().len(), 3);
    broker.start();
    subscriber.come_back();
    wait_until("nothing waits", || sidecar.waiting().is_empty());
    let dead = sidecar.dead();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0]["reason"], "expired");
    // Without persistence the broker may have forgotten who subscribes.
    let target = "/v1.0/publish/plantbus/a?metadata.rawPayload=1";
    wait_until("the last one arrives", || {
        assert_eq!(sidecar.ask("POST", target, &[], b"last").unwrap().0, 204);
        subscriber.texts().contains(&"last".to_owned())
    });
    assert!(!subscriber.texts().contains(&"too late".to_owned()));
}

#[test]
fn another_broker_gets_the_same() {
    let aedes = match Aedes::start() {
        Ok(aedes) => aedes,
        Err(why) => return not_tested(&why),
    };
    let mut sidecar = Sidecar::new(&[]);
    let lines = "  - {name: qos, value: 2}\n";
    sidecar.folder.write("res/plantbus.yaml", &component("plantbus", aedes.port, lines));
    sidecar.start();
    let subscriber = Subscriber::new(aedes.port, "#");
    for number in 0..20 {
        let target = format!("/v1.0/publish/plantbus/a/{number}?metadata.rawPayload=1");
        assert_eq!(sidecar.ask("POST", &target, &[], b"x"), Some((204, String::new())));
    }
    let received = subscriber.wait_for(20);
    let wanted = (0..20).map(|number| format!("a/{number}"));
    assert!(wanted.eq(received.iter().map(|message| message.topic.clone())), "{received:?}");
    assert!(received.iter().all(|message| message.qos == 2));
}

/// `KILL_ROUNDS=500` finds more.
fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// Between the answer and the broker, and anywhere else.
#[test]
fn what_was_answered_arrives_though_the_agent_is_killed() {
    let mut broker = Broker::with("persistence true\n");
    let mut sidecar = sidecar(&broker, "");
    let subscriber = Subscriber::new(broker.port(), "#");
    let mut account = Account::in_line();
    let mut unconfirmed = None;
    let published = |sidecar: &Sidecar, event: &str| {
        let target = "/v1.0/publish/plantbus/a?metadata.rawPayload=true";
        sidecar.ask("POST", target, &[], event.as_bytes()).is_some_and(|(status, _)| status == 204)
    };
    for round in 0..rounds() {
        if round % 4 == 1 {
            broker.stop();
            account.broker_restarts += 1;
        }
        for _ in 0..fastrand::usize(1..20) {
            let event = unconfirmed.take().unwrap_or_else(|| account.next("published"));
            if !published(&sidecar, &event) {
                unconfirmed = Some(event);
            }
        }
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..30_000)));
        sidecar.kill();
        account.kills += 1;
        account.enter(&subscriber);
        if round % 4 == 1 {
            broker.start();
        }
        sidecar.start();
    }
    if let Some(event) = unconfirmed {
        wait_until("it is confirmed", || published(&sidecar, &event));
    }
    account.settle(&subscriber, PATIENCE);
    wait_until("nothing waits", || sidecar.waiting().is_empty());
    assert!(sidecar.dead().is_empty());
    eprintln!("{account}");
    account.check_order();
}

#[test]
fn the_library_of_npm_publishes_unchanged() {
    let packages = match npm("npm-dapr", &["@dapr/dapr@3.18.0"]) {
        Ok(packages) => packages,
        Err(why) => return not_tested(&why),
    };
    let broker = Broker::new();
    let sidecar = sidecar(&broker, "");
    let subscriber = Subscriber::new(broker.port(), "#");
    let output = Command::new("node")
        .env("NODE_PATH", packages)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/dapr.js"))
        .arg(sidecar.port.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let said = json(stdout);
    assert_eq!(said["healthy"], true, "{said}");
    assert_eq!(said["id"], APP_ID);
    assert_eq!(said["extended"], "7");
    assert_eq!(said["errors"], 0, "{said}");
    assert_eq!(said["failed"], 0, "{said}");
    assert!(said["refused"].as_str().unwrap().contains("ERR_PUBSUB_NOT_FOUND"), "{said}");
    let received = subscriber.wait_for(8);
    let data = |at: usize, name: &str| json(&received[at].payload)[name].clone();
    assert_eq!(data(0, "data"), serde_json::json!({ "n": 1 }));
    assert_eq!(data(1, "data"), "hi");
    assert_eq!(data(2, "data_base64"), "AQA=");
    assert_eq!((data(3, "id"), data(3, "topic")), ("event-1".into(), "js/event".into()));
    assert_eq!(received[4].text(), "raw");
    assert_eq!(data(5, "data"), "");
    assert_eq!((data(6, "data"), data(7, "data")), ("one".into(), serde_json::json!({ "two": 2 })));
}
