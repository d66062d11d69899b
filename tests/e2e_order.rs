//! Kills and stops while the API also says 429: no RESOLVE comes before its ALERT.
//!
//! `KILL_ROUNDS=2000 cargo test --release --test e2e_order` takes longer and finds more.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::time::Duration;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::wait_until;

/// Alerts in a round, each raised and resolved.
const ALERTS: usize = 12;

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

fn event(integration_key: usize, alert_key: usize, kind: &str) -> String {
    format!(
        r#"{{"integrationKey":"il1api-{integration_key}","eventType":"{kind}","summary":"{kind} {alert_key}","alertKey":"{alert_key}"}}"#
    )
}

/// At random it takes its time, or says that a key is rate limited.
fn busy(api: &StandIn) {
    api.answer(|_| match fastrand::u8(0..12) {
        0..3 => Answer::Status(429),
        3..6 => Answer::Slow(Duration::from_millis(fastrand::u64(1..60)), 202),
        6..9 => Answer::Slow(Duration::from_millis(fastrand::u64(1..60)), 429),
        _ => Answer::Status(202),
    });
}

fn alerts_and_their_ends(arguments: &[&str], publish: fn(&mut Publisher, Vec<String>)) {
    let (api, broker) = (StandIn::new(), Broker::new());
    busy(&api);
    let mut agent = Agent::mqtt(&api, broker.port(), arguments).ready();
    let mut alerts = 0;
    for round in 0..rounds() {
        let new = alerts..alerts + ALERTS;
        alerts = new.end;
        let raised = new.clone().map(|n| event(n % 3, n, "ALERT"));
        let resolved = new.map(|n| event(n % 3, n, "RESOLVE"));
        publish(&mut Publisher::new(broker.port()), raised.chain(resolved).collect());
        // A random point of the work, not a time that something needs.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..40_000)));
        if round % 8 == 7 {
            agent.end("TERM");
        } else {
            agent.kill();
        }
        // What was asked before the end must not be recorded after what comes next.
        api.wait_hung_up();
        agent.start();
    }
    api.answer_all(Answer::Status(202));
    api.wait_for(2 * alerts);
    // Each was heard once; what a kill repeats may still be under way, the RESOLVE behind its ALERT.
    let own = |alert: usize| -> Vec<String> {
        let heard = api.accepted().into_iter();
        heard
            .filter(|one| one.split_once(' ').is_some_and(|(_, key)| key == alert.to_string()))
            .collect()
    };
    for alert in 0..alerts {
        let (raised, resolved) = (format!("ALERT {alert}"), format!("RESOLVE {alert}"));
        wait_until(&format!("alert {alert} does not stay open"), || {
            own(alert).last() == Some(&resolved)
        });
        let own = own(alert);
        assert_eq!(own[0], raised, "the alert comes first: {own:?}");
    }
}

#[test]
fn a_resolve_follows_its_alert_over_kills_with_qos_1() {
    alerts_and_their_ends(&["-e", "events/#", "--mqtt_qos", "1"], |publisher, events| {
        publisher.burst("events/a", events);
    });
}

#[test]
fn a_resolve_follows_its_alert_over_kills_with_qos_2() {
    alerts_and_their_ends(&["-e", "events/#", "--mqtt_qos", "2"], |publisher, events| {
        events.iter().for_each(|event| publisher.publish_qos2("events/a", event));
    });
}
