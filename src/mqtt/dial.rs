//! From a host name to a connected socket, without ever blocking the session.

use crate::mqtt::pump::Pump;
use crate::system::dial::{LookUp, Memory, Race, Step};
use mio::net::TcpStream;
use std::io;
use std::net::{IpAddr, SocketAddr};
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

/// Connects to one host and port.
#[derive(Debug)]
pub(super) struct Dialer {
    host: String,
    port: u16,
    /// The system's look-up cannot be interrupted, so one that hangs is kept for the next try.
    look_up: Option<LookUp>,
    memory: Memory,
}

impl Dialer {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Dialer { host: host.to_owned(), port, look_up: None, memory: Memory::default() }
    }

    /// Tries the addresses of the host side by side until one answers.
    pub(super) fn dial(
        &mut self,
        pump: &mut Pump,
        deadline: Instant,
    ) -> Result<(TcpStream, SocketAddr), NoDial> {
        let addresses = self.resolve(pump, deadline)?;
        let now = Instant::now();
        let mut race = Race::new(&self.host, &addresses, &self.memory, now, deadline);
        loop {
            if pump.is_stopped() {
                return Err(NoDial::Stopped);
            }
            let until = match race.step(Instant::now(), &mut |stream| pump.add(stream))? {
                Step::Connected(stream, address) => {
                    let failed = |error: io::Error| NoDial::Failed(error.to_string());
                    stream.set_nodelay(true).map_err(failed)?;
                    return Ok((stream, address));
                }
                Step::Wait(until) => until,
                Step::Failed(why) => return Err(NoDial::Failed(why)),
            };
            pump.sleep(Some(until))?;
        }
    }

    /// The last connection failed; another address of the host may be better.
    pub(super) fn doubt_latest(&self) {
        self.memory.doubt_latest();
    }

    fn resolve(&mut self, pump: &mut Pump, deadline: Instant) -> Result<Vec<SocketAddr>, NoDial> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let look_up = match self.look_up.take() {
            Some(look_up) => look_up,
            None => {
                let bell = pump.bell().clone();
                LookUp::start(&self.host, self.port, move || bell.ring()).map_err(NoDial::Failed)?
            }
        };
        loop {
            if let Some(found) = look_up.found() {
                return found.map_err(NoDial::Failed);
            }
            if pump.is_stopped() {
                return Err(NoDial::Stopped);
            }
            if Instant::now() >= deadline {
                self.look_up = Some(look_up);
                return Err(NoDial::Failed(format!(
                    "looking up the address of {} takes too long",
                    self.host
                )));
            }
            pump.sleep(Some(deadline))?;
        }
    }
}
