//! Names that stand for several addresses, of which some never answer.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test panics and tells")]

mod support;

use ilagent::system::dial::{Memory, connect};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::agent::{BINARY, get};
use support::broker::Broker;
use support::stand_in::StandIn;
use support::{Folder, event, free_port, wait_until};

/// Long enough for whatever a machine under load may do meanwhile, and far below the time-outs
/// that were waited for once.
const SOON: Duration = Duration::from_secs(7);

/// Listens with a full queue, so that the system drops each further SYN.
const SILENT: &str = r#"
import socket, sys, time
kept = []
for word in sys.argv[1:]:
    host, port = word.rsplit(" ", 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    listener.listen(0)
    kept.append(listener)
    for _ in range(8):
        filler = socket.socket(family)
        filler.setblocking(False)
        try:
            filler.connect((host, int(port)))
        except BlockingIOError:
            pass
        kept.append(filler)
time.sleep(0.2)
print("silent", flush=True)
time.sleep(600)
"#;

/// Addresses where nobody ever answers, until dropped.
struct Silence(Child);

impl Silence {
    /// `None` where one of the addresses cannot be had.
    fn at(addresses: &[SocketAddr]) -> Option<Self> {
        let words = addresses.iter().map(|address| format!("{} {}", address.ip(), address.port()));
        let child = Command::new("python3")
            .args(["-c", SILENT])
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut silence = Silence(child);
        let mut line = String::new();
        BufReader::new(silence.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (line == "silent\n").then_some(silence)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], port))
}

#[test]
fn silent_addresses_in_front_cost_a_moment_each_and_only_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = [at(2, port), at(3, port), at(4, port)];
    let _silence = Silence::at(&silent).expect("loopback has them all");
    let all = [&silent[..], &[at(1, port)]].concat();
    let memory = Memory::default();
    for limit in [10_000, 1_200, 10_000] {
        let began = Instant::now();
        let deadline = began + Duration::from_millis(limit);
        let stream = connect("api", &all, &memory, deadline).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), at(1, port));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    // Little time is shared among all of them.
    let began = Instant::now();
    let deadline = began + Duration::from_millis(1_200);
    connect("api", &all, &Memory::default(), deadline).unwrap();

    let deadline = Instant::now() + Duration::from_millis(300);
    let words = connect("api", &silent, &memory, deadline).unwrap_err().to_string();
    let wanted = silent.map(|address| format!("{address}: no answer")).join("; ");
    assert_eq!(words, format!("cannot connect to api: {wanted}"));
}

/// What a half-configured IPv6 does to a gateway.
#[test]
fn a_name_whose_first_address_is_silent_makes_nothing_late() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let api_port: u16 = api.url().rsplit(':').next().unwrap().parse().unwrap();
    let nowhere = [api_port, broker.port()].map(|port| format!("[::1]:{port}").parse().unwrap());
    let Some(_silence) = Silence::at(&nowhere) else {
        support::not_tested("there is no IPv6 here");
        return;
    };
    let folder = Folder::new();
    let hosts = folder.join("hosts");
    fs::write(&hosts, "::1 plant.example\n127.0.0.1 plant.example\n").unwrap();
    let own_hosts = format!("mount --bind {} /etc/hosts", hosts.display());
    let may = Command::new("unshare").args(["-m", "sh", "-c", &own_hosts]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        support::not_tested("only root can have an /etc/hosts of its own");
        return;
    }
    let (http, log) = (free_port(), folder.join("log"));
    let script = format!("{own_hosts} && exec \"$@\"");
    let daemon = Command::new("unshare")
        .args(["-m", "sh", "-c", &script, "sh", BINARY, "daemon", "-v", "-v"])
        .args(["-m", "plant.example", "-q", &broker.port().to_string(), "-e", "events/#"])
        .args(["--mqtt_qos", "1", "-p", &http.to_string(), "--bind", "127.0.0.1"])
        .arg("-f")
        .arg(folder.join("q.db3"))
        .env("ILERT_API_HOST", format!("http://plant.example:{api_port}"))
        .env_remove("RUST_LOG")
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut daemon = Silence(daemon);
    let began = Instant::now();
    wait_until("the agent is ready", || get(http, "/ready").is_some_and(|(code, _)| code == 204));
    assert!(began.elapsed() < SOON, "the broker's first address is not waited for");
    for name in ["one", "two"] {
        let began = Instant::now();
        support::publisher::Publisher::new(broker.port()).publish("events/a", event("k", name));
        wait_until("it is delivered", || api.accepted().iter().any(|known| known == name));
        assert!(began.elapsed() < SOON, "{name} after {:?}", began.elapsed());
    }
    let log = fs::read_to_string(&log).unwrap();
    for port in [api_port, broker.port()] {
        let told = format!("[::1]:{port} did not answer; 127.0.0.1:{port} did");
        assert_eq!(log.matches(&told).count(), 1, "{log}");
    }
    let _ = daemon.0.kill();
}
