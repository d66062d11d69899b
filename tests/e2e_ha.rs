//! Several agents share the work, and one after the other is killed.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::StandIn;
use support::wait_until;

const AGENTS: usize = 3;
const BATCH: usize = 60;
const KEYS: usize = 6;

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// An event whose alert key has many others, and whose place among them is its summary.
fn step(number: usize) -> String {
    format!(
        r#"{{"integrationKey":"k","eventType":"ALERT","summary":"{number}","alertKey":"{}"}}"#,
        number % KEYS
    )
}

/// Three agents of one shared group, each with a client id and a database of its own.
fn team(api: &StandIn, broker: &Broker, more: &[&str]) -> Vec<Agent> {
    let agents = (0..AGENTS).map(|number| {
        let name = format!("agent-{number}");
        let mut arguments =
            vec!["-n", &name, "-e", "events/#", "--mqtt_qos", "1", "--mqtt_shared_group", "team"];
        arguments.extend(more);
        Agent::mqtt(api, broker.port(), &arguments).ready()
    });
    agents.collect()
}

fn kill_one_after_the_other(more: &[&str]) {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agents = team(&api, &broker, more);
    let mut publisher = Publisher::new(broker.port());
    let mut published = 0;
    for round in 0..rounds() {
        let first = round % AGENTS;
        publisher.burst("events/a", (published..published + BATCH).map(step));
        published += BATCH;
        agents[first].kill();
        // The others go on: what is published now needs nobody to come back.
        let before = api.tally().len();
        publisher.burst("events/a", (published..published + BATCH).map(step));
        published += BATCH;
        wait_until("the others deliver", || api.tally().len() > before);
        agents[first].start();
    }
    for agent in &mut agents {
        agent.wait_ready();
    }
    api.wait_for(published);
    assert_eq!(api.tally().len(), published);
}

#[test]
fn a_shared_group_outlives_each_of_its_agents() {
    kill_one_after_the_other(&[]);
}

#[test]
fn a_shared_group_with_buffers_outlives_each_of_its_agents() {
    kill_one_after_the_other(&["--mqtt_buffer"]);
}

/// What a balancer does: agents in turn, without those that do not take it.
fn post(agents: &[Agent], turn: usize, body: &str) {
    wait_until("one of the agents takes it", || {
        (turn..turn + AGENTS)
            .any(|at| agents[at % AGENTS].post(body).is_some_and(|(status, _)| status == 200))
    });
}

#[test]
fn http_proxies_behind_a_balancer_outlive_each_of_them() {
    let api = StandIn::new();
    let mut agents: Vec<Agent> = (0..AGENTS).map(|_| Agent::new(&api, &[]).ready()).collect();
    let mut posted = 0;
    for round in 0..rounds() {
        let first = round % AGENTS;
        for event in (posted..posted + BATCH).map(step) {
            post(&agents, posted, &event);
            posted += 1;
        }
        agents[first].kill();
        for event in (posted..posted + BATCH).map(step) {
            post(&agents, posted, &event);
            posted += 1;
        }
        // What it had taken and not delivered lies on its disk.
        agents[first].start();
    }
    api.wait_for(posted);
    assert_eq!(api.tally().len(), posted);
}
