//! Routes to brokers and applications: `cargo bench --bench routes [-- [ROUNDS] [WORDS OF A ROW]]`.
//!
//! The bridge rows carry 20,000 messages of QoS 1 from one mosquitto to another: first mosquitto's
//! own bridge, then the agent. CPU is that of the process that carries them, which for mosquitto's
//! bridge is the broker they are published to; `all` adds up the brokers and the agent. Rows are
//! measured in turn and are medians of all rounds, so that each sees the same machine.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

#[path = "../tests/support/mod.rs"]
mod support;
mod usage;

use std::thread;
use std::time::{Duration, Instant};
use support::agent::Agent;
use support::broker::Broker;
use support::event;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::subscriber::Subscriber;
use usage::Usage;

const ROUNDS: usize = 3;
const BURST: usize = 20_000;
/// An application that takes 20 ms is not asked so often.
const SLOW_BURST: usize = 4_000;
const SINGLE: usize = 100;
const APART: Duration = Duration::from_millis(100);
const ANSWERS_AFTER: Duration = Duration::from_millis(20);

const HEAD: &str = "[queue]\npath = \"{database}\"\n[http]\nport = {port}\nbind = \"127.0.0.1\"\n";

/// What one run has shown.
#[derive(Clone, Copy)]
struct Row {
    per_second: f64,
    /// CPU seconds for 10,000 messages, of the process that carries them.
    cpu: f64,
    /// The same of that process and the brokers together.
    cpu_of_all: f64,
    /// Bytes written for each message, by the process that carries them.
    bytes: f64,
    peak_kib: f64,
}

/// Without a line for each packet, which mosquitto's own bridge would pay for.
const BROKER: &str = "persistence false\nlog_type notice\nlog_type error\n";

type Measure = fn() -> Row;

const ROWS: [(&str, Measure); 7] = [
    ("bridge, mosquitto's own", mosquittos_bridge),
    ("bridge, direct", || bridge("buffer = false\n")),
    ("bridge, buffered", || bridge("buffer = true\n")),
    ("bridge, buffered, hold 0", || bridge("buffer = true\nhold = 0\n")),
    ("ilert, 10 a second, 20 ms", single),
    ("webhook, 0 ms", || webhook(Duration::ZERO, BURST)),
    ("webhook, 20 ms", || webhook(ANSWERS_AFTER, SLOW_BURST)),
];

fn main() {
    let (mut rounds, mut wanted) = (ROUNDS, Vec::new());
    for word in std::env::args().skip(1).filter(|word| !word.starts_with("--")) {
        match word.parse() {
            Ok(number) => rounds = number,
            Err(_) => wanted.push(word),
        }
    }
    let is_wanted = |name: &str| wanted.iter().all(|word| name.contains(word.as_str()));
    let chosen: Vec<_> = ROWS.iter().filter(|(name, _)| is_wanted(name)).collect();
    let mut found: Vec<Vec<Row>> = vec![Vec::new(); chosen.len()];
    for _ in 0..rounds {
        for ((_, measure), rows) in chosen.iter().zip(&mut found) {
            rows.push(measure());
        }
    }
    println!(
        "{:<30} {:>8} {:>13} {:>8} {:>11} {:>9}",
        "", "per s", "CPU s/10,000", "all", "bytes each", "peak KiB"
    );
    for ((name, _), rows) in chosen.iter().zip(&found) {
        let median = |field: fn(&Row) -> f64| {
            let mut values: Vec<f64> = rows.iter().map(field).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "{name:<30} {:>8.0} {:>13.2} {:>8.2} {:>11.0} {:>9.0}",
            median(|row| row.per_second),
            median(|row| row.cpu),
            median(|row| row.cpu_of_all),
            median(|row| row.bytes),
            median(|row| row.peak_kib)
        );
    }
}

fn mosquittos_bridge() -> Row {
    let to = Broker::with(BROKER);
    let from = Broker::with(&format!(
        "{BROKER}connection bridge\naddress 127.0.0.1:{}\ntopic # out 1\n\
         cleansession false\nbridge_protocol_version mqttv311\nnotifications false\n\
         try_private false\n",
        to.port()
    ));
    to.wait_for_log(".bridge (", 1);
    carry(&from, &to, from.id(), &[to.id()])
}

fn bridge(lines: &str) -> Row {
    let (api, from, to) = (StandIn::new(), Broker::with(BROKER), Broker::with(BROKER));
    let text = format!(
        "{HEAD}[[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{}\"\n{lines}\
         [[mqtt.subscription]]\ntopic = \"bench/#\"\nkind = \"publish\"\nto = \"cloud\"\n\
         [[mqtt]]\nname = \"cloud\"\nurl = \"mqtt://127.0.0.1:{}\"\n",
        from.port(),
        to.port()
    );
    let agent = quiet(Agent::by_file_alone(&api, &text));
    carry(&from, &to, agent.id(), &[from.id(), to.id()])
}

/// A burst from broker to broker, by the process `carrier` and with the help of others.
fn carry(from: &Broker, to: &Broker, carrier: u32, others: &[u32]) -> Row {
    let subscriber = Subscriber::with_qos(to.port(), "bench/#", 1);
    let mut publisher = Publisher::new(from.port());
    let cpu_of =
        |ids: &[u32]| -> f64 { ids.iter().map(|&id| Usage::of_process(id).cpu_seconds).sum() };
    let (before, others_before) = (Usage::of_process(carrier), cpu_of(others));
    let began = Instant::now();
    publisher.burst("bench/a", (0..BURST).map(|number| event("il1api1", &number.to_string())));
    wait(|| subscriber.count() >= BURST);
    let time = began.elapsed();
    let mut row = row(BURST, time, &before, &Usage::of_process(carrier));
    row.cpu_of_all += (cpu_of(others) - others_before) / BURST as f64 * 10_000.0;
    assert_eq!(subscriber.count(), BURST, "none twice");
    row
}

/// Buffered messages that come alone, while ilert answers in its usual time.
fn single() -> Row {
    let (api, broker) = (StandIn::new(), Broker::with(BROKER));
    api.answer_all(Answer::Slow(ANSWERS_AFTER, 202));
    let text = format!(
        "{HEAD}[[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{}\"\nbuffer = true\n\
         [[mqtt.subscription]]\ntopic = \"bench/#\"\n",
        broker.port()
    );
    let agent = quiet(Agent::by_file_alone(&api, &text));
    let mut publisher = Publisher::new(broker.port());
    let before = Usage::of(&agent);
    let began = Instant::now();
    for number in 0..SINGLE {
        publisher.publish("bench/a", event("il1api1", &number.to_string()));
        thread::sleep(APART);
    }
    wait(|| api.count() >= SINGLE);
    row(SINGLE, began.elapsed(), &before, &Usage::of(&agent))
}

fn webhook(answers_after: Duration, burst: usize) -> Row {
    let (api, broker) = (StandIn::new(), Broker::with(BROKER));
    api.answer_all(match answers_after {
        Duration::ZERO => Answer::Full(204, vec![], String::new()),
        time => Answer::Slow(time, 202),
    });
    let text = format!(
        "{HEAD}[[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{}\"\n\
         [[mqtt.subscription]]\ntopic = \"bench/#\"\nkind = \"call\"\nto = \"shop\"\n\
         [[webhook]]\nname = \"shop\"\nurl = \"{}/orders\"\n",
        broker.port(),
        api.url()
    );
    let agent = quiet(Agent::by_file_alone(&api, &text));
    let mut publisher = Publisher::new(broker.port());
    let before = Usage::of(&agent);
    let began = Instant::now();
    publisher.burst("bench/a", (0..burst).map(|number| event("il1api1", &number.to_string())));
    wait(|| api.count() >= burst);
    row(burst, began.elapsed(), &before, &Usage::of(&agent))
}

/// As it runs in the field: without a line for each message.
fn quiet(agent: Agent) -> Agent {
    agent.env("RUST_LOG", "warn").ready()
}

fn wait(happened: impl Fn() -> bool) {
    while !happened() {
        thread::sleep(Duration::from_millis(1));
    }
}

fn row(count: usize, time: Duration, before: &Usage, after: &Usage) -> Row {
    let each = |amount: f64| amount / count as f64;
    let cpu = each(after.cpu_seconds - before.cpu_seconds) * 10_000.0;
    Row {
        per_second: count as f64 / time.as_secs_f64(),
        cpu,
        cpu_of_all: cpu,
        bytes: each((after.written - before.written) as f64),
        peak_kib: after.peak_kib as f64,
    }
}
