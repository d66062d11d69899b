//! The HTTP proxy of the whole agent.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::agent::Agent;
use support::stand_in::{Answer, StandIn};
use support::{event, wait_until};

#[test]
fn a_posted_event_is_stored_echoed_and_delivered() {
    let api = StandIn::new();
    let agent = Agent::new(&api, &["--label", "site=north"]).ready();
    let (status, body) = agent.post(&event("il1api1", "one")).unwrap();
    assert_eq!(status, 200);
    let echo: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&echo["integrationKey"], &echo["priority"]),
        (&"il1api1".into(), &serde_json::Value::Null)
    );
    api.wait_for(1);
    let sent = &api.requests()[0];
    assert_eq!((sent.path.as_str(), sent.header("authorization")), ("/api/events", None));
    assert_eq!(sent.json()["labels"]["site"], "north");
    assert_eq!(sent.header("user-agent"), Some(concat!("ilagent/", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn three_slow_heartbeats_hold_up_no_event() {
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).ready();
    api.answer(|request| match request.method.as_str() {
        "POST" => Answer::Status(202),
        _ => Answer::Hang,
    });
    std::thread::scope(|scope| {
        let pings: Vec<_> = (0..3)
            .map(|number| {
                let agent = &agent;
                scope.spawn(move || agent.get(&format!("/api/heartbeats/il1hbt{number}")))
            })
            .collect();
        wait_until("the pings are under way", || api.in_flight_max() == 3);
        assert_eq!(agent.post(&event("k", "one")).unwrap().0, 200);
        api.wait_for(1);
        assert!(pings.iter().all(|ping| !ping.is_finished()), "the event went before the pings");
        api.answer_all(Answer::Status(202));
        for ping in pings {
            assert_eq!(ping.join().unwrap(), Some((202, "{}".to_owned())));
        }
    });
}

#[test]
fn a_full_queue_says_so_and_comes_back() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(&api, &["--queue_limit", "64KB"]).ready();
    let mut accepted = 0;
    // A kilobyte each: every one of them is a commit.
    let padding = "x".repeat(1_000);
    wait_until("the queue is full", || {
        let (status, _) = agent.post(&event("k", &format!("id-{accepted}{padding}"))).unwrap();
        accepted += usize::from(status == 200);
        status == 503
    });
    assert!(accepted > 10);
    api.answer_all(Answer::Status(202));
    api.wait_for(accepted);
    agent.wait_ready();
    assert_eq!(agent.post(&event("k", "after")).unwrap().0, 200);
}

#[test]
fn the_api_wants_the_token_and_the_probes_do_not() {
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).env("ILAGENT_HTTP_TOKEN", "open sesame").ready();
    assert_eq!(agent.post(&event("k", "one")).unwrap().0, 401);
    let body = event("k", "one");
    let request = format!(
        "POST /api/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer open sesame\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(agent.http(&request).unwrap().0, 200);
    for (path, status) in [("/health", 204), ("/ready", 204), ("/status", 200), ("/metrics", 200)] {
        assert_eq!(agent.get(path).unwrap().0, status, "{path}");
    }
}

/// Keeps 64 connections to a port busy with requests that are never complete, until it is asked to
/// stop.
fn drip(port: u16, begin: &'static [u8], stop: &AtomicBool) {
    let mut slow: Vec<(TcpStream, Instant)> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        slow.retain_mut(|(stream, said)| {
            let gone = match stream.read(&mut [0; 1024]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            if !gone && said.elapsed() > Duration::from_secs(1) {
                *said = Instant::now();
                return stream.write_all(b"x").is_ok();
            }
            !gone
        });
        while slow.len() < 64 {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { break };
            let _ = stream.write_all(begin);
            stream.set_nonblocking(true).unwrap();
            slow.push((stream, Instant::now()));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn slow_clients_of_one_address_shut_nobody_out() {
    const HEAD: &[u8] = b"POST /api/events HTTP/1.1\r\nHost: a\r\n";
    const BODY: &[u8] = b"POST /api/events HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
    const POSTS: usize = 25;
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).env("ILAGENT_HTTP_TOKEN", "secret").ready();
    for (name, begin) in [("head", HEAD), ("body", BODY)] {
        let stop = AtomicBool::new(false);
        let answered = |status: &str, arguments: &[&str]| {
            // From another address than the slow ones.
            let mut curl = Command::new("curl");
            curl.args(["-s", "-m", "20", "--interface", "127.0.0.2", "-w", "%{http_code}"]);
            let output = curl.args(["-o", "/dev/null"]).args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap() == status
        };
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", agent.port());
        let (good, well) = thread::scope(|scope| {
            scope.spawn(|| drip(agent.port(), begin, &stop));
            thread::sleep(Duration::from_millis(1_500));
            let good = (0..POSTS).filter(|number| {
                let event = event("il1api1", &format!("{name}-{number}"));
                let (url, token) = (url("/api/events"), "Authorization: Bearer secret");
                let json = "Content-Type: application/json";
                answered("200", &["-H", token, "-H", json, "-d", &event, &url])
            });
            let good = good.count();
            let well = ["/health", "/ready", "/metrics", "/status"]
                .map(|path| answered("204", &[&url(path)]) || answered("200", &[&url(path)]));
            stop.store(true, Ordering::Relaxed);
            (good, well)
        });
        assert!(good >= POSTS - 2, "{name}: {good} of {POSTS}");
        assert_eq!(well, [true; 4], "{name}");
    }
}

#[test]
fn the_commands_that_are_shown_work() {
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).ready();
    for (number, file) in ["systemd/ilagent.toml", "README.md"].into_iter().enumerate() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| line.trim_start_matches('#').trim());
        let command: Vec<_> =
            lines.skip_while(|line| !line.starts_with("curl -H")).take(2).collect();
        let command = command.join("\n").replace(":8977", &format!(":{}", agent.port()));
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.starts_with("{\"alertKey\""), "{file}: {command}: {answer}");
        wait_until("it is delivered", || api.count() == number + 1);
    }
    let words = agent.http("POST /api/events HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap().1;
    assert!(words.ends_with(r#"send it with "Content-Type: application/json""#), "{words}");
}

#[test]
fn a_packed_event_is_taken_and_a_bomb_is_not() {
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).ready();
    let post = |encoding: &str, filter: &str| {
        let url = format!("http://127.0.0.1:{}/api/events", agent.port());
        let command = format!(
            "{filter} | curl -s -w ' %{{http_code}}' -H 'Content-Type: application/json' \
             -H 'Content-Encoding: {encoding}' --data-binary @- {url}"
        );
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let event = event("il1api1", "packed");
    let zlib = "python3 -c 'import sys, zlib; \
                sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))'";
    for (encoding, filter, wanted) in [
        ("gzip", format!("printf %s '{event}' | gzip"), "200"),
        ("deflate", format!("printf %s '{event}' | {zlib}"), "200"),
        ("gzip", format!("printf %s '{event}'"), "what its Content-Encoding says 400"),
        ("br", format!("printf %s '{event}'"), "\"deflate\" 415"),
        // 50 KB that would be 50 MB.
        ("gzip", "head -c 50000000 /dev/zero | gzip".to_owned(), "too large 413"),
    ] {
        let answer = post(encoding, &filter);
        assert!(answer.ends_with(wanted), "{encoding}: {answer}");
    }
    api.wait_for(1);
    assert_eq!(api.requests()[0].summary(), "packed");
}
