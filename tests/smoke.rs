//! The agent's whole work in one go, for a binary of any processor: see `cross/smoke`.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::{env, fs};
use support::agent::{Agent, under_test};
use support::broker::Broker;
use support::certificates::Authority;
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::words::words;
use support::{Folder, event, free_port, wait_until};

const MESSAGES: usize = 60;

/// A broker that wants a client certificate on its TLS port, and nothing on the other.
fn broker(tls_port: u16) -> Broker {
    let (folder, authority) = (Folder::new(), Authority::new());
    fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    authority.issue(folder.path(), "broker", "broker");
    authority.issue(folder.path(), "client", "gateway");
    let lines = format!(
        "per_listener_settings false\nlistener {{port}} 127.0.0.1\nlistener {tls_port} 127.0.0.1\n\
         cafile {{folder}}/ca.pem\ncertfile {{folder}}/broker.pem\nkeyfile {{folder}}/broker.key\n\
         require_certificate true\n"
    );
    Broker::prepared(folder, &lines)
}

/// An outage of the API, a SIGKILL in the middle, TLS with a client certificate, and the end, unless
/// `ILAGENT_NO_SIGNALS` says that the emulator cannot do it.
fn work(date: &str) {
    let tls_port = free_port();
    let (api, broker, clock) = (StandIn::new(), broker(tls_port), Folder::new());
    let date_file = clock.join("clock");
    fs::write(&date_file, format!("@{date} 12:00:00")).unwrap();
    let file = |name: &str| broker.folder().join(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let line = format!(
        "-e events/# --mqtt_qos 1 --mqtt_buffer --mqtt_tls --mqtt_ca {ca} \
         --mqtt_client_cert {cert} --mqtt_client_key {key}"
    );
    let agent = Agent::mqtt(&api, tls_port, &words(&line));
    let mut agent = agent.clock(&date_file).ready();
    assert!(agent.log().contains(&date[..4]), "the clock is not faked:\n{}", agent.log());

    api.answer_all(Answer::Status(503));
    let events = (0..MESSAGES).map(|number| event("il1api1", &format!("mqtt-{number}")));
    Publisher::new(broker.port()).burst("events/a", events);
    assert_eq!(agent.post(&event("il1api1", "posted")).map(|(status, _)| status), Some(200));
    wait_until("all is stored", || agent.list().len() == MESSAGES + 1);

    agent.kill();
    agent.start();
    agent.wait_ready();
    assert!(agent.list().len() > MESSAGES, "a SIGKILL loses nothing");
    api.answer_all(Answer::Status(202));
    api.wait_for(MESSAGES + 1);
    wait_until("nothing is left", || agent.list().is_empty());
    if env::var_os("ILAGENT_NO_SIGNALS").is_none() {
        assert_eq!(agent.end("TERM").0.code(), Some(0), "{}", agent.log());
    }
}

#[test]
fn it_works_today() {
    work("2026-11-01");
}

#[test]
fn it_works_in_2040() {
    work("2040-03-01");
}

#[test]
fn it_says_what_it_is() {
    let version = under_test().arg("--version").output().unwrap();
    let said = String::from_utf8(version.stdout).unwrap();
    assert_eq!(said.trim(), format!("ilagent {}", env!("CARGO_PKG_VERSION")));
}
