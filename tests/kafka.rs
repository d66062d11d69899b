//! The whole agent against a real Apache Kafka: what is documented, and what a production cluster
//! asks for.

#![allow(clippy::unwrap_used, reason = "a broken test panics")]

mod support;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use support::agent::{Agent, signal};
use support::kafka::{Kafka, PASSWORD, USER, bearer_token, shared};
use support::stand_in::{Answer, StandIn};
use support::{event, wait_until, wait_within};

/// A flood, with agents that are killed, and sessions that have to end before others take over.
const FLOOD: Duration = Duration::from_secs(120);

const KEY: &str = "il1key";

/// An agent of a group; not started yet.
fn agent(api: &StandIn, brokers: &str, group: &str, arguments: &[&str]) -> Agent {
    let mut all = vec!["--kafka_brokers", brokers, "--kafka_group_id", group];
    // A member that was killed is given up soon.
    all.extend(["--kafka_option", "session.timeout.ms=2000"]);
    all.extend(["--kafka_option", "heartbeat.interval.ms=300"]);
    all.extend(arguments);
    Agent::new(api, &all)
}

fn produce(kafka: &Kafka, topic: &str, partition: i32, ids: impl IntoIterator<Item = usize>) {
    let events: Vec<String> = ids.into_iter().map(|id| event(KEY, &id.to_string())).collect();
    kafka.produce(topic, partition, events.iter().map(|event| Some(event.as_bytes())));
}

#[track_caller]
fn wait_committed(kafka: &Kafka, group: &str, topic: &str, wanted: &[i64]) {
    wait_until(&format!("offsets {wanted:?} of {topic} are committed"), || {
        let offset = |partition| kafka.committed(group, topic, partition).unwrap_or(0);
        (0..).zip(wanted).all(|(partition, wanted)| offset(partition) == *wanted)
    });
}

#[track_caller]
fn stops(agent: &mut Agent) {
    let (status, took) = agent.end("TERM");
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[track_caller]
fn wait_not_ready(agent: &Agent, words: &str) {
    wait_until(&format!("not ready, and it says: {words}"), || {
        agent.get("/ready").is_some_and(|(status, body)| status == 503 && body.contains(words))
    });
}

#[test]
fn the_documented_command_delivers_and_commits() {
    let (api, kafka) = (StandIn::new(), shared());
    for topic in ["doc-events", "doc-more", "doc-heartbeats"] {
        kafka.create_topic(topic, 1);
    }
    // Before the agent ever ran: nothing is skipped.
    produce(&kafka, "doc-events", 0, 0..3);
    let topics = ["-e", "doc-events", "-e", "doc-more", "-r", "doc-heartbeats"];
    let mut agent = agent(&api, &kafka.brokers(), "doc", &topics).ready();
    produce(&kafka, "doc-more", 0, 3..5);
    kafka.produce("doc-heartbeats", 0, [Some(br#"{"integrationKey":"il1hbt1"}"#.as_slice())]);
    api.wait_for(5);
    wait_until("the ping is passed on", || {
        api.requests().iter().any(|request| request.path == "/api/heartbeats/il1hbt1")
    });
    wait_committed(&kafka, "doc", "doc-events", &[3]);
    wait_committed(&kafka, "doc", "doc-more", &[2]);
    wait_committed(&kafka, "doc", "doc-heartbeats", &[1]);
    stops(&mut agent);
    agent.start();
    agent.wait_ready();
    produce(&kafka, "doc-events", 0, 5..6);
    api.wait_for(6);
    assert_eq!(api.accepted().len(), 6, "what is committed does not come again");
    let events = api.requests().into_iter().filter(|request| request.method == "POST");
    assert!(events.into_iter().all(|request| request.path == "/api/v1/events/kafka/il1key"));
    assert!(agent.list().is_empty());
    stops(&mut agent);
}

#[test]
fn without_ilert_the_agent_exits_after_five_seconds_and_the_offset_stays() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("outage", 1);
    let mut agent = agent(&api, &kafka.brokers(), "outage", &["-e", "outage"]).ready();
    produce(&kafka, "outage", 0, 0..1);
    wait_committed(&kafka, "outage", "outage", &[1]);
    api.answer_all(Answer::Status(503));
    let since = Instant::now();
    produce(&kafka, "outage", 0, 1..4);
    assert_eq!(agent.wait_end().code(), Some(1), "{}", agent.log());
    assert!(since.elapsed() >= Duration::from_secs(5), "the five seconds are used");
    assert_eq!(kafka.committed("outage", "outage", 0), Some(1));
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(4);
    wait_committed(&kafka, "outage", "outage", &[4]);
    stops(&mut agent);
}

#[test]
fn with_buffer_an_outage_costs_no_exit_and_a_kill_no_message() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("buffered", 1);
    api.go_away();
    let arguments = ["-e", "buffered", "--kafka_buffer"];
    let mut agent = agent(&api, &kafka.brokers(), "buffered", &arguments).ready();
    produce(&kafka, "buffered", 0, 0..90);
    wait_committed(&kafka, "buffered", "buffered", &[90]);
    agent.kill();
    assert_eq!(agent.list().len(), 90, "all of them are stored");
    agent.start();
    api.come_back();
    api.wait_for(90);
    assert_eq!(api.accepted().len(), 90, "none twice");
    stops(&mut agent);
}

#[test]
fn poison_becomes_dead_letters_and_holds_up_nothing() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("poison", 1);
    let huge = format!(r#"{{"integrationKey":"il1key","summary":"{}"}}"#, "x".repeat(2_000_000));
    let good = event(KEY, "good");
    kafka.produce(
        "poison",
        0,
        [
            None,
            Some(b"{\"summary\":\"\xff\"}".as_slice()),
            Some(b"not json"),
            Some(huge.as_bytes()),
            Some(b""),
            Some(good.as_bytes()),
        ],
    );
    let mut agent = agent(&api, &kafka.brokers(), "poison", &["-e", "poison"]).ready();
    api.wait_for(1);
    wait_committed(&kafka, "poison", "poison", &[6]);
    assert_eq!(api.accepted(), ["good"]);
    let letters = agent.list();
    let reasons: Vec<&str> =
        letters.iter().filter_map(|letter| letter["reason"].as_str()).collect();
    for wanted in [
        "a message without a payload",
        "not JSON: the byte 0xff at line 1 column 13, which is not UTF-8",
        "not JSON: expected",
        "bytes; the limit is 1048576",
        "not JSON: it is empty",
    ] {
        let count = reasons.iter().filter(|reason| reason.contains(wanted)).count();
        assert_eq!(count, 1, "{wanted}: {reasons:?}");
    }
    stops(&mut agent);
}

#[test]
fn topics_that_are_not_there_or_go_away_are_told_and_found_again() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("stays", 1);
    let topics = ["-e", "stays", "-e", "comes"];
    let mut agent = agent(&api, &kafka.brokers(), "topics", &topics).started();
    wait_not_ready(&agent, "topic comes");
    produce(&kafka, "stays", 0, 0..1);
    api.wait_for(1);

    kafka.create_topic("comes", 1);
    agent.wait_ready();
    produce(&kafka, "comes", 0, 1..3);
    api.wait_for(3);
    wait_committed(&kafka, "topics", "comes", &[2]);

    kafka.delete_topic("comes");
    wait_not_ready(&agent, "topic comes");
    produce(&kafka, "stays", 0, 3..4);
    api.wait_for(4);

    // A new topic begins again, below the offset that was committed for the old one.
    wait_within(FLOOD, "the topic is gone and can be made again", || {
        kafka.try_create_topic("comes", 1)
    });
    agent.wait_ready();
    produce(&kafka, "comes", 0, 4..6);
    api.wait_for(6);
    assert!(agent.is_running());
    stops(&mut agent);
}

#[test]
fn a_broker_that_dies_is_told_and_nothing_is_lost() {
    let api = StandIn::new();
    let mut kafka = Kafka::new();
    kafka.create_topic("events", 1);
    let mut agent = agent(&api, &kafka.brokers(), "group", &["-e", "events"]).ready();
    produce(&kafka, "events", 0, 0..50);
    api.wait_for(50);
    kafka.kill();
    wait_not_ready(&agent, r#""component":"kafka","connected":false"#);
    kafka.start();
    agent.wait_ready();
    produce(&kafka, "events", 0, 50..100);
    api.wait_for(100);
    wait_committed(&kafka, "group", "events", &[100]);
    stops(&mut agent);
}

#[test]
fn a_cluster_with_sasl_and_tls_is_reached() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("secure", 1);
    let path = |name: &str| kafka.folder().join(name).display().to_string();
    let (ca, client, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    std::fs::write(path("password"), format!("{PASSWORD}\n")).unwrap();
    let password = path("password");
    let user = ["-e", "secure", "--kafka_username", USER, "--kafka_password_file", &password];
    let mechanism = |name| [&user[..], &["--kafka_sasl_mechanism", name]].concat();
    let (plain, sasl, sasl_tls, tls) =
        (mechanism("PLAIN"), kafka.sasl_brokers(), kafka.sasl_tls_brokers(), kafka.tls_brokers());
    let with_tls = |arguments: &[&'static str]| {
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        let tls = ["--kafka_tls", "--kafka_ca", &ca].map(str::to_owned);
        arguments.chain(tls).collect::<Vec<String>>()
    };
    let certificate = ["--kafka_client_cert", &client, "--kafka_client_key", &key];
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mutual = [with_tls(&["-e", "secure"]), owned(&certificate)].concat();
    let scram = [owned(&mechanism("SCRAM-SHA-512")), with_tls(&[])].concat();
    for (number, (brokers, arguments)) in [
        (&sasl, owned(&plain)),
        (&sasl, owned(&mechanism("SCRAM-SHA-256"))),
        (&sasl_tls, scram),
        (&tls, mutual),
    ]
    .into_iter()
    .enumerate()
    {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut agent = agent(&api, brokers, "secure", &arguments).ready();
        produce(&kafka, "secure", 0, number..=number);
        api.wait_for(number + 1);
        stops(&mut agent);
        assert!(!agent.log().contains(PASSWORD), "{arguments:?}");
    }
}

#[test]
fn a_bearer_token_is_shown_and_one_that_is_not_there_yet_is_told() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("bearer", 1);
    let file = kafka.folder().join("token").display().to_string();
    let arguments = ["-e", "bearer", "--kafka_token_file", &file];
    let mut agent = agent(&api, &kafka.sasl_brokers(), "bearer", &arguments).started();
    wait_not_ready(&agent, "cannot read");
    std::fs::write(&file, bearer_token(600)).unwrap();
    agent.wait_ready();
    produce(&kafka, "bearer", 0, 0..1);
    api.wait_for(1);
    stops(&mut agent);
}

#[test]
fn a_cluster_that_refuses_us_is_told_and_asked_again() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("refused", 1);
    let path = |name: &str| kafka.folder().join(name).display().to_string();
    let ca = path("ca.pem");
    let (sasl, sasl_tls, tls) =
        (kafka.sasl_brokers(), kafka.sasl_tls_brokers(), kafka.tls_brokers());
    let user = ["-e", "refused", "--kafka_username", USER, "--kafka_password", "wrong-wrong"];
    let scram = [&user[..], &["--kafka_sasl_mechanism", "SCRAM-SHA-256"]].concat();
    let no_certificate = ["-e", "refused", "--kafka_tls", "--kafka_ca", &ca];
    for (brokers, arguments, words) in [
        (&sasl, &user[..], "Authentication failed"),
        (&sasl, &scram, "Authentication failed"),
        // Whom the system trusts did not sign this.
        (&sasl_tls, &[&user[..], &["--kafka_tls"]].concat(), "certificate verify failed"),
        (&tls, &no_certificate, "alert bad certificate"),
    ] {
        let mut agent = agent(&api, brokers, "refused", arguments).started();
        wait_not_ready(&agent, words);
        let warnings = |agent: &Agent| agent.log().matches("[WARN] kafka").count();
        assert!(agent.is_running(), "{}", agent.log());
        assert!((1..4).contains(&warnings(&agent)), "{}", agent.log());
        assert!(!agent.log().contains("wrong-wrong"));
        stops(&mut agent);
    }
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_leaves_the_group() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("stop", 1);
    let mut first = agent(&api, &kafka.brokers(), "stop", &["-e", "stop"]).ready();
    api.answer_all(Answer::Hang);
    produce(&kafka, "stop", 0, 0..3);
    wait_until("three attempts are under way", || api.count() == 3);
    signal(first.id(), "TERM");
    wait_until("it drains", || first.get("/health").is_some_and(|(status, _)| status == 503));
    api.answer_all(Answer::Status(202));
    assert_eq!(first.wait_end().code(), Some(0), "{}", first.log());
    assert_eq!(kafka.committed("stop", "stop", 0), Some(3), "{}", first.log());
    // The group was left, so another need not wait until it notices.
    let long = ["-e", "stop", "--kafka_option", "session.timeout.ms=45000"];
    let mut second = agent(&api, &kafka.brokers(), "stop", &long[..2]).ready();
    produce(&kafka, "stop", 0, 3..4);
    api.wait_for(4);
    assert_eq!(api.accepted().len(), 4, "none twice");
    stops(&mut second);
}

#[test]
fn an_agent_that_is_killed_again_and_again_loses_nothing_and_commits_nothing_early() {
    const ROUNDS: usize = 8;
    const MESSAGES: usize = 400;
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("kills", 2);
    api.answer_all(Answer::Slow(Duration::from_millis(2), 202));
    let mut agent = agent(&api, &kafka.brokers(), "kills", &["-e", "kills"]).started();
    for round in 0..ROUNDS {
        // The number of a message says its partition and offset.
        for partition in [0, 1] {
            let numbers = (0..MESSAGES / 2).map(|number| 2 * (round * MESSAGES / 2 + number));
            let partition_number = usize::try_from(partition).unwrap();
            produce(&kafka, "kills", partition, numbers.map(|number| number + partition_number));
        }
        let before = api.tally().len();
        wait_within(FLOOD, "some more are delivered", || api.tally().len() >= before + 50);
        agent.kill();
        let delivered: HashSet<usize> =
            api.accepted().iter().map(|id| id.parse().unwrap()).collect();
        for partition in [0, 1] {
            let offset = kafka.committed("kills", "kills", partition).unwrap_or(0);
            let partition = usize::try_from(partition).unwrap();
            for number in 0..usize::try_from(offset).unwrap() {
                let id = 2 * number + partition;
                assert!(delivered.contains(&id), "{id} was committed before it was delivered");
            }
        }
        agent.start();
    }
    let all = ROUNDS * MESSAGES;
    wait_within(FLOOD, "all are delivered", || api.tally().len() == all);
    let half = i64::try_from(all / 2).unwrap();
    wait_committed(&kafka, "kills", "kills", &[half, half]);
    assert_eq!(kafka.end_offset("kills", 0), half);
    stops(&mut agent);
}

#[test]
fn three_agents_share_a_topic_through_a_storm_of_rebalances() {
    const PARTITIONS: usize = 6;
    const KEYS: usize = 30;
    const BATCH: usize = 300;
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("storm", i32::try_from(PARTITIONS).unwrap());
    api.answer_all(Answer::Slow(Duration::from_millis(2), 202));
    let mut produced = 0;
    // Each alert key has its partition, and counts.
    let mut flood = || {
        for partition in 0..PARTITIONS {
            let numbers = (produced..produced + BATCH).filter(|id| id % PARTITIONS == partition);
            let events: Vec<String> = numbers
                .map(|id| {
                    let key = id % KEYS;
                    format!(r#"{{"integrationKey":"{KEY}","summary":"{id}","alertKey":"{key}"}}"#)
                })
                .collect();
            let partition = i32::try_from(partition).unwrap();
            kafka.produce("storm", partition, events.iter().map(|event| Some(event.as_bytes())));
        }
        produced += BATCH;
        produced
    };
    let start = || agent(&api, &kafka.brokers(), "storm", &["-e", "storm"]).started();
    let mut agents: Vec<Agent> = (0..3).map(|_| start()).collect();
    for round in 0..6 {
        flood();
        let agent = &mut agents[round % 3];
        agent.wait_for_log(": joined;");
        if round % 2 == 0 {
            agent.kill();
        } else {
            stops(agent);
        }
        flood();
        agents[round % 3] = start();
    }
    let all = flood();
    wait_within(FLOOD, "all are delivered", || api.tally().len() == all);
    let each = i64::try_from(all / PARTITIONS).unwrap();
    wait_committed(&kafka, "storm", "storm", &[each; PARTITIONS]);

    let mut seen = HashSet::new();
    let mut last: HashMap<usize, usize> = HashMap::new();
    for id in api.accepted().iter().map(|id| id.parse::<usize>().unwrap()) {
        if seen.insert(id) {
            let before = last.insert(id % KEYS, id);
            assert!(before.is_none_or(|before| before < id), "{id} came after {before:?}");
        }
    }
    agents.iter_mut().for_each(stops);
}

#[test]
fn an_orderly_rebalance_repeats_nothing() {
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("orderly", 4);
    api.answer_all(Answer::Slow(Duration::from_millis(5), 202));
    let brokers = kafka.brokers();
    let mut first = agent(&api, &brokers, "orderly", &["-e", "orderly"]).ready();
    for partition in 0..4 {
        let ids = (0..1_000).map(|number| 4 * number + usize::try_from(partition).unwrap());
        produce(&kafka, "orderly", partition, ids);
    }
    api.wait_for(100);
    let mut second = agent(&api, &brokers, "orderly", &["-e", "orderly"]).started();
    first.wait_for_log("let go of 2 partitions");
    wait_within(FLOOD, "all are delivered", || api.tally().len() == 4_000);
    wait_committed(&kafka, "orderly", "orderly", &[1_000; 4]);
    assert!(second.log().contains("received"), "both work");
    assert_eq!(api.accepted().len(), 4_000, "none twice");
    stops(&mut first);
    stops(&mut second);
}

#[test]
fn a_rebalance_repeats_only_what_was_in_flight() {
    // What the agent hands over at a time.
    const IN_FLIGHT: usize = 24;
    let (api, kafka) = (StandIn::new(), shared());
    kafka.create_topic("slow", 4);
    // Far more in hand than can be finished while the partitions go.
    api.answer_all(Answer::Slow(Duration::from_millis(500), 202));
    for partition in 0..4 {
        let ids = (0..100).map(|number| 4 * number + usize::try_from(partition).unwrap());
        produce(&kafka, "slow", partition, ids);
    }
    let brokers = kafka.brokers();
    let mut first = agent(&api, &brokers, "slow", &["-e", "slow"]).ready();
    api.wait_for(1);
    let mut second = agent(&api, &brokers, "slow", &["-e", "slow"]).started();
    first.wait_for_log("let go of 2 partitions");
    wait_within(FLOOD, "all are delivered", || api.tally().len() == 400);
    wait_committed(&kafka, "slow", "slow", &[100; 4]);
    assert!(second.log().contains("received"), "both work");
    let repeated = api.accepted().len() - 400;
    assert!(repeated <= IN_FLIGHT, "{repeated} were repeated");
    stops(&mut first);
    stops(&mut second);
}
