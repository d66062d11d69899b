//! A small HTTP/1.1 listener with whole-request deadlines, bounds and a stop.

use crate::system::stop::Stop;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A request, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as sent, still percent-encoded, without the query.
    pub path: String,
    /// Header names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names and values; length and connection headers are the listener's.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Most connections at a time.
    pub connections_max: usize,
}

/// A bound listener.
pub struct Listener;

/// Binds, so that a port in use is found before anything starts.
///
/// # Errors
///
/// Fails when the address cannot be bound.
pub fn bind(_address: IpAddr, _port: u16) -> io::Result<Listener> {
    todo!()
}

impl Listener {
    /// Where it listens; useful when the system chose the port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        todo!()
    }

    /// Answers requests with `handler` until told to stop, one thread a connection.
    ///
    /// # Errors
    ///
    /// Fails when the first thread cannot be started.
    pub fn start(
        self,
        _limits: Limits,
        _handler: Arc<dyn Fn(&Request) -> Response + Send + Sync>,
        _stop: &Stop,
    ) -> io::Result<JoinHandle<()>> {
        let _ = TcpListener::bind("127.0.0.1:0");
        todo!()
    }
}
