//! The agent at Kapacitor's work: `cargo bench --bench kapacitor [-- WORDS OF A ROW]`.
//!
//! Points go over HTTP to the script of the vendor's page about MQTT; alerts go to a real mosquitto.
//! CPU is that of the agent alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

mod client;
#[path = "../tests/support/mod.rs"]
mod support;
mod usage;

use client::Connection;
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};
use support::Folder;
use support::broker::Broker;
use support::kapacitor::Kapacitor;
use support::subscriber::Subscriber;
use usage::Usage;

/// Without a line for each packet.
const BROKER: &str = "persistence false\nlog_type notice\nlog_type error\n";

const SCRIPT: &str = r#"stream
  |from()
    .measurement('cpu')
  |alert()
    .crit(lambda: "usage_idle" < 10)
    .message('{{ .Time }}: CPU usage over 90%')
    .mqtt('alerts')
      .qos(1)
"#;

const WINDOWS: &str = r#"stream
  |from()
    .measurement('cpu')
    .groupBy('host')
  |window()
    .period(1m)
    .every(1m)
  |mean('usage_idle')
  |alert()
    .crit(lambda: "mean" < 10)
    .mqtt('alerts')
"#;

const WRITE: &str = "/write?db=telegraf&rp=autogen";
const FLAT_OUT: usize = 2_000_000;
const SINGLE: usize = 20_000;
const ALERTS: usize = 20_000;
const SERIES: usize = 10_000;
/// Points of each series that one of its windows holds.
const HELD: usize = 20;
const LATENCIES: usize = 300;
const STEADY: Duration = Duration::from_secs(10);
const EPOCH: u64 = 1_700_000_000_000_000_000;

const ROWS: [(&str, fn()); 9] = [
    ("start to the first answered ping", start),
    ("flat out, bodies of 5,000", || flat_out(5_000, FLAT_OUT)),
    ("flat out, bodies of 500", || flat_out(500, FLAT_OUT)),
    ("one point a request", || flat_out(1, SINGLE)),
    ("5,000 points a second for 10 s", steady),
    ("10,000 series in windows", windows),
    ("alerts, one a request, 16 connections", || alerts("50 ms")),
    ("alerts, the same, each stored at once", || alerts("0")),
    ("latency, 30 a second", latency),
];

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for (name, measure) in ROWS {
        if wanted.iter().all(|word| name.contains(word.as_str())) {
            print!("{name:<40}");
            measure();
        }
    }
}

/// A daemon with one broker and one task, ready.
fn daemon(broker: &Broker, script: &str) -> Kapacitor {
    daemon_with(broker, script, "50 ms")
}

fn daemon_with(broker: &Broker, script: &str, hold: &str) -> Kapacitor {
    let folder = Folder::new();
    folder.write("task.tick", script);
    let config = format!(
        "[alert]\nhold = \"{hold}\"\n[[mqtt]]\nenabled = true\nname = \"local\"\n\
         url = \"tcp://127.0.0.1:{}\"\n",
        broker.port()
    );
    let mut kapacitor = Kapacitor::new(folder, &config);
    kapacitor.start();
    kapacitor.prints("kapacitor define task -tick task.tick && kapacitor enable task");
    kapacitor
}

fn usage(kapacitor: &Kapacitor) -> Usage {
    Usage::of_process(kapacitor.process.id())
}

fn start() {
    let broker = Broker::with(BROKER);
    let mut kapacitor = daemon(&broker, SCRIPT);
    let mut times: Vec<Duration> = (0..10)
        .map(|_| {
            kapacitor.kill();
            let began = Instant::now();
            kapacitor.start();
            began.elapsed()
        })
        .collect();
    times.sort();
    println!("{:>8.1} ms", times[times.len() / 2].as_secs_f64() * 1_000.0);
}

/// Lines of the vendor's example that raise no alert.
fn body(lines: usize, first: usize) -> String {
    (first..first + lines).fold(String::new(), |mut text, n| {
        let time = EPOCH + n as u64;
        writeln!(text, "cpu,host=server{:02} usage_idle={}.5 {time}", n % 20, 20 + n % 70).unwrap();
        text
    })
}

fn flat_out(lines: usize, count: usize) {
    let broker = Broker::with(BROKER);
    let kapacitor = daemon(&broker, SCRIPT);
    let body = body(lines, 0);
    let before = usage(&kapacitor);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut connection = Connection::to(kapacitor.port, WRITE);
                (0..count / lines / 2).for_each(|_| connection.write(&body));
            });
        }
    });
    let time = began.elapsed().as_secs_f64();
    let after = usage(&kapacitor);
    let cpu = (after.cpu_seconds - before.cpu_seconds) / count as f64 * 1_000_000.0;
    println!(
        "{:>8.0} points/s, {cpu:.2} CPU s a million, {:.0} points/s on one core, peak {} KiB",
        count as f64 / time,
        1_000_000.0 / cpu,
        after.peak_kib
    );
}

fn steady() {
    let broker = Broker::with(BROKER);
    let kapacitor = daemon(&broker, SCRIPT);
    let idle = usage(&kapacitor).resident_kib;
    let mut connection = Connection::to(kapacitor.port, WRITE);
    let (body, began) = (body(500, 0), Instant::now());
    let before = usage(&kapacitor);
    let mut next = began;
    while began.elapsed() < STEADY {
        connection.write(&body);
        next += Duration::from_millis(100);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let after = usage(&kapacitor);
    let cpu = (after.cpu_seconds - before.cpu_seconds) / STEADY.as_secs_f64();
    println!(
        "resident {idle} KiB before, {} KiB after; {:.1} % CPU",
        after.resident_kib,
        cpu * 100.0
    );
}

fn windows() {
    let broker = Broker::with(BROKER);
    let kapacitor = daemon(&broker, WINDOWS);
    let mut connection = Connection::to(kapacitor.port, WRITE);
    for round in 0..HELD as u64 {
        let lines: Vec<String> = (0..SERIES)
            .map(|n| {
                let time = EPOCH + round * 2_000_000_000;
                format!("cpu,host=server{n:05} usage_idle={}.5 {time}\n", 20 + n % 70)
            })
            .collect();
        lines.chunks(5_000).for_each(|lines| connection.write(&lines.concat()));
    }
    let after = usage(&kapacitor);
    println!("resident {} KiB with {HELD} points each", after.resident_kib);
}

/// Every point is an alert, and each request is answered once its alert is safe.
fn alerts(hold: &str) {
    const CONNECTIONS: usize = 16;
    let broker = Broker::with(BROKER);
    let kapacitor = daemon_with(&broker, SCRIPT, hold);
    let subscriber = Subscriber::with_qos(broker.port(), "alerts", 1);
    let before = usage(&kapacitor);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::to(kapacitor.port, WRITE);
                for n in 0..ALERTS / CONNECTIONS {
                    connection.write(&format!("cpu usage_idle=5 {}\n", EPOCH + n as u64));
                }
            });
        }
    });
    while subscriber.count() < ALERTS {
        thread::sleep(Duration::from_millis(1));
    }
    let time = began.elapsed().as_secs_f64();
    let after = usage(&kapacitor);
    println!(
        "{:>8.0} alerts/s, {:.2} CPU s for 10,000, {:.0} bytes written each",
        ALERTS as f64 / time,
        (after.cpu_seconds - before.cpu_seconds) / ALERTS as f64 * 10_000.0,
        (after.written - before.written) as f64 / ALERTS as f64
    );
}

/// From the request with a point to its alert at a subscriber.
fn latency() {
    let broker = Broker::with(BROKER);
    let kapacitor = daemon_with(&broker, SCRIPT, "0");
    let subscriber = Subscriber::with_qos(broker.port(), "alerts", 0);
    let mut connection = Connection::to(kapacitor.port, WRITE);
    let before = usage(&kapacitor);
    let mut times: Vec<f64> = (0..LATENCIES)
        .map(|n| {
            thread::sleep(Duration::from_millis(33));
            let began = Instant::now();
            connection.send(&format!("cpu usage_idle=5 {}\n", EPOCH + n as u64));
            while subscriber.count() <= n {
                thread::sleep(Duration::from_micros(50));
            }
            let time = began.elapsed().as_secs_f64() * 1_000.0;
            connection.answered();
            time
        })
        .collect();
    let written = usage(&kapacitor).written - before.written;
    times.sort_by(f64::total_cmp);
    println!(
        "p50 {:.1} ms, p99 {:.1} ms, {:.0} bytes written each",
        times[LATENCIES / 2],
        times[LATENCIES * 99 / 100],
        written as f64 / LATENCIES as f64
    );
}
