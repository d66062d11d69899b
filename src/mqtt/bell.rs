//! How other threads reach a session that sleeps in its poll.

use crate::message::Desk;
use crate::system::pulse::Pulse;
use mio::Waker;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where receipts are handed in, and what wakes the session.
///
/// A wake-up is a system call, so only the first to bring something to a sleeping session pays for
/// it: `awake` means that the session will look before it sleeps again anyway.
pub(super) struct Bell {
    waker: Waker,
    awake: AtomicBool,
    /// Somebody has asked how we are.
    asked: AtomicBool,
    pulse: Pulse,
    mail: Mutex<Mail>,
}

#[derive(Default)]
struct Mail {
    slips: Vec<Slip>,
    room: bool,
    /// There may be something to publish.
    work: bool,
}

/// What was brought about a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slip {
    /// Its message is safe.
    Signed(u64),
    /// One of several deliveries of its message is.
    PartlySigned(u64),
}

impl Bell {
    /// The bell of a session that is awake.
    pub(super) fn new(waker: Waker) -> Self {
        Bell {
            waker,
            awake: AtomicBool::new(true),
            asked: AtomicBool::new(false),
            pulse: Pulse::default(),
            mail: Mutex::default(),
        }
    }

    /// Wakes the session whether it sleeps or not.
    pub(super) fn ring(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("mqtt: a session cannot be woken: {error}");
        }
    }

    /// There may be something to publish.
    pub(super) fn work(&self) {
        self.bring(|mail| mail.work = true);
    }

    /// Somebody asks how the session is, so it should watch its broker more closely.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether somebody has asked since the last call.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
    }

    /// Where the session shows that it is alive.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Moves what was brought into `slips`, in place of its content. Returns whether the queue has
    /// room again.
    pub(super) fn collect(&self, slips: &mut Vec<Slip>) -> bool {
        slips.clear();
        let mut mail = self.mail();
        mail.work = false;
        mem::swap(&mut mail.slips, slips);
        mem::take(&mut mail.room)
    }

    /// The session is about to sleep. `true` if something was brought, so that it must not.
    pub(super) fn doze(&self) -> bool {
        // Anybody who brings something later takes the lock after us, and so sees this.
        self.awake.store(false, Ordering::Release);
        let mail = self.mail();
        mail.room || mail.work || !mail.slips.is_empty()
    }

    /// The session has woken up.
    pub(super) fn rise(&self) {
        self.awake.store(true, Ordering::Release);
    }

    fn bring(&self, bring: impl FnOnce(&mut Mail)) {
        bring(&mut self.mail());
        if !self.awake.swap(true, Ordering::AcqRel) {
            self.ring();
        }
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk for Bell {
    fn signed(&self, ticket: u64) {
        self.bring(|mail| mail.slips.push(Slip::Signed(ticket)));
    }

    fn partly_signed(&self, ticket: u64) {
        // It matters only at the stop, so it wakes nobody.
        self.mail().slips.push(Slip::PartlySigned(ticket));
    }

    fn room(&self) {
        self.bring(|mail| mail.room = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_sleeping_session_is_woken_once_and_finds_everything() {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let bell = Arc::new(Bell::new(Waker::new(poll.registry(), Token(0)).unwrap()));
        let mut wakes = |timeout: u64| {
            poll.poll(&mut events, Some(Duration::from_millis(timeout))).unwrap();
            events.iter().count()
        };

        bell.signed(1);
        assert_eq!(wakes(0), 0, "it is awake, and will look");
        assert!(bell.doze(), "something has been brought");
        let mut slips = vec![Slip::Signed(9)];
        assert!(!bell.collect(&mut slips));
        assert_eq!(slips, [Slip::Signed(1)]);

        assert!(!bell.doze());
        let other = bell.clone();
        let bringer = std::thread::spawn(move || {
            for ticket in 2..100 {
                other.signed(ticket);
            }
            other.room();
        });
        assert_eq!(wakes(5_000), 1);
        bringer.join().unwrap();
        bell.rise();
        assert!(bell.collect(&mut slips));
        assert_eq!(slips.len(), 98);

        bell.work();
        assert!(bell.doze(), "there is something to publish");
        bell.rise();
        assert!(!bell.collect(&mut slips));
        assert!(!bell.doze());
    }
}
