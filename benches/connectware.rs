//! The agent with a large service file of Connectware: `cargo bench --bench connectware [-- WORDS OF
//! A ROW]`.
//!
//! Three brokers outside and the internal one are real mosquittos, and so are the four sessions each
//! that the agent has there. A message from endpoint to endpoint passes the agent three times, and
//! the internal broker twice: from its endpoint, through its mapping, to the other endpoint. CPU is
//! that of the agent alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

#[path = "../tests/support/mod.rs"]
mod support;
mod usage;

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};
use support::Folder;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::StandIn;
use support::subscriber::Subscriber;
use usage::Usage;

/// Without a line for each packet.
const BROKER: &str = "persistence false\nlog_type notice\nlog_type error\n";

const CONNECTIONS: usize = 3;
/// Endpoints that read; as many write, and each pair has a mapping.
const PAIRS: usize = 20;
/// Mappings beside those.
const OTHERS: usize = 40;

const MESSAGES: usize = 20_000;
const MANY: usize = 50_000;
const STARTS: usize = 10;

const ROWS: [(&str, fn()); 4] = [
    ("start", start),
    ("one endpoint to another", || carry(1, MESSAGES)),
    ("20 endpoints to 20 others", || carry(PAIRS, MESSAGES)),
    ("50,000 from 20 to 20", || carry(PAIRS, MANY)),
];

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for (name, measure) in ROWS {
        if wanted.iter().all(|word| name.contains(word.as_str())) {
            print!("{name:<28}");
            measure();
        }
    }
}

/// An agent with the file, and the brokers around it.
struct Plant {
    agent: Agent,
    outside: Vec<Broker>,
    _others: (Broker, StandIn, Folder),
}

impl Plant {
    fn new() -> Self {
        let (api, inside) = (StandIn::new(), Broker::with(BROKER));
        let outside: Vec<Broker> = (0..CONNECTIONS).map(|_| Broker::with(BROKER)).collect();
        let url = format!("mqtt://127.0.0.1:{}", inside.port());
        let folder = Folder::new();
        let file = folder.write("plant.yml", &service(&outside)).display().to_string();
        let agent = Agent::new(&api, &["--connectware", &file, "--internal_broker", &url]);
        let agent = agent.env("RUST_LOG", "warn");
        Plant { agent, outside, _others: (inside, api, folder) }
    }

    /// Starts the agent; says how long it took until all resources were as they are to be.
    fn start(&mut self) -> Duration {
        let began = Instant::now();
        self.agent.start();
        let is_up = |agent: &Agent| {
            let report = agent.get("/status").map(|(_, body)| body).unwrap_or_default();
            report.contains(r#""services":[{"id":"plant","state":"enabled""#)
        };
        wait(|| is_up(&self.agent));
        began.elapsed()
    }
}

/// Three connections, forty endpoints, sixty mappings.
fn service(outside: &[Broker]) -> String {
    let mut text = "metadata: {name: Plant}\nresources:\n".to_owned();
    let mut resource = |name: &str, kind: &str, properties: &str| {
        let _ =
            writeln!(text, "  {name}:\n    type: Cybus::{kind}\n    properties: {{{properties}}}");
    };
    for (number, broker) in outside.iter().enumerate() {
        let port = broker.port();
        let connection = format!("connection: {{host: 127.0.0.1, port: {port}, clean: false}}");
        resource(&format!("c{number}"), "Connection", &format!("protocol: Mqtt, {connection}"));
    }
    for number in 0..PAIRS {
        let [from, to] = [number % CONNECTIONS, (number + 1) % CONNECTIONS];
        let read = format!("connection: !ref c{from}, subscribe: {{topic: plant/{number}/value}}");
        resource(&format!("read{number}"), "Endpoint", &format!("protocol: Mqtt, {read}"));
        let write = format!("connection: !ref c{to}, write: {{topic: out/{number}}}");
        resource(&format!("write{number}"), "Endpoint", &format!("protocol: Mqtt, {write}"));
        let expression = r#"'{"value": $round(value * 9 / 5 + 32, 1), "from": $context.topic}'"#;
        let mapping = format!(
            "subscribe: {{endpoint: !ref read{number}}}, publish: {{endpoint: !ref write{number}}}, \
             rules: [{{transform: {{expression: {expression}}}}}]"
        );
        resource(&format!("map{number}"), "Mapping", &format!("mappings: [{{{mapping}}}]"));
    }
    for number in 0..OTHERS {
        let to = number % CONNECTIONS;
        let mapping = format!(
            "subscribe: {{topic: \"line{number}/+machine/#rest\"}}, \
             publish: {{topic: \"line{number}/{{machine}}/{{rest}}\", connection: !ref c{to}}}, \
             rules: [{{filter: {{expression: value > 0}}}}, {{cov: {{key: value, deadband: 1}}}}]"
        );
        resource(&format!("other{number}"), "Mapping", &format!("mappings: [{{{mapping}}}]"));
    }
    text
}

fn start() {
    let mut plant = Plant::new();
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(plant.start());
        plant.agent.end("TERM");
    }
    times.sort_unstable();
    plant.start();
    // What the start has needed is given back by then.
    thread::sleep(Duration::from_secs(3));
    let Usage { resident_kib, own_kib, .. } = Usage::of(&plant.agent);
    println!(
        "{:.0} ms until all is connected (of {STARTS}: {:.0} to {:.0}), resident {resident_kib} KiB, \
         {own_kib} of them its own, {} threads",
        millis(times[STARTS / 2]),
        millis(times[0]),
        millis(times[STARTS - 1]),
        plant.agent.threads()
    );
}

/// Carries messages from so many endpoints, each to its twin.
fn carry(pairs: usize, messages: usize) {
    let mut plant = Plant::new();
    plant.start();
    let subscribers: Vec<Subscriber> = plant
        .outside
        .iter()
        .map(|broker| Subscriber::with_qos(broker.port(), "out/#", 1))
        .collect();
    let arrived = || -> usize { subscribers.iter().map(Subscriber::count).sum() };
    let before = Usage::of(&plant.agent);
    let began = Instant::now();
    thread::scope(|scope| {
        for number in 0..pairs {
            let mut publisher = Publisher::new(plant.outside[number % CONNECTIONS].port());
            let values = (0..messages / pairs).map(|value| format!(r#"{{"value":{value}}}"#));
            scope.spawn(move || publisher.burst(&format!("plant/{number}/value"), values));
        }
    });
    wait(|| arrived() >= messages);
    let (time, after) = (began.elapsed(), Usage::of(&plant.agent));
    let count = messages as f64;
    println!(
        "{messages} published, {} received: {:>6.0}/s, {:.2} CPU s for 10,000, {:.0} bytes written \
         each, peak {} KiB, then {} its own",
        arrived(),
        count / time.as_secs_f64(),
        (after.cpu_seconds - before.cpu_seconds) / count * 10_000.0,
        (after.written - before.written) as f64 / count,
        after.peak_kib,
        after.own_kib
    );
}

fn wait(happened: impl Fn() -> bool) {
    while !happened() {
        thread::sleep(Duration::from_millis(1));
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
