//! A process that belongs to a test: it writes a log, and it does not outlive the test.

use super::{PATIENCE, wait_until, wait_within};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much of the log a test shows that fails.
const SHOWN_BYTES: usize = 6_000;

/// Sends a signal to a process by its id.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().unwrap();
    assert!(sent.success(), "kill -{name} {id}");
}

/// A process that can be started, ended and started again.
pub struct Process {
    /// As messages call it, such as `the agent`.
    name: &'static str,
    /// What it prints is appended to this file.
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Not started yet.
    pub fn new(name: &'static str, log: PathBuf) -> Self {
        Process { name, log, child: None }
    }

    pub fn spawn(&mut self, command: &mut Command) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let spawned = command.spawn();
        self.child =
            Some(spawned.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name)));
    }

    /// Waits until it is ready, and fails the test at once if it ends instead.
    #[track_caller]
    pub fn wait_ready(&mut self, is_ready: impl FnMut() -> bool) {
        self.wait_ready_within(PATIENCE, is_ready);
    }

    /// Like `wait_ready`, with another patience.
    #[track_caller]
    pub fn wait_ready_within(&mut self, patience: Duration, mut is_ready: impl FnMut() -> bool) {
        wait_within(patience, &format!("{} is ready", self.name), || {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().unwrap()
            {
                panic!("{} ended, {status}:\n{}", self.name, self.log());
            }
            is_ready()
        });
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name)).id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// SIGKILL. Also removes what libfaketime removes at an orderly end.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = child.kill();
        let _ = child.wait();
        for name in ["faketime_shm", "sem.faketime_sem"] {
            let _ = fs::remove_file(format!("/dev/shm/{name}_{}", child.id()));
        }
    }

    /// Sends SIGKILL and does not wait for the end.
    pub fn ask_to_die(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().unwrap();
        }
    }

    /// Sends a signal and waits for the end; gives the exit status and the time it took.
    #[track_caller]
    pub fn end(&mut self, name: &str) -> (ExitStatus, Duration) {
        let since = Instant::now();
        self.signal(name);
        (self.wait_end(), since.elapsed())
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap_or_else(|| panic!("{} does not run", self.name));
        let mut status = None;
        wait_until(&format!("{} ends", self.name), || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// What it has printed so far, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let end = &log.as_bytes()[log.len().saturating_sub(SHOWN_BYTES)..];
            eprintln!("--- {}: its log ends\n{}", self.name, String::from_utf8_lossy(end));
        }
    }
}
