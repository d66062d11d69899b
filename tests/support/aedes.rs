//! A broker that is not mosquitto: aedes, from npm's registry, which also speaks WebSocket.

use super::packages::npm;
use super::{free_port, wait_until};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What is fetched, once for all runs.
const PACKAGES: [&str; 2] = ["aedes@0.51.3", "ws@8.18.0"];

pub struct Aedes {
    pub port: u16,
    /// Where its WebSocket is.
    pub web_port: u16,
    process: Child,
}

impl Aedes {
    /// Fetches and starts it.
    ///
    /// # Errors
    ///
    /// Says in words what this machine lacks.
    pub fn start() -> Result<Self, String> {
        let modules = npm("aedes", &PACKAGES)?;
        let (port, web_port) = (free_port(), free_port());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/aedes.js");
        let process = Command::new("node")
            .env("NODE_PATH", modules)
            .arg(script)
            .args([port.to_string(), web_port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("there is no node: {error}"))?;
        let mut aedes = Aedes { port, web_port, process };
        wait_until("aedes listens", || {
            assert_eq!(aedes.process.try_wait().unwrap(), None, "it runs");
            [port, web_port].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        });
        Ok(aedes)
    }
}

impl Drop for Aedes {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
