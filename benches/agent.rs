//! The whole agent against a real mosquitto and a stand-in for ilert: `cargo bench --bench agent`.
//!
//! Bursts are of 20,000 messages at a broker with its defaults. CPU is user and system time of
//! the agent alone; bytes are what the kernel counted as written by it.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

#[path = "../tests/support/mod.rs"]
mod support;
mod usage;

use std::time::{Duration, Instant};
use support::agent::Agent;
use support::broker::Broker;
use support::event;
use support::publisher::Publisher;
use support::stand_in::StandIn;
use usage::Usage;

const BURST: usize = 20_000;
const POSTS: usize = 5_000;
const CLIENTS: usize = 16;

fn main() {
    println!(
        "{:<16} {:>10} {:>14} {:>14} {:>10}",
        "", "per s", "CPU s/10,000", "bytes each", "peak KiB"
    );
    let direct = ["-e", "bench/#", "--mqtt_qos", "1"];
    let buffered = ["-e", "bench/#", "--mqtt_qos", "1", "--mqtt_buffer"];
    burst("direct", &direct);
    burst("buffered", &buffered);
    posts();
    idle("idle direct", &direct);
    idle("idle buffered", &buffered);
}

fn burst(name: &str, arguments: &[&str]) {
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = quiet(Agent::mqtt(&api, broker.port(), arguments));
    let mut publisher = Publisher::new(broker.port());
    let before = Usage::of(&agent);
    let began = Instant::now();
    publisher.burst("bench/a", (0..BURST).map(|number| event("il1api1", &number.to_string())));
    wait(&api, BURST);
    report(name, BURST, began.elapsed(), &before, &Usage::of(&agent));
}

fn posts() {
    let api = StandIn::new();
    let agent = quiet(Agent::new(&api, &[]));
    let before = Usage::of(&agent);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let agent = &agent;
            scope.spawn(move || {
                for number in (client..POSTS).step_by(CLIENTS) {
                    assert_eq!(agent.post(&event("k", &number.to_string())).unwrap().0, 200);
                }
            });
        }
    });
    wait(&api, POSTS);
    report("http", POSTS, began.elapsed(), &before, &Usage::of(&agent));
}

fn idle(name: &str, arguments: &[&str]) {
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = quiet(Agent::mqtt(&api, broker.port(), arguments));
    usage::idle(name, &agent);
}

/// As it runs in the field: without a line for each message.
fn quiet(agent: Agent) -> Agent {
    agent.env("RUST_LOG", "warn").ready()
}

fn wait(api: &StandIn, count: usize) {
    while api.count() < count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn report(name: &str, count: usize, time: Duration, before: &Usage, after: &Usage) {
    let each = |amount: f64| amount / count as f64;
    println!(
        "{name:<16} {:>10.0} {:>14.2} {:>14.0} {:>10}",
        count as f64 / time.as_secs_f64(),
        each(after.cpu_seconds - before.cpu_seconds) * 10_000.0,
        each((after.written - before.written) as f64),
        after.peak_kib
    );
}
