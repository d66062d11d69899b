//! SIGHUP: the configuration is read again, and nothing is lost, refused or left behind by it.
//!
//! `RELOADS=1000 cargo test --test e2e_reload thousand -- --nocapture` takes longer.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use support::agent::{Agent, signal};
use support::broker::Broker;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{event, free_port, wait_until};

/// What memory may grow by over any number of reloads, in KB: an allocator is not exact.
const GROWTH_MAX: usize = 3_000;

fn reloads() -> usize {
    std::env::var("RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

fn config(broker: u16, topic: &str) -> String {
    format!(
        "[queue]\npath = \"{{database}}\"\n[http]\nport = {{port}}\nbind = \"127.0.0.1\"\n\
         [[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{broker}\"\nbuffer = true\n\
         [[mqtt.subscription]]\ntopic = \"{topic}\"\n"
    )
}

/// The same with a value that each event shows.
fn numbered(broker: u16, number: usize) -> String {
    format!("{}[event]\nlabels = {{ number = \"{number}\" }}\n", config(broker, "events/#"))
}

/// A client that connects again for each request, asks for the state and posts events.
struct Client {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Client {
    fn start(port: u16) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut confirmed = Vec::new();
            for number in 0.. {
                let id = format!("posted-{number}");
                match ask(port, &post(&event("k", &id))).unwrap_or_else(|why| panic!("{id}: {why}"))
                {
                    200 => confirmed.push(id),
                    status => assert_eq!(status, 503, "{id}"),
                }
                let ready =
                    ask(port, "GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                let status = ready.unwrap_or_else(|why| panic!("/ready {number}: {why}"));
                assert!(status == 204 || status == 503, "/ready {number}: {status}");
                if told.load(Ordering::Acquire) {
                    break;
                }
            }
            confirmed
        });
        Client { over, thread }
    }

    /// The events that were confirmed.
    #[track_caller]
    fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

fn post(body: &str) -> String {
    format!(
        "POST /api/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The status of the answer, or what went wrong before there was one.
fn ask(port: u16, request: &str) -> Result<u16, String> {
    let step = |what: &'static str| move |error| format!("{what}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(step("connect"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).map_err(step("send"))?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).map_err(step("read"))?;
    let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| format!("the answer is `{reply}`"))
}

/// What the API took, and the value that each event showed.
#[derive(Default)]
struct Seen(HashMap<String, String>);

impl Seen {
    fn has(&mut self, api: &StandIn, id: &str) -> bool {
        let taken = api.take_requests();
        self.0.extend(taken.iter().map(|request| {
            let shown = request.json()["labels"]["number"].as_str().unwrap_or_default().to_owned();
            (request.summary(), shown)
        }));
        self.0.contains_key(id)
    }
}

/// Waits until nothing waits, and then for another configuration.
#[track_caller]
fn settle(agent: &mut Agent, broker: &Broker, text: &str) {
    wait_until("nothing waits", || agent.list().is_empty());
    // The connection of the configuration before may still be on its way.
    agent.wait_ready();
    let connects = broker.connects("plant");
    agent.reconfigure(text);
    wait_until("it connects again", || broker.connects("plant") > connects);
    agent.wait_ready();
}

/// A link has come up: what waits for its next attempt is tried at once, and clients notice
/// nothing.
#[test]
fn sigusr1_tries_everything_again_in_the_same_process() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = Agent::by_file_alone(&api, &config(broker.port(), "events/#")).ready();
    let later = vec![("Retry-After", "3600".to_owned())];
    api.answer_all(Answer::Full(503, later, String::new()));
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("events/a", event("k", "waits"));
    wait_until("it is refused", || api.count() > 0);
    api.answer_all(Answer::Status(202));
    let client = Client::start(agent.port());
    let (connects, id) = (broker.connects("plant"), agent.id());

    signal(id, "USR1");
    wait_until("it connects again", || broker.connects("plant") > connects);
    wait_until("what waited is delivered", || api.accepted().contains(&"waits".to_owned()));
    client.end();
    wait_until("nothing waits", || agent.list().is_empty());
    assert_eq!(agent.id(), id);
}

#[test]
fn a_new_configuration_is_used_and_what_waits_is_kept() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::by_file_alone(&api, &config(broker.port(), "old/#")).ready();
    let id = agent.id();
    api.answer_all(Answer::Status(503));
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("old/a", event("k", "before"));
    wait_until("it waits", || agent.list().len() == 1);

    agent.reconfigure(&config(broker.port(), "new/#"));
    broker.wait_for_log("new/#", 1);
    agent.wait_ready();
    publisher.publish("new/a", event("k", "after"));
    api.answer_all(Answer::Status(202));
    api.wait_for(2);
    assert_eq!(agent.id(), id);
    assert!(agent.is_running());
    assert_eq!(agent.end("TERM").0.code(), Some(0));
}

#[test]
fn a_thousand_reloads_lose_nothing_refuse_nobody_and_leave_nothing_behind() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::by_file_alone(&api, &numbered(broker.port(), 0)).ready();
    let mut seen = Seen::default();
    let mut reload = |agent: &Agent, number: usize| {
        agent.reconfigure(&numbered(broker.port(), number));
        let mut round = 0;
        wait_until(&format!("value {number} is in effect"), || {
            round += 1;
            let id = format!("probe-{number}-{round}");
            assert_eq!(ask(agent.port(), &post(&event("k", &id))), Ok(200), "{id}");
            wait_until("it arrives", || seen.has(&api, &id));
            seen.0[&id] == number.to_string()
        });
    };
    // What is only made when it is needed is there after the first ones; workers that had
    // something to do go with the next configuration.
    (1..=5).for_each(|number| reload(&agent, number));
    settle(&mut agent, &broker, &numbered(broker.port(), 0));
    let (threads, descriptors, resident) = (agent.threads(), agent.descriptors(), agent.resident());

    let client = Client::start(agent.port());
    let mut publisher = Publisher::new(broker.port());
    for number in 6..6 + reloads() {
        publisher.publish("events/a", event("k", &format!("published-{number}")));
        reload(&agent, number);
    }
    let confirmed = client.end();
    let published = (6..6 + reloads()).map(|number| format!("published-{number}"));
    let wanted: Vec<String> = published.chain(confirmed).collect();
    wait_until("all that was taken in arrives", || wanted.iter().all(|id| seen.has(&api, id)));
    settle(&mut agent, &broker, &numbered(broker.port(), 0));
    wait_until("threads and descriptors are those of the start", || {
        agent.threads() <= threads && agent.descriptors() <= descriptors
    });
    let grown = agent.resident().saturating_sub(resident);
    eprintln!(
        "{} reloads: {} threads, {} descriptors, {resident} KB and {grown} KB more",
        reloads(),
        agent.threads(),
        agent.descriptors()
    );
    assert!(grown <= GROWTH_MAX, "{grown} KB more than {resident}");
    assert!(agent.is_running());
    assert_eq!(agent.end("TERM").0.code(), Some(0));
}

#[test]
fn a_second_signal_during_a_reload_is_not_lost() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = Agent::by_file_alone(&api, &config(broker.port(), "t0/#")).ready();
    for number in 1..=20 {
        agent.reconfigure(&config(broker.port(), &format!("t{number}/#")));
        thread::sleep(Duration::from_micros(fastrand::u64(0..20_000)));
    }
    broker.wait_for_log("t20/#", 1);
    let mut publisher = Publisher::new(broker.port());
    wait_until("the last one is in effect", || {
        publisher.publish("t20/a", event("k", "one"));
        api.tally().contains_key("one")
    });
}

#[test]
fn what_waits_in_memory_is_brought_again() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let direct = |number: usize| {
        let text = numbered(broker.port(), number);
        text.replace("buffer = true", "buffer = false").replace("topic =", "qos = 1\ntopic =")
    };
    let mut agent = Agent::by_file_alone(&api, &direct(0)).ready();
    api.answer_all(Answer::Status(503));
    let mut publisher = Publisher::new(broker.port());
    let ids: Vec<String> = (0..200).map(|number| format!("m{number}")).collect();
    publisher.burst("events/a", ids.iter().map(|id| event("k", id)));
    wait_until("an attempt is made", || api.count() > 0);
    for number in 1..=3 {
        let connects = broker.connects("plant");
        agent.reconfigure(&direct(number));
        wait_until("it connects again", || broker.connects("plant") > connects);
        agent.wait_ready();
    }
    api.answer_all(Answer::Status(202));
    api.wait_for(ids.len());
}

#[test]
fn requests_that_hang_do_not_pile_up() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::by_file_alone(&api, &numbered(broker.port(), 0)).ready();
    let threads = agent.threads();
    api.answer_all(Answer::Hang);
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("events/a", event("k", "hangs"));
    wait_until("it hangs", || api.count() == 1);

    for number in 1..=3 {
        agent.reconfigure(&numbered(broker.port(), number));
        // The next configuration makes the same attempt, which hangs as well.
        wait_until("it hangs again", || api.count() > number);
    }
    wait_until("what hung is cut off", || agent.threads() <= threads + 1);
    api.answer_all(Answer::Status(202));
    wait_until("the last one is in effect", || {
        publisher.publish("events/a", event("k", "goes"));
        let requests = api.requests();
        requests.iter().any(|request| request.json()["labels"]["number"] == "3")
    });
    agent.wait_ready();
}

#[test]
fn faults_are_told_and_the_old_configuration_stays() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let right = config(broker.port(), "events/#");
    let mut agent = Agent::by_file_alone(&api, &right).ready();
    let connects = broker.connects("plant");

    agent.reconfigure(&right.replace("buffer = true", "bufer = true\nqos = 9"));
    agent.wait_for_log("going on with the old one");
    let log = agent.log();
    assert!(log.contains("ilagent.toml:9:1: there is no key `bufer`"), "{log}");
    assert!(log.contains("ilagent.toml:10:7: the QoS is 0, 1 or 2"), "{log}");

    // A file that parses, but names a certificate that cannot be loaded.
    agent.reconfigure(
        &right
            .replace("mqtt://", "mqtts://")
            .replace("buffer", "ssl-ca = \"/nowhere/ca.pem\"\nbuffer"),
    );
    agent.wait_for_log("/nowhere/ca.pem");

    agent.reconfigure(&right);
    agent.wait_for_log("the configuration has not changed");
    assert_eq!(broker.connects("plant"), connects, "the session was never touched");
    Publisher::new(broker.port()).publish("events/a", event("k", "one"));
    api.wait_for(1);
    assert!(agent.is_running());
}

#[test]
fn while_a_new_configuration_cannot_be_started_the_old_one_goes_on_without_a_gap() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let right = config(broker.port(), "events/#");
    let mut agent = Agent::by_file_alone(&api, &right).ready();
    let (connects, threads, descriptors) =
        (broker.connects("plant"), agent.threads(), agent.descriptors());
    let client = Client::start(agent.port());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let port = format!("port = {taken_port}");
    for (round, (wrong, what)) in [
        // No check can know that this address is not ours,
        (right.replace("127.0.0.1\"\n[[", "192.0.2.1\"\n[["), "cannot listen on 192.0.2.1"),
        // that somebody else has the port,
        (right.replace("port = {port}", &port), "Address already in use"),
        // or that there is no such folder.
        (right.replace("{database}", "/nowhere/q.db3"), "/nowhere/"),
    ]
    .into_iter()
    .enumerate()
    {
        agent.reconfigure(&wrong);
        wait_until(&format!("it is told: {what}"), || {
            agent.log().matches("going on with the old configuration").count() > round
        });
        assert!(agent.log().contains(what), "{what}:\n{}", agent.log());
    }
    let confirmed = client.end();
    assert_eq!(broker.connects("plant"), connects, "the session was never touched");
    Publisher::new(broker.port()).publish("events/a", event("k", "one"));
    api.wait_for(confirmed.len() + 1);
    settle(&mut agent, &broker, &format!("{right}[event]\nseverity = 2\n"));
    wait_until("nothing is left of what failed", || {
        agent.threads() <= threads && agent.descriptors() <= descriptors
    });
    assert!(agent.is_running());
}

#[test]
fn the_http_address_can_change_in_every_way() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let narrow = config(broker.port(), "events/#");
    let wide = narrow.replace("bind = \"127.0.0.1\"", "bind = \"0.0.0.0\"");
    let (other_port, none) = (free_port(), narrow.split("[http]").next().unwrap());
    let mqtt = &narrow[narrow.find("[[mqtt]]").unwrap()..];
    let mut agent = Agent::by_file_alone(&api, &narrow).ready();
    // All addresses and one of them, the same port: one has to go before the other can come.
    for text in [&wide, &narrow, &wide] {
        let bound = |log: &str| log.matches("http: listening on").count();
        let before = bound(&agent.log());
        agent.reconfigure(text);
        wait_until("it listens", || bound(&agent.log()) > before);
        agent.wait_ready();
    }
    // Another port, and none at all.
    agent.reconfigure(&narrow.replace("{port}", &other_port.to_string()));
    wait_until("it listens elsewhere", || {
        support::agent::get(other_port, "/ready").is_some_and(|(status, _)| status == 204)
    });
    wait_until("the former port is free", || agent.get("/ready").is_none());
    agent.reconfigure(&format!("{none}{mqtt}"));
    wait_until("it does not listen", || support::agent::get(other_port, "/ready").is_none());
    agent.reconfigure(&narrow);
    agent.wait_ready();
    signal(agent.id(), "TERM");
    assert_eq!(agent.wait_end().code(), Some(0));
}
