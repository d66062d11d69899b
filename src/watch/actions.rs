//! What handlers do on this machine: a line in a file, a program, a connection, a request. A thread
//! does it, so that no point waits for it; what fails is logged, and not done again.

use super::complaints::Complaints;
use crate::alerts::handlers::Action;
use crate::system::plain::plain_bytes;
use crate::system::stop::Stop;
use crate::system::threads::{self, Failures};
use crate::system::web::{Call, Client, Limits};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use log::{debug, warn};
use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most that wait to be done; what comes on top is not done.
const WAITING_MAX: usize = 1_000;

/// How long a connection or a request may take, if the handler does not say.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a program may run.
const PROGRAM_MAX: Duration = Duration::from_secs(30);

/// How often a program is looked at while it runs.
const LOOK: Duration = Duration::from_millis(20);

/// One thing to do.
pub(super) enum Deed {
    /// Add a line to a file.
    Log { path: String, mode: u32, line: String },
    /// Run a program with the event on its standard input.
    Exec { program: String, arguments: Vec<String>, input: String },
    /// Connect and send the event.
    Tcp { address: String, line: String },
    /// Send a request.
    Post { url: String, headers: Vec<(String, String)>, timeout: Duration, body: String },
}

impl Deed {
    /// What is to be done on this machine, if it is that.
    pub(super) fn of(action: Action<'_>) -> Option<Self> {
        Some(match action {
            Action::Log { path, mode, line } => Deed::Log { path: path.to_owned(), mode, line },
            Action::Exec { program, arguments, input } => {
                Deed::Exec { program: program.to_owned(), arguments: arguments.to_vec(), input }
            }
            Action::Tcp { address, line } => Deed::Tcp { address: address.to_owned(), line },
            Action::Post { url, headers, timeout, body, .. } => {
                let timeout = timeout.and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0);
                let timeout = timeout.map_or(TIMEOUT, Duration::from_nanos);
                Deed::Post { url: url.to_owned(), headers: headers.to_vec(), timeout, body }
            }
            Action::Deliver(_) | Action::Dead { .. } | Action::Publish(_) | Action::Gather => {
                return None;
            }
        })
    }

    /// The file, program, address or URL.
    fn target(&self) -> &str {
        match self {
            Deed::Log { path, .. } => path,
            Deed::Exec { program, .. } => program,
            Deed::Tcp { address, .. } => address,
            Deed::Post { url, .. } => url,
        }
    }

    fn carry_out(&self) -> Result<(), String> {
        match self {
            Deed::Log { path, mode, line } => {
                let opened = OpenOptions::new().create(true).append(true).mode(*mode).open(path);
                let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
                written.map_err(|error| error.to_string())
            }
            Deed::Exec { program, arguments, input } => run(program, arguments, input.as_bytes()),
            Deed::Tcp { address, line } => {
                send(address, line.as_bytes()).map_err(|error| error.to_string())
            }
            Deed::Post { url, headers, timeout, body } => {
                post(url, headers, *timeout, body.as_bytes())
            }
        }
    }
}

/// Where handlers hand in what is to be done. Boxed, because a channel fills its memory when it is
/// made.
#[derive(Clone)]
pub struct Actions(Sender<Box<Deed>>);

/// Nobody does anything.
impl Default for Actions {
    fn default() -> Self {
        actions().0
    }
}

impl Actions {
    pub(super) fn send(&self, deed: Deed) {
        if self.0.try_send(Box::new(deed)).is_err() {
            warn!("alerts: {WAITING_MAX} events wait for handlers; one more is not handled");
        }
    }
}

/// The thread that does it, before it runs.
pub struct Hands(Receiver<Box<Deed>>);

/// Where to hand in, and what does it.
#[must_use]
pub fn actions() -> (Actions, Hands) {
    let (tell, told) = bounded(WAITING_MAX);
    (Actions(tell), Hands(told))
}

impl Hands {
    /// Starts the thread; it ends with the stop.
    ///
    /// # Errors
    ///
    /// Fails when the system has no thread left.
    pub fn start(self, stop: &Stop, failures: &Failures) -> io::Result<JoinHandle<()>> {
        let stop = stop.clone();
        let mut complaints = Complaints::default();
        threads::spawn_vital("handlers", failures, move || {
            loop {
                let deed = select! {
                    recv(stop.receiver()) -> _ => break,
                    recv(self.0) -> deed => deed,
                };
                let Ok(deed) = deed else { break };
                if let Err(why) = deed.carry_out() {
                    let place = format!("the handler for {}", deed.target());
                    complaints.tell(place, &why, 1, Instant::now());
                }
            }
            Ok::<(), Infallible>(())
        })
    }
}

fn run(program: &str, arguments: &[String], input: &[u8]) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(words)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that reads nothing is none the worse.
        let _ = stdin.write_all(input);
    }
    let begin = Instant::now();
    loop {
        match child.try_wait().map_err(words)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if begin.elapsed() > PROGRAM_MAX => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it ran for more than {} s", PROGRAM_MAX.as_secs()));
            }
            None => std::thread::sleep(LOOK),
        }
    }
}

fn send(address: &str, line: &[u8]) -> io::Result<()> {
    let mut last = io::Error::other("there is no such address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(mut stream) => {
                stream.set_write_timeout(Some(TIMEOUT))?;
                return stream.write_all(line);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn post(
    url: &str,
    headers: &[(String, String)],
    timeout: Duration,
    body: &[u8],
) -> Result<(), String> {
    let client = Client::new(url, Limits { timeout, connections_max: 1 })?;
    let mut all = vec![("Content-Type", "application/json")];
    all.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let call = Call { method: "POST", url, headers: &all, body: Some(body), limit: timeout };
    let reply = client.call(&call)?;
    if (200..300).contains(&reply.status) {
        return Ok(());
    }
    debug!("alerts: {url}: {}", plain_bytes(&reply.body.unwrap_or_default()));
    Err(format!("a POST was answered with {}", reply.status))
}
