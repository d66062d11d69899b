//! The control socket beside the database: how `ilagent queue` asks a running agent.
//!
//! One line of JSON each way. The database file alone would not do: where the file system has no
//! shared memory maps the agent has the file for itself, and a delivery set free should go at once.

use super::admin::Command;
use super::schema::beside;
use super::writer::Request;
use crate::system::threads;
use crossbeam_channel::{Sender, bounded};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest question, in bytes.
const QUESTION_MAX: u64 = 1024 * 1024;

/// The socket of this process, removed when it is closed.
pub(super) struct Socket {
    path: PathBuf,
}

impl Socket {
    pub(super) fn close(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("control: {}: {error}", self.path.display());
        }
    }
}

pub(super) fn path(database: &Path) -> PathBuf {
    beside(database, ".sock")
}

/// Listens beside the database. The caller holds the lock on it, so a socket that is there is
/// left over from an agent that was killed. An agent without a socket works all the same.
pub(super) fn listen(database: &Path, requests: Sender<Request>) -> Option<Socket> {
    let path = path(database);
    match bind(&path) {
        Ok(listener) => {
            let served = threads::spawn("control", move || serve(&listener, &requests));
            served.ok().map(|_| Socket { path })
        }
        Err(error) => {
            log::warn!(
                "control: cannot listen on {}: {error}; `ilagent queue` will not work while the \
                 agent runs",
                path.display()
            );
            None
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn serve(listener: &UnixListener, requests: &Sender<Request>) {
    for stream in listener.incoming() {
        match stream.and_then(|stream| answer(&stream, requests)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => log::debug!("control: {error}"),
        }
    }
}

/// Answers one question; `false` when the queue is closed.
fn answer(stream: &UnixStream, requests: &Sender<Request>) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(QUESTION_MAX)).read_line(&mut line)?;
    let said = match serde_json::from_str(&line).ok().as_ref().and_then(Command::from_json) {
        Some(command) => {
            let (tell, told) = bounded(1);
            if requests.send(Request::Admin(command, tell)).is_err() {
                return Ok(false);
            }
            told.recv().unwrap_or_else(|_| Err("the agent is ending".to_owned()))
        }
        None => Err("the question was not understood".to_owned()),
    };
    let reply = match said {
        Ok(text) => json!({ "text": text }),
        Err(what) => json!({ "error": what }),
    };
    let mut stream = stream;
    writeln!(stream, "{reply}")?;
    Ok(true)
}

/// Asks the agent that has the database open; `None` when none listens.
pub(super) fn ask(database: &Path, command: &Command) -> Option<Result<String, String>> {
    let stream = UnixStream::connect(path(database)).ok()?;
    Some(converse(&stream, command).unwrap_or_else(|error| {
        Err(format!("the agent that has {} open does not answer: {error}", database.display()))
    }))
}

fn converse(stream: &UnixStream, command: &Command) -> io::Result<Result<String, String>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut writing = stream;
    writeln!(writing, "{}", command.to_json())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let reply: Value = serde_json::from_str(&line)?;
    Ok(match (reply["text"].as_str(), reply["error"].as_str()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, error) => Err(error.unwrap_or("the agent said nothing").to_owned()),
    })
}
