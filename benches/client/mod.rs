//! A client of the agent's listeners that keeps its connection.

#![allow(dead_code, unreachable_pub, reason = "each benchmark uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub struct Connection {
    reader: BufReader<TcpStream>,
    target: &'static str,
}

impl Connection {
    /// Posts to a target.
    pub fn to(port: u16, target: &'static str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { reader: BufReader::new(stream), target }
    }

    pub fn write(&mut self, body: &str) {
        self.send(body);
        self.answered();
    }

    pub fn send(&mut self, body: &str) {
        let target = self.target;
        let length = body.len();
        let request =
            format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
        self.reader.get_mut().write_all(request.as_bytes()).unwrap();
    }

    pub fn answered(&mut self) {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        assert!(line.contains(" 204 "), "{line}{}", self.rest());
        while line != "\r\n" {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
        }
    }

    fn rest(&mut self) -> String {
        let mut bytes = [0; 400];
        let count = self.reader.read(&mut bytes).unwrap_or_default();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }
}
