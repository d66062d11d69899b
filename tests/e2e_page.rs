//! What a person sees of a whole agent: the page, what passes (`ilagent tail`), and `/metrics` as
//! Prometheus' own library reads it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic, and tells")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use support::agent::{Agent, under_test};
use support::broker::Broker;
use support::packages::fetched;
use support::process::signal;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{event, until, wait_until};

const TOKEN: &str = "open sesame";

/// Messages with two lines of a kilobyte each.
const UNREAD: usize = 1_500;

/// Words of a stranger.
const HOSTILE: &str = "<img src=x onerror=alert(1)><b>'\"";

fn page(agent: &Agent, token: &str) -> String {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: text/html\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    agent.http(&request).unwrap().1
}

fn act(agent: &Agent, what: &str, token: &str) -> (u16, String) {
    let request = format!(
        "POST /api/queue/{what} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    agent.http(&request).unwrap()
}

/// An agent with a token whose API refuses all there is.
fn with_dead_letters(api: &StandIn, broker: &Broker, reasons: &[&str]) -> Agent {
    api.answer_all(Answer::Status(422));
    let arguments = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];
    let agent = Agent::mqtt(api, broker.port(), &arguments);
    let agent = agent.env("ILAGENT_HTTP_TOKEN", TOKEN).ready();
    let mut publisher = Publisher::new(broker.port());
    for reason in reasons {
        let text = reason.replace('\\', "\\\\").replace('"', "\\\"");
        publisher
            .publish(&format!("events/{HOSTILE}").replace('+', ""), event("il1api123456", &text));
    }
    wait_until("all are dead letters", || agent.list().len() == reasons.len());
    agent
}

#[test]
fn a_dead_letter_goes_back_into_the_queue_for_who_shows_the_token() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = with_dead_letters(&api, &broker, &["one", "two"]);
    let shown = page(&agent, TOKEN);
    assert!(shown.contains("id=\"d1\"") && shown.contains("data-verb=\"retry\" data-id=\"d1\""));
    assert!(shown.contains("&lt;img src=x onerror=alert(1)&gt;&lt;b&gt;"), "{shown}");
    assert!(!shown.contains("<img") && !shown.contains("<b>'"), "{shown}");
    let stranger = page(&agent, "sesame");
    assert!(!stranger.contains("id=\"d1\"") && !stranger.contains("onerror"), "{stranger}");
    assert!(stranger.contains("2 dead letters"));

    assert_eq!(act(&agent, "retry?id=d1", "sesame").0, 401);
    assert_eq!(act(&agent, "drop?id=d99", TOKEN).0, 409);
    api.answer_all(Answer::Status(202));
    let before = api.count();
    let (status, said) = act(&agent, "retry?id=d1", TOKEN);
    assert_eq!(status, 200, "{said}");
    assert!(said.contains("1 dead letters wait again"), "{said}");
    wait_until("it is delivered", || api.count() > before);
    let (status, said) = act(&agent, "drop?id=d2", TOKEN);
    assert!(status == 200 && said.contains("1 dead letters dropped"), "{said}");
    wait_until("nothing is left", || agent.list().is_empty());
}

/// `ilagent tail`, and what it has printed.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    /// Follows once the agent knows of it.
    fn new(agent: &Agent, arguments: &[&str]) -> Self {
        let mut command = under_test();
        command.arg("tail").args(arguments).arg("-f").arg(agent.database());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (tell, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|it| tell.send(it))
        });
        Tail { child, lines }
    }

    /// The next line, without its time.
    fn line(&self) -> Option<String> {
        let line = self.lines.try_recv().ok()?;
        Some(line.split_once(' ').unwrap().1.to_owned())
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn who_follows_sees_a_message_come_and_go_and_the_end() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let arguments = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];
    let mut agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    let all = Tail::new(&agent, &[]);
    let other = Tail::new(&agent, &["--topic", "events/other"]);
    let mut publisher = Publisher::new(broker.port());
    // Nobody says when a follower is known, so messages come until each has seen one.
    let mut number = 0;
    let mut first = |tail: &Tail, topic: &str| {
        until("a line comes", || {
            number += 1;
            publisher.publish(topic, event("il1api123456", &format!("id-{number}")));
            tail.line()
        })
    };
    let line = first(&all, "events/one");
    assert!(line.starts_with("in   mqtt 127.0.0.1") && line.contains("  events/one, "), "{line}");
    assert!(line.contains(" bytes: event for ilert/il1api…, alert key 'id-"), "{line}");
    let line = until("it goes out", || all.line().filter(|line| line.starts_with("out  ")));
    assert!(line.contains("out  ilert  event for ilert/il1api…, alert key 'id-"), "{line}");
    assert!(line.contains(", from events/one, attempt 1: delivered, "), "{line}");
    let line = first(&other, "events/other");
    assert!(line.contains("events/other"), "the other topic's were left out: {line}");

    // The socket is not theirs alone, and they do not hold up the end.
    assert!(agent.status(&[]).status.success());
    let (status, took) = agent.end("TERM");
    assert!(status.success() && took.as_secs() < 4, "{took:?}");
    let mut child = all;
    assert_eq!(child.child.wait().unwrap().code(), Some(1), "there is nothing more to see");
}

#[test]
fn who_follows_and_does_not_read_holds_up_neither_messages_nor_the_end() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let arguments = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];
    let mut agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    let tail = Tail::new(&agent, &[]);
    let mut publisher = Publisher::new(broker.port());
    let mut sent = 0;
    let mut publish = |topic: &str| {
        sent += 1;
        publisher.publish(topic, event("il1api123456", &format!("id-{sent}")));
        sent
    };
    until("a line comes", || {
        publish("events/one");
        tail.line()
    });

    // More than fits into the pipe, the socket and the channel.
    let long = format!("events/{}", "x".repeat(1_000));
    let mut burst = || (0..UNREAD).map(|_| publish(&long)).last().unwrap();
    signal(tail.child.id(), "STOP");
    let sent = burst();
    wait_until("all are delivered", || api.count() >= sent);
    signal(tail.child.id(), "CONT");
    let missed = |line: String| line.contains("more passed than could be shown)").then_some(());
    until("the missing lines are counted", || tail.line().and_then(missed));

    signal(tail.child.id(), "STOP");
    let sent = burst();
    wait_until("all are delivered again", || api.count() >= sent);
    let (status, took) = agent.end("TERM");
    assert!(status.success() && took.as_secs() < 4, "{took:?}");
}

#[test]
fn metrics_are_read_by_prometheus_own_library() {
    const READ: &str = "
import sys
from prometheus_client.parser import text_string_to_metric_families as read
kinds = {'ilagent_messages_received': 'counter', 'ilagent_delivery_duration_seconds': 'histogram'}
for family in read(sys.stdin.read()):
    assert family.type in ('gauge', 'counter', 'histogram'), family
    assert family.documentation and family.samples, family
    assert kinds.pop(family.name, family.type) == family.type, family
assert not kinds, kinds
";
    let packages = fetched("pypi-prometheus", |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        pip.arg(folder).arg("prometheus_client==0.22.1");
        pip
    });
    let packages = match packages {
        Ok(packages) => packages,
        Err(why) => return eprintln!("not tested: {why}"),
    };
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).ready();
    assert_eq!(agent.post(&event("k", "one")).unwrap().0, 200);
    let folder = agent.folder();
    let text = until("it is delivered", || {
        let text = agent.get("/metrics").unwrap().1;
        text.contains("duration_seconds_count{sink=\"ilert\"} 1").then_some(text)
    });
    let file = std::fs::File::open(folder.write("metrics", &text)).unwrap();
    let mut python = Command::new("python3");
    let read = python.args(["-c", READ]).env("PYTHONPATH", packages).stdin(file).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

/// A dashboard that asks for what is not there shows nothing, and nobody sees why.
#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let arguments = ["-e", "events/#", "--mqtt_qos", "1"];
    let agent = Agent::mqtt(&api, broker.port(), &arguments).ready();
    assert_eq!(agent.post(&event("k", "one")).unwrap().0, 200);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grafana.json");
    let text = std::fs::read_to_string(file).unwrap();
    let board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let metrics = agent.get("/metrics").unwrap().1;
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut asked = 0;
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
    {
        let expression = target["expr"].as_str().unwrap();
        for name in
            expression.split(|letter| !is_part(letter)).filter(|it| it.starts_with("ilagent_"))
        {
            let has = |line: &str| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            };
            assert!(metrics.lines().any(has), "{name} in {expression}");
            asked += 1;
        }
    }
    assert!(asked > 10, "only {asked} names were found");
}

/// A browser of Debian's, if there is one.
fn browser() -> Option<PathBuf> {
    let names = ["chromium-headless-shell", "chromium"];
    names.iter().find_map(|name| {
        let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().ok()?;
        let path = String::from_utf8(found.stdout).ok()?;
        (!path.trim().is_empty()).then(|| PathBuf::from(path.trim()))
    })
}

#[test]
fn a_browser_shows_it_in_light_dark_on_a_phone_and_without_a_script() {
    let Some(browser) = browser() else {
        eprintln!("not tested: there is no Chromium here (chromium-headless-shell)");
        return;
    };
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = with_dead_letters(&api, &broker, &["one", "two", HOSTILE]);
    api.answer_all(Answer::Status(503));
    for number in 0..5 {
        let text = event("il1api123456", &format!("waits {number}"));
        Publisher::new(broker.port()).publish("events/pump", text);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/page.js");
    let url = format!("http://127.0.0.1:{}/", agent.port());
    let mut node = Command::new("node");
    node.arg(script).arg(browser).args([&url, TOKEN]).arg(&folder);
    let looked = node.output().unwrap();
    let words = String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "{words}");
    let seen: serde_json::Value = serde_json::from_slice(&looked.stdout).unwrap();
    assert_eq!(seen["complaints"], serde_json::json!([]), "nothing breaks the policy");
    assert_eq!(seen["injected"], 0, "words of strangers are words");
    assert_eq!(seen["kept"], true, "focus stays while it is refreshed");
    assert_eq!(seen["phone_scrolls_sideways"], false);
    assert_eq!((&seen["unnamed"], seen["questions"].as_array().unwrap().len()), (&0.into(), 1));
    let question = seen["questions"][0].as_str().unwrap();
    assert!(question.starts_with("Delete for good: d1 for ilert, from events/<img"), "{question}");
    assert!(seen["said"].as_str().unwrap().contains("1 dead letters dropped"), "{seen}");
    for role in ["button", "columnheader", "heading", "main", "region", "row", "rowheader"] {
        assert!(seen["roles"].as_array().unwrap().contains(&role.into()), "{role}: {seen}");
    }
    for name in ["light", "dark", "phone", "no-script", "with-token", "with-token-phone-dark"] {
        let picture = folder.join(format!("{name}.png"));
        assert!(picture.metadata().is_ok_and(|file| file.len() > 10_000), "{name}");
    }
}
