//! Threads with a name and a small stack, whose failure is never overlooked.

use crossbeam_channel::Sender;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// The stack of every thread; musl's default of 128 KiB is too small for a TLS handshake in a
/// debug build, glibc's of 8 MiB counts against the limits of small boxes.
const STACK_BYTES: usize = 256 * 1024;

/// The same for threads that evaluate what people have nested in each other. Only what is used of
/// it takes memory; a debug build uses much more.
pub const DEEP_STACK_BYTES: usize = if cfg!(debug_assertions) { 8 << 20 } else { 1 << 20 };

/// Where threads report that they failed for good. The agent then ends the process with that error.
#[derive(Clone, Debug)]
pub struct Failures(pub Sender<String>);

/// A lock is only poisoned by a panic, and a panic ends the process.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread that runs until the stop.
///
/// # Errors
///
/// Fails when the system has no thread left.
pub fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    spawn_with(STACK_BYTES, name, Box::new(run))
}

/// The same with [`DEEP_STACK_BYTES`].
///
/// # Errors
///
/// As [`spawn`].
pub fn spawn_deep<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    spawn_with(DEEP_STACK_BYTES, name, Box::new(run))
}

/// Boxed, all threads are started by the same code; the standard library has 2 KB for each other one.
fn spawn_with<T: Send + 'static>(
    stack_bytes: usize,
    name: &str,
    run: Box<dyn FnOnce() -> T + Send>,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(run)
}

/// Starts a thread whose error ends the agent: nothing is left half alive.
///
/// # Errors
///
/// Fails when the system has no thread left.
pub fn spawn_vital<E: std::fmt::Display>(
    name: &str,
    failures: &Failures,
    run: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (failures, thread_name) = (failures.clone(), name.to_owned());
    spawn(name, move || report(&thread_name, &failures, run()))
}

/// The same with [`DEEP_STACK_BYTES`].
///
/// # Errors
///
/// As [`spawn`].
pub fn spawn_deep_vital<E: std::fmt::Display>(
    name: &str,
    failures: &Failures,
    run: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (failures, thread_name) = (failures.clone(), name.to_owned());
    spawn_deep(name, move || report(&thread_name, &failures, run()))
}

fn report<E: std::fmt::Display>(name: &str, failures: &Failures, result: Result<(), E>) {
    if let Err(error) = result {
        // A full channel means that another failure is already ending the agent.
        let _ = failures.0.try_send(format!("{name}: {error}"));
    }
}
