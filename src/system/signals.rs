//! SIGTERM and SIGINT, alike: the first asks for the orderly end, the second ends at once.

use crate::system::threads;
use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The exit code of a process that was asked twice, as shells count: 128 and the signal.
const IMPATIENT: i32 = 130;

/// A channel that receives when the process is asked to end.
///
/// # Errors
///
/// Fails when the system has no descriptor or thread left.
pub fn terminations() -> io::Result<Receiver<()>> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag unset, and the second one ends.
        signal_hook::flag::register_conditional_shutdown(signal, IMPATIENT, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
    }
    let (tell, told) = bounded(1);
    threads::spawn("signals", move || {
        let mut byte = [0];
        if ours.read_exact(&mut byte).is_ok() {
            // Nobody listens any more when the agent is already ending.
            let _ = tell.send(());
        }
    })?;
    Ok(told)
}
