//! From one mosquitto to another, with the agent in the process of the test.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use crossbeam_channel::{Sender, bounded, never};
use ilagent::agent;
use ilagent::config::{
    self, Address, Config, Ilert, PublishRule, Qos, Queue, Routing, Rule, Target, Version,
};
use ilagent::system::signals::Signals;
use ilagent::topic::{Pattern, TopicTemplate};
use std::thread::JoinHandle;
use support::broker::Broker;
use support::publisher::Publisher;
use support::subscriber::Subscriber;
use support::{Folder, wait_until};

/// An agent that runs.
struct Bridge {
    end: Sender<()>,
    running: Option<JoinHandle<Result<(), String>>>,
}

impl Bridge {
    fn start(config: &Config) -> Self {
        let (tell_end, end) = bounded(1);
        let config = config.clone();
        let run = move || {
            let signals = Signals { end, reload: never(), retry: never() };
            agent::run(config, &signals, &|| None)
        };
        Bridge { end: tell_end, running: Some(std::thread::spawn(run)) }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.end.send(()).unwrap();
        if let Some(running) = self.running.take() {
            running.join().unwrap().unwrap();
        }
    }
}

/// `in/…` of one broker becomes `out/…` of the other.
fn bridge(folder: &Folder, from: &Broker, to: &Broker) -> Config {
    let broker = |name: &str, broker: &Broker| config::Broker {
        name: name.to_owned(),
        port: broker.port(),
        client_id: format!("bridge-{name}"),
        routing: Routing::Every,
        ..config::Broker::at(Address { host: "127.0.0.1".to_owned(), ..Address::default() })
    };
    let pattern = Pattern::parse("in/#").unwrap();
    let rule = PublishRule {
        to: "cloud".to_owned(),
        topic: TopicTemplate::prefixed("in/", "out/", &pattern).unwrap(),
        qos: None,
        retain: None,
        shape: None,
    };
    let rule =
        Rule { filter: pattern.filter, qos: Qos::ExactlyOnce, to: Target::Publish(Box::new(rule)) };
    Config {
        brokers: vec![
            config::Broker { rules: vec![rule], ..broker("plant", from) },
            broker("cloud", to),
        ],
        clusters: Vec::new(),
        http: Vec::new(),
        ilert: Ilert::default(),
        files: Vec::new(),
        kapacitor: None,
        dapr: None,
        services: Vec::new(),
        webhooks: Vec::new(),
        queue: Queue { path: folder.join("q.db3"), ..Queue::default() },
    }
}

fn numbers(from: usize, to: usize) -> impl Iterator<Item = String> {
    (from..to).map(|number| format!("{number}"))
}

#[test]
fn everything_crosses_in_order_over_restarts_of_the_target_and_of_the_agent() {
    for (version, buffer) in [(Version::V311, false), (Version::V5, true)] {
        let folder = Folder::new();
        let plant = Broker::with("persistence false\nset_tcp_nodelay true\n");
        let mut cloud = Broker::with("persistence true\nset_tcp_nodelay true\n");
        let mut config = bridge(&folder, &plant, &cloud);
        for broker in &mut config.brokers {
            (broker.version, broker.buffer) = (version, buffer);
        }
        let subscriber = Subscriber::new(cloud.port(), "out/#");
        // What is under way to a subscriber comes again after a restart of its broker.
        subscriber.go_away();
        let mut running = Bridge::start(&config);
        wait_until("the plant is subscribed to", || plant.logged("bridge-plant 2 in/#") > 0);
        let mut publisher = Publisher::new(plant.port());
        for round in 0..4 {
            publisher.burst("in/a", numbers(round * 500, round * 500 + 500));
            match round {
                0 | 2 => {
                    cloud.stop();
                    publisher.burst("in/a", std::iter::empty());
                    cloud.start();
                }
                1 => {
                    drop(running);
                    running = Bridge::start(&config);
                }
                _ => (),
            }
        }
        let last = "'out/a', ... (4 bytes))";
        wait_until("all are there", || cloud.logged(last) >= 1_000);
        subscriber.come_back();
        assert!(subscriber.wait_for_different(2_000).into_iter().eq(numbers(0, 2_000)));
        drop(running);
        let received = subscriber.count();
        assert!(received <= 4_000, "{received} for 2,000");
    }
}

#[test]
fn a_target_that_is_away_holds_up_no_other_even_without_a_buffer() {
    let folder = Folder::new();
    let lines = "persistence true\nset_tcp_nodelay true\n";
    let (plant, mut cloud, alarms) =
        (Broker::with(lines), Broker::with(lines), Broker::with(lines));
    let subscriber = Subscriber::new(cloud.port(), "out/#");
    subscriber.go_away();
    cloud.stop();
    let mut config = bridge(&folder, &plant, &cloud);
    let pattern = Pattern::parse("alarm/#").unwrap();
    let rule = PublishRule {
        to: "alarms".to_owned(),
        topic: TopicTemplate::same(),
        qos: None,
        retain: None,
        shape: None,
    };
    config.brokers[0].rules.push(Rule {
        filter: pattern.filter,
        qos: Qos::AtLeastOnce,
        to: Target::Publish(Box::new(rule)),
    });
    let (name, port) = ("alarms".to_owned(), alarms.port());
    config.brokers.push(config::Broker { name, port, ..config.brokers[1].clone() });
    let heard = Subscriber::new(alarms.port(), "alarm/#");
    let _running = Bridge::start(&config);
    wait_until("the plant is subscribed to", || plant.logged("bridge-plant 1 alarm/#") > 0);
    let mut publisher = Publisher::new(plant.port());
    publisher.burst("in/a", numbers(0, 1_000));
    publisher.publish("alarm/a", "fire");
    heard.wait_for(1);
    cloud.start();
    wait_until("all are there", || cloud.logged("Sending PUBACK to bridge-cloud-out") >= 1_000);
    subscriber.come_back();
    assert!(subscriber.wait_for_different(1_000).into_iter().eq(numbers(0, 1_000)));
}
