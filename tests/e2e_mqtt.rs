//! MQTT in, ilert out: a real mosquitto, the agent as a process, a stand-in for ilert.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;
use support::agent::{Agent, signal};
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::subscriber::Subscriber;
use support::words::words;
use support::{event, until, wait_until};

const DIRECT: [&str; 4] = ["-e", "events/#", "--mqtt_qos", "1"];
const BUFFER: [&str; 5] = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];

fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| event("il1api1", &format!("id-{number}")))
}

/// systemd and procd send SIGKILL this long after SIGTERM. The agent gives itself four seconds,
/// which are longer on a machine that has no time for it.
const KILLED_AFTER: Duration = Duration::from_secs(10);

/// The first of the dead letters.
fn dead(agent: &Agent) -> Option<serde_json::Value> {
    agent.list().into_iter().find(|line| line["state"] == "dead")
}

#[test]
fn a_burst_of_a_thousand_messages_arrives_in_full_and_once() {
    for arguments in [&DIRECT[..], &BUFFER] {
        let (api, broker) = (StandIn::new(), Broker::new());
        let _agent = Agent::mqtt(&api, broker.port(), arguments).ready();
        Publisher::new(broker.port()).burst("events/a", ids(1_000));
        api.wait_for(1_000);
        assert_eq!(api.accepted().len(), 1_000, "none twice");
        assert_eq!(broker.connects("ilagent"), 1);
        assert_eq!(api.requests()[0].path, "/api/v1/events/mqtt/il1api1");
    }
}

#[test]
fn an_oversized_message_becomes_a_dead_letter_and_the_next_one_arrives() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("events/a", event("il1api1", &"x".repeat(20_000)));
    publisher.publish("events/big", vec![b'x'; 3 * 1024 * 1024]);
    publisher.publish("events/a", event("il1api1", "small"));
    api.wait_for(2);
    let letter = until("a dead letter is kept", || dead(&agent));
    assert_eq!(letter["origin"], "events/big");
    wait_until("nothing else is", || agent.list().len() == 1);
    assert_eq!(broker.connects("ilagent"), 1);
}

#[test]
fn a_message_that_is_no_event_becomes_a_dead_letter_and_stops_nothing() {
    for arguments in [&DIRECT[..], &BUFFER] {
        let (api, broker) = (StandIn::new(), Broker::new());
        let agent = Agent::mqtt(&api, broker.port(), arguments).ready();
        let mut publisher = Publisher::new(broker.port());
        publisher.publish("events/a", "not json");
        publisher.publish("events/a", [0xFF, 0xFE]);
        publisher.publish("events/a", event("il1api1", "good"));
        api.wait_for(1);
        wait_until("both are kept", || agent.list().len() == 2);
    }
}

#[test]
fn qos_2_is_handed_over_once_across_restarts_of_the_agent() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let arguments = ["-e", "events/#", "--mqtt_qos", "2"];
    let mut agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    let mut publisher = Publisher::new(broker.port());
    for number in 0..20 {
        publisher.publish_qos2("events/a", event("il1api1", &format!("first-{number}")));
    }
    api.wait_for(20);
    broker.wait_for_log("Received PUBREC from ilagent ", 20);
    api.answer_all(Answer::Status(503));
    for number in 0..20 {
        publisher.publish_qos2("events/a", event("il1api1", &format!("second-{number}")));
    }
    let before = api.count();
    wait_until("an attempt fails", || api.count() > before);
    agent.kill();
    // What it had asked before its end is refused as well, and not taken twice.
    api.wait_hung_up();
    api.answer_all(Answer::Status(202));
    agent.start();
    agent.wait_ready();
    api.wait_for(40);
    publisher.publish_qos2("events/a", event("il1api1", "last"));
    api.wait_for(41);
    assert_eq!(api.accepted().len(), 41, "none twice");
}

#[test]
fn a_failing_event_makes_no_reconnect_and_holds_up_no_other() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer(|request| Answer::Status(if request.summary() == "bad" { 500 } else { 202 }));
    let _agent = Agent::mqtt(&api, broker.port(), &DIRECT).ready();
    let mut publisher = Publisher::new(broker.port());
    for _ in 0..30 {
        publisher.publish("events/a", event("il1api1", "bad"));
    }
    publisher.burst("events/a", ids(100));
    api.wait_for(100);
    assert_eq!(broker.connects("ilagent"), 1);
}

#[test]
fn a_slow_api_does_not_cost_the_connection() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::Slow(Duration::from_secs(4), 202));
    let _agent = Agent::mqtt(&api, broker.port(), &DIRECT).ready();
    Publisher::new(broker.port()).burst("events/a", ids(10));
    api.wait_for(10);
    assert_eq!(broker.connects("ilagent"), 1);
    assert_eq!(api.accepted().len(), 10, "none twice");
}

#[test]
fn a_bad_heartbeat_key_stops_nothing() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer(|request| {
        Answer::Status(if request.path.contains("heartbeats") { 404 } else { 202 })
    });
    let arguments = ["-e", "#", "-r", "ilert/heartbeats", "--mqtt_qos", "1"];
    let _agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("ilert/heartbeats", r#"{"integrationKey":"il1hbtbad"}"#);
    publisher.publish("events/a", event("il1api1", "good"));
    api.wait_for(1);
    wait_until("it was pinged", || {
        api.requests().iter().any(|r| r.path == "/api/heartbeats/il1hbtbad" && r.method == "GET")
    });
    assert_eq!(broker.connects("ilagent"), 1);
    assert_eq!(api.requests().iter().filter(|r| r.path.contains("heartbeats")).count(), 1);
}

#[test]
fn retained_messages_are_not_multiplied_by_reconnects() {
    let (api, mut broker) = (StandIn::new(), Broker::persistent());
    Publisher::new(broker.port()).retain("events/kept", event("il1api1", "kept"));
    let _agent = Agent::mqtt(&api, broker.port(), &DIRECT).ready();
    api.wait_for(1);
    for restarts in 2..5 {
        broker.stop();
        broker.start();
        wait_until("the agent is back", || broker.connects("ilagent") >= restarts);
    }
    Publisher::new(broker.port()).publish("events/a", event("il1api1", "after"));
    api.wait_for(2);
    assert_eq!(api.accepted(), ["kept", "after"]);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing_that_was_confirmed() {
    for arguments in [&DIRECT[..], &BUFFER] {
        let (api, mut broker) = (StandIn::new(), Broker::new());
        let mut agent = Agent::mqtt(&api, broker.port(), arguments).ready();
        Publisher::new(broker.port()).burst("events/a", ids(50));
        api.wait_for(50);
        broker.kill();
        wait_until("it is not ready without its broker", || {
            agent.get("/ready").is_some_and(|(status, _)| status == 503)
        });
        broker.start();
        agent.wait_ready();
        Publisher::new(broker.port()).publish("events/a", event("il1api1", "after"));
        api.wait_for(51);
    }
}

#[test]
fn the_documented_command_works_as_it_stands() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let line = "-n ilagent -e # -e ilert/+ -r ilert/heartbeats --mqtt_username my-user \
                --mqtt_password my-pass --mqtt_qos 1";
    let agent = Agent::mqtt(&api, broker.port(), &words(line)).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish(
        "ilert/events",
        r#"{"integrationKey":"il1api123","eventType":"ALERT","summary":"Hey from MQTT"}"#,
    );
    publisher.publish("ilert/heartbeats", r#"{"integrationKey":"il1hbt123"}"#);
    wait_until("both arrive", || api.count() == 2);
    assert_eq!(api.accepted(), ["Hey from MQTT"], "{}", agent.log());
    for words in [
        "received 76 bytes on ilert/events (QoS 1",
        "intake: ilert/events → event for ilert/il1api…",
        "ilert: delivery 1 accepted, correlation id c0ffee",
        "delivered 1, event for ilert/il1api…, from ilert/events",
    ] {
        agent.wait_for_log(words);
    }
    for secret in ["il1api123", "il1hbt123", "my-pass"] {
        assert!(!agent.log().contains(secret), "{secret} stands in the log\n{}", agent.log());
    }
}

#[test]
fn a_shared_group_divides_the_messages_among_agents() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agents = Vec::new();
    for name in ["one", "two"] {
        let arguments =
            ["-n", name, "-e", "events/#", "--mqtt_qos", "1", "--mqtt_shared_group", "team"];
        agents.push(Agent::mqtt(&api, broker.port(), &arguments).ready());
    }
    assert_eq!(broker.logged(" (p5,"), 2, "both speak MQTT 5");
    Publisher::new(broker.port()).burst("events/a", ids(200));
    api.wait_for(200);
    assert_eq!(api.accepted().len(), 200, "each message once");
}

#[test]
fn a_resolve_never_overtakes_its_alert() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let failing = std::sync::atomic::AtomicUsize::new(0);
    api.answer(move |_| {
        let number = failing.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Answer::Status(if number.is_multiple_of(3) { 500 } else { 202 })
    });
    let _agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let steps = (0..30).flat_map(|key| {
        ["ALERT", "ACCEPT", "RESOLVE"].map(|step| {
            format!(r#"{{"integrationKey":"k{}","eventType":"{step}","summary":"{key} {step}","alertKey":"{key}"}}"#, key % 3)
        })
    });
    Publisher::new(broker.port()).burst("events/a", steps);
    api.wait_for(90);
    let accepted = api.accepted();
    for key in 0..30 {
        let own: Vec<_> = accepted.iter().filter(|s| s.starts_with(&format!("{key} "))).collect();
        assert_eq!(
            own,
            [&format!("{key} ALERT"), &format!("{key} ACCEPT"), &format!("{key} RESOLVE")]
        );
    }
}

#[test]
fn a_key_stays_inside_its_path_segment_and_the_token_at_home() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let line = "-e events/# --mqtt_qos 1 --policy_topic policies --policy_routing_keys site";
    let agent = Agent::mqtt(&api, broker.port(), &words(line));
    let _agent = agent.env("ILERT_API_KEY", "Bearer secret-token").ready();
    api.answer(|request| match request.path.split('?').next().unwrap() {
        "/api/users/search-email" => Answer::Full(
            200,
            vec![("Content-Type", "application/json; charset=utf-8".to_owned())],
            r#"{"id":7}"#.to_owned(),
        ),
        "/api/escalation-policies/resolve" => {
            Answer::json(200, r#"{"id":9,"escalationRules":[{"escalationTimeout":5}]}"#)
        }
        "/api/escalation-policies/9/levels/0" => Answer::json(200, "{}"),
        _ => Answer::Status(202),
    });
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("events/a", event("../../../users", "climber"));
    publisher.publish("policies", r#"{"site":"A B","data":{"email":"x@y.z","shift":0}}"#);
    wait_until("the policy is updated", || api.requests().iter().any(|r| r.method == "PUT"));
    api.wait_for(1);
    for request in api.requests() {
        let token = request.header("authorization");
        if request.path.starts_with("/api/v1/events") {
            assert_eq!(request.path, "/api/v1/events/mqtt/..%2F..%2F..%2Fusers");
            assert_eq!(token, None);
        } else {
            assert_eq!(token, Some("Bearer secret-token"), "{}", request.path);
        }
    }
    let put = api.requests().into_iter().find(|r| r.method == "PUT").unwrap();
    assert_eq!(put.json().to_string(), r#"{"escalationTimeout":5,"users":[{"id":7}]}"#);
    assert!(
        api.requests()
            .iter()
            .any(|r| r.path.ends_with("routing-key=A%20B") || r.path.ends_with("routing-key=A+B"))
    );
}

#[test]
fn a_full_queue_leaves_the_rest_with_the_broker() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::Status(503));
    let mut arguments = BUFFER.to_vec();
    arguments.extend(["--queue_limit", "64KB"]);
    let agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    Publisher::new(broker.port()).burst("events/a", ids(2_000));
    wait_until("the probe says so", || {
        agent.get("/ready").is_some_and(|(status, body)| status == 503 && body.contains("full"))
    });
    assert!(std::fs::metadata(agent.database()).unwrap().len() < 1024 * 1024);
    api.answer_all(Answer::Status(202));
    api.wait_for(2_000);
    assert_eq!(api.accepted().len(), 2_000);
    assert_eq!(broker.connects("ilagent"), 1);
}

#[test]
fn a_stop_sends_what_was_delivered_and_says_disconnect() {
    for name in ["TERM", "INT"] {
        let (api, broker) = (StandIn::new(), Broker::new());
        let mut agent = Agent::mqtt(&api, broker.port(), &DIRECT).ready();
        Publisher::new(broker.port()).burst("events/a", ids(200));
        let (status, time) = agent.end(name);
        assert_eq!(status.code(), Some(0));
        assert!(time < KILLED_AFTER, "{time:?}");
        broker.wait_for_log("Received DISCONNECT from ilagent", 1);
        agent.start();
        api.wait_for(200);
        agent.wait_ready();
        assert_eq!(api.accepted().len(), 200, "none twice");
    }
}

#[test]
fn the_end_comes_in_time_when_the_api_hangs() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::Hang);
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    Publisher::new(broker.port()).burst("events/a", ids(50));
    wait_until("attempts are under way", || api.count() > 5);
    let (status, time) = agent.end("TERM");
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(time < KILLED_AFTER, "{time:?}");
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(50);
}

#[test]
fn a_delivery_that_hangs_holds_up_none_that_comes_later() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer(|request| match request.summary().as_str() {
        "hangs" => Answer::Hang,
        _ => Answer::Status(202),
    });
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("events/a", event("il1api1", "hangs"));
    wait_until("the attempt is under way", || api.count() == 1);
    publisher.publish("events/a", event("il1api1", "later"));
    api.wait_for(1);
    assert_eq!(api.accepted(), ["later"]);
    assert!(!agent.log().contains("timeout"), "the first attempt is still under way");
    api.answer_all(Answer::Status(202));
    api.wait_for(2);
    agent.end("TERM");
}

#[test]
fn messages_of_qos_0_are_kept_once_they_are_stored() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.go_away();
    let mut agent = Agent::mqtt(&api, broker.port(), &["-e", "events/#", "--mqtt_buffer"]).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish_qos0("events/a", event("il1api1", "once"));
    wait_until("it is stored", || agent.list().len() == 1);
    agent.kill();
    api.come_back();
    agent.start();
    api.wait_for(1);
}

#[test]
fn a_key_without_its_line_ends_is_a_fault_that_shows_nothing_of_it() {
    let (api, folder) = (StandIn::new(), support::Folder::new());
    let authority = support::certificates::Authority::new();
    authority.issue(folder.path(), "own", "own");
    let whole = std::fs::read_to_string(folder.join("own.key")).unwrap();
    let secret = whole.lines().nth(1).unwrap();
    let bytes: Vec<String> = secret.bytes().take(8).map(|byte| byte.to_string()).collect();
    for (name, text, wanted) in [
        ("one-line.key", whole.replace('\n', ""), "its line ends are lost"),
        ("written.key", whole.replace('\n', "\\n"), "written out where its lines should end"),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
        let (chain, key) = (folder.join("own.pem"), folder.join(name));
        let line = format!(
            "-e a --mqtt_qos 1 --mqtt_tls --mqtt_client_cert {} --mqtt_client_key {}",
            chain.display(),
            key.display()
        );
        let output = Agent::mqtt(&api, 1, &words(&line)).command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("{name} is not valid PEM: ")), "{said}");
        assert!(said.contains(wanted), "{said}");
        assert_eq!(said.matches("mqtt 127.0.0.1: ").count(), 1, "said once, prefix once: {said}");
        assert!(!said.contains(&secret[..8]) && !said.contains(&bytes.join(", ")), "{said}");
    }
}

/// A broker of those that pass every topic on, as mosquitto does not: sends one message to the
/// first who subscribes.
fn broker_that_sends(topic: &[u8], payload: &[u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let size = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let body = [&size(topic.len()), topic, &[0, 1], payload].concat();
    let length = [body.len() & 0x7F | 0x80, body.len() >> 7 & 0x7F | 0x80, body.len() >> 14];
    let length = length.map(|part| u8::try_from(part).unwrap());
    let publish = [&[0x32], &length[..], &body].concat();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 1024];
        let _ = stream.read(&mut asked).unwrap();
        stream.write_all(b"\x20\x02\0\0").unwrap();
        let _ = stream.read(&mut asked).unwrap();
        stream.write_all(&[0x90, 3, asked[2], asked[3], 1]).unwrap();
        stream.write_all(&publish).unwrap();
        // Until the agent goes.
        while stream.read(&mut asked).is_ok_and(|count| count > 0) {}
    });
    port
}

#[test]
fn what_strangers_send_writes_no_line_of_its_own_and_does_not_talk_to_the_terminal() {
    const NASTY: &str = "a\nFAKE [ERROR] agent: off\x1b[2J\u{9b}2J\u{202e}\r\n<0>FAKE";
    let topic = [NASTY, &"t".repeat(60_000)].concat();
    let payload = [b"21.5 \x1b]0;title\x07\nFAKE body \xff".as_slice(), NASTY.as_bytes()].concat();
    let port = broker_that_sends(topic.as_bytes(), &payload);
    let api = StandIn::new();
    api.answer_all(Answer::Full(
        400,
        vec![("Content-Type", "application/json".to_owned())],
        NASTY.to_owned(),
    ));
    let agent = Agent::mqtt(&api, port, &["-e", "#", "--mqtt_qos", "1"]).started();
    wait_until("the message is kept", || agent.list().len() == 1);
    let posted = serde_json::json!({ "integrationKey": format!("\n<0>FAKE{NASTY}"),
        "eventType": "ALERT", "summary": NASTY, "alertKey": NASTY });
    assert_eq!(agent.post(&posted.to_string()).unwrap().0, 200);
    assert_eq!(agent.post(&posted.to_string().replace("ALERT", "\\nFAKE")).unwrap().0, 400);
    wait_until("the event is judged", || agent.log().contains("(ilert/"));
    let printed = |arguments: &[&str]| String::from_utf8(agent.queue(arguments).stdout).unwrap();
    let status = agent.get("/status").unwrap().1;
    let metrics = agent.get("/metrics").unwrap().1;
    let (list, show) = (printed(&["list"]), printed(&["show", "d1"]));
    for text in [agent.log(), list, show, metrics, status] {
        assert!(!text.lines().any(|line| line.starts_with("FAKE")), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("<0>")), "{text}");
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(acts), "{text:?}");
        assert!(text.lines().all(|line| line.len() < 8_000), "{text}");
    }
    assert!(agent.log().contains(r"a dead letter from a\nFAKE"), "{}", agent.log());
    assert_eq!(agent.queue(&["show", "--raw", "d1"]).stdout, payload);
    assert!(agent.list().iter().any(|letter| letter["origin"] == topic));
}

#[test]
fn numbers_and_payloads_arrive_digit_for_digit_and_byte_for_byte() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let map = ["--map_key_alert_key", "id", "--forward_message_payload"];
    let agent = Agent::mqtt(&api, broker.port(), &[&DIRECT[..], &map].concat()).ready();
    let payload = |number: &str| {
        format!(
            r#"{{"apiKey": "il1api1","summary":"{number}","id":{number},"x":[1e3, -0,0.1000]}}"#
        )
    };
    let mut publisher = Publisher::new(broker.port());
    // Two SIM cards; as the firmware of one ends its texts, and as an editor of the other begins them.
    let (first, second) = (payload("89490200001234567890"), payload("89490200001234567891"));
    publisher.publish("events/a", format!("{first}\0"));
    publisher.publish("events/a", format!("\u{feff}{second}"));
    let posted = first.replace("\"x\"", "\"eventType\":\"ALERT\",\"customDetails\"");
    let (status, echo) = agent.post(&format!("\u{feff}{posted}\0")).unwrap();
    assert_eq!(status, 200);
    assert!(echo.contains(r#""customDetails":[1e3, -0,0.1000],"#), "{echo}");
    api.wait_for(2);
    wait_until("all three arrive", || api.accepted().len() == 3);
    let bodies: Vec<_> = api.requests().into_iter().map(|request| request.body).collect();
    let bodies: Vec<_> = bodies.iter().map(|body| String::from_utf8_lossy(body)).collect();
    for (payload, number) in [(first, "89490200001234567890"), (second, "89490200001234567891")] {
        let wanted =
            [format!("\"alertKey\":\"{number}\""), format!("\"customDetails\":{payload},")];
        let has = bodies.iter().any(|body| wanted.iter().all(|part| body.contains(part)));
        assert!(has, "{wanted:?} in {bodies:?}");
    }
    assert!(bodies.iter().any(|body| *body == echo), "{bodies:?}");
    publisher.publish("events/a", "\0{}");
    let letter = until("it is kept", || dead(&agent));
    assert_eq!(letter["reason"], "not JSON: a NUL (byte 0x00) at line 1 column 1");
}

/// A topic says if the agent is there, whatever its end.
#[test]
fn a_status_topic_tells_the_truth() {
    for (format, version) in [("text", 3), ("json", 5)] {
        let (api, mut broker) = (StandIn::new(), Broker::new());
        let watcher = Subscriber::new(broker.port(), "site7/#");
        let says = |number: usize, wanted: &str| {
            // The next may be there already: a reload says both at once.
            let text = watcher.wait_for(number)[number - 1].text();
            let status = match format {
                "text" => text,
                _ => serde_json::from_str::<serde_json::Value>(&text).unwrap()["status"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            };
            assert_eq!(status, wanted, "message {number}");
        };
        let text = format!(
            "[[mqtt]]\nurl = \"mqtt://127.0.0.1:{}\"\nversion = {version}\n\
             status-topic = \"site7/agent\"\nstatus-format = \"{format}\"\n\
             [[mqtt.subscription]]\ntopic = \"alarms\"\n",
            broker.port()
        );
        let mut agent = Agent::with_file(&api, &text).ready();
        says(1, "online");
        agent.kill();
        says(2, "offline");
        agent.start();
        says(3, "online");
        if format == "json" {
            let counts = watcher.received().pop().unwrap().text();
            assert!(
                counts.contains(r#""waiting":0,"dead_letters":0,"sinks":[{"name":"#),
                "{counts}"
            );
        }
        agent.configure(&text.replace("version", "keep-alive = \"50 s\"\nversion"));
        signal(agent.id(), "HUP");
        says(4, "offline");
        says(5, "online");
        agent.end("TERM");
        says(6, "offline");
        let late = Subscriber::new(broker.port(), "site7/#").wait_for(1);
        assert!(late[0].retain && late[0].text().contains("offline"));
        agent.start();
        says(7, "online");
        broker.kill(); // And forgets everything.
        broker.start();
        says(8, "online");
        assert_eq!(watcher.count(), 8);
    }
}
