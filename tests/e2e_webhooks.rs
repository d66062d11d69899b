//! Webhooks beside ilert: what they are called with, and what becomes of a call that fails.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::collections::HashSet;
use std::time::Duration;
use support::account::Account;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::routes::{HEAD, broker, subscription, webhook};
use support::stand_in::{Answer, Request, StandIn};
use support::{PATIENCE, event, wait_until};

const KILLS: usize = 20;
const BATCH: usize = 40;

/// An answer of a stand-in that is no application: a page, as portals send.
fn page(status: u16) -> Answer {
    let html = vec![("Content-Type", "text/html".to_owned())];
    Answer::Full(status, html, "<!doctype html><title>Please log in</title>".to_owned())
}

/// A webhook of this name at a stand-in, with a short back-off and lines of its own.
fn quick(name: &str, hook: &StandIn, lines: &str) -> String {
    format!("{}back-off = \"10ms\"\nback-off-max = \"50ms\"\n{lines}", webhook(name, &hook.url()))
}

/// Whatever comes on `calls/#` is a call of `shop`.
fn buffered(plant: &Broker, hook: &StandIn, lines: &str) -> String {
    let calls = subscription("calls/#", &format!("kind = \"call\"\nto = \"shop\"\n{lines}"));
    let plant = broker("plant", plant, "buffer = true\n");
    format!("{HEAD}{plant}{calls}{}", quick("shop", hook, ""))
}

#[test]
fn a_call_is_what_came_or_a_cloudevent_whose_id_stays() {
    let (api, plant, hook) = (StandIn::new(), Broker::new(), StandIn::new());
    let route = |kind: &str| {
        let lines = format!("kind = \"call\"\nto = \"shop\"\npath = \"/{kind}/{{1}}\"\n");
        subscription(&format!("{kind}/#"), &format!("{lines}format = \"{kind}\"\n"))
    };
    let file = format!(
        "{HEAD}{}{}{}{}{}",
        broker("plant", &plant, ""),
        route("raw"),
        route("cloudevent"),
        route("cloudevent-binary"),
        quick("shop", &hook, "token = \"shop-token\"\nheaders = { x-site = \"site 7\" }\n")
    );
    // Each is refused once.
    let seen = std::sync::Mutex::new(HashSet::new());
    hook.answer(move |request: &Request| {
        let first = seen.lock().unwrap().insert(request.path.clone());
        Answer::Status(if first { 500 } else { 204 })
    });
    let agent = Agent::by_file_alone(&api, &file).ready();
    let mut publisher = Publisher::new(plant.port());
    for (topic, payload) in [
        ("raw/a b", r#"{"n": 1}"#),
        ("cloudevent/a b", r#"{"n": 2}"#),
        ("cloudevent-binary/a b", "on"),
        ("cloudevent/other", "off"),
    ] {
        publisher.publish(topic, payload);
    }
    wait_until("each is taken", || {
        hook.requests().iter().filter(|it| it.status == 204).count() == 4
    });
    let requests = hook.requests();
    let of = |path: &str| -> [&Request; 2] {
        let both: Vec<_> = requests.iter().filter(|request| request.path == path).collect();
        both.try_into().unwrap()
    };
    for request in &requests {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("authorization"), Some("Bearer shop-token"));
        assert_eq!(request.header("x-site"), Some("site 7"));
    }

    let [first, again] = of("/raw/a%20b");
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!((first.body.as_slice(), &first.body), (&br#"{"n": 1}"#[..], &again.body));

    let [first, again] = of("/cloudevent/a%20b");
    assert_eq!(first.header("content-type"), Some("application/cloudevents+json"));
    let (read, other) = (first.json(), of("/cloudevent/other")[0].json());
    for (name, wanted) in [
        ("specversion", "1.0"),
        ("source", "/mqtt/plant"),
        ("type", "ilagent.message"),
        ("subject", "cloudevent/a b"),
        ("datacontenttype", "application/json"),
    ] {
        assert_eq!(read[name], wanted, "{read}");
    }
    assert_eq!(read["data"]["n"], 2);
    assert_eq!(first.body, again.body, "also its id");
    assert_ne!(read["id"], other["id"]);
    assert_eq!((other["data_base64"].as_str(), &other["data"]), (Some("b2Zm"), &().into()));

    let [first, again] = of("/cloudevent-binary/a%20b");
    assert_eq!(first.header("content-type"), Some("application/octet-stream"));
    assert_eq!(first.header("ce-subject"), Some("cloudevent-binary/a%20b"));
    assert_eq!(first.header("ce-id"), again.header("ce-id"));
    assert_eq!((first.header("ce-specversion"), first.body.as_slice()), (Some("1.0"), &b"on"[..]));
    assert!(!agent.log().contains("shop-token"), "{}", agent.log());
}

#[test]
fn a_webhook_that_fails_holds_up_nobody_else() {
    let (api, plant) = (StandIn::new(), Broker::new());
    let (stuck, down, well) = (StandIn::new(), StandIn::new(), StandIn::new());
    stuck.answer_all(Answer::Hang);
    down.go_away();
    let file = format!(
        "{HEAD}{}{}{}{}{}{}",
        broker("plant", &plant, "buffer = true\n"),
        subscription("events/#", "kind = \"call\"\nto = [\"stuck\", \"down\", \"well\"]\n"),
        subscription("events/#", "integration-key = \"il1api1\"\n"),
        quick("stuck", &stuck, "timeout = \"60s\"\nin-flight = 2\n"),
        quick("down", &down, ""),
        quick("well", &well, "")
    );
    let mut agent = Agent::by_file_alone(&api, &file).ready();
    let events = (0..200).map(|number| event("il1api1", &number.to_string()));
    Publisher::new(plant.port()).burst("events/a", events);
    api.wait_for(200);
    well.wait_for(200);
    wait_until("two calls hang", || stuck.count() == 2);
    // What was under way when it was killed is delivered all the same.
    agent.kill();
    stuck.answer_all(Answer::Status(200));
    down.come_back();
    agent.start();
    stuck.wait_for(200);
    down.wait_for(200);
    wait_until("nothing waits", || agent.list().is_empty());
    assert_eq!(well.tally().len(), 200);
}

#[test]
fn calls_survive_kills_and_keep_the_order_of_their_key() {
    let (api, plant, hook) = (StandIn::new(), Broker::new(), StandIn::new());
    let file = buffered(&plant, &hook, "order-by = \"alertKey\"\n");
    hook.answer(|_| match fastrand::u8(0..8) {
        0 => Answer::Status(500),
        1 => Answer::Lost,
        2 => Answer::Slow(Duration::from_millis(3), 200),
        _ => Answer::Status(200),
    });
    let mut agent = Agent::by_file_alone(&api, &file).ready();
    let mut account = Account::default();
    for _ in 0..KILLS {
        let batch = account.batch("calls", BATCH);
        Publisher::new(plant.port()).burst("calls/a", batch);
        // A random point of the work, not a time that something needs.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..15_000)));
        agent.kill();
        account.kills += 1;
        // What was asked before the end is on record before what comes next.
        hook.wait_hung_up();
        agent.start();
    }
    account.settle(&hook, PATIENCE);
    account.check_order();
    wait_until("nothing waits", || agent.list().is_empty());
    assert_eq!(account.messages(), KILLS * BATCH);
    assert_eq!(api.count(), 0);
}

#[test]
fn a_captive_portal_empties_nothing_and_a_refusal_is_kept() {
    let (api, plant, hook) = (StandIn::new(), Broker::new(), StandIn::new());
    let agent = Agent::by_file_alone(&api, &buffered(&plant, &hook, "")).ready();
    let mut publisher = Publisher::new(plant.port());
    let mut wanted = 0;
    for portal in [
        page(200),
        page(403),
        Answer::Full(302, vec![("Location", "http://login/".to_owned())], String::new()),
        Answer::Status(511),
    ] {
        hook.answer_all(portal.clone());
        let before = hook.count();
        publisher.publish("calls/a", event("il1", &wanted.to_string()));
        wanted += 1;
        wait_until("it is tried twice", || hook.count() >= before + 2);
        assert!(agent.list().iter().all(|line| line["state"] != "dead"), "{portal:?}");
        hook.answer_all(Answer::Status(200));
        assert!(agent.queue(&["retry", "--all"]).status.success());
        hook.wait_for(wanted);
    }
    hook.answer_all(Answer::Status(422));
    publisher.publish("calls/a", event("il1", "refused"));
    wait_until("it is kept", || agent.list().iter().any(|line| line["state"] == "dead"));
    hook.answer_all(Answer::Status(200));
    assert!(agent.queue(&["retry", "--all"]).status.success());
    wait_until("a person may have it tried again", || {
        hook.latest("refused").is_some_and(|it| it.status == 200)
    });
}
