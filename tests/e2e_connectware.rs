//! Service files of Connectware at work: real mosquittos outside and as the internal broker, the
//! agent as a process.

#![cfg(feature = "connectware")]
#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::agent::{Agent, signal};
use support::broker::Broker;
use support::certificates::Authority;
use support::publisher::Publisher;
use support::stand_in::StandIn;
use support::subscriber::Subscriber;
use support::{Folder, free_port, wait_until};

/// A file of the golden folders, with other ports.
fn service(name: &str, ports: &[(&str, u16)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connectware").join(name);
    let text = fs::read_to_string(path).unwrap();
    ports.iter().fold(text, |text, (old, new)| text.replace(old, &new.to_string()))
}

/// An agent with the services of these texts.
fn agent(api: &StandIn, inside: &Broker, texts: &[&str], more: &[&str]) -> (Agent, Folder) {
    let folder = Folder::new();
    let url = format!("mqtt://127.0.0.1:{}", inside.port());
    let mut arguments = vec!["--internal_broker".to_owned(), url];
    for (number, text) in texts.iter().enumerate() {
        let path = folder.write(&format!("{number}.yml"), text);
        arguments.extend(["--connectware".to_owned(), path.display().to_string()]);
    }
    let arguments: Vec<&str> =
        arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    (Agent::new(api, &arguments), folder)
}

/// A broker with TLS and passwords, and a plain listener for the test.
fn strict_broker() -> (Broker, u16, Folder) {
    let (folder, plain, authority) = (Folder::new(), free_port(), Authority::new());
    authority.issue(folder.path(), "broker", "broker");
    let trusted = Folder::new();
    trusted.write("ca.pem", &authority.pem);
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(folder.join("passwords"))
        .args(["u", "hush"])
        .status();
    assert!(made.unwrap().success());
    let lines = format!(
        "per_listener_settings true\n\
         listener {plain} 127.0.0.1\nallow_anonymous true\n\
         listener {{port}} 127.0.0.1\ncertfile {{folder}}/broker.pem\n\
         keyfile {{folder}}/broker.key\npassword_file {{folder}}/passwords\n"
    );
    (Broker::prepared(folder, &lines), plain, trusted)
}

#[test]
fn the_file_of_the_manual_passes_bytes_unchanged() {
    let (api, inside, (outside, plain, trusted)) = (StandIn::new(), Broker::new(), strict_broker());
    let text = service("01-the-page/mqtt-example.yml", &[("8883", outside.port())]);
    let parameters = ["--parameter", "mqttHost=127.0.0.1", "--parameter", "mqttUsername=u"];
    let mut publisher = Publisher::new(plain);
    publisher.retain("factory/line1/temperature", "kept");
    let at_inside = Subscriber::new(inside.port(), "services/#");
    let (agent, _folder) = agent(&api, &inside, &[&text], &parameters);
    let ca = trusted.join("ca.pem").display().to_string();
    let _agent =
        agent.env("SSL_CERT_FILE", &ca).env("ILAGENT_PARAMETER_mqttPassword", "hush").ready();
    at_inside.wait_for(1);
    let large = vec![0x7b; 1 << 20];
    for payload in [&b"\x00\xff\x7b"[..], b"", &large] {
        publisher.publish("factory/line1/temperature", payload);
    }
    let found = at_inside.wait_for(4);
    let wanted = [b"kept", &b"\x00\xff\x7b"[..], b"", &large];
    for (found, wanted) in found.iter().zip(wanted) {
        assert_eq!(found.topic, "services/mqttconnectiontest/temperatureEndpoint");
        assert!(found.payload == wanted, "{} bytes, {} wanted", found.payload.len(), wanted.len());
        assert_eq!((found.qos, found.retain), (1, false));
    }
}

#[test]
fn both_directions_survive_the_end_of_either_side() {
    let (api, mut inside, mut field) = (StandIn::new(), Broker::persistent(), Broker::persistent());
    let text = service("03-both-directions/valve.yml", &[("1884", field.port())]);
    let (mut agent, _folder) = agent(&api, &inside, &[&text], &[]);
    agent.start();
    agent.wait_ready();
    let at_inside = Subscriber::new(inside.port(), "services/valve4/sensors/#");
    let at_field = Subscriber::new(field.port(), "v4/cmd/#");
    let answers = Subscriber::new(inside.port(), "services/valve4/position/res");
    Publisher::new(field.port()).publish("v4/a/flow", "3.5");
    let found = at_inside.wait_for(1);
    let found = (found[0].topic.as_str(), found[0].text());
    assert_eq!(found, ("services/valve4/sensors/flow", "3.5".to_owned()));
    let set = "services/valve4/position/set";
    Publisher::new(inside.port()).publish(set, r#"{"id":1,"value":40}"#);
    assert_eq!(at_field.wait_for(1)[0].text(), r#"{"id":1,"value":40}"#);

    // The broker outside goes, and comes back.
    field.stop();
    wait_until("the service deviates", || {
        let shown = String::from_utf8(agent.status(&[]).stdout).unwrap();
        shown.contains("service valve4           deviated\n    valve4-field           reconnecting")
    });
    Publisher::new(inside.port()).burst(set, numbers("down", 20));
    field.start();
    in_order(&at_field, "down");
    // The agent is killed, and started again.
    agent.kill();
    Publisher::new(inside.port()).burst(set, numbers("dead", 20));
    Publisher::new(field.port()).burst("v4/b/flow", numbers("flow", 20));
    agent.start();
    in_order(&at_field, "dead");
    in_order(&at_inside, "flow");
    // The internal broker is restarted.
    inside.stop();
    Publisher::new(field.port()).burst("v4/b/flow", numbers("gone", 20));
    inside.start();
    in_order(&at_inside, "gone");
    assert_eq!(answers.count(), 0, "nothing answers a write");
}

#[test]
fn a_backlog_survives_a_kill_in_the_middle_of_it() {
    const QUEUED: usize = 1_000;
    let (api, inside, field) = (StandIn::new(), Broker::new(), Broker::persistent());
    let text = service("03-both-directions/valve.yml", &[("1884", field.port())]);
    let (agent, _folder) = agent(&api, &inside, &[&text], &[]);
    let mut agent = agent.ready();
    agent.kill();
    Publisher::new(field.port()).burst("v4/a/flow", numbers("kept", QUEUED));
    let at_inside = Subscriber::new(inside.port(), "services/valve4/sensors/#");
    agent.start();
    at_inside.wait_for(QUEUED / 10);
    agent.kill();
    agent.start();
    let wanted: BTreeSet<String> = numbers("kept", QUEUED).collect();
    wait_until("all of it arrives", || wanted == at_inside.texts().into_iter().collect());
}

fn numbers(word: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{word} {number}"))
}

/// All twenty of them arrive, each first before the next.
#[track_caller]
fn in_order(at: &Subscriber, word: &str) {
    let mine = || {
        let mut texts = at.texts();
        texts.retain(|text| text.starts_with(word));
        texts.dedup();
        texts
    };
    wait_until(&format!("all of `{word}` arrive"), || {
        mine().iter().any(|it| *it == format!("{word} 19"))
    });
    let (mut seen, mut first) = (std::collections::HashSet::new(), mine());
    first.retain(|text| seen.insert(text.clone()));
    assert_eq!(first, numbers(word, 20).collect::<Vec<_>>());
}

#[test]
fn what_comes_right_after_a_connection_waits_if_the_file_wants_it() {
    const WINDOW: Duration = Duration::from_millis(2_000);
    let (api, inside, field) = (StandIn::new(), Broker::new(), Broker::persistent());
    let text = service("03-both-directions/valve.yml", &[("1884", field.port())]);
    // The second window is longer than anybody waits here.
    for (round, millis, most, count) in [(1, 2_000, 100, 4), (2, 30_000, 10, 12)] {
        let keys = format!(
            "clean: false\n        messageBufferWindowMs: {millis}\n        \
             maxBufferedMessages: {most}"
        );
        let name = format!("name: Round-{round}");
        let text = text.replace("clean: false", &keys).replace("name: Valve-4", &name);
        let (agent, _folder) = agent(&api, &inside, &[&text], &[]);
        let mut agent = agent.ready();
        agent.kill();
        let mut publisher = Publisher::new(field.port());
        publisher.burst("v4/a/flow", numbers("kept", count));
        let at_inside = Subscriber::new(inside.port(), &format!("services/round{round}/#"));
        let started = Instant::now();
        agent.start();
        agent.wait_ready();
        publisher.publish("v4/a/flow", "live");
        let found = at_inside.wait_for(count + 1);
        let waited = found[0].at - started;
        assert_eq!(waited >= WINDOW, round == 1, "round {round}: {waited:?}");
        let wanted: Vec<String> = numbers("kept", count).chain(["live".to_owned()]).collect();
        assert_eq!(at_inside.texts(), wanted);
    }
}

#[test]
fn the_state_of_each_resource_is_on_a_topic_of_its_own() {
    let (api, inside, mut field) = (StandIn::new(), Broker::new(), Broker::new());
    let text = service("03-both-directions/valve.yml", &[("1884", field.port())]);
    let folder = Folder::new();
    let file = folder.write("valve.yml", &text).display().to_string();
    let url = format!("mqtt://127.0.0.1:{}", inside.port());
    let own = format!(
        "[http]\nport = {{port}}\nbind = \"127.0.0.1\"\n[queue]\npath = \"{{database}}\"\n\
         [[connectware]]\nfile = \"{file}\"\nbroker = \"{url}\"\nstatus-topic = \"state\"\n"
    );
    let agent = Agent::by_file_alone(&api, &own).ready();
    let states = Subscriber::new(inside.port(), "state/#");
    let wait_for = |topic: &str, text: &str| {
        wait_until(&format!("{topic} says {text}"), || {
            let said = states.received();
            said.iter().rfind(|it| it.topic == topic).is_some_and(|it| it.text().contains(text))
        });
    };
    wait_for("state", "online");
    wait_for("state/valve4-field", r#""actual":"connected","since":"20"#);
    wait_for("state/valve4-flow", r#""actual":"enabled""#);
    field.kill();
    wait_for("state/valve4-field", r#""actual":"reconnecting""#);
    wait_for("state/valve4-flow", r#""actual":"disabled""#);
    wait_for("state/valve4-position", r#""actual":"error""#);
    field.start();
    for name in ["field", "flow", "position"] {
        wait_for(&format!("state/valve4-{name}"), r#""reason":"""#);
    }
    drop(agent);
    wait_for("state", "offline");
}

const OVERLAPS: &str = r#"
metadata: {name: Overlaps}
resources:
  field:
    type: Cybus::Connection
    properties: {protocol: Mqtt, connection: {host: 127.0.0.1, port: 1884}}
  one:
    type: Cybus::Endpoint
    properties: {protocol: Mqtt, connection: !ref field, subscribe: {topic: f/m/t}}
  level:
    type: Cybus::Endpoint
    properties: {protocol: Mqtt, connection: !ref field, subscribe: {topic: f/+/t}}
  all:
    type: Cybus::Endpoint
    properties: {protocol: Mqtt, connection: !ref field, subscribe: {topic: "f/#"}}
  crossing:
    type: Cybus::Endpoint
    properties: {protocol: Mqtt, connection: !ref field, subscribe: {topic: "+/m/#"}}
"#;

#[test]
fn overlapping_subscriptions_bring_each_message_once() {
    let (api, inside, field) = (StandIn::new(), Broker::new(), Broker::new());
    let text = OVERLAPS.replace("1884", &field.port().to_string());
    let (agent, _folder) = agent(&api, &inside, &[&text], &[]);
    let _agent = agent.ready();
    let at_inside = Subscriber::new(inside.port(), "services/overlaps/#");
    let mut publisher = Publisher::new(field.port());
    publisher.burst("f/m/t", numbers("", 100));
    publisher.publish("f/m/t", "last");
    at_inside.wait_for(4 * 101);
    for name in ["one", "level", "all", "crossing"] {
        let topic = format!("services/overlaps/{name}");
        let mut found = at_inside.received();
        found.retain(|it| it.topic == topic);
        let texts: Vec<String> = found.iter().map(|it| it.text()).collect();
        let wanted: Vec<String> = numbers("", 100).chain(["last".to_owned()]).collect();
        assert_eq!(texts, wanted, "{name}");
    }
}

#[test]
fn a_bridge_with_rules_passes_what_they_make() {
    let (api, inside, cloud) = (StandIn::new(), Broker::new(), Broker::new());
    let text = service("04-captures-and-rules/uplink.yml", &[("1885", cloud.port())]);
    let at_cloud = Subscriber::new(cloud.port(), "sites/#");
    let (agent, _folder) = agent(&api, &inside, &[&text], &[]);
    let agent = agent.ready();
    let mut publisher = Publisher::new(inside.port());
    for (topic, payload) in [
        ("machines/m1/temp", r#"{"c":21.04}"#),
        ("machines/m1/temp", r#"{"c":21.5}"#),
        ("machines/m2/temp", r#"{"c":21.5}"#),
        ("machines/m1/temp", "hello"),
        ("machines/m1/temp", r#"{"x":1}"#),
        ("machines/m1/temp", r#"{"c":30}"#),
    ] {
        publisher.publish(topic, payload);
    }
    let found = at_cloud.wait_for(3);
    let found: Vec<_> = found.iter().map(|it| (it.topic.as_str(), it.text())).collect();
    let made = |machine: &str, celsius: &str| {
        format!(r#"{{"machine":"{machine}","celsius":{celsius},"from":"machines/{machine}/temp"}}"#)
    };
    let wanted = [
        ("sites/cold/m1", made("m1", "21")),
        ("sites/cold/m2", made("m2", "21.5")),
        ("sites/hot/m1", made("m1", "30")),
    ];
    assert_eq!(found, wanted);
    agent.wait_for_log("payload is not JSON");
    let status = agent.get("/status").unwrap().1;
    let counts = r#"{"rule":"uplink-up[0], rule 1","stopped":1,"failed":1}"#;
    assert!(status.contains(counts), "{status}");
    // It is only published to.
    let cloud = r#"{"id":"uplink-cloud","type":"connection","expected":"connected","actual":"connected","since":"20"#;
    assert!(status.contains(cloud), "{status}");

    // A reload forgets nothing of rules that stay as they are.
    signal(agent.id(), "USR1");
    agent.wait_for_log("agent: stopped");
    publisher.publish("machines/m1/temp", r#"{"c":30.1}"#);
    publisher.publish("machines/m1/temp", r#"{"c":31}"#);
    assert_eq!(at_cloud.wait_for(4)[3].text(), made("m1", "31"));
}

#[test]
fn bursts_and_last_values_survive_a_kill() {
    let (api, inside) = (StandIn::new(), Broker::persistent());
    let text = service("05-shapes/shapes.yml", &[]).replace("maxSize: 3", "maxSize: 30");
    let text = text.replace("interval: 2000", "interval: 3600000");
    let (mut agent, _folder) = agent(&api, &inside, &[&text], &[]);
    agent.start();
    agent.wait_ready();
    let at_inside = Subscriber::new(inside.port(), "out/#");
    let mut publisher = Publisher::new(inside.port());
    // More than the broker sends before some are acknowledged.
    publisher.burst("raw/fast", (1..=30).map(|number| number.to_string()));
    let all: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
    assert_eq!(at_inside.wait_for(1)[0].text(), format!("[{}]", all.join(",")));
    publisher.publish("raw/csv", "P1;7.25");
    publisher.publish("raw/reg", b"\xff\x38");
    publisher.publish("room/t", "20");
    publisher.publish("room/h", r#"{"rel":50}"#);
    let found = at_inside.wait_for(5);
    let found: Vec<_> = found[1..].iter().map(|it| it.text()).collect();
    let wanted = [r#"{"k":"P1","v":7.25}"#, "-20", r#"{"t":20}"#, r#"{"t":20,"h":{"rel":50}}"#];
    assert_eq!(found, wanted);

    // Twelve wait: ten are stored, and the broker keeps the others. All of them come, in order.
    publisher.burst("raw/fast", (1..=12).map(|number| number.to_string()));
    publisher.publish("raw/csv", "behind;1");
    at_inside.wait_for(6);
    agent.kill();
    at_inside.take();
    agent.start();
    publisher.burst("raw/fast", (13..=80).map(|number| number.to_string()));
    let first = || {
        let mut found: Vec<u32> = Vec::new();
        for text in at_inside.texts().iter().filter(|text| text.starts_with('[')) {
            let burst: Vec<u32> = serde_json::from_str(text).unwrap();
            found.extend(burst);
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|number| seen.insert(*number));
        found
    };
    wait_until("what waited has come", || first().contains(&40));
    let found = first();
    let count = u32::try_from(found.len()).unwrap();
    assert_eq!(found, (1..=count).collect::<Vec<_>>());
}
