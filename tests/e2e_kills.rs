//! SIGKILL at random points under load: every event that was confirmed arrives.
//!
//! `KILL_ROUNDS=500 cargo test --release --test e2e_kills` takes longer and finds more.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::time::Duration;
use support::agent::Agent;
use support::broker::Broker;
use support::event;
use support::publisher::Publisher;
use support::stand_in::StandIn;

/// Most deliveries that can be under way, or settled and not yet committed, at the kill.
const UNDER_WAY: usize = 24 + 16;

const BATCH: usize = 40;

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

#[track_caller]
fn account(api: &StandIn, wanted: usize, kills: usize) {
    api.wait_for(wanted);
    let twice: usize = api.tally().values().map(|times| times - 1).sum();
    assert_eq!(api.tally().len(), wanted);
    assert!(twice <= kills * UNDER_WAY, "{twice} repeated in {kills} kills");
}

fn mqtt_rounds(arguments: &[&str]) {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::mqtt(&api, broker.port(), arguments).ready();
    let mut published = 0;
    for _ in 0..rounds() {
        let events: Vec<String> = (published..published + BATCH)
            .map(|n| event(&format!("k{}", n % 4), &n.to_string()))
            .collect();
        published += BATCH;
        Publisher::new(broker.port()).burst("events/a", events);
        // A random point of the work, not a time that something needs.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..15_000)));
        agent.kill();
        agent.start();
    }
    agent.wait_ready();
    account(&api, published, rounds());
}

#[test]
fn buffered_messages_survive_kills() {
    mqtt_rounds(&["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"]);
}

#[test]
fn messages_of_the_direct_mode_survive_kills() {
    mqtt_rounds(&["-e", "events/#", "--mqtt_qos", "1"]);
}

#[test]
fn posted_events_that_were_answered_survive_kills() {
    let api = StandIn::new();
    let mut agent = Agent::new(&api, &[]).ready();
    let mut confirmed = Vec::new();
    for round in 0..rounds() {
        let kill_after = fastrand::usize(1..20);
        for number in 0..kill_after {
            let id = format!("{round}-{number}");
            if agent.post(&event("k", &id)).is_some_and(|(status, _)| status == 200) {
                confirmed.push(id);
            }
        }
        agent.kill();
        agent.start();
        agent.wait_ready();
    }
    account(&api, confirmed.len(), rounds());
    let tally = api.tally();
    assert!(confirmed.iter().all(|id| tally.contains_key(id)));
}
