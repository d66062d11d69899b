//! SIGKILL at random points under load: every event that was confirmed arrives.
//!
//! `KILL_ROUNDS=500 cargo test --release --test e2e_kills` takes longer and finds more;
//! `KILL_ROUNDS=10000 nice cargo test --release --test e2e_kills at_once -- --nocapture` prints an
//! account as it goes.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use std::time::Duration;
use support::account::Account;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{event, wait_until};

/// Deliveries under way, `in-flight` as it is when nobody sets it.
const UNDER_WAY: usize = 24;

/// Rows whose end is known and not committed: nothing is attempted beyond that (`ENDING_MAX` in
/// `queue/board`), however slow the disk is.
const ENDING: usize = 96;

/// What mosquitto sends before it waits for an acknowledgement, and sends again.
const WINDOW: usize = 20;

/// What may come again after a kill: the bound that holds on every disk. 2 are usual, and on a slow
/// disk with a backlog 70 were seen.
const REPEATS_MAX: usize = UNDER_WAY + ENDING + WINDOW;

const BATCH: usize = 40;

/// How often the account is printed.
const TOLD_EVERY: usize = 500;

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

#[track_caller]
fn account(api: &StandIn, agent: &Agent, wanted: usize) {
    api.wait_for(wanted);
    wait_until("all is settled", || agent.list().is_empty());
    let repeats = api.tally().values().sum::<usize>() - wanted;
    assert_eq!(api.tally().len(), wanted);
    check_repeats(repeats, REPEATS_MAX);
}

#[track_caller]
fn check_repeats(repeats: usize, each_max: usize) {
    let kills = rounds();
    assert!(repeats <= kills * each_max, "{repeats} repeated in {kills} kills");
}

fn mqtt_rounds(arguments: &[&str]) {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::mqtt(&api, broker.port(), arguments).ready();
    let mut published = 0;
    for _ in 0..rounds() {
        let events: Vec<String> = (published..published + BATCH)
            .map(|n| event(&format!("k{}", n % 4), &n.to_string()))
            .collect();
        published += BATCH;
        Publisher::new(broker.port()).burst("events/a", events);
        // A random point of the work, not a time that something needs.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..15_000)));
        agent.kill();
        agent.start();
    }
    agent.wait_ready();
    account(&api, &agent, published);
}

#[test]
fn buffered_messages_survive_kills() {
    mqtt_rounds(&["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"]);
}

#[test]
fn messages_of_the_direct_mode_survive_kills() {
    mqtt_rounds(&["-e", "events/#", "--mqtt_qos", "1"]);
}

#[test]
fn posted_events_that_were_answered_survive_kills() {
    let api = StandIn::new();
    let mut agent = Agent::new(&api, &[]).ready();
    let mut confirmed = Vec::new();
    for round in 0..rounds() {
        let kill_after = fastrand::usize(1..20);
        for number in 0..kill_after {
            let id = format!("{round}-{number}");
            if agent.post(&event("k", &id)).is_some_and(|(status, _)| status == 200) {
                confirmed.push(id);
            }
        }
        agent.kill();
        agent.start();
        agent.wait_ready();
    }
    account(&api, &agent, confirmed.len());
    let tally = api.tally();
    assert!(confirmed.iter().all(|id| tally.contains_key(id)));
}

/// One mood of the API, as they come in the field: well, down, rate limiting, silent, forgetful,
/// and all at once.
fn mood(api: &StandIn) {
    let silence = Duration::from_millis(fastrand::u64(1..100));
    let limited =
        |wait: &str| Answer::Full(429, vec![("Retry-After", wait.to_owned())], String::new());
    match fastrand::u8(0..8) {
        0..3 => api.answer_all(Answer::Status(202)),
        3 => api.answer_all(Answer::Status(503)),
        4 => api.answer_all(Answer::Silence(silence)),
        5 => api.answer(move |_| if fastrand::bool() { limited("1") } else { Answer::Status(202) }),
        _ => api.answer(move |_| match fastrand::u8(0..12) {
            0 => Answer::Status(503),
            1 => limited("0"),
            2 => Answer::Silence(silence),
            3 => Answer::Lost,
            4 => Answer::Raw(b""),
            _ => Answer::Status(202),
        }),
    }
}

/// Everything that can go wrong, at once: the agent is killed, brokers restart, the API flaps.
#[test]
fn nothing_is_lost_or_overtaken_when_everything_fails_at_once() {
    let api = StandIn::new();
    let mut brokers = [Broker::persistent(), Broker::persistent()];
    let session = |name: &str, broker: &Broker, buffer: bool| {
        format!(
            "[[mqtt]]\nname = \"{name}\"\nurl = \"mqtt://127.0.0.1:{}\"\nqos = 1\n\
             buffer = {buffer}\n[[mqtt.subscription]]\ntopic = \"events/#\"\n",
            broker.port()
        )
    };
    let text = format!(
        "[ilert]\nmax-retries = 0\n[queue]\npath = \"{{database}}\"\n\
         [http]\nport = {{port}}\nbind = \"127.0.0.1\"\n{}{}",
        session("buffered", &brokers[0], true),
        session("direct", &brokers[1], false)
    );
    let mut agent = Agent::by_file_alone(&api, &text).ready();
    let mut account = Account::default();
    // What was posted and not confirmed is posted again, as a client does it.
    let mut unconfirmed = None;
    for round in 0..rounds() {
        mood(&api);
        for (broker, source) in brokers.iter_mut().zip(["buffered", "direct"]) {
            if fastrand::u8(0..20) == 0 {
                broker.stop();
                broker.start();
                account.broker_restarts += 1;
            }
            let events = account.batch(source, fastrand::usize(1..BATCH));
            Publisher::new(broker.port()).burst("events/a", events);
        }
        // A random point of the work, not a time that something needs: of the start, too.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..80_000)));
        for _ in 0..fastrand::usize(0..4) {
            let event = unconfirmed.take().unwrap_or_else(|| account.next("posted"));
            if agent.post(&event).is_none_or(|(status, _)| status != 200) {
                unconfirmed = Some(event);
            }
        }
        agent.kill();
        account.kills += 1;
        // What was asked before the end is on record before what comes next.
        api.wait_hung_up();
        account.enter(&api);
        agent.start();
        if round % TOLD_EVERY == TOLD_EVERY - 1 {
            eprintln!("{account} (those under way among the lost)");
        }
    }
    api.answer_all(Answer::Status(202));
    agent.wait_ready();
    if let Some(event) = unconfirmed {
        wait_until("it is confirmed", || {
            agent.post(&event).is_some_and(|(status, _)| status == 200)
        });
    }
    account.settle(&api, support::PATIENCE);
    wait_until("nothing waits, and nothing was given up", || agent.list().is_empty());
    eprintln!("{account}");
    account.check_order();
    // The second broker has a window as well.
    check_repeats(account.repeats(), REPEATS_MAX + WINDOW);
}
