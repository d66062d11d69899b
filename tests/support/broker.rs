//! A real mosquitto with its own configuration, folder and port.

use super::process::Process;
use super::session::{Peer, framed};
use super::{Folder, PATIENCE, free_port, wait_until};
use std::collections::HashSet;
use std::fs;
use std::net::TcpStream;
use std::process::Command;

pub struct Broker {
    /// Before the folder, which has its log.
    process: Process,
    folder: Folder,
    port: u16,
}

impl Broker {
    /// As Debian ships it, without persistence.
    pub fn new() -> Self {
        Broker::with("persistence false\n")
    }

    /// Keeps sessions and messages over its own restarts.
    pub fn persistent() -> Self {
        Broker::with("persistence true\nautosave_interval 1\nautosave_on_changes true\n")
    }

    /// With lines of its own in the configuration; `{folder}` in them is its folder.
    pub fn with(lines: &str) -> Self {
        Broker::prepared(Folder::new(), lines)
    }

    /// In a folder that holds files the lines speak of.
    pub fn prepared(folder: Folder, lines: &str) -> Self {
        let port = free_port();
        let here = folder.path().display().to_string();
        let listener = if lines.contains("listener ") {
            String::new()
        } else {
            format!("listener {port} 127.0.0.1\n")
        };
        let log = if lines.contains("log_type ") { "" } else { "log_type all\n" };
        let access = if lines.contains("password_file") { "false" } else { "true" };
        let text = format!(
            "{listener}{lines}\nallow_anonymous {access}\npersistence_location {here}/\nuser root\n\
             max_queued_messages 0\nlog_dest file {here}/broker.log\n{log}"
        );
        let text = text.replace("{folder}", &here).replace("{port}", &port.to_string());
        fs::write(folder.join("broker.conf"), text).unwrap();
        let process = Process::new("mosquitto", folder.join("broker.log"));
        let mut broker = Broker { process, folder, port };
        broker.start();
        broker
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn start(&mut self) {
        self.process.spawn(
            Command::new("/usr/sbin/mosquitto").arg("-c").arg(self.folder.join("broker.conf")),
        );
        let port = self.port;
        self.process.wait_ready(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM: what is to persist is written.
    pub fn stop(&mut self) {
        self.process.end("TERM");
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Publishes on a connection of its own and waits until the broker has everything; each message
    /// is a topic, the low bits of a PUBLISH's first byte and a payload.
    pub fn publish(&self, messages: &[(&str, u8, &str)]) {
        let mut peer = Peer(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        peer.0.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.send(&framed(0x10, b"\0\x04MQTT\x04\x02\0\x3c\0\x04test"));
        assert_eq!(peer.read(), (0x20, vec![0, 0]));
        for (&(topic, flags, payload), packet_id) in messages.iter().zip(1..) {
            peer.publish(flags, topic, packet_id, payload.as_bytes());
            match flags & 6 {
                2 => assert_eq!(peer.acks(1), [(0x40, packet_id)]),
                4 => {
                    assert_eq!(peer.acks(1), [(0x50, packet_id)]);
                    let [high, low] = packet_id.to_be_bytes();
                    peer.send(&[0x62, 2, high, low]);
                    assert_eq!(peer.acks(1), [(0x70, packet_id)]);
                }
                _ => (),
            }
        }
        peer.send(&[0xC0, 0]);
        assert_eq!(peer.read().0, 0xD0);
        peer.send(&[0xE0, 0]);
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// How often a line with this in it stands in the log.
    pub fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// How often a client with this id connected.
    pub fn connects(&self, client: &str) -> usize {
        self.logged(&format!(" as {client} ("))
    }

    /// Waits until a client has acknowledged so many messages of QoS 1: an agent that is killed now
    /// does not get them again.
    #[track_caller]
    pub fn wait_for_acks(&self, client: &str, count: usize) {
        self.wait_for_log(&format!("Received PUBACK from {client} "), count);
    }

    /// Waits until a client has acknowledged all messages of QoS 1 that it was sent.
    #[track_caller]
    pub fn wait_until_acknowledged(&self, client: &str) {
        let sent = format!("Sending PUBLISH to {client} (");
        let acknowledged = format!("Received PUBACK from {client} (Mid: ");
        let id = |text: &str| text.split([',', ')']).next().map(str::to_owned);
        wait_until(&format!("{client} has acknowledged everything"), || {
            let mut open = HashSet::new();
            for line in self.log().lines() {
                if let Some((_, rest)) = line.split_once(&sent)
                    && rest.contains(", q1, ")
                {
                    open.extend(rest.split_once(", m").and_then(|(_, rest)| id(rest)));
                } else if let Some((_, rest)) = line.split_once(&acknowledged) {
                    open.remove(&id(rest).unwrap_or_default());
                }
            }
            open.is_empty()
        });
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str, times: usize) {
        wait_until(&format!("mosquitto logs `{text}` {times} times"), || {
            self.logged(text) >= times
        });
    }
}
