//! What is no event, on a broker where most messages are none.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{event, wait_until};

const WORDS: usize = 1_500;

/// A refused alarm, then many words that are no events, then an alarm; what the agent lists.
fn a_house(arguments: &[&str]) -> (Agent, Vec<serde_json::Value>, String) {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer(|request| match request.summary().as_str() {
        "refused" => Answer::Status(422),
        _ => Answer::Status(202),
    });
    let all = [&["-e", "#", "--mqtt_qos", "1"], arguments].concat();
    let agent = Agent::mqtt(&api, broker.port(), &all).ready();
    let mut publisher = Publisher::new(broker.port());
    let alarm = |id: &str| event("k", id).replacen('{', r#"{"class":"alarm","#, 1);
    publisher.publish("plant/alarms", alarm("refused"));
    wait_until("it is a dead letter", || agent.list().len() == 1);
    let words = (0..WORDS).map(|n| ["online", "offline"][n % 2].to_owned());
    publisher.burst("house/lamp/availability", words);
    publisher.publish("plant/alarms", alarm("last"));
    api.wait_for(1);
    let list = agent.list();
    let status = agent.get("/status").unwrap().1;
    (agent, list, status)
}

fn is_refused(line: &serde_json::Value) -> bool {
    line["reason"].as_str().unwrap().contains("422")
}

#[test]
fn with_a_filter_what_is_no_object_does_not_pass_it() {
    let (agent, list, _) = a_house(&["--filter_key", "class", "--filter_val", "alarm"]);
    assert!(list.len() == 1 && is_refused(&list[0]), "{list:?}");
    assert!(!agent.log().contains("not JSON"), "{}", agent.log());
}

#[test]
fn without_one_it_is_told_once_and_then_counted() {
    let (agent, list, status) = a_house(&[]);
    assert!(is_refused(&list[0]), "{list:?}");
    assert!((2..20).contains(&list.len()), "a few examples are kept: {}", list.len());
    let unkept = WORDS + 1 - list.len();
    assert!(status.contains(&format!("\"messages_unkept\":{unkept}")), "{status}");
    let log = agent.log();
    assert!(log.lines().filter(|line| line.contains("[WARN] queue: ")).count() < 5, "{log}");
}
