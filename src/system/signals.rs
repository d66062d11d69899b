//! SIGTERM and SIGINT, alike: the first asks for the orderly end, the second ends at once. SIGHUP
//! asks for the configuration to be read again.

use crate::system::threads;
use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a process that was asked twice, as shells count: 128 and the signal.
const IMPATIENT: i32 = 130;

/// What the process is asked for.
#[derive(Debug)]
pub struct Signals {
    /// Receives once, when the end is asked for.
    pub end: Receiver<()>,
    /// Receives when the configuration is to be read again; several requests may become one.
    pub reload: Receiver<()>,
}

/// Hears signals from now on.
///
/// # Errors
///
/// Fails when the system has no descriptor or thread left.
pub fn listen() -> io::Result<Signals> {
    let (ours, theirs) = UnixStream::pair()?;
    let (end, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag unset, and the second one ends.
        signal_hook::flag::register_conditional_shutdown(signal, IMPATIENT, Arc::clone(&end))?;
        signal_hook::flag::register(signal, Arc::clone(&end))?;
    }
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload))?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
    }
    let (tell_end, told_end) = bounded(1);
    let (tell_reload, told_reload) = bounded(1);
    threads::spawn("signals", move || pass_on(ours, &end, &reload, &tell_end, &tell_reload))?;
    Ok(Signals { end: told_end, reload: told_reload })
}

fn pass_on(
    mut signals: UnixStream,
    end: &AtomicBool,
    reload: &AtomicBool,
    tell_end: &Sender<()>,
    tell_reload: &Sender<()>,
) {
    let mut byte = [0];
    while !end.load(Ordering::Acquire) && signals.read_exact(&mut byte).is_ok() {
        if reload.swap(false, Ordering::AcqRel) {
            // A request that waits already is as good.
            let _ = tell_reload.try_send(());
        }
    }
    // Nobody listens any more when the agent is already ending.
    let _ = tell_end.send(());
}
