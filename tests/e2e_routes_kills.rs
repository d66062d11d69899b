//! A bridge under SIGKILL, with brokers that restart: every message that was confirmed arrives, in
//! its order.
//!
//! `KILL_ROUNDS=500 cargo test --release --test e2e_routes_kills -- --nocapture` takes longer and
//! finds more.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use std::time::Duration;
use support::account::Account;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::routes::{HEAD, broker, subscription};
use support::stand_in::StandIn;
use support::subscriber::Subscriber;
use support::{PATIENCE, wait_until};

/// Messages of one burst.
const BATCH: usize = 40;

/// One in so many rounds restarts a broker.
const RESTARTS: u8 = 6;

/// How often the account is printed.
const TOLD_EVERY: usize = 100;

/// Keeps sessions and messages over an orderly restart.
fn keeping() -> Broker {
    Broker::with("persistence true\n")
}

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

/// Restarts one of the brokers now and then, in order, so that it keeps what it has confirmed.
fn restart_some(brokers: &mut [&mut Broker], account: &mut Account) {
    for broker in brokers {
        if fastrand::u8(0..RESTARTS) == 0 {
            broker.stop();
            broker.start();
            account.broker_restarts += 1;
        }
    }
}

/// A random point of the work, not a time that something needs.
fn a_moment() {
    std::thread::sleep(Duration::from_micros(fastrand::u64(0..60_000)));
}

/// `POST /api/publish/…`, with QoS 1.
fn posted(agent: &Agent, path: &str, body: &str) -> bool {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    agent.http(&request).is_some_and(|(status, _)| status == 202)
}

/// Up through the queue, down without it, and from a script: the agent is killed, both brokers
/// restart.
#[test]
fn nothing_is_lost_or_overtaken_on_a_bridge() {
    let (api, mut plant, mut cloud) = (StandIn::new(), keeping(), keeping());
    let text = [
        HEAD.to_owned(),
        broker("plant", &plant, "buffer = true\n"),
        subscription("up/#", "kind = \"publish\"\nto = \"cloud\"\nadd-prefix = \"site7/\"\n"),
        broker("cloud", &cloud, ""),
        subscription("down/#", "kind = \"publish\"\nto = \"plant\"\ntarget = \"site7/{topic}\"\n"),
    ]
    .concat();
    let mut agent = Agent::by_file_alone(&api, &text).ready();
    let at_cloud = Subscriber::new(cloud.port(), "site7/#");
    let at_plant = Subscriber::new(plant.port(), "site7/#");
    let (mut up, mut down) = (Account::in_line(), Account::in_line());
    // What was posted and not confirmed is posted again, as a script does it.
    let mut unconfirmed = None;
    for round in 0..rounds() {
        restart_some(&mut [&mut plant, &mut cloud], &mut up);
        let batch = up.batch("up", fastrand::usize(1..BATCH));
        Publisher::new(plant.port()).burst("up/a", batch);
        let batch = down.batch("down", fastrand::usize(1..BATCH));
        Publisher::new(cloud.port()).burst("down/a", batch);
        for _ in 0..fastrand::usize(0..4) {
            let event = unconfirmed.take().unwrap_or_else(|| up.next("posted"));
            if !posted(&agent, "/api/publish/cloud/site7/posted", &event) {
                unconfirmed = Some(event);
            }
        }
        a_moment();
        agent.kill();
        up.kills += 1;
        up.enter(&at_cloud);
        down.enter(&at_plant);
        agent.start();
        if round % TOLD_EVERY == TOLD_EVERY - 1 {
            eprintln!("up: {up}; down: {down} (those under way among the lost)");
        }
    }
    agent.wait_ready();
    if let Some(event) = unconfirmed {
        wait_until("it is confirmed", || posted(&agent, "/api/publish/cloud/site7/posted", &event));
    }
    up.settle(&at_cloud, PATIENCE);
    down.settle(&at_plant, PATIENCE);
    wait_until("nothing waits, and nothing was given up", || agent.list().is_empty());
    eprintln!("up: {up}; down: {down}");
    up.check_order();
    down.check_order();
}

/// As long as the agent lives, QoS 2 is at the other broker exactly once. The broker in front stays
/// as it is: when mosquitto 2.0 restarts, it publishes again what had come as far as PUBREL.
#[test]
fn qos_2_arrives_exactly_once_while_the_other_broker_restarts() {
    let (api, plant, mut cloud) = (StandIn::new(), keeping(), keeping());
    let text = [
        HEAD.to_owned(),
        broker("plant", &plant, "buffer = true\nqos = 2\n"),
        subscription("up/#", "kind = \"publish\"\nto = \"cloud\"\n"),
        broker("cloud", &cloud, ""),
    ]
    .concat();
    let agent = Agent::by_file_alone(&api, &text).ready();
    let at_cloud = Subscriber::new(cloud.port(), "up/#");
    at_cloud.go_away();
    let mut account = Account::in_line();
    for _ in 0..rounds() {
        let mut publisher = Publisher::new(plant.port());
        for event in account.batch("up", fastrand::usize(1..BATCH)) {
            publisher.publish_qos2("up/a", event);
        }
        restart_some(&mut [&mut cloud], &mut account);
        a_moment();
    }
    wait_until("all is at the other broker", || agent.list().is_empty());
    at_cloud.come_back();
    account.settle(&at_cloud, PATIENCE);
    eprintln!("{account}");
    account.check_order();
    assert_eq!(account.repeats(), 0, "{account}");
}
