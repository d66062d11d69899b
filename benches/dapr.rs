//! The agent at the work of a Dapr sidecar: `cargo bench --bench dapr [-- WORDS OF A ROW]`.
//!
//! Publications go over HTTP to a real mosquitto. Each is answered once it is on disk. On the way
//! back each is acknowledged once the application, which answers at once, has it. CPU is that of the
//! agent alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

mod client;
#[path = "../tests/support/mod.rs"]
mod support;
mod usage;

use client::Connection;
use std::thread;
use std::time::{Duration, Instant};
use support::broker::Broker;
use support::dapr::{Sidecar, component};
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::subscriber::Subscriber;
use support::wait_until;
use usage::Usage;

/// Without a line for each packet.
const BROKER: &str = "persistence false\nlog_type notice\nlog_type error\n";

const PUBLISH: &str = "/v1.0/publish/plantbus/bench/a";
const BULK: &str = "/v1.0/publish/bulk/plantbus/bench/a";
const CONNECTIONS: usize = 16;
const MESSAGES: usize = 40_000;
/// Entries of one request.
const ENTRIES: usize = 100;

const ROWS: [(&str, fn()); 5] = [
    ("publish, one connection", || publish(1, MESSAGES / 10)),
    ("publish, 16 connections", || publish(CONNECTIONS, MESSAGES)),
    ("bulks of 100, 4 connections", bulk),
    ("to the application, one topic", || deliver(1)),
    ("to the application, 20 topics", || deliver(20)),
];

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for (name, measure) in ROWS {
        if wanted.iter().all(|word| name.contains(word.as_str())) {
            print!("{name:<30}");
            measure();
        }
    }
}

fn publish(connections: usize, messages: usize) {
    carry(PUBLISH, connections, messages, 1, &"x".repeat(100));
}

fn bulk() {
    let entry = |number| {
        let event = "x".repeat(100);
        format!(r#"{{"entryId":"{number}","event":"{event}","contentType":"text/plain"}}"#)
    };
    let entries: Vec<String> = (0..ENTRIES).map(entry).collect();
    carry(BULK, 4, MESSAGES, ENTRIES, &format!("[{}]", entries.join(",")));
}

/// A subscription to all topics.
const SUBSCRIPTION: &str = "---\napiVersion: dapr.io/v2alpha1\nkind: Subscription\n\
                            metadata: {name: bench}\nspec:\n  pubsubname: plantbus\n  \
                            topic: bench/+\n  routes: {default: /events}\n";

/// From the broker to the application, on so many topics.
fn deliver(topics: usize) {
    let (broker, app) = (Broker::with(BROKER), StandIn::new());
    app.answer_all(Answer::Full(200, Vec::new(), String::new()));
    let url = app.url();
    let port = url.rsplit(':').next().unwrap();
    let arguments = ["--app-port", port, "--disable-init-endpoints", "config,subscribe"];
    let mut sidecar = Sidecar::new(&arguments).env("RUST_LOG", "warn");
    let files = component("plantbus", broker.port(), "") + SUBSCRIPTION;
    sidecar.folder.write("res/plantbus.yaml", &files);
    sidecar.start();
    wait_until("it is subscribed", || sidecar.status("GET", "/ready") == Some(204));
    let id = sidecar.process.id();
    let before = Usage::of_process(id);
    let began = Instant::now();
    thread::scope(|scope| {
        for topic in 0..topics {
            let mut publisher = Publisher::new(broker.port());
            let events = (0..MESSAGES / topics).map(|number| format!("{{\"n\":{number}}}"));
            scope.spawn(move || publisher.burst(&format!("bench/{topic}"), events));
        }
    });
    while app.count() < MESSAGES {
        thread::sleep(Duration::from_millis(1));
    }
    let (arrived, after) = (began.elapsed(), Usage::of_process(id));
    let count = MESSAGES as f64;
    println!(
        "{:>7.0} taken/s, {:.2} CPU s for 10,000, {:.0} bytes written each, peak {} KiB",
        count / arrived.as_secs_f64(),
        (after.cpu_seconds - before.cpu_seconds) / count * 10_000.0,
        (after.written - before.written) as f64 / count,
        after.peak_kib
    );
}

/// Sends `messages` in requests with this body, which has so many each.
fn carry(target: &'static str, connections: usize, messages: usize, each: usize, body: &str) {
    let broker = Broker::with(BROKER);
    let mut sidecar = Sidecar::new(&[]).env("RUST_LOG", "warn");
    sidecar.folder.write("res/plantbus.yaml", &component("plantbus", broker.port(), ""));
    sidecar.start();
    let subscriber = Subscriber::with_qos(broker.port(), "bench/#", 1);
    let id = sidecar.process.id();
    let before = Usage::of_process(id);
    let began = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let client = || {
            let mut connection = Connection::to(sidecar.port, target);
            let ask = |_| {
                let began = Instant::now();
                connection.write(body);
                began.elapsed()
            };
            (0..messages / each / connections).map(ask).collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let answered = began.elapsed();
    while subscriber.count() < messages {
        thread::sleep(Duration::from_millis(1));
    }
    let arrived = began.elapsed();
    let after = Usage::of_process(id);
    times.sort_unstable();
    let (count, ms) = (messages as f64, |time: Duration| time.as_secs_f64() * 1_000.0);
    println!(
        "{:>7.0} answered/s, p50 {:.1} ms, p99 {:.1} ms, {:>7.0} arrived/s, {:.2} CPU s for 10,000, \
         {:.0} bytes written each, peak {} KiB",
        count / answered.as_secs_f64(),
        ms(times[times.len() / 2]),
        ms(times[times.len() * 99 / 100]),
        count / arrived.as_secs_f64(),
        (after.cpu_seconds - before.cpu_seconds) / count * 10_000.0,
        (after.written - before.written) as f64 / count,
        after.peak_kib
    );
}
