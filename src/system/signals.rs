//! SIGTERM and SIGINT: the first one stops the agent in order, the second one ends it at once.
//! SIGHUP makes it read the configuration again, SIGUSR1 also makes every connection again.

use crate::system::threads;
use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code after a second signal, as shells count: 128 plus the signal.
const IMPATIENT: i32 = 130;

/// What signals ask for.
#[derive(Debug)]
pub struct Signals {
    /// Receives once, when the agent is to stop.
    pub end: Receiver<()>,
    /// Receives when the configuration is to be read again; several requests may become one.
    pub reload: Receiver<()>,
    /// Receives when everything is to be tried again now, for example because a link has come up.
    pub retry: Receiver<()>,
}

/// Listens for signals from now on.
///
/// # Errors
///
/// Fails when the system has no descriptor or thread left.
pub fn listen() -> io::Result<Signals> {
    let (ours, theirs) = UnixStream::pair()?;
    let [end, reload, retry] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag unset, and the second one ends the
        // process.
        signal_hook::flag::register_conditional_shutdown(signal, IMPATIENT, Arc::clone(&end))?;
        signal_hook::flag::register(signal, Arc::clone(&end))?;
    }
    signal_hook::flag::register(SIGUSR1, Arc::clone(&retry))?;
    // SIGHUP last: whoever sees that it is caught, as OpenWrt's init script does, may send any.
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload))?;
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
    }
    let (tell_end, told_end) = bounded(1);
    let (tell_reload, told_reload) = bounded(1);
    let (tell_retry, told_retry) = bounded(1);
    let again = [(reload, tell_reload), (retry, tell_retry)];
    threads::spawn("signals", move || pass_on(ours, &end, &tell_end, &again))?;
    Ok(Signals { end: told_end, reload: told_reload, retry: told_retry })
}

/// Asks the agent to stop, as SIGTERM does.
pub fn end() {
    if let Err(error) = signal_hook::low_level::raise(SIGTERM) {
        log::error!("agent: cannot ask for the stop: {error}");
    }
}

fn pass_on(
    mut signals: UnixStream,
    end: &AtomicBool,
    tell_end: &Sender<()>,
    again: &[(Arc<AtomicBool>, Sender<()>)],
) {
    let mut byte = [0];
    // Looks before it reads: a signal may have come before there was a pipe to write to.
    while !end.load(Ordering::Acquire) {
        for (asked, tell) in again {
            if asked.swap(false, Ordering::AcqRel) {
                // A request that waits already is enough.
                let _ = tell.try_send(());
            }
        }
        if signals.read_exact(&mut byte).is_err() {
            break;
        }
    }
    // Nobody listens any more if the agent is already ending.
    let _ = tell_end.send(());
}
