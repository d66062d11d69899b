//! What an agent uses of its machine.

#![allow(dead_code, unreachable_pub, reason = "each benchmark uses its part")]
#![allow(clippy::print_stdout, reason = "a program of its own")]

use super::support::agent::Agent;
use std::fs;
use std::time::Duration;

/// The end of the start-up, such as the answers to the first subscriptions, is not idle time.
const SETTLES: Duration = Duration::from_secs(5);

const IDLE: Duration = Duration::from_secs(60);

/// Prints what an agent does that has nothing to do.
pub fn idle(name: &str, agent: &Agent) {
    std::thread::sleep(SETTLES);
    let before = Usage::of(agent);
    std::thread::sleep(IDLE);
    let after = Usage::of(agent);
    let wakes = (after.wakes - before.wakes) as f64 / IDLE.as_secs_f64();
    let cpu = (after.cpu_seconds - before.cpu_seconds) / IDLE.as_secs_f64() * 3_600.0;
    let resident = after.resident_kib;
    println!("{name:<16} {wakes:>10.2} wake-ups/s, {cpu:.1} CPU s/h, resident {resident} KiB");
}

/// What the kernel knows of a process.
pub struct Usage {
    pub cpu_seconds: f64,
    pub written: u64,
    pub wakes: u64,
    pub resident_kib: u64,
    /// What of it is the agent's own, not pages of the binary and of libc.
    pub own_kib: u64,
    pub peak_kib: u64,
}

impl Usage {
    pub fn of(agent: &Agent) -> Self {
        Usage::of_process(agent.id())
    }

    pub fn of_process(id: u32) -> Self {
        let folder = format!("/proc/{id}");
        let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).unwrap();
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        let tasks = fs::read_dir(format!("{folder}/task")).unwrap().flatten();
        let wakes = tasks
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .map(|status| field(&status, "voluntary_ctxt_switches:"))
            .sum();
        Usage {
            cpu_seconds: ticks / 100.0,
            written: field(&read("io"), "write_bytes:"),
            wakes,
            resident_kib: field(&read("status"), "VmRSS:"),
            own_kib: field(&read("status"), "RssAnon:"),
            peak_kib: field(&read("status"), "VmHWM:"),
        }
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
