//! What a push, a claim and a settlement cost, with 1,000 to 1,000,000 rows waiting.
//!
//! `cargo bench --bench queue [-- ROWS…]`. The ratio to the first line shows whether it stays flat.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

use crossbeam_channel::bounded;
use ilagent::config;
use ilagent::message::{Delivery, Errand, Keep, LaneName, Outcome};
use ilagent::queue::{Error, Push, Queue, Storing, Terms};
use ilagent::sinks::ilert::BACKOFF;
use ilagent::system::health::Health;
use ilagent::system::threads::Failures;
use std::time::{Duration, Instant};

const BATCH: usize = 100;
const MEASURED: usize = 20_000;

fn main() {
    let given: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let sizes = if given.is_empty() { vec![1_000, 100_000, 1_000_000] } else { given };
    println!(
        "{:>9} {:>12} {:>16} {:>8} {:>10}",
        "rows", "push ns", "claim+settle ns", "ratio", "RSS KiB"
    );
    let mut first = None;
    for rows in sizes {
        let folder = std::env::temp_dir().join(format!("ilagent-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (push, claim, memory) = measure(rows, &folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let whole = push + claim;
        let ratio = whole.as_secs_f64() / first.get_or_insert(whole).as_secs_f64();
        println!(
            "{rows:>9} {:>12} {:>16} {ratio:>8.2} {memory:>10}",
            push.as_nanos() / MEASURED as u128,
            claim.as_nanos() / MEASURED as u128
        );
    }
}

fn measure(rows: usize, folder: &std::path::Path) -> (Duration, Duration, u64) {
    let settings = config::Queue {
        path: folder.join("q.db3"),
        bytes_max: u64::MAX,
        ..config::Queue::default()
    };
    let health = Health::default();
    let failures = Failures(bounded(1).0);
    let queue = Queue::open(&settings, true, &health, &failures).unwrap();
    let terms = Terms {
        sink: "ilert".into(),
        in_flight_max: 10,
        backoff: BACKOFF,
        attempts_max: None,
        in_order: false,
        by_policy: false,
    };
    let claims = queue.claims(terms, None);
    fill(&queue, rows);
    wait(&health, rows as u64);
    let began = Instant::now();
    fill(&queue, MEASURED);
    wait(&health, (rows + MEASURED) as u64);
    let push = began.elapsed();
    let began = Instant::now();
    for _ in 0..MEASURED {
        let claim = claims.wait(None).unwrap();
        claims.settle(claim, Outcome::Delivered);
    }
    wait(&health, rows as u64);
    let claim = began.elapsed();
    queue.stop_claims();
    queue.close();
    (push, claim, memory())
}

fn fill(queue: &Queue, rows: usize) {
    for start in (0..rows).step_by(BATCH) {
        let batch = (start..start + BATCH).map(|number| Push::Delivery {
            delivery: Delivery {
                lane: LaneName { sink: "ilert".into(), key: format!("il1api{}", number % 10) },
                order_key: Some(format!("alert-{number}")),
                errand: Errand::Event { path: "/api/v1/events/mqtt/il1api0".to_owned() },
                keep: Keep::UntilDelivered,
                body: vec![b'x'; 300],
                origin: "bench/events".to_owned(),
            },
            storing: Storing::AtOnce,
            receipt: None,
        });
        push(queue, batch.collect());
    }
}

/// Waits while the queue has its hands full.
fn push(queue: &Queue, mut batch: Vec<Push>) {
    while let Err(Error::Full(refused)) = queue.push(batch, None) {
        std::thread::sleep(Duration::from_micros(100));
        batch = refused;
    }
}

fn wait(health: &Health, rows: u64) {
    while health.snapshot().queue.waiting != rows {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Resident memory of this process.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line =
        status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default().to_owned();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
