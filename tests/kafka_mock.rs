//! The whole agent against librdkafka's mock cluster: consume, deliver, commit, and all that can
//! come between.

#![allow(clippy::unwrap_used, reason = "a broken test panics")]

mod support;

use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, Instant};
use support::agent::{Agent, BINARY};
use support::cluster::{Cluster, GROUP, TOPIC};
use support::stand_in::{Answer, StandIn};
use support::words::words;
use support::{event, wait_until, wait_within};

/// The documented time after which the agent gives up.
const GIVE_UP: Duration = Duration::from_secs(5);

/// When systemd and procd send SIGKILL after SIGTERM.
const STOP: Duration = Duration::from_secs(10);

#[track_caller]
fn stops(agent: &mut Agent) {
    let (status, took) = agent.end("TERM");
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(took < STOP, "{took:?}");
}

fn status(agent: &Agent) -> serde_json::Value {
    let (_, body) = agent.get("/status").unwrap();
    serde_json::from_str(&body).unwrap()
}

#[test]
fn what_is_delivered_is_committed_and_what_is_committed_does_not_come_again() {
    let (api, cluster) = (StandIn::new(), Cluster::new(2));
    for id in ["a", "b", "c"] {
        cluster.publish(0, &event("il1key", id));
    }
    cluster.publish_raw(TOPIC, 1, Some(b"machine-7"), Some(event("il1key", "d").as_bytes()));
    let mut agent = cluster.agent(&api, &[]).ready();
    api.wait_for(4);
    cluster.wait_committed(&[3, 1]);
    stops(&mut agent);

    let requests = api.requests();
    assert!(requests.iter().all(|request| request.path == "/api/v1/events/kafka/il1key"));
    let keyed = requests.iter().find(|request| request.summary() == "d").unwrap().json();
    assert_eq!(keyed["customDetails"]["messageKey"], "machine-7");
    assert_eq!(keyed["customDetails"]["topic"], TOPIC);

    agent.start();
    agent.wait_ready();
    cluster.publish(0, &event("il1key", "e"));
    api.wait_for(5);
    cluster.wait_committed(&[4, 1]);
    assert!(api.tally().values().all(|&count| count == 1), "{:?}", api.tally());
    assert!(agent.list().is_empty(), "nothing is stored without --kafka_buffer");
}

#[test]
fn without_buffer_an_ilert_that_is_down_ends_the_agent_and_loses_nothing() {
    for down in [None, Some(500), Some(503)] {
        let (api, cluster) = (StandIn::new(), Cluster::new(1));
        let mut agent = cluster.agent(&api, &[]).ready();
        match down {
            None => api.go_away(),
            Some(status) => api.answer_all(Answer::Status(status)),
        }
        let since = Instant::now();
        for id in ["a", "b", "c"] {
            cluster.publish(0, &event("il1key", id));
        }
        let status = agent.wait_end();
        assert_eq!(status.code(), Some(1), "{down:?}: {}", agent.log());
        assert!(since.elapsed() >= GIVE_UP, "{down:?}: the five seconds were not used");
        assert!(since.elapsed() < GIVE_UP + STOP, "{down:?}: {:?}", since.elapsed());
        assert_eq!(cluster.committed(1), [0], "{down:?}: {}", agent.log());
        assert!(agent.log().contains("took nothing for 5 s"), "{}", agent.log());
        assert!(agent.list().is_empty(), "{down:?}: nothing is stored without --kafka_buffer");
        if down.is_some() {
            let tries = api.requests().iter().filter(|request| request.summary() == "a").count();
            assert!(tries >= 2, "{down:?}: {tries} tries in five seconds");
            api.answer_all(Answer::Status(202));
        } else {
            api.come_back();
        }
        agent.start();
        api.wait_for(3);
        cluster.wait_committed(&[3]);
        stops(&mut agent);
    }
}

#[test]
fn an_outage_that_is_short_is_bridged() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    let mut agent = cluster.agent(&api, &[]).ready();
    api.go_away();
    cluster.publish(0, &event("il1key", "a"));
    agent.wait_for_log("failed, will try again");
    api.come_back();
    api.wait_for(1);
    cluster.wait_committed(&[1]);
    stops(&mut agent);
}

#[test]
fn with_buffer_offsets_are_committed_while_ilert_is_down_and_nothing_exits() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    let mut agent = cluster.agent(&api, &["--kafka_buffer"]).ready();
    api.go_away();
    for id in ["a", "b", "c"] {
        cluster.publish(0, &event("il1key", id));
    }
    cluster.wait_committed(&[3]);
    // Longer than an agent without buffer would live.
    wait_until("the outage is longer than five seconds", || {
        let sinks = status(&agent)["sinks"].clone();
        sinks[0]["failing_for_seconds"].as_u64() > Some(GIVE_UP.as_secs() + 1)
    });
    assert!(agent.is_running());
    agent.kill();
    api.come_back();
    agent.start();
    api.wait_for(3);
    assert!(api.tally().values().all(|&count| count == 1), "{:?}", api.tally());
    stops(&mut agent);
}

#[test]
fn what_cannot_be_delivered_becomes_a_dead_letter_and_holds_up_nothing() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    api.answer(|request| Answer::Status(if request.summary() == "no" { 400 } else { 202 }));
    let large = format!(r#"{{"integrationKey":"il1key","summary":"{}"}}"#, "x".repeat(2_000));
    cluster.publish_raw(TOPIC, 0, Some(b"k"), None);
    cluster.publish_raw(TOPIC, 0, None, Some(b"{\"summary\":\"\xff\"}"));
    cluster.publish(0, "not json");
    cluster.publish(0, &large);
    cluster.publish(0, "");
    cluster.publish(0, &event("il1key", "no"));
    cluster.publish(0, &event("il1key", "good"));
    let mut agent = cluster.agent(&api, &["--kafka_message_limit", "1 KB"]).ready();
    api.wait_for(1);
    cluster.wait_committed(&[7]);
    assert_eq!(api.accepted(), ["good"]);
    let reasons: Vec<String> =
        agent.list().iter().map(|letter| letter["reason"].as_str().unwrap().to_owned()).collect();
    for wanted in [
        "a message without a payload",
        "not JSON: the byte 0xff at line 1 column 13, which is not UTF-8",
        "not JSON: expected",
        "bytes; the limit is 1024",
        "not JSON: it is empty",
        "status 400",
    ] {
        let count = reasons.iter().filter(|reason| reason.contains(wanted)).count();
        assert_eq!(count, 1, "{wanted}: {reasons:?}");
    }
    stops(&mut agent);
    agent.start();
    agent.wait_ready();
    cluster.publish(0, &event("il1key", "after"));
    api.wait_for(2);
    assert_eq!(agent.list().len(), 6, "the dead do not come again");
}

#[test]
fn a_slow_api_does_not_mean_one_message_at_a_time_and_order_holds_per_alert_key() {
    let (api, cluster) = (StandIn::new(), Cluster::new(2));
    api.answer_all(Answer::Slow(Duration::from_millis(20), 202));
    for number in 0..200 {
        let body = format!(
            r#"{{"integrationKey":"il1key","summary":"{number}","alertKey":"key-{}"}}"#,
            number % 20
        );
        cluster.publish(number % 2, &body);
    }
    let mut agent = cluster.agent(&api, &[]).ready();
    api.wait_for(200);
    cluster.wait_committed(&[100, 100]);
    assert!(api.in_flight_max() >= 10, "{} at a time", api.in_flight_max());
    let mut last: HashMap<i32, i32> = HashMap::new();
    for number in api.accepted().iter().map(|summary| summary.parse::<i32>().unwrap()) {
        let before = last.insert(number % 20, number);
        assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
    }
    stops(&mut agent);
}

#[test]
fn a_key_that_is_rate_limited_or_always_fails_holds_up_no_other() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    api.answer(|request| match request.summary().as_str() {
        "limited" => Answer::Full(429, vec![("Retry-After", "300".to_owned())], String::new()),
        "failing" => Answer::Status(500),
        _ => Answer::Status(202),
    });
    let mut agent = cluster.agent(&api, &[]).ready();
    cluster.publish(0, &event("il1limited", "limited"));
    cluster.publish(0, &event("il1failing", "failing"));
    for number in 0..20 {
        cluster.publish(0, &event("il1key", &format!("good-{number}")));
    }
    api.wait_for(20);
    cluster.wait_committed(&[22]);
    assert_eq!(agent.list().len(), 2, "{:?}", agent.list());
    stops(&mut agent);
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(22);
    stops(&mut agent);
}

#[test]
fn heartbeats_are_passed_on_and_never_held_back() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    cluster.mock.create_topic("beats", 1, 1).unwrap();
    api.answer(|request| Answer::Status(if request.method == "GET" { 503 } else { 202 }));
    let mut agent = cluster.agent(&api, &["-r", "beats"]).ready();
    cluster.publish_raw("beats", 0, None, Some(br#"{"integrationKey":"il1hbt1"}"#));
    wait_until("the ping is tried", || {
        api.requests().iter().any(|request| request.path == "/api/heartbeats/il1hbt1")
    });
    api.answer_all(Answer::Status(202));
    cluster.publish(0, &event("il1key", "a"));
    api.wait_for(1);
    cluster.wait_committed(&[1]);
    assert!(agent.is_running());
    stops(&mut agent);
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_commits_it() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    let mut agent = cluster.agent(&api, &[]).ready();
    api.answer_all(Answer::Hang);
    for id in ["a", "b", "c"] {
        cluster.publish(0, &event("il1key", id));
    }
    wait_until("three attempts are under way", || api.count() == 3);
    support::agent::signal(agent.id(), "INT");
    wait_until("the agent drains", || agent.get("/health").is_some_and(|(code, _)| code == 503));
    assert_eq!(agent.get("/ready").unwrap().0, 503);
    api.answer_all(Answer::Status(202));
    assert_eq!(agent.wait_end().code(), Some(0));
    assert_eq!(cluster.committed(1), [3], "{}", agent.log());
    agent.start();
    agent.wait_ready();
    cluster.publish(0, &event("il1key", "d"));
    api.wait_for(4);
    assert!(api.tally().values().all(|&count| count == 1), "{:?}", api.tally());
}

#[test]
fn a_stop_in_an_outage_is_in_time_and_commits_nothing_that_is_not_delivered() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    let mut agent = cluster.agent(&api, &[]).ready();
    cluster.publish(0, &event("il1key", "a"));
    cluster.wait_committed(&[1]);
    api.answer_all(Answer::Hang);
    cluster.publish(0, &event("il1key", "b"));
    wait_until("an attempt is under way", || api.count() == 2);
    stops(&mut agent);
    assert_eq!(cluster.committed(1), [1]);
}

#[test]
fn two_agents_share_a_topic_and_one_takes_over_what_the_other_leaves() {
    let (api, cluster) = (StandIn::new(), Cluster::new(4));
    let mut published = 0;
    let mut publish = |count: usize| {
        for _ in 0..count {
            let partition = i32::try_from(published % 4).unwrap();
            cluster.publish(partition, &event("il1key", &format!("{published}")));
            published += 1;
        }
        published
    };
    let mut one = cluster.agent(&api, &[]).ready();
    api.wait_for(publish(40));
    let mut other = cluster.agent(&api, &[]).ready();
    one.wait_for_log("let go of 2 partitions");
    other.wait_for_log("joined; 2 new partitions");
    api.wait_for(publish(40));
    wait_until("both deliver", || other.log().contains("received"));
    cluster.wait_committed(&[20; 4]);
    // Nothing was in flight when partitions moved, so nothing came twice.
    assert!(api.tally().values().all(|&count| count == 1), "{:?}", api.tally());

    // One is stopped and leaves the group, so the other has its partitions at once.
    stops(&mut one);
    api.wait_for(publish(40));
    cluster.wait_committed(&[30; 4]);
    assert!(api.tally().values().all(|&count| count == 1), "{:?}", api.tally());

    // The other is killed, and the group has to notice.
    one.start();
    one.wait_ready();
    other.kill();
    api.wait_for(publish(40));
    cluster.wait_committed(&[40; 4]);
    stops(&mut one);
}

#[test]
fn a_rebalance_in_the_middle_of_a_flood_loses_nothing() {
    let (api, cluster) = (StandIn::new(), Cluster::new(4));
    api.answer_all(Answer::Slow(Duration::from_millis(5), 202));
    let mut agents: Vec<Agent> = vec![cluster.agent(&api, &[]).ready()];
    for number in 0..3_000 {
        cluster.publish(number % 4, &event("il1key", &number.to_string()));
        if number == 500 {
            agents.push(cluster.agent(&api, &[]).started());
        }
        if number == 1_500 {
            agents.push(cluster.agent(&api, &["--kafka_buffer"]).started());
        }
    }
    agents[1].wait_ready();
    stops(&mut agents[0]);
    agents[2].wait_ready();
    agents[1].kill();
    wait_within(Duration::from_secs(60), "all are delivered", || api.tally().len() == 3_000);
    cluster.wait_committed(&[750; 4]);
    for agent in &mut agents {
        if agent.is_running() {
            stops(agent);
        }
    }
}

#[test]
fn agents_that_are_killed_lose_nothing_and_repeat_only_what_was_in_their_hands() {
    // What is in the hands of an agent, and what was finished since the last commit.
    const IN_HAND: usize = 600;
    const ROUNDS: usize = 4;
    let (api, cluster) = (StandIn::new(), Cluster::new(2));
    api.answer_all(Answer::Slow(Duration::from_millis(2), 202));
    let mut agent = cluster.agent(&api, &[]).ready();
    let mut published = 0;
    for round in 1..=ROUNDS {
        while published < round * 400 {
            let partition = i32::try_from(published % 2).unwrap();
            cluster.publish(partition, &event("il1key", &published.to_string()));
            published += 1;
        }
        api.wait_for(published - 200);
        agent.kill();
        agent.start();
    }
    api.wait_for(published);
    let half = i64::try_from(published / 2).unwrap();
    cluster.wait_committed(&[half, half]);
    let repeated: usize = api.tally().values().map(|count| count - 1).sum();
    assert!(repeated <= ROUNDS * IN_HAND, "{repeated} repeated");
    stops(&mut agent);
}

#[test]
fn a_broker_that_is_lost_is_told_and_found_again() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    let mut agent = cluster.agent(&api, &[]).ready();
    cluster.mock.broker_down(1).unwrap();
    wait_until("the agent is not ready", || {
        agent.get("/ready").is_some_and(|(code, body)| {
            code == 503 && body.contains(r#""component":"kafka","connected":false"#)
        })
    });
    assert!(agent.log().contains("[WARN] kafka"), "{}", agent.log());
    cluster.mock.broker_up(1).unwrap();
    agent.wait_ready();
    cluster.publish(0, &event("il1key", "a"));
    api.wait_for(1);
    cluster.wait_committed(&[1]);
    stops(&mut agent);
}

#[test]
fn a_stop_while_no_broker_is_there_is_in_time() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    let mut agent = cluster.agent(&api, &[]).ready();
    cluster.publish(0, &event("il1key", "a"));
    cluster.wait_committed(&[1]);
    cluster.mock.broker_down(1).unwrap();
    wait_until("the agent is not ready", || {
        agent.get("/ready").is_some_and(|(code, _)| code == 503)
    });
    stops(&mut agent);
    // And one that never had a broker.
    agent.start();
    wait_until("it answers", || agent.get("/ready").is_some_and(|(code, _)| code == 503));
    stops(&mut agent);
}

#[test]
fn a_coordinator_that_moves_and_commits_that_fail_change_nothing() {
    let (api, cluster) = (StandIn::new(), Cluster::of(3, 2));
    cluster.mock.coordinator(MockCoordinator::Group(GROUP.to_owned()), 1).unwrap();
    let mut agent = cluster.agent(&api, &[]).ready();
    cluster.publish(0, &event("il1key", "a"));
    cluster.wait_committed(&[1, 0]);
    cluster.mock.request_errors(
        RDKafkaApiKey::OffsetCommit,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE],
    );
    cluster.publish(0, &event("il1key", "b"));
    agent.wait_for_log("offsets are not committed, will try again");
    cluster.wait_committed(&[2, 0]);
    cluster.mock.coordinator(MockCoordinator::Group(GROUP.to_owned()), 2).unwrap();
    cluster.publish(1, &event("il1key", "c"));
    api.wait_for(3);
    cluster.wait_committed(&[2, 1]);
    agent.wait_ready();
    stops(&mut agent);
}

#[test]
fn a_topic_that_is_not_there_is_told_and_found_when_it_is_made() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    cluster
        .mock
        .topic_error("later", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        .unwrap();
    let mut agent = cluster.agent(&api, &["-e", "later"]).started();
    wait_until("the missing topic is told", || {
        agent.get("/ready").is_some_and(|(code, body)| {
            code == 503 && body.contains("topic later") && body.contains(r#""subscribed":false"#)
        })
    });
    // The other topic is consumed meanwhile.
    cluster.publish(0, &event("il1key", "a"));
    api.wait_for(1);
    cluster.mock.topic_error("later", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    agent.wait_ready();
    cluster.publish_raw("later", 0, None, Some(event("il1key", "b").as_bytes()));
    api.wait_for(2);
    stops(&mut agent);
}

#[test]
fn a_queue_that_is_full_pauses_the_partitions_and_keeps_the_membership() {
    let (api, cluster) = (StandIn::new(), Cluster::new(2));
    api.answer_all(Answer::Status(503));
    // The group gives us up if nobody polls for as long as this option says.
    let line = "--kafka_buffer --queue_limit '64 KB' --kafka_option max.poll.interval.ms=6000 \
                -v -v -v";
    let mut agent = cluster.agent(&api, &words(line)).ready();
    let filler = "x".repeat(500);
    for number in 0..1_000 {
        let body =
            format!(r#"{{"integrationKey":"il1key","summary":"{number}","details":"{filler}"}}"#);
        cluster.publish(number % 2, &body);
    }
    agent.wait_for_log("the queue is full: reading stopped");
    agent.wait_for_log("partitions are paused");
    wait_until("it lasts longer than the poll interval", || {
        status(&agent)["uptime_seconds"].as_u64() > Some(8)
    });
    assert!(!agent.log().contains("gave us up"), "{}", agent.log());
    api.answer_all(Answer::Status(202));
    api.wait_for(1_000);
    cluster.wait_committed(&[500, 500]);
    assert_eq!(agent.log().matches(": joined;").count(), 1, "the group was joined once");
    assert!(api.tally().values().all(|&count| count == 1), "nothing came twice");
    stops(&mut agent);
}

#[test]
fn a_file_says_the_same_as_flags() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    cluster.publish(0, r#"{"state":"on","text":"hot"}"#);
    let text = format!(
        r#"
        [[kafka]]
        name = "plant"
        brokers = "{}"
        group-id = "{GROUP}"
        buffer = true
        [kafka.options]
        session.timeout.ms = 6000
        [[kafka.subscription]]
        topic = "{TOPIC}"
        integration-key = "il1file"
        map = {{ event-type = "state", alert-when = "on", summary = "text" }}
        "#,
        cluster.mock.bootstrap_servers()
    );
    let mut agent = Agent::with_file(&api, &text);
    let mut check = Command::new(BINARY);
    let output =
        check.args(["check", "--config"]).arg(agent.folder().join("ilagent.toml")).output();
    let output = output.unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for wanted in ["kafka plant: 127.0.0.1:", "group agents", "stored, then committed", TOPIC] {
        assert!(words.contains(wanted), "no {wanted} in {words}");
    }
    agent.start();
    api.wait_for(1);
    cluster.wait_committed(&[1]);
    stops(&mut agent);
    assert_eq!(api.accepted(), ["hot"]);
    assert_eq!(api.requests()[0].path, "/api/v1/events/kafka/il1file");
}

#[test]
fn a_new_configuration_is_used_without_losing_the_place() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    cluster.mock.create_topic("more", 1, 1).unwrap();
    let config = |topics: &str| {
        format!(
            "[http]\nport = 1\n[[kafka]]\nbrokers = \"{}\"\ngroup-id = \"{GROUP}\"\n\
             [[kafka.subscription]]\ntopic = {topics}\n",
            cluster.mock.bootstrap_servers()
        )
    };
    let mut agent = Agent::with_file(&api, &config(r#""events""#)).ready();
    cluster.publish(0, &event("il1key", "before"));
    api.wait_for(1);
    agent.configure(&config(r#"["events", "more"]"#));
    support::agent::signal(agent.id(), "HUP");
    cluster.publish_raw("more", 0, None, Some(event("il1key", "more").as_bytes()));
    api.wait_for(2);
    cluster.publish(0, &event("il1key", "after"));
    api.wait_for(3);
    cluster.wait_committed(&[2]);
    assert_eq!(api.accepted().len(), 3, "nothing comes again");
    stops(&mut agent);
}

#[test]
fn what_librdkafka_does_not_understand_is_told_at_the_door() {
    let (api, cluster) = (StandIn::new(), Cluster::new(1));
    for (arguments, wanted) in [
        (&["--kafka_option", "fetch.wait.max.mss=1"][..], "option `fetch.wait.max.mss`: "),
        (&["--kafka_option", "fetch.wait.max.ms=x"], "option `fetch.wait.max.ms`: "),
        (&["--kafka_tls", "--kafka_ca", "/does/not/exist"], "ssl.ca.location"),
    ] {
        let agent = cluster.agent(&api, arguments);
        let mut check = agent.command();
        let arguments: Vec<_> = check.get_args().map(ToOwned::to_owned).collect();
        let mut commands = [Command::new(BINARY), Command::new(BINARY)];
        commands[0].args(&arguments);
        commands[1].arg("check").args(arguments.iter().skip(1));
        for command in &mut commands {
            let output = command.output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{words}");
            assert!(words.contains(wanted), "no {wanted} in {words}");
        }
        check.env_clear();
    }
}
