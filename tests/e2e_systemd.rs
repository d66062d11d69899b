//! What the agent reports to systemd, with a socket of our own in its place.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use support::agent::{Agent, signal};
use support::broker::Broker;
use support::stand_in::StandIn;
use support::{Folder, PATIENCE, wait_until};

const FLAGS: [&str; 4] = ["-e", "events/#", "--mqtt_qos", "1"];

/// In microseconds. Within half of it every thread gives a sign of life, the one that waits for a
/// slow disk, too.
const WATCHDOG: &str = "3000000";

/// The other end of `NOTIFY_SOCKET`.
struct Listener {
    folder: Folder,
    socket: UnixDatagram,
    heard: Vec<String>,
    /// How much of that a test has asked for.
    read: usize,
}

impl Listener {
    fn new() -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Listener { folder, socket, heard: Vec::new(), read: 0 }
    }

    fn agent(&self, api: &StandIn, port: u16) -> Agent {
        let path = self.folder.join("notify").display().to_string();
        Agent::mqtt(api, port, &FLAGS).env("NOTIFY_SOCKET", &path)
    }

    /// Waits for a line that begins like this after the last one asked for.
    #[track_caller]
    fn wait_for(&mut self, begin: &str) {
        let mut buffer = [0; 4096];
        wait_until(&format!("systemd hears `{begin}`, not only {:?}", self.heard), || {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                self.heard.extend(text.lines().map(str::to_owned));
            }
            let found = self.heard[self.read..].iter().position(|line| line.starts_with(begin));
            self.read += found.map_or(0, |at| at + 1);
            found.is_some()
        });
    }
}

#[test]
fn it_says_that_it_is_ready_how_it_is_and_that_it_stops() {
    let api = StandIn::new();
    let mut broker = Broker::new();
    let mut systemd = Listener::new();
    broker.kill();
    let mut agent = systemd.agent(&api, broker.port()).started();
    systemd.wait_for("READY=1");
    systemd.wait_for("STATUS=not ready, mqtt 127.0.0.1: not connected, ");
    broker.start();
    systemd.wait_for("STATUS=ready; 0 waiting, 0 dead letters");
    broker.kill();
    systemd.wait_for("STATUS=not ready, mqtt 127.0.0.1: not connected, ");
    assert!(!systemd.heard.iter().any(|line| line.starts_with("WATCHDOG")), "nobody asked");
    signal(agent.id(), "TERM");
    systemd.wait_for("STOPPING=1");
    assert_eq!(agent.wait_end().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_while_everything_moves_even_without_a_broker() {
    let api = StandIn::new();
    let mut broker = Broker::new();
    broker.kill();
    let mut systemd = Listener::new();
    let agent = systemd.agent(&api, broker.port()).env("WATCHDOG_USEC", WATCHDOG);
    let mut agent = agent.started();
    for _ in 0..2 {
        systemd.wait_for("WATCHDOG=1");
    }
    broker.start();
    systemd.wait_for("STATUS=ready");
    for _ in 0..2 {
        systemd.wait_for("WATCHDOG=1");
    }
    assert!(!agent.log().contains("gives no sign of life"), "{}", agent.log());
    assert!(agent.end("TERM").1 < PATIENCE);
}

#[test]
fn a_reload_is_told_from_its_begin_to_its_end_and_the_beat_goes_on() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut systemd = Listener::new();
    let config = |topic: &str| {
        format!(
            "[[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{}\"\nbuffer = true\n\
             [[mqtt.subscription]]\ntopic = \"{topic}\"\n",
            broker.port()
        )
    };
    let notify = systemd.folder.join("notify").display().to_string();
    let agent = Agent::with_file(&api, &config("old/#")).env("NOTIFY_SOCKET", &notify);
    let mut agent = agent.env("WATCHDOG_USEC", WATCHDOG).started();
    systemd.wait_for("STATUS=ready");

    agent.reconfigure(&config("new/#"));
    systemd.wait_for("RELOADING=1");
    systemd.wait_for("MONOTONIC_USEC=");
    systemd.wait_for("STATUS=starting again");
    systemd.wait_for("READY=1");
    systemd.wait_for("STATUS=ready");
    for _ in 0..2 {
        systemd.wait_for("WATCHDOG=1");
    }

    // A configuration that is not used changes nothing, so nothing is reported.
    agent.reconfigure(&config("new/#").replace("buffer", "bufer"));
    agent.wait_for_log("going on with the old one");
    systemd.wait_for("WATCHDOG=1");
    assert_eq!(systemd.heard.iter().filter(|line| *line == "RELOADING=1").count(), 1);
    assert_eq!(agent.end("TERM").0.code(), Some(0));
}
