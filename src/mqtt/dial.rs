//! From a host name to a connected socket, without ever blocking the session.

use crate::mqtt::pump::Pump;
use crate::system::threads;
use mio::net::TcpStream;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoDial {
    /// The stop has come.
    Stopped,
    /// In words.
    Failed(String),
    /// The system cannot wait for sockets.
    Broken(io::Error),
}

impl From<io::Error> for NoDial {
    fn from(error: io::Error) -> Self {
        NoDial::Broken(error)
    }
}

/// What a look-up found; `None` while it is under way.
type Found = Arc<Mutex<Option<io::Result<Vec<SocketAddr>>>>>;

/// Connects to one host and port.
#[derive(Debug)]
pub(super) struct Dialer {
    host: String,
    port: u16,
    /// The system's look-up cannot be interrupted: one that hangs is waited for the next time.
    lookup: Option<Found>,
}

impl Dialer {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Dialer { host: host.to_owned(), port, lookup: None }
    }

    /// Tries every address until one answers, each with its share of the time.
    pub(super) fn dial(
        &mut self,
        pump: &mut Pump,
        deadline: Instant,
    ) -> Result<(TcpStream, SocketAddr), NoDial> {
        let addresses = self.resolve(pump, deadline)?;
        let mut last = "it has no address".to_owned();
        for (at, &address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            let now = Instant::now();
            let share = deadline.saturating_duration_since(now) / left;
            match connect(pump, address, now + share) {
                Ok(stream) => return Ok((stream, address)),
                Err(NoDial::Failed(why)) => last = format!("{address}: {why}"),
                Err(other) => return Err(other),
            }
        }
        Err(NoDial::Failed(format!("cannot connect to {}: {last}", self.host)))
    }

    fn resolve(&mut self, pump: &mut Pump, deadline: Instant) -> Result<Vec<SocketAddr>, NoDial> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let found = match self.lookup.take() {
            Some(found) => found,
            None => self.look_up(pump)?,
        };
        loop {
            let looked_up = found.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(looked_up) = looked_up {
                return looked_up.map_err(|error| {
                    NoDial::Failed(format!("cannot find the address of {}: {error}", self.host))
                });
            }
            if pump.is_stopped() {
                return Err(NoDial::Stopped);
            }
            if Instant::now() >= deadline {
                self.lookup = Some(found);
                return Err(NoDial::Failed(format!(
                    "looking up the address of {} takes too long",
                    self.host
                )));
            }
            pump.sleep(Some(deadline))?;
        }
    }

    /// Starts a look-up on a thread of its own, which rings when it is done.
    fn look_up(&self, pump: &Pump) -> Result<Found, NoDial> {
        let found = Found::default();
        let (host, port) = (self.host.clone(), self.port);
        let (found_there, bell) = (found.clone(), pump.bell().clone());
        threads::spawn(&format!("dns {host}"), move || {
            let result = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            *found_there.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            bell.ring();
        })
        .map_err(|error| NoDial::Failed(format!("cannot start a thread: {error}")))?;
        Ok(found)
    }
}

fn connect(pump: &mut Pump, address: SocketAddr, deadline: Instant) -> Result<TcpStream, NoDial> {
    let failed = |error: io::Error| NoDial::Failed(error.to_string());
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    pump.add(&mut stream)?;
    loop {
        if pump.is_stopped() {
            return Err(NoDial::Stopped);
        }
        let ready = pump.sleep(Some(deadline))?;
        if ready.writable {
            if let Some(error) = stream.take_error().map_err(failed)? {
                return Err(failed(error));
            }
            match stream.peer_addr() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::NotConnected => (),
                Err(error) => return Err(failed(error)),
            }
        }
        if Instant::now() >= deadline {
            return Err(NoDial::Failed("no answer".to_owned()));
        }
    }
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}
