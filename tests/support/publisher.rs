//! An MQTT 3.1.1 publisher, as small as a test needs.

use super::session::framed;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Publisher {
    stream: TcpStream,
    next_id: u16,
}

impl Publisher {
    pub fn new(port: u16) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Publisher::named(port, &format!("publisher-{number}"), None)
    }

    pub fn named(port: u16, client: &str, login: Option<(&str, &str)>) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut body = b"\x00\x04MQTT\x04".to_vec();
        body.push(if login.is_some() { 0xC2 } else { 0x02 });
        body.extend([0, 0]);
        body.extend(text(client));
        if let Some((user, password)) = login {
            body.extend(text(user));
            body.extend(text(password));
        }
        stream.write_all(&framed(0x10, &body)).unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).unwrap();
        assert_eq!(connack[3], 0, "the broker refused the publisher");
        Publisher { stream, next_id: 1 }
    }

    /// Publishes with QoS 1 and waits until the broker has it.
    pub fn publish(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        self.send(topic, payload.as_ref(), 1, false);
        self.confirmed(1);
    }

    pub fn retain(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        self.send(topic, payload.as_ref(), 1, true);
        self.confirmed(1);
    }

    pub fn publish_qos0(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        self.send(topic, payload.as_ref(), 0, false);
    }

    /// QoS 2, with all four packets.
    pub fn publish_qos2(&mut self, topic: &str, payload: impl AsRef<[u8]>) {
        self.send(topic, payload.as_ref(), 2, false);
        let mut received = [0; 4];
        self.stream.read_exact(&mut received).unwrap();
        self.stream.write_all(&[0x62, 2, received[2], received[3]]).unwrap();
        self.confirmed(1);
    }

    /// All at once, and waits until the broker has them all.
    pub fn burst(&mut self, topic: &str, payloads: impl IntoIterator<Item = String>) {
        let mut count = 0;
        for payload in payloads {
            self.send(topic, payload.as_bytes(), 1, false);
            count += 1;
        }
        self.confirmed(count);
    }

    fn send(&mut self, topic: &str, payload: &[u8], qos: u8, retain: bool) {
        let mut body = text(topic);
        if qos > 0 {
            body.extend(self.next_id.to_be_bytes());
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        }
        body.extend(payload);
        self.stream.write_all(&framed(0x30 | qos << 1 | u8::from(retain), &body)).unwrap();
    }

    fn confirmed(&mut self, count: usize) {
        self.stream.read_exact(&mut vec![0; count * 4]).unwrap();
    }
}

/// A text as it stands in a packet: its length, then its bytes.
pub fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}
