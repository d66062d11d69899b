//! SIGKILL at random points under load: every event that was confirmed arrives.
//!
//! `KILL_ROUNDS=500 cargo test --release --test e2e_kills` takes longer and finds more;
//! `KILL_ROUNDS=10000 nice cargo test --release --test e2e_kills at_once -- --nocapture` prints an
//! account as it goes.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use std::thread;
use std::time::Duration;
use support::account::Account;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{event, wait_until};

/// What the agent itself repeats after a kill at the most, however slow its disk is: 24 rows under
/// way (`in-flight` as it is when nobody sets it), and those whose end is known and not committed
/// (`ENDING_MAX` in `queue/board`). 2 are usual.
const REPEATS_MAX: usize = 24 + 16;

/// The same when everything fails: the API also forgets what it took, and two brokers that restart
/// send their messages as new ones.
const REPEATS_AT_ONCE_MAX: usize = 160;

const BATCH: usize = 40;

/// Who posts at the same time.
const CLIENTS: usize = 4;

/// How often the account is printed.
const TOLD_EVERY: usize = 500;

fn rounds() -> usize {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

#[track_caller]
fn account(api: &StandIn, agent: &Agent, wanted: usize, sent_again: usize) {
    api.wait_for(wanted);
    wait_until("all is settled", || agent.list().is_empty());
    let repeats = api.tally().values().sum::<usize>() - wanted;
    eprintln!(
        "{} kills: {wanted} messages, {repeats} repeated, {sent_again} sent again by the broker",
        rounds()
    );
    assert_eq!(api.tally().len(), wanted);
    check_repeats(repeats.saturating_sub(sent_again), REPEATS_MAX);
}

/// How many messages a broker has sent again, as it had no acknowledgement when the connection
/// ended. After a kill these may be a hundred, and none of the agent's doing.
fn sent_again(broker: &Broker) -> usize {
    broker.logged("(d1,")
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
        thread::sleep(Duration::from_micros(fastrand::u64(0..15_000)));
        agent.kill();
        agent.start();
    }
    agent.wait_ready();
    api.wait_for(published);
    account(&api, &agent, published, sent_again(&broker));
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
        // What an outage has left is delivered while more is stored.
        api.answer_all(Answer::Status(if round % 2 == 0 { 503 } else { 202 }));
        let post = |client: usize| {
            let ids =
                (0..fastrand::usize(1..20)).map(|number| format!("{round}-{client}-{number}"));
            let confirmed = |id: &String| {
                agent.post(&event(&format!("k{client}"), id)).is_some_and(|(code, _)| code == 200)
            };
            ids.filter(confirmed).collect::<Vec<_>>()
        };
        thread::scope(|scope| {
            let clients: [_; CLIENTS] =
                std::array::from_fn(|client| scope.spawn(move || post(client)));
            confirmed.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
        });
        agent.kill();
        agent.start();
        agent.wait_ready();
    }
    api.answer_all(Answer::Status(202));
    assert!(agent.queue(&["retry", "--all"]).status.success());
    account(&api, &agent, confirmed.len(), 0);
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
        thread::sleep(Duration::from_micros(fastrand::u64(0..80_000)));
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
    let sent_again: usize = brokers.iter().map(sent_again).sum();
    check_repeats(account.repeats().saturating_sub(sent_again), REPEATS_AT_ONCE_MAX);
}
