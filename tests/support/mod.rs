//! What the tests of the whole agent share: a real mosquitto, a stand-in for ilert's API, the
//! agent as a process of its own, and patience that ends.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test panics and tells")]
#![allow(missing_docs, unreachable_pub, reason = "nobody but tests names it")]

pub mod account;
pub mod aedes;
pub mod agent;
pub mod broker;
pub mod certificates;
#[cfg(feature = "kafka")]
pub mod cluster;
pub mod cutfs;
pub mod dapr;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kapacitor;
pub mod openwrt;
pub mod packages;
pub mod ports;
pub mod process;
pub mod publisher;
pub mod publishing;
pub mod routes;
pub mod session;
pub mod stand_in;
pub mod subscriber;
pub mod tmpfs;
pub mod version_1;
pub mod words;

pub use ports::free_port;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that is bound to happen, on a slow machine with a slow disk.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until `happened`, and fails the test with `what` when it does not.
#[track_caller]
pub fn wait_until(what: &str, happened: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, happened);
}

/// Like `wait_until`, with another patience.
#[track_caller]
pub fn wait_within(patience: Duration, what: &str, mut happened: impl FnMut() -> bool) {
    until_within(patience, what, || happened().then_some(()));
}

/// Waits until `probe` gives something, and returns it.
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, probe)
}

#[track_caller]
fn until_within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "within {patience:?} it did not happen: {what}");
        std::thread::sleep(LOOK);
    }
}

/// Says why a test did nothing. Not by `eprintln!`, which nobody sees when a test passes.
pub fn not_tested(why: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "not tested: {name}: {why}");
}

/// A folder for one test, removed at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("ilagent-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An event as the documentation shows it, with its own id as summary and alert key.
pub fn event(key: &str, id: &str) -> String {
    format!(
        r#"{{"integrationKey":"{key}","eventType":"ALERT","summary":"{id}","alertKey":"{id}"}}"#
    )
}
