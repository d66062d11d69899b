//! `ilagent queue …` on a full queue: bounded memory, and sources are served meanwhile; and
//! `ilagent status`.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use rusqlite::Connection;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::version_1::TABLES;
use support::{event, wait_until};

const ROWS: usize = 25_000;

/// What a command may take in memory, in KB: a few MB, whatever waits.
const GROWTH_MAX: u64 = 8 * 1024;

const LANES: &str = "INSERT INTO lanes VALUES (1, 'ilert', 'k'), (7, 'ilert', 'other');";

/// An agent whose API is down, not started, with rows that SQL makes: `n` counts up to a number,
/// and `body` is a body of about a kilobyte.
fn with_rows(api: &StandIn, count: usize, insert: &str) -> Agent {
    api.answer_all(Answer::Status(503));
    let agent = Agent::new(api, &[]);
    let body = event("k", "one of many");
    let text = format!(
        "PRAGMA page_size = 1024; {TABLES} {LANES}
         WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count}),
           b(body) AS (SELECT CAST('{body}' || printf('%900s', '') AS BLOB))
         {insert}"
    );
    Connection::open(agent.database()).unwrap().execute_batch(&text).unwrap();
    agent
}

/// A line of `/proc/PID/status`, in KB.
fn memory(agent: &Agent, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs a command while events are posted; how many were stored meanwhile.
fn with_posts(agent: &Agent, arguments: &[&str]) -> (String, usize) {
    let (over, posted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let number = posted.load(Ordering::Relaxed);
                let answer = agent.post(&event("k", &format!("meanwhile {number}")));
                assert_eq!(answer.unwrap().0, 200);
                posted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let output = agent.queue(arguments);
        over.store(true, Ordering::Relaxed);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    });
    (said, posted.into_inner())
}

#[test]
fn dropping_a_full_queue_takes_no_memory_and_holds_up_nobody() {
    let api = StandIn::new();
    let mut agent = with_rows(
        &api,
        ROWS,
        "INSERT INTO deliveries (id, kind, order_key, target, origin, attempts, stored_at, body)
         SELECT (1 << 40) | n, 'event', 'k' || n, '/api/events', 'test', 0, 0, body FROM n, b",
    );
    agent.start();
    agent.wait_ready();
    let before = memory(&agent, "VmRSS");
    let list = agent.queue(&["list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    let counted = list.lines().rev().take(2).collect::<Vec<_>>();
    assert_eq!(counted[0], format!("{ROWS} waiting (100 shown), 0 dead"), "all of them");
    assert!(counted[1].starts_with(&format!("ilert: {ROWS} waiting, ")), "{}", counted[1]);
    let (said, posted) = with_posts(&agent, &["drop", "--all"]);
    let dropped: usize = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(dropped >= ROWS - 1, "one may be in flight: {said}");
    assert!(posted > 2, "sources were served meanwhile");
    let grown = memory(&agent, "VmHWM").saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{before} KB before, {grown} KB more");
    api.answer_all(Answer::Status(202));
    agent.queue(&["retry", "--all"]);
    // What came while the others were dropped is still there, and so is the lane.
    let last = format!("meanwhile {}", posted - 1);
    support::wait_until("what came meanwhile is delivered", || api.tally().contains_key(&last));
}

#[test]
fn raising_all_dead_letters_takes_no_memory_and_holds_up_nobody() {
    const LETTERS: usize = 12_000;
    let api = StandIn::new();
    let mut agent = with_rows(
        &api,
        LETTERS,
        "INSERT INTO dead_letters
           (reason, kind, lane_key, order_key, target, origin, buried_at, body)
         SELECT 'status 422', 'event', 'k', 'k' || n, '/api/events', 'test', 0, body FROM n, b",
    );
    agent.start();
    agent.wait_ready();
    let before = memory(&agent, "VmRSS");
    let (said, posted) = with_posts(&agent, &["retry", "--all"]);
    assert!(said.contains(&format!(", {LETTERS} dead letters wait again")), "{said}");
    assert!(posted > 2, "sources were served meanwhile");
    let grown = memory(&agent, "VmHWM").saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{before} KB before, {grown} KB more");
    let status = agent.get("/status").unwrap().1;
    assert!(status.contains("\"dead_letters\":0"), "{status}");
}

#[test]
fn one_of_many_is_found_by_its_number() {
    let api = StandIn::new();
    let agent = with_rows(
        &api,
        1,
        "INSERT INTO deliveries (id, kind, order_key, target, origin, attempts, stored_at, body)
         SELECT (1 << 40) | 1, 'event', 'k', '/api/events', 'test', 0, 0, body FROM b
         UNION ALL SELECT (7 << 40) | 40, 'event', 'k', '/api/events', 'the other', 0, 0, body FROM b",
    );
    let text = |arguments: &[&str]| {
        let output = agent.queue(arguments);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(text(&["show", "40"]).contains("the other"));
    assert!(text(&["show", "41"]).contains("there is no waiting delivery 41"));
    assert!(text(&["drop", "40", "41"]).contains("there is no waiting delivery 41"));
    assert!(text(&["list"]).ends_with("2 waiting, 0 dead\n"), "nothing was dropped");
    assert!(text(&["list", "--limit", "1"]).ends_with("2 waiting (1 shown), 0 dead\n"));
    assert!(text(&["drop", "40"]).starts_with("1 waiting deliveries"));
    assert!(text(&["list"]).ends_with("1 waiting, 0 dead\n"));
}

#[test]
fn status_says_how_a_running_agent_is() {
    let (api, mut broker) = (StandIn::new(), Broker::new());
    let arguments = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];
    let mut agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    Publisher::new(broker.port()).publish("events/a", event("k", "one"));
    wait_until("it is counted", || text(&agent.status(&[])).contains("1 delivered"));
    let said = agent.status(&[]);
    assert!(said.status.success());
    let said = text(&said);
    assert!(said.starts_with(&format!("ilagent {}, up ", env!("CARGO_PKG_VERSION"))), "{said}");
    for line in ["mqtt 127.0.0.1", "queue                    nothing waits", "ilert  "] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let document: serde_json::Value =
        serde_json::from_str(&text(&agent.status(&["--json"]))).unwrap();
    assert_eq!((&document["ready"], &document["queue"]["waiting"]), (&true.into(), &0.into()));

    broker.kill();
    wait_until("the broker is missed", || !agent.status(&[]).status.success());
    let said = text(&agent.status(&[]));
    assert!(said.lines().next().unwrap().contains("not ready: mqtt"), "{said}");
    assert!(said.contains("not connected"), "{said}");

    agent.kill();
    let said = agent.status(&[]);
    assert!(!said.status.success() && said.stdout.is_empty());
    let why = String::from_utf8(said.stderr).unwrap();
    assert!(why.contains("no agent answers beside"), "{why}");
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
