//! Subscriptions and retained messages over restarts, reloads and kills: a real mosquitto, the
//! agent as a process, a stand-in for ilert.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use support::agent::{Agent, signal};
use support::broker::Broker;
use support::publisher::Publisher;
use support::session::Fake;
use support::stand_in::StandIn;
use support::{event, wait_until};

/// A `[[mqtt]]` with lines of its own and one subscription to each topic.
fn config(broker: &Broker, lines: &str, topics: &[&str]) -> String {
    let port = broker.port();
    let mut text =
        format!("[[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{port}\"\n{lines}\n");
    for topic in topics {
        text.push_str(&format!("[[mqtt.subscription]]\ntopic = \"{topic}\"\n"));
    }
    text
}

/// Ways from one configuration to the next.
#[derive(Clone, Copy, Debug)]
enum Change {
    Restart,
    Kill,
    Reload,
}

const CHANGES: [Change; 3] = [Change::Restart, Change::Kill, Change::Reload];

fn change(agent: &mut Agent, text: &str, how: Change) {
    agent.configure(text);
    match how {
        Change::Restart => {
            agent.end("TERM");
            agent.start();
        }
        Change::Kill => {
            agent.kill();
            agent.start();
        }
        Change::Reload => {
            let starts = agent.log().matches("started").count();
            signal(agent.id(), "HUP");
            wait_until("it starts again", || agent.log().matches("started").count() > starts);
        }
    }
    agent.wait_ready();
}

/// Everything the broker holds for the agent by now has come.
fn settle(api: &StandIn, publisher: &mut Publisher, topic: &str, id: &str) {
    publisher.publish(topic, event("k", id));
    wait_until("the last one comes", || api.accepted().contains(&id.to_owned()));
}

#[test]
fn an_agent_that_leaves_a_group_takes_no_share_of_it() {
    for how in CHANGES {
        let (api, broker) = (StandIn::new(), Broker::new());
        let group = "client-id = \"one\"\nshared-group = \"agents\"";
        let mut leaver = Agent::with_file(&api, &config(&broker, group, &["alarms"])).ready();
        let group = "client-id = \"two\"\nshared-group = \"agents\"";
        let _stays = Agent::with_file(&api, &config(&broker, group, &["alarms"])).ready();
        let alone = config(&broker, "client-id = \"one\"\nversion = 5", &["other/#"]);
        change(&mut leaver, &alone, how);
        leaver.wait_for_log("unsubscribed from '$share/agents/alarms' of an earlier configuration");
        let ids = (0..10).map(|number| event("k", &format!("id-{number}")));
        Publisher::new(broker.port()).burst("alarms", ids);
        api.wait_for(10);
        assert_eq!(api.accepted().len(), 10, "{how:?}");
    }
}

#[test]
fn an_agent_that_joins_a_group_gets_nothing_twice() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent =
        Agent::with_file(&api, &config(&broker, "client-id = \"one\"", &["alarms"])).ready();
    let group = "client-id = \"one\"\nshared-group = \"agents\"";
    change(&mut agent, &config(&broker, group, &["alarms"]), Change::Restart);
    agent.wait_for_log("unsubscribed from 'alarms'");
    let mut publisher = Publisher::new(broker.port());
    publisher.burst("alarms", (0..10).map(|number| event("k", &format!("id-{number}"))));
    api.wait_for(10);
    settle(&api, &mut publisher, "alarms", "last");
    assert_eq!(api.accepted().len(), 11);
}

#[test]
fn a_narrower_configuration_brings_less_over_the_link() {
    for (how, lines) in [(Change::Reload, ""), (Change::Restart, "version = 5")] {
        let (api, broker) = (StandIn::new(), Broker::new());
        let mut agent = Agent::with_file(&api, &config(&broker, lines, &["#"])).ready();
        change(&mut agent, &config(&broker, lines, &["plant/alarms"]), how);
        agent.wait_for_log("unsubscribed from '#'");
        let mut publisher = Publisher::new(broker.port());
        publisher.publish("elsewhere", event("k", "unwanted"));
        settle(&api, &mut publisher, "plant/alarms", "wanted");
        assert!(!agent.log().contains("on elsewhere"), "{how:?}");
        assert_eq!(api.accepted(), ["wanted"]);
    }
}

#[test]
fn a_message_that_no_rule_wants_is_told_once_for_each_topic() {
    let (api, fake) = (StandIn::new(), Fake::new());
    let url = format!("[[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{}\"\n", fake.port());
    let rule = "[[mqtt.subscription]]\ntopic = \"alarms\"\n";
    let agent = Agent::with_file(&api, &format!("{url}{rule}")).started();
    let mut peer = fake.welcome(false, true);
    for (packet_id, topic) in (1..).zip(["else\u{1b}where", "else\u{1b}where", "another"]) {
        peer.publish(2, topic, packet_id, b"unwanted");
    }
    assert_eq!(peer.acks(3), [1, 2, 3].map(|packet_id| (0x40, packet_id)));
    const WORDS: &str = "[WARN] intake: no rule wants messages on";
    for topic in ["else\\u{1b}where", "another"] {
        let told = format!("{WORDS} {topic}; they are dropped\n");
        assert_eq!(agent.log().matches(&told).count(), 1, "{}", agent.log());
    }
    assert_eq!(agent.log().matches(WORDS).count(), 2);
    assert_eq!(api.count(), 0);
}

#[test]
fn a_retained_alarm_is_raised_once_whatever_happens_to_the_agent() {
    for lines in ["", "buffer = true", "version = 5"] {
        let (api, broker) = (StandIn::new(), Broker::new());
        let mut publisher = Publisher::new(broker.port());
        publisher.retain("alarms/before", event("k", "before"));
        let text = config(&broker, lines, &["alarms/#"]);
        let mut agent = Agent::with_file(&api, &text).ready();
        api.wait_for(1);
        publisher.retain("alarms/live", event("k", "live"));
        api.wait_for(2);
        // What was read at the start is written down in the background.
        wait_until("a record is kept", || agent.database().exists());
        broker.wait_until_acknowledged("plant");
        for (number, how) in CHANGES.into_iter().chain(CHANGES).enumerate() {
            let text = format!("{text}[queue]\nlimit = \"{}MB\"\n", 100 + number);
            change(&mut agent, &text, how);
            settle(&api, &mut publisher, "alarms/x", &format!("after-{number}"));
            // One that is killed in front of its acknowledgements gets the messages again.
            broker.wait_until_acknowledged("plant");
            let raised = api.tally();
            assert_eq!((raised["before"], raised["live"]), (1, 1), "{lines} {how:?}");
        }
        // And in the other version.
        let other = if lines == "version = 5" { "" } else { "version = 5" };
        change(&mut agent, &config(&broker, other, &["alarms/#"]), Change::Restart);
        settle(&api, &mut publisher, "alarms/x", "at last");
        let raised = api.tally();
        assert_eq!((raised["before"], raised["live"]), (1, 1), "{lines}");
    }
}

#[test]
fn a_lost_session_is_told_and_a_retained_alarm_does_not_come_again() {
    let (api, mut broker) = (StandIn::new(), Broker::new());
    let mut publisher = Publisher::new(broker.port());
    publisher.retain("alarms/kept", event("k", "kept"));
    let text = config(&broker, "", &["alarms/#"]);
    let mut agent = Agent::with_file(&api, &text).ready();
    api.wait_for(1);
    const LOST: &str = "plant: the broker has not kept the session: what was published since";
    assert!(!agent.log().contains(LOST), "there was none");
    agent.end("TERM");
    broker.kill(); // And forgets everything.
    broker.start();
    let mut publisher = Publisher::new(broker.port());
    publisher.retain("alarms/kept", event("k", "kept"));
    agent.start();
    agent.wait_ready();
    agent.wait_for_log(&format!("{LOST} the agent was connected last is lost"));
    settle(&api, &mut publisher, "alarms/x", "after");
    assert_eq!(api.accepted(), ["kept", "after"]);
}

#[test]
fn a_retained_heartbeat_of_a_dead_device_is_no_ping() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut publisher = Publisher::new(broker.port());
    publisher.retain("beats/dead", r#"{"integrationKey":"il1dead"}"#);
    let text = config(&broker, "buffer = true", &["alarms/#"])
        + "[[mqtt.subscription]]\ntopic = \"beats/#\"\nkind = \"heartbeat\"\n";
    let _agent = Agent::with_file(&api, &text).ready();
    publisher.publish("beats/alive", r#"{"integrationKey":"il1alive"}"#);
    let pinged = |key: &str| api.requests().iter().any(|request| request.path.ends_with(key));
    wait_until("the live one arrives", || pinged("il1alive"));
    assert!(!pinged("il1dead"));
    publisher.retain("beats/dead", r#"{"integrationKey":"il1dead"}"#);
    wait_until("it is alive again", || pinged("il1dead"));
}
