//! What the API can do to us: nothing is lost, nothing is silent, nothing is hammered.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{event, until, wait_until};

const BUFFER: [&str; 5] = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];

fn page(status: u16) -> Answer {
    let html = vec![("Content-Type", "text/html".to_owned())];
    Answer::Full(status, html, "<html>Please log in</html>".to_owned())
}

/// While the API answers so, twenty events wait; when it works again, all arrive, once.
#[track_caller]
fn empties_nothing(bad: &Answer) {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(bad.clone());
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let events = (0..20).map(|number| event("il1api1", &format!("id-{number}")));
    Publisher::new(broker.port()).burst("events/a", events);
    wait_until("all are stored", || agent.list().len() == 20);
    wait_until("it was tried more than once", || api.count() > 2);
    assert!(agent.list().iter().all(|line| line["state"] != "dead"), "{bad:?}");
    broker.wait_for_acks("ilagent", 20);
    agent.kill();
    agent.start();
    agent.wait_ready();
    assert_eq!(agent.list().len(), 20, "{bad:?}");
    assert!(api.count() < 200, "{bad:?}: {} requests are too many", api.count());
    api.answer_all(Answer::Status(202));
    assert!(agent.queue(&["retry", "--all"]).status.success());
    api.wait_for(20);
    wait_until("nothing waits", || agent.list().is_empty());
}

#[test]
fn a_captive_portal_empties_nothing() {
    empties_nothing(&Answer::Full(
        302,
        vec![("Location", "http://login/".to_owned())],
        String::new(),
    ));
    empties_nothing(&page(200));
    empties_nothing(&page(404));
}

#[test]
fn a_gateway_that_answers_on_ilerts_behalf_empties_nothing() {
    let plain = |status: u16, body: &str| {
        let headers = vec![("Content-Type", "text/plain; charset=utf-8".to_owned())];
        Answer::Full(status, headers, body.to_owned())
    };
    empties_nothing(&plain(404, "default backend - 404"));
    empties_nothing(&plain(400, r#"{"message":"no Route matched with those values"}"#));
    empties_nothing(&plain(500, "upstream is gone"));
    empties_nothing(&plain(200, "OK"));
    empties_nothing(&Answer::Full(200, vec![], String::new()));
    empties_nothing(&Answer::Full(404, vec![], r#"{"status":404}"#.to_owned()));
    empties_nothing(&Answer::Raw(
        b"HTTP/1.0 404 Not Found\r\nContent-Type: application/json\r\n\r\n{}",
    ));
}

/// Attempts are only counted when ilert itself says something about a delivery.
#[test]
fn answers_of_others_cost_no_attempt() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let headers = vec![("Content-Type", "text/plain".to_owned())];
    api.answer_all(Answer::Full(500, headers, "gone".to_owned()));
    let flags: Vec<&str> = BUFFER.into_iter().chain(["--max_retries", "1"]).collect();
    let agent = Agent::mqtt(&api, broker.port(), &flags).ready();
    Publisher::new(broker.port()).publish("events/a", event("il1api1", "one"));
    wait_until("it was tried more than once", || api.count() > 3);
    assert!(agent.list().iter().all(|line| line["state"] != "dead"));
    api.answer_all(Answer::Status(202));
    api.wait_for(1);
}

/// Caches put a `Retry-After: 0` on answers of their own; it must not make a storm, nor use up
/// the attempts. (After a 429 the wait is 15 s, which a table in `ilert/judge.rs` looks at.)
#[test]
fn whoever_asks_for_no_wait_at_all_gets_ours() {
    std::thread::scope(|scope| {
        for status in [500, 503, 302] {
            for retry_after in ["0", "Thu, 01 Jan 1970 00:00:00 GMT"] {
                scope.spawn(move || asks_for_no_wait(status, retry_after));
            }
        }
    });
}

fn asks_for_no_wait(status: u16, retry_after: &str) {
    const SHORTEST: Duration = Duration::from_millis(200);
    let (api, broker) = (StandIn::new(), Broker::new());
    let headers = vec![
        ("Retry-After", retry_after.to_owned()),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
    ];
    api.answer_all(Answer::Full(status, headers, String::new()));
    let agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    Publisher::new(broker.port()).publish("events/a", event("il1api1", "one"));
    wait_until("it is tried three times", || api.count() >= 3);
    for pair in api.requests().windows(2) {
        let wait = pair[1].at - pair[0].at;
        assert!(wait >= SHORTEST, "{status}, {retry_after}: {wait:?}");
    }
    assert!(agent.list().iter().all(|line| line["state"] != "dead"), "{status}");
}

/// The API, or what stands in front of it, may show what it could not use.
#[test]
fn keys_in_answers_are_masked() {
    const KEY: &str = "il1apiSECRET0123456789/ü";
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).ready();
    for status in [500, 400] {
        let encoded = "il1apiSECRET0123456789%2F%C3%BC";
        let words = format!(
            r#"{{"message":"{KEY} \\u001b]0;title\\u0007 il1apiSECRET0123456789\/\u00fc {encoded}"}}"#
        );
        api.answer_all(Answer::json(status, &words));
        let alert = format!(
            r#"{{"integrationKey":"{KEY}","eventType":"ALERT","summary":"{status}","alertKey":"{status}"}}"#
        );
        assert!(agent.post(&alert).is_some_and(|(status, _)| status == 200));
        wait_until("it is answered", || {
            let list = agent.list();
            agent.log().contains(&format!("status {status}")) && !list.is_empty()
        });
    }
    wait_until("one is dead", || agent.list().iter().any(|line| line["state"] == "dead"));
    let (_, status) = agent.get("/status").unwrap();
    for shown in [agent.log(), status, format!("{:?}", agent.list())] {
        assert!(!shown.contains("SECRET"), "{shown}");
    }
    assert!(agent.log().contains("il1api…"));
}

#[test]
fn a_refusal_that_may_pass_empties_nothing() {
    for status in [401, 403, 407, 408, 425] {
        empties_nothing(&Answer::Status(status));
    }
}

#[test]
fn an_api_in_trouble_empties_nothing() {
    for status in [500, 502, 503, 504] {
        empties_nothing(&Answer::Status(status));
    }
}

#[test]
fn garbage_and_silence_empty_nothing() {
    empties_nothing(&Answer::Raw(b"SSH-2.0-OpenSSH_9.2\r\n"));
    empties_nothing(&Answer::Raw(b"HTTP/1.1 202 Accepted\r\nContent-Length: 50\r\n\r\nshort"));
    empties_nothing(&Answer::Raw(b""));
}

#[test]
fn a_202_is_a_success_whatever_its_body() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::json(202, "{not json"));
    let _agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("events/a", event("il1api1", "one"));
    publisher.publish("events/a", event("il1api1", "two"));
    api.wait_for(2);
    assert_eq!(api.accepted().len(), 2, "none twice");
}

#[test]
fn what_ilert_refuses_for_good_becomes_a_dead_letter_that_can_be_retried() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::json(400, r#"{"status":400,"message":"no such key"}"#));
    let agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    Publisher::new(broker.port()).publish("events/a", event("il1api1", "refused"));
    wait_until("it is a dead letter", || agent.list().iter().any(|line| line["state"] == "dead"));
    let letter = &agent.list()[0];
    assert!(letter["reason"].as_str().unwrap().contains("no such key"));
    let id = letter["id"].as_str().unwrap().to_owned();
    let shown = String::from_utf8(agent.queue(&["show", &id]).stdout).unwrap();
    assert!(shown.contains(r#""summary":"refused""#), "{shown}");
    api.answer_all(Answer::Status(202));
    assert!(agent.queue(&["retry", &id]).status.success());
    api.wait_for(1);
    wait_until("nothing is left", || agent.list().is_empty());
}

#[test]
fn what_never_became_a_delivery_does_not_keep_the_others_from_another_try() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::Status(404));
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("events/a", "no event at all");
    publisher.publish("events/a", event("il1api1", "one"));
    publisher.publish("events/a", event("il1api2", "two"));
    wait_until("all are dead letters", || agent.list().len() == 3);
    let ids = |agent: &Agent| -> Vec<String> {
        agent.list().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids(&agent);
    let all: Vec<&str> = ["retry"].into_iter().chain(before.iter().map(String::as_str)).collect();
    let refused = agent.queue(&all);
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("never became a delivery"), "{words}");
    assert_eq!(ids(&agent), before, "a refusal changes nothing");

    // Without the agent the same is written, and the next start goes on.
    agent.end("TERM");
    let said = String::from_utf8(agent.queue(&["retry", "--all"]).stdout).unwrap();
    assert!(said.contains("2 dead letters wait again; 1 that are no deliveries"), "{said}");
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(2);
    agent.wait_ready();
    wait_until("only the hopeless one is left", || agent.list().len() == 1);
    let said = String::from_utf8(agent.queue(&["retry", "--all"]).stdout).unwrap();
    assert!(said.contains(" 0 dead letters wait again; 1 that are no deliveries"), "{said}");
    assert!(agent.queue(&["drop", "--all"]).status.success());
    wait_until("nothing is left", || agent.list().is_empty());
}

#[test]
fn a_rate_limit_pauses_its_key_alone_and_as_long_as_asked() {
    const FREE: usize = 50;
    for arguments in [&BUFFER[..], &["-e", "events/#", "--mqtt_qos", "1"]] {
        let (api, broker) = (StandIn::new(), Broker::new());
        // The key is limited until all of the other one are there.
        let taken = AtomicUsize::new(0);
        api.answer(move |request| {
            if request.json()["integrationKey"] == "free" {
                taken.fetch_add(1, Ordering::Relaxed);
            } else if taken.load(Ordering::Relaxed) < FREE {
                return Answer::Full(429, vec![("Retry-After", "2".to_owned())], String::new());
            }
            Answer::Status(202)
        });
        let _agent = Agent::mqtt(&api, broker.port(), arguments).ready();
        let mut publisher = Publisher::new(broker.port());
        publisher.publish("events/a", event("limited", "limited"));
        wait_until("the first attempt was made", || api.count() > 0);
        publisher.burst("events/a", (0..FREE).map(|n| event("free", &format!("free-{n}"))));
        api.wait_for(FREE + 1);
        let requests = api.requests();
        let limited: Vec<_> = requests.iter().filter(|r| r.summary() == "limited").collect();
        assert!(limited.len() > 1);
        for pair in limited.windows(2) {
            let wait = pair[1].at - pair[0].at;
            assert!(wait >= Duration::from_secs(2), "Retry-After is obeyed: {wait:?}");
        }
    }
}

#[test]
fn max_retries_counts_attempts_over_restarts_and_keeps_what_is_given_up() {
    let (api, broker) = (StandIn::new(), Broker::new());
    // After the first attempt nothing counts until the agent has been killed.
    let tried = AtomicBool::new(false);
    api.answer(move |_| {
        Answer::Status(if tried.swap(true, Ordering::Relaxed) { 503 } else { 500 })
    });
    let mut arguments = BUFFER.to_vec();
    arguments.extend(["--max_retries", "3"]);
    let mut agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    Publisher::new(broker.port()).publish("events/a", event("il1api1", "hopeless"));
    wait_until("one attempt is counted", || agent.list().iter().any(|line| line["attempts"] == 1));
    broker.wait_for_acks("ilagent", 1);
    agent.kill();
    api.wait_hung_up();
    api.answer_all(Answer::Status(500));
    agent.start();
    let dead =
        until("it is given up", || agent.list().into_iter().find(|line| line["state"] == "dead"));
    assert!(dead["reason"].as_str().unwrap().contains("3 attempts"), "{dead}");
    let counted = api.requests().iter().filter(|request| request.status == 500).count();
    assert_eq!(counted, 3);
}

#[test]
fn events_that_always_fail_do_not_hold_up_five_hundred_good_ones() {
    for arguments in [&BUFFER[..], &["-e", "events/#", "--mqtt_qos", "1"]] {
        let (api, broker) = (StandIn::new(), Broker::new());
        api.answer(|r| Answer::Status(if r.summary().starts_with("bad") { 500 } else { 202 }));
        let _agent = Agent::mqtt(&api, broker.port(), arguments).ready();
        let mut publisher = Publisher::new(broker.port());
        publisher.burst("events/a", (0..60).map(|n| event("il1api1", &format!("bad-{n}"))));
        publisher.burst("events/a", (0..500).map(|n| event("il1api1", &format!("good-{n}"))));
        api.wait_for(500);
        let attempts = api.requests().iter().filter(|r| r.summary().starts_with("bad")).count();
        assert!(attempts < 60 * 6, "{attempts} attempts at bad ones are too many");
    }
}

#[test]
fn an_outage_is_over_when_it_is_over() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.go_away();
    let _agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let events = (0..500).map(|number| event("il1api1", &format!("id-{number}")));
    Publisher::new(broker.port()).burst("events/a", events);
    api.come_back();
    api.wait_for(500);
    assert_eq!(api.accepted().len(), 500, "none twice");
}

#[test]
fn the_heartbeat_stops_while_the_agent_is_not_healthy() {
    let (api, mut broker) = (StandIn::new(), Broker::new());
    broker.kill();
    let mut arguments = BUFFER.to_vec();
    arguments.extend(["-b", "il1hbt42"]);
    let mut agent = Agent::mqtt(&api, broker.port(), &arguments).started();
    agent.wait_for_log("heartbeat: paused");
    assert_eq!(api.count(), 0, "no ping without a broker");
    broker.start();
    agent.wait_ready();
    wait_until("it pings again", || {
        api.requests().iter().any(|request| request.path == "/api/heartbeats/il1hbt42")
    });
}
