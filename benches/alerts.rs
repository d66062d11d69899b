//! What it costs to decide about points, on one core: `cargo bench --bench alerts`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

use ilagent::alerts::lambda::{Lambda, OfPoint};
use ilagent::alerts::line::{Lines, Shelf};
use ilagent::alerts::script::{Vars, build, parse, parse_expression};
use ilagent::alerts::{Engine, Name, Point, Settings};
use ilagent::config::Precision;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

const LINES: usize = 5_000;
const BODIES: usize = 40;
const BEGIN: i64 = 1_700_000_000_000_000_000;

/// Kapacitor's own example.
const EXAMPLE: &str = "stream
    |from()
        .measurement('cpu')
    |alert()
        .crit(lambda: \"usage_idle\" < 10)
        .message('{{ .Time }}: CPU usage over 90%')
        .mqtt('alerts')
            .qos(2)
";

const GROUPED: &str = "stream
    |from()
        .measurement('cpu')
        .groupBy('host')
    |alert()
        .warn(lambda: \"usage_idle\" < 20)
        .crit(lambda: \"usage_idle\" < 10)
        .stateChangesOnly()
        .topic('cpu')
";

const WINDOWS: &str = "stream
    |from()
        .measurement('cpu')
        .groupBy('host')
    |window()
        .period(1m)
        .every(1m)
    |mean('usage_idle')
    |alert()
        .crit(lambda: \"mean\" < 10)
        .topic('cpu')
";

fn main() {
    expressions();
    let calm = Load { series: 20, idle: |n| 50 + n % 50 };
    for (name, script, load) in [
        ("the example, calm", EXAMPLE, &calm),
        ("the example, all alerts", EXAMPLE, &Load { series: 20, idle: |_| 5 }),
        ("a measurement nobody wants", &EXAMPLE.replace("'cpu'", "'mem'"), &calm),
        ("20 groups, two levels", GROUPED, &calm),
        ("20 windows", WINDOWS, &calm),
        ("10,000 windows", WINDOWS, &Load { series: 10_000, idle: |n| 50 + n % 50 }),
    ] {
        points(name, script, load);
    }
}

/// One expression for one point, in nanoseconds.
fn expressions() {
    let line = b"cpu,cpu=cpu0,host=serverA usage_guest=0,usage_idle=9.25,usage_iowait=0.1,\
        usage_irq=0,usage_nice=0,usage_softirq=0.2,usage_steal=0,usage_system=3.5,usage_user=6 1";
    let point = read(line, &mut Shelf::default()).remove(0);
    for text in [
        "\"usage_idle\" < 10",
        "\"usage_idle\" > 10 AND \"host\" == 'serverA'",
        "100.0 - \"usage_idle\" > 90.0",
        "\"host\" =~ /^server/",
        "sigma(\"usage_user\") > 3.0",
        "hour(\"time\") >= 8",
        "\"gone\" < 10",
    ] {
        let lambda = Lambda::new(&parse_expression(text).unwrap()).unwrap();
        let mut state = lambda.state();
        let cost = least(1_000, || {
            let scope = OfPoint::new(black_box(&point), BEGIN);
            black_box(lambda.holds(&mut state, &scope)).is_ok()
        });
        println!("{text:<48} {:>6} ns", cost.as_nanos());
    }
}

/// Of some rounds the fastest one, for each call: a machine that does other things makes it slower.
fn least(calls: u32, mut once: impl FnMut() -> bool) -> Duration {
    let round = |_| {
        let began = Instant::now();
        for _ in 0..calls {
            black_box(once());
        }
        began.elapsed()
    };
    (0..500).map(round).min().unwrap() / calls
}

struct Load {
    series: usize,
    idle: fn(usize) -> usize,
}

/// Bodies as Telegraf writes them, read and evaluated.
fn points(name: &str, script: &str, load: &Load) {
    let script = parse(script).unwrap();
    let pipeline = build(&script, &Vars::default()).unwrap();
    let mut engine = Engine::new(Settings::default(), Vec::new());
    engine.enable("bench", pipeline, BEGIN);
    let mut shelf = Shelf::default();
    let before = resident();
    let (mut reading, mut deciding, mut events) = (Duration::MAX, Duration::MAX, 0);
    for body in 0..BODIES {
        let text = load.body(body);
        let began = Instant::now();
        let points = read(text.as_bytes(), &mut shelf);
        reading = reading.min(began.elapsed());
        let began = Instant::now();
        events += black_box(engine.feed(&points, points[0].time)).events.len();
        deciding = deciding.min(began.elapsed());
    }
    let each = |time: Duration| time.as_nanos() / LINES as u128;
    println!(
        "{name:<28} read {:>5} ns, decided {:>5} ns a point; {events:>6} events, {:>5} KiB more",
        each(reading),
        each(deciding),
        resident().saturating_sub(before),
    );
}

impl Load {
    fn body(&self, body: usize) -> String {
        let mut text = String::new();
        for line in 0..LINES {
            let n = body * LINES + line;
            // Each series once a second.
            let time = BEGIN + i64::try_from(n / self.series).unwrap() * 1_000_000_000;
            let (host, idle) = (n % self.series, (self.idle)(n));
            writeln!(text, "cpu,host=server{host:05} usage_idle={idle}.5,usage_user=3.25 {time}")
                .unwrap();
        }
        text
    }
}

fn read(text: &[u8], shelf: &mut Shelf) -> Vec<Point> {
    let to: (Name, Name) = ("telegraf".into(), "autogen".into());
    let mut lines = Lines::new(text, Precision::Nanoseconds).unwrap();
    let mut points = Vec::new();
    while let Some(line) = lines.next() {
        points.push(line.unwrap().point((&to.0, &to.1), BEGIN, shelf));
    }
    points
}

/// In KiB; 0 where there is no `/proc`.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
