//! SIGHUP: the configuration is read again, and nothing is lost by it.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use support::agent::{Agent, signal};
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{event, wait_until};

fn config(broker: u16, topic: &str) -> String {
    format!(
        "[http]\nport = 1\nbind = \"127.0.0.1\"\n\
         [[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{broker}\"\nbuffer = true\n\
         [[mqtt.subscription]]\ntopic = \"{topic}\"\n"
    )
}

#[test]
fn a_new_configuration_is_used_and_what_waits_is_kept() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::with_file(&api, &config(broker.port(), "old/#")).ready();
    let id = agent.id();
    api.answer_all(Answer::Status(503));
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("old/a", event("k", "before"));
    wait_until("it waits", || agent.list().len() == 1);

    agent.configure(&config(broker.port(), "new/#"));
    signal(agent.id(), "HUP");
    broker.wait_for_log("new/#", 1);
    agent.wait_ready();
    publisher.publish("new/a", event("k", "after"));
    api.answer_all(Answer::Status(202));
    api.wait_for(2);
    assert_eq!(agent.id(), id);
    assert!(agent.is_running());
    assert_eq!(agent.end("TERM").0.code(), Some(0));
}

#[test]
fn faults_are_told_and_the_old_configuration_stays() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let right = config(broker.port(), "events/#");
    let mut agent = Agent::with_file(&api, &right).ready();
    let connects = broker.connects("plant");

    agent.configure(&right.replace("buffer = true", "bufer = true\nqos = 9"));
    signal(agent.id(), "HUP");
    agent.wait_for_log("going on with the old one");
    let log = agent.log();
    assert!(log.contains("ilagent.toml:7:1: there is no key `bufer`"), "{log}");
    assert!(log.contains("ilagent.toml:8:7: the QoS is 0, 1 or 2"), "{log}");

    // A file that parses, but names a certificate that cannot be loaded.
    agent.configure(
        &right
            .replace("mqtt://", "mqtts://")
            .replace("buffer", "ssl-ca = \"/nowhere/ca.pem\"\nbuffer"),
    );
    signal(agent.id(), "HUP");
    agent.wait_for_log("/nowhere/ca.pem");

    agent.configure(&right);
    signal(agent.id(), "HUP");
    agent.wait_for_log("the configuration has not changed");
    assert_eq!(broker.connects("plant"), connects, "the session was never touched");
    Publisher::new(broker.port()).publish("events/a", event("k", "one"));
    api.wait_for(1);
    assert!(agent.is_running());
}

#[test]
fn a_configuration_that_cannot_be_started_gives_way_to_the_old_one() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let right = config(broker.port(), "events/#");
    let mut agent = Agent::with_file(&api, &right).ready();
    let connects = broker.connects("plant");
    // No check can know that this address is not ours.
    agent.configure(&right.replace("127.0.0.1\"\n[[", "192.0.2.1\"\n[["));
    signal(agent.id(), "HUP");
    agent.wait_for_log("going on with the old configuration");
    wait_until("it connects again", || broker.connects("plant") > connects);
    agent.wait_ready();
    Publisher::new(broker.port()).publish("events/a", event("k", "one"));
    api.wait_for(1);
    assert!(agent.is_running());
}
