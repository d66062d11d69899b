//! The whole agent against librdkafka's mock cluster: consume, deliver, commit, and all that can
//! come between.

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, reason = "a broken test panics")]

mod kafka_support;
mod support;

use kafka_support::{Cluster, TOPIC};
use std::time::{Duration, Instant};
use support::event;
use support::stand_in::{Answer, StandIn};

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
    let (status, took) = agent.end("TERM");
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(took < Duration::from_secs(4), "{took:?}");

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
    assert!(!agent.database().exists() || agent.list().is_empty());
}
