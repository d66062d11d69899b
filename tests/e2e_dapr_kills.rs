//! Subscriptions of an application under SIGKILL: the agent is killed, the broker restarts, the
//! application goes away, breaks off and refuses, and every message is with the application or on
//! its topic of dead letters.
//!
//! `KILL_ROUNDS=500 cargo test --release --test e2e_dapr_kills -- --nocapture` takes longer and
//! finds more.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]
#![cfg(feature = "dapr")]

mod support;

use std::time::Duration;
use support::account::Account;
use support::broker::Broker;
use support::dapr::{Sidecar, component};
use support::publisher::Publisher;
use support::stand_in::{Answer, Request, StandIn};
use support::subscriber::Subscriber;
use support::{PATIENCE, wait_until, wait_within};

/// Most messages of one burst.
const BATCH: usize = 30;

/// Topics, each of which is in order as long as nothing is refused.
const TOPICS: usize = 3;

/// One in so many rounds restarts the broker, and takes the application away.
const RESTARTS: u8 = 5;

/// How often the account is printed.
const TOLD_EVERY: usize = 50;

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// What it does with an event: some it never takes, some it takes at the second attempt, and under
/// some it ends.
fn mood(request: &Request) -> Answer {
    let is_unwanted = request.summary().ends_with('7');
    match fastrand::u8(0..16) {
        _ if is_unwanted => Answer::Status(500),
        0 => Answer::Status(503),
        1 => Answer::Lost,
        2 => Answer::Slow(Duration::from_millis(20), 200),
        3 => Answer::json(200, r#"{"status":"SUCCESS"}"#),
        _ => Answer::Status(200),
    }
}

/// A subscription with a topic of dead letters, and few retries.
const FILES: &str = "
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: orders}
spec:
  pubsubname: plantbus
  topic: orders/+
  routes: {default: /orders}
  deadLetterTopic: dead/orders
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: r}
spec:
  policies:
    retries:
      few: {policy: constant, duration: 20ms, maxRetries: 3}
  targets: {components: {plantbus: {inbound: {retry: few}}}}
";

#[test]
fn every_message_is_with_the_application_or_on_its_topic_of_dead_letters() {
    let app = StandIn::new();
    let mut broker = Broker::with("persistence true\n");
    app.answer(mood);
    let app_port = app.url().rsplit_once(':').unwrap().1.to_owned();
    let mut agent =
        Sidecar::new(&["--app-port", &app_port, "--disable-init-endpoints", "config,subscribe"]);
    agent.folder.write("res/plant.yaml", &(component("plantbus", broker.port(), "") + FILES));
    agent.start();
    // What is published before the first subscription is nobody's.
    wait_until("it is subscribed", || agent.status("GET", "/ready") == Some(204));
    let dead = Subscriber::new(broker.port(), "dead/orders");
    let mut account = Account::default();
    for round in 0..rounds() {
        if fastrand::u8(0..RESTARTS) == 0 {
            broker.stop();
            broker.start();
            account.broker_restarts += 1;
        }
        let is_away = fastrand::u8(0..RESTARTS) == 0;
        if is_away {
            app.go_away();
        }
        for topic in 0..TOPICS {
            let batch = account.batch(&topic.to_string(), fastrand::usize(1..BATCH));
            Publisher::new(broker.port()).burst(&format!("orders/{topic}"), batch);
        }
        // A random point of the work, not a time that something needs.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..80_000)));
        if is_away {
            app.come_back();
        }
        agent.kill();
        account.kills += 1;
        account.enter(&app);
        account.enter(&dead);
        agent.start();
        if round % TOLD_EVERY == TOLD_EVERY - 1 {
            eprintln!("{account} (those under way among the lost)");
        }
    }
    let (mut least, mut arrived_at) = (account.lost(), std::time::Instant::now());
    wait_within(PATIENCE * 4, "all have arrived", || {
        account.enter(&app);
        account.enter(&dead);
        if account.lost() < least {
            (least, arrived_at) = (account.lost(), std::time::Instant::now());
        }
        assert!(arrived_at.elapsed() < PATIENCE, "{account}");
        least == 0
    });
    wait_until("nothing waits, and nothing was buried", || {
        agent.waiting().is_empty() && agent.dead().is_empty()
    });
    eprintln!("{account}");
}
