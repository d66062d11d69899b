//! What is fed while the queue takes nothing.

use super::{Deliver, Follows, Watch};
use crate::alerts::handlers::HandlerSpec;
use crate::alerts::line::{Lines, Shelf};
use crate::alerts::script::{Vars, build, parse};
use crate::alerts::{Effects, Engine, Event, Level, Name, Point, Settings};
use crate::config::{self, Precision};
use crate::message::{Desk, ILERT, Outcome, Receipt};
use crate::queue::{Claims, Queue, Terms};
use crate::retry::Backoff;
use crate::system::health::Health;
use crate::system::threads::{Failures, lock};
use crossbeam_channel::bounded;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SCRIPT: &str = "stream |from() |alert() .crit(lambda: \"v\" > 0) \
                      .message('{{ index .Fields \"v\" }}') .topic('t')";

/// Which points were answered.
#[derive(Default)]
struct Answered(Mutex<Vec<u64>>);

impl Desk for Answered {
    fn signed(&self, ticket: u64) {
        lock(&self.0).push(ticket);
    }

    fn room(&self) {}
}

fn point(value: u64) -> Vec<Point> {
    let line = format!("m v={value}i {value}");
    let mut lines = Lines::new(line.as_bytes(), Precision::Nanoseconds).unwrap();
    let (to, mut shelf): (Name, _) = ("".into(), Shelf::default());
    vec![lines.next().unwrap().unwrap().point((&to, &to), 0, &mut shelf)]
}

fn delivered(claims: &Claims) -> String {
    let claim = claims.wait(None).unwrap();
    let body: Value = serde_json::from_slice(&claim.delivery.body).unwrap();
    claims.settle(claim, Outcome::Delivered);
    body["summary"].as_str().unwrap().to_owned()
}

#[test]
fn what_happens_again_is_written_within_a_minute() {
    let second = 1_000_000_000;
    let mut deliver = Deliver::default();
    for (time, level, written, wakes_at) in [
        (0, Level::Critical, 1, None),
        (1, Level::Critical, 0, Some(61)),
        (60, Level::Critical, 0, Some(61)),
        (61, Level::Critical, 1, None),
        (62, Level::Critical, 0, Some(122)),
        // The clock is put back.
        (30, Level::Critical, 0, Some(90)),
        (31, Level::Ok, 1, Some(90)),
        (90, Level::Ok, 0, None),
    ] {
        let now = time * second;
        let event = Event { topic: "t".into(), level, time: now, ..Event::default() };
        let effects = Effects { events: vec![event], ..Effects::default() };
        assert_eq!(deliver.pushes(effects, now).len(), written, "{time}");
        assert_eq!(deliver.wake_at(), wakes_at.map(|at: i64| at * second), "{time}");
    }
}

#[test]
fn what_the_queue_refuses_is_kept_and_nothing_is_evaluated_before_it() {
    let folder = std::env::temp_dir().join(format!("ilagent-refused-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // One alert at a time.
    let settings =
        config::Queue { path: folder.join("q.db3"), bytes_max: 1, ..config::Queue::default() };
    let failures = Failures(bounded(1).0);
    let queue = Queue::open(&settings, true, &Health::default(), &failures).unwrap();
    let mut engine = Engine::new(Settings::default(), []);
    engine.enable("task", build(&parse(SCRIPT).unwrap(), &Vars::default()).unwrap(), 0);
    let mut deliver = Deliver::default();
    let handler = json!({ "id": "h", "topic": "t", "kind": "ilert",
                          "options": { "integration-key": "il1k" } });
    deliver.topics.put(HandlerSpec::read(&handler).unwrap());
    let watch = Watch::new(engine, deliver, queue.clone());
    let second = Duration::from_secs(1);
    let terms = Terms {
        sink: ILERT,
        in_flight_max: 1,
        backoff: Backoff { first: second, longest: second },
        attempts_max: None,
        in_order: false,
        by_policy: false,
    };
    let claims = queue.claims(terms, None);

    let answered = Arc::new(Answered::default());
    let desk: Arc<dyn Desk> = answered.clone();
    let feed = |value: u64| {
        let receipts = |count: usize| Receipt::new(Arc::clone(&desk), value, count);
        let fed = watch.feed(&point(value), Some(&receipts), None);
        fed.map_err(|refused| refused.is_evaluated)
    };
    assert_eq!(feed(1), Ok(Follows::Something));
    assert_eq!(feed(2), Err(true), "its alert is kept");
    assert_eq!(feed(3), Err(false), "nothing goes before it");
    assert_eq!(delivered(&claims), "1");
    let go_on = || {
        while watch.again(&desk).is_err() {
            std::thread::yield_now();
        }
    };
    go_on();
    assert_eq!(delivered(&claims), "2");
    if feed(3) == Err(true) {
        go_on();
    }
    assert_eq!(delivered(&claims), "3");
    while lock(&answered.0).len() < 3 {
        std::thread::yield_now();
    }
    assert_eq!(*lock(&answered.0), [1, 2, 3]);
    queue.stop_claims();
    queue.close();
    std::fs::remove_dir_all(&folder).unwrap();
}
