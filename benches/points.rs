//! What it costs to read line protocol, on one core: `cargo bench --bench points`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

use ilagent::alerts::Name;
use ilagent::alerts::line::{Lines, Shelf};
use ilagent::config::Precision;
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

const LINES: u32 = 5_000;
const TIMES: u32 = 100;

fn main() {
    for (name, body) in [("one field", small()), ("Telegraf's cpu", large())] {
        let bytes = body.len() / LINES as usize;
        for (what, wanted) in [("read", false), ("made a point", true)] {
            let seconds = measure(&body, wanted);
            let rate = f64::from(LINES) * f64::from(TIMES) / seconds;
            println!("{name:<16} {bytes:>4} bytes a line, {what:<14} {rate:>10.0} lines/s");
        }
    }
}

/// Points of twenty series, as the benchmark of the whole agent writes them.
fn small() -> String {
    let mut body = String::new();
    for n in 0..LINES {
        let (host, time) = (n % 20, 1_700_000_000_000_000_000_u64 + u64::from(n));
        writeln!(body, "cpu,host=server{host:02} usage_idle={}.5 {time}", n % 100).unwrap();
    }
    body
}

fn large() -> String {
    let mut body = String::new();
    for n in 0..LINES {
        let time = 1_700_000_000_000_000_000_u64 + u64::from(n);
        write!(body, "cpu,cpu=cpu{},host=router.example.com ", n % 4).unwrap();
        let names =
            ["guest", "idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];
        let fields = names.map(|name| format!("usage_{name}={}.40404040404041", n % 100));
        writeln!(body, "{} {time}", fields.join(",")).unwrap();
    }
    body
}

fn measure(body: &str, wanted: bool) -> f64 {
    let to: (Name, Name) = ("telegraf".into(), "autogen".into());
    let mut shelf = Shelf::default();
    let mut once = || {
        let mut lines = Lines::new(black_box(body.as_bytes()), Precision::Nanoseconds).unwrap();
        let (mut points, mut count) = (Vec::new(), 0);
        while let Some(line) = lines.next() {
            let line = line.unwrap();
            if wanted {
                points.push(line.point((&to.0, &to.1), 0, &mut shelf));
            }
            count += usize::from(!line.measurement().is_empty());
        }
        assert_eq!(count, LINES as usize);
        black_box(points);
    };
    once();
    let began = Instant::now();
    for _ in 0..TIMES {
        once();
    }
    began.elapsed().as_secs_f64()
}
