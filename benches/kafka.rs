//! The whole agent against a real Apache Kafka and a stand-in for ilert, one topic of one
//! partition: `cargo bench --features kafka --bench kafka`.
//!
//! Beside it `kcat` (Debian: kcat) reads the same topic and throws it away: what librdkafka alone
//! takes. Time is from the first delivery to the last; CPU is that of the whole process.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

#[path = "../tests/support/mod.rs"]
mod support;
mod usage;

use std::process::Command;
use std::time::{Duration, Instant};
use support::agent::Agent;
use support::event;
use support::kafka::Kafka;
use support::stand_in::{Answer, StandIn};
use usage::Usage;

const MESSAGES: usize = 50_000;
const MESSAGES_SLOW: usize = 10_000;
const SLOW: Duration = Duration::from_millis(20);

fn main() {
    let kafka = Kafka::new();
    kafka.create_topic("bench", 1);
    kafka.create_topic("bench-slow", 1);
    kafka.create_topic("idle", 1);
    produce(&kafka, "bench", MESSAGES);
    produce(&kafka, "bench-slow", MESSAGES_SLOW);
    println!("{:<22} {:>10} {:>14} {:>10}", "", "per s", "CPU s/10,000", "peak KiB");
    kcat(&kafka.brokers());
    let run = |name: &str, topic: &str, count: usize, answer: Answer, arguments: &[&str]| {
        let group = name.replace([' ', ','], "-");
        let brokers = kafka.brokers();
        let flags = ["--kafka_brokers", &brokers, "--kafka_group_id", &group, "-e", topic];
        consume(name, count, answer, &[&flags, arguments].concat());
    };
    run("API 0 ms", "bench", MESSAGES, Answer::Status(202), &[]);
    run("API 20 ms", "bench-slow", MESSAGES_SLOW, Answer::Slow(SLOW, 202), &[]);
    run("API 0 ms, buffered", "bench", MESSAGES, Answer::Status(202), &["--kafka_buffer"]);
    idle(&["--kafka_brokers", &kafka.brokers(), "--kafka_group_id", "idle", "-e", "idle"]);
}

fn produce(kafka: &Kafka, topic: &str, count: usize) {
    let events: Vec<String> = (0..count).map(|id| event("il1key", &id.to_string())).collect();
    kafka.produce(topic, 0, events.iter().map(|event| Some(event.as_bytes())));
}

fn consume(name: &str, count: usize, answer: Answer, arguments: &[&str]) {
    let api = StandIn::new();
    api.answer_all(answer);
    let mut agent = Agent::new(&api, arguments).env("RUST_LOG", "warn").started();
    wait(&api, 1);
    let began = Instant::now();
    wait(&api, count);
    let time = began.elapsed();
    let usage = Usage::of(&agent);
    report(name, count, time, usage.cpu_seconds, Some(usage.peak_kib));
    agent.end("TERM");
}

fn idle(arguments: &[&str]) {
    let api = StandIn::new();
    let agent = Agent::new(&api, arguments).env("RUST_LOG", "warn").ready();
    usage::idle("idle", &agent);
}

fn wait(api: &StandIn, count: usize) {
    while api.count() < count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The floor: librdkafka's own consumer, without offsets, keys or anything made of the messages.
fn kcat(brokers: &str) {
    const TIMED: &str = "TIMEFORMAT='%R %U %S'; time kcat -C -e -q -b $0 -t bench >/dev/null";
    let output = Command::new("bash").args(["-c", TIMED, brokers]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    let numbers: Vec<f64> = words.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [real, user, system] if output.status.success() => {
            let time = Duration::from_secs_f64(real);
            report("kcat to /dev/null", MESSAGES, time, user + system, None);
        }
        _ => println!("{:<22} is not here: apt-get install kcat", "kcat"),
    }
}

fn report(name: &str, count: usize, time: Duration, cpu_seconds: f64, peak_kib: Option<u64>) {
    let peak = peak_kib.map_or("-".to_owned(), |kib| kib.to_string());
    let (per_second, cpu) =
        (count as f64 / time.as_secs_f64(), cpu_seconds / count as f64 * 10_000.0);
    println!("{name:<22} {per_second:>10.0} {cpu:>14.2} {peak:>10}");
}
