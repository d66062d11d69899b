//! The control socket beside the database: how `ilagent queue`, `status` and `tail` ask a running
//! agent.
//!
//! One line of JSON each way; `tail` gets lines until either side has enough. The database file alone would not do: where the file system has no
//! shared memory maps the agent has the file for itself, and a delivery set free should go at once.

use super::Command;
use crate::queue::database::schema::beside;
use crate::queue::tail::{Following, Tail, Wanted};
use crate::system::stop::{self, Stop, Stopper};
use crate::system::threads::{self, lock};
use crossbeam_channel::{Receiver, select};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a client hears that its command is still being carried out.
const BEAT: Duration = Duration::from_secs(2);

/// The pause after a failed accept: the system is short of something, and only time brings it back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The question how the agent is.
const STATUS: &str = "status";

/// The wish to see what passes.
const TAIL: &str = "tail";

/// Longest question, in bytes.
const QUESTION_MAX: u64 = 1024 * 1024;

/// The socket of this process, and the thread that answers on it. Both end with [`Socket::close`].
pub(in crate::queue) struct Socket {
    path: PathBuf,
    /// The listening socket under another type: a standard listener cannot be shut down.
    listening: UnixStream,
    serving: Serving,
    followed: Followed,
    open: Stopper,
    thread: JoinHandle<()>,
}

/// The connection that is being answered, so that its client does not hold up the end.
type Serving = Arc<Mutex<Option<UnixStream>>>;

/// The connections of those who follow, and the threads that write to them.
type Followed = Arc<Mutex<Vec<(UnixStream, JoinHandle<()>)>>>;

impl Socket {
    /// Whether clients find it.
    pub(in crate::queue) fn is_there(&self) -> bool {
        self.path.exists()
    }

    pub(in crate::queue) fn close(self) {
        drop(self.open);
        // Ends an accept that waits, and every later one.
        let mut ended = self.listening.shutdown(Shutdown::Both);
        if let Some(stream) = &*lock(&self.serving) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("control: {}: {error}", self.path.display());
        }
        if ended.is_ok() && self.thread.join().is_err() {
            ended = Err(io::Error::other("its thread ended in disorder"));
        }
        // Nobody joins them any more.
        for (stream, thread) in lock(&self.followed).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
            if thread.join().is_err() {
                ended = Err(io::Error::other("a thread for `tail` ended in disorder"));
            }
        }
        if let Err(error) = ended {
            log::error!("control: {error}");
        }
    }
}

pub(in crate::queue) fn path(database: &Path) -> PathBuf {
    beside(database, ".sock")
}

/// Hands a command to the queue thread, and returns where its answer will be. `None` when the agent
/// ends, for which it must not wait.
type Ask = dyn Fn(Command, &Stop) -> Option<Receiver<Result<String, String>>> + Send;

/// How the agent is, as a JSON document; who knows is told to the queue once everything runs.
#[derive(Default)]
pub(in crate::queue) struct Reporter(Mutex<Option<Report>>);

/// Makes that document.
pub type Report = Box<dyn Fn() -> String + Send>;

impl Reporter {
    pub(in crate::queue) fn set(&self, report: Report) {
        *lock(&self.0) = Some(report);
    }

    fn report(&self) -> Result<String, String> {
        let report = lock(&self.0);
        report.as_ref().map(|report| report()).ok_or_else(|| "the agent is starting".to_owned())
    }
}

/// Listens beside the database. The caller holds the lock on it, so a socket that is there is
/// left over from an agent that was killed. An agent without a socket works all the same.
pub(in crate::queue) fn listen(
    database: &Path,
    reporter: &Arc<Reporter>,
    tail: &Arc<Tail>,
    ask: impl Fn(Command, &Stop) -> Option<Receiver<Result<String, String>>> + Send + 'static,
) -> Option<Socket> {
    let path = path(database);
    let shown = path.display().to_string();
    start(path, Arc::clone(reporter), Arc::clone(tail), Box::new(ask))
        .inspect_err(|error| {
            log::warn!(
                "control: cannot listen on {shown}: {error}; `ilagent queue` will not work while \
                 the agent runs"
            );
        })
        .ok()
}

fn start(
    path: PathBuf,
    reporter: Arc<Reporter>,
    tail: Arc<Tail>,
    ask: Box<Ask>,
) -> io::Result<Socket> {
    let listener = bind(&path)?;
    let listening = UnixStream::from(OwnedFd::from(listener.try_clone()?));
    let (open, stop) = stop::pair();
    let (serving, followed) = (Serving::default(), Followed::default());
    let control = Control {
        ask,
        reporter,
        tail,
        serving: Arc::clone(&serving),
        followed: Arc::clone(&followed),
        stop,
    };
    let thread = threads::spawn("control", move || control.run(&listener))?;
    Ok(Socket { path, listening, serving, followed, open, thread })
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// What the answering thread needs.
struct Control {
    ask: Box<Ask>,
    reporter: Arc<Reporter>,
    tail: Arc<Tail>,
    serving: Serving,
    followed: Followed,
    stop: Stop,
}

impl Control {
    fn run(&self, listener: &UnixListener) {
        for stream in listener.incoming() {
            if self.stop.is_set() {
                return;
            }
            match stream {
                Ok(stream) => {
                    if let Err(error) = self.serve(&stream) {
                        log::debug!("control: {error}");
                    }
                    self.serving(None);
                }
                Err(error) => {
                    log::debug!("control: cannot accept connections: {error}");
                    if self.stop.is_set_within(ACCEPT_PAUSE) {
                        return;
                    }
                }
            }
        }
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        self.serving(Some(stream.try_clone()?));
        // The end may have come before the stream could be seen.
        if self.stop.is_set() { Ok(()) } else { self.answer(stream) }
    }

    fn serving(&self, stream: Option<UnixStream>) {
        *lock(&self.serving) = stream;
    }

    /// Answers one question.
    fn answer(&self, mut stream: &UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream.take(QUESTION_MAX)).read_line(&mut line)?;
        let question: Option<Value> = serde_json::from_str(&line).ok();
        let said = match question.as_ref() {
            Some(question) if question.get(STATUS).is_some() => self.reporter.report(),
            Some(question) if question.get(TAIL).is_some() => {
                match self.follow(stream, &question[TAIL]) {
                    Ok(()) => return Ok(()),
                    Err(why) => Err(why),
                }
            }
            question => match question.and_then(Command::from_json) {
                Some(command) => self.ask_queue(command, stream),
                None => Err("the question was not understood".to_owned()),
            },
        };
        let reply = match said {
            Ok(text) => json!({ "text": text }),
            Err(what) => json!({ "error": what }),
        };
        writeln!(stream, "{reply}")
    }

    /// Has a thread of its own write to who follows, so that others are answered meanwhile.
    fn follow(&self, stream: &UnixStream, wanted: &Value) -> Result<(), String> {
        let following = self.tail.follow(Wanted::from_json(wanted));
        let following = following.ok_or("too many follow already; end another `ilagent tail`")?;
        let begin = || {
            let (kept, writes) = (stream.try_clone()?, stream.try_clone()?);
            writes.set_write_timeout(None)?;
            let stop = self.stop.clone();
            let thread = threads::spawn("tail", move || {
                if let Err(error) = write_lines(&writes, &following, &stop) {
                    log::debug!("control: tail: {error}");
                }
                // The other clone would keep it open.
                let _ = writes.shutdown(Shutdown::Both);
            })?;
            let mut followed = lock(&self.followed);
            followed.retain(|(_, thread)| !thread.is_finished());
            followed.push((kept, thread));
            Ok(())
        };
        begin().map_err(|error: io::Error| format!("no thread for it: {error}"))
    }

    /// The queue thread joins this one, so neither its full channel nor its silence is waited for
    /// once it has asked for the end.
    ///
    /// While a command takes its time the client gets an empty line now and then.
    fn ask_queue(&self, command: Command, mut stream: &UnixStream) -> Result<String, String> {
        let ending = || Err("the agent is ending".to_owned());
        let Some(told) = (self.ask)(command, &self.stop) else { return ending() };
        loop {
            select! {
                recv(told) -> said => return said.unwrap_or_else(|_| ending()),
                recv(self.stop.receiver()) -> _ => return ending(),
                // A client that is gone does not hold up what it asked for.
                default(BEAT) => drop(writeln!(stream)),
            }
        }
    }
}

/// Writes what passes until there is nobody to read it, or the stop. A reader that takes its time
/// misses lines, and hears how many.
fn write_lines(stream: &UnixStream, following: &Following, stop: &Stop) -> io::Result<()> {
    let mut out = BufWriter::new(stream);
    loop {
        let line = select! {
            recv(following.lines) -> line => line.unwrap_or_default(),
            recv(stop.receiver()) -> _ => return out.flush(),
            // Whether there is still a reader is only found out by writing.
            default(BEAT) => String::new(),
        };
        writeln!(out, "{line}")?;
        match following.missed() {
            0 => (),
            missed => writeln!(out, "({missed} more passed than could be shown)")?,
        }
        if following.lines.is_empty() {
            out.flush()?;
        }
    }
}

/// Hands each line that passes to `show`, until that says `false`.
///
/// # Errors
///
/// The agent does not answer or has ended; `None` when none listens.
pub(in crate::queue) fn follow(
    database: &Path,
    wanted: &Wanted,
    show: &mut dyn FnMut(&str) -> bool,
) -> Option<Result<(), String>> {
    let stream = UnixStream::connect(path(database)).ok()?;
    let ended = |error: io::Error| Err(format!("the agent says nothing more: {error}"));
    Some(read_lines(&stream, wanted, show).unwrap_or_else(ended))
}

fn read_lines(
    mut stream: &UnixStream,
    wanted: &Wanted,
    show: &mut dyn FnMut(&str) -> bool,
) -> io::Result<Result<(), String>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", json!({ TAIL: wanted.to_json() }))?;
    let (mut reader, mut line) = (BufReader::new(stream), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(Err("the agent has ended, or has read its configuration again".to_owned()));
        }
        // Only an error is JSON.
        if let Some(why) = line.starts_with('{').then(|| serde_json::from_str::<Value>(&line)) {
            return Ok(Err(why?["error"].as_str().unwrap_or("the agent refuses").to_owned()));
        }
        let text = line.trim_end();
        if !text.is_empty() && !show(text) {
            return Ok(Ok(()));
        }
    }
}

/// Asks the agent that has the database open; `None` when none listens.
pub(in crate::queue) fn ask(database: &Path, command: &Command) -> Option<Result<String, String>> {
    ask_for(database, &command.to_json())
}

/// How that agent is: the document of `/status`.
pub(in crate::queue) fn ask_status(database: &Path) -> Option<Result<String, String>> {
    ask_for(database, &json!({ STATUS: null }))
}

fn ask_for(database: &Path, question: &Value) -> Option<Result<String, String>> {
    let stream = UnixStream::connect(path(database)).ok()?;
    Some(converse(&stream, question).unwrap_or_else(|error| {
        Err(format!("the agent that has {} open does not answer: {error}", database.display()))
    }))
}

fn converse(stream: &UnixStream, question: &Value) -> io::Result<Result<String, String>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut writing = stream;
    writeln!(writing, "{question}")?;
    let (mut reader, mut line) = (BufReader::new(stream), String::new());
    while line.trim().is_empty() {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let reply: Value = serde_json::from_str(&line)?;
    Ok(match (reply["text"].as_str(), reply["error"].as_str()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, error) => Err(error.unwrap_or("the agent said nothing").to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Sender, bounded};
    use std::time::Instant;

    /// A socket, and the questions that wait behind it.
    fn socket(name: &str) -> (PathBuf, Socket, Receiver<Sender<Result<String, String>>>) {
        let folder =
            std::env::temp_dir().join(format!("ilagent-control-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let database = folder.join("q.db3");
        let (questions, received) = bounded(1);
        let socket = listen(&database, &Arc::default(), &Arc::default(), move |_, _| {
            let (tell, told) = bounded(1);
            questions.send(tell).ok().map(|()| told)
        });
        let socket = socket.unwrap();
        (database, socket, received)
    }

    /// Its thread has ended, nobody answers, and the file is gone.
    #[track_caller]
    fn check_closed(database: &Path, socket: Socket) {
        let since = Instant::now();
        socket.close();
        assert!(since.elapsed() < PATIENCE, "{:?}", since.elapsed());
        assert!(ask(database, &Command::List { limit: 1, json: false, sink: None }).is_none());
        assert!(!path(database).exists());
        fs::remove_dir_all(database.parent().unwrap()).unwrap();
    }

    #[test]
    fn closing_ends_the_thread_that_waits_for_a_connection() {
        let (database, socket, _received) = socket("idle");
        check_closed(&database, socket);
    }

    #[test]
    fn closing_does_not_wait_for_a_client_that_says_nothing() {
        let (database, socket, _received) = socket("silent");
        let silent = UnixStream::connect(path(&database)).unwrap();
        while socket.serving.lock().unwrap().is_none() {
            std::thread::yield_now();
        }
        check_closed(&database, socket);
        drop(silent);
    }

    #[test]
    fn closing_does_not_wait_for_a_queue_that_does_not_answer() {
        // The question waits in the channel for ever.
        let (database, socket, received) = socket("unanswered");
        let question = Command::List { limit: 1, json: false, sink: None }.to_json();
        let mut waits = UnixStream::connect(path(&database)).unwrap();
        writeln!(waits, "{question}").unwrap();
        while received.is_empty() {
            std::thread::yield_now();
        }
        check_closed(&database, socket);
        let mut reply = String::new();
        let _ = waits.read_to_string(&mut reply);
    }

    #[test]
    fn a_socket_whose_file_somebody_removed_is_closed_all_the_same() {
        let (database, socket, _received) = socket("removed");
        fs::remove_file(path(&database)).unwrap();
        check_closed(&database, socket);
    }
}
