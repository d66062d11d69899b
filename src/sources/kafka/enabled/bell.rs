//! How other threads reach a sleeping consumer.

use crate::message::Desk;
use crate::system::pulse::Pulse;
use std::collections::HashSet;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where receipts are handed in, and what wakes the consumer: signatures, room in the queue, the
/// stop, and librdkafka when it has something new.
#[derive(Default)]
pub(super) struct Bell {
    mail: Mutex<Mail>,
    rings: Condvar,
    pulse: Pulse,
}

#[derive(Default)]
struct Mail {
    signed: Vec<u64>,
    room: bool,
    /// Somebody rang, and the consumer has not woken up since.
    rung: bool,
    /// Tickets of messages whose partitions have new owners, until they are handed in.
    withdrawn: HashSet<u64>,
}

impl Bell {
    /// Wakes the consumer, or keeps it from going to sleep.
    pub(super) fn ring(&self) {
        self.bring(|_| ());
    }

    /// Sleeps until somebody rings, for `patience` at most.
    pub(super) fn wait(&self, patience: Duration) {
        let mail = self.mail();
        let waited = self.rings.wait_timeout_while(mail, patience, |mail| !mail.rung);
        let (mut mail, _) = waited.unwrap_or_else(PoisonError::into_inner);
        mail.rung = false;
    }

    /// Where the consumer gives signs of life.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Takes the signed tickets.
    pub(super) fn take_signed(&self) -> Vec<u64> {
        mem::take(&mut self.mail().signed)
    }

    /// Whether there is room in the queue again.
    pub(super) fn take_room(&self) -> bool {
        mem::take(&mut self.mail().room)
    }

    /// Messages with these tickets are no longer ours to deliver.
    pub(super) fn withdraw(&self, tickets: Vec<u64>) {
        self.mail().withdrawn.extend(tickets);
    }

    fn bring(&self, bring: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail();
        bring(&mut mail);
        // Only the first caller pays for waking a sleeping consumer.
        if !mem::replace(&mut mail.rung, true) {
            self.rings.notify_one();
        }
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk for Bell {
    fn signed(&self, ticket: u64) {
        self.bring(|mail| {
            if !mail.withdrawn.remove(&ticket) {
                mail.signed.push(ticket);
            }
        });
    }

    fn room(&self) {
        self.bring(|mail| mail.room = true);
    }

    fn is_withdrawn(&self, ticket: u64) -> bool {
        self.mail().withdrawn.contains(&ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn a_sleeping_consumer_is_woken_and_finds_everything() {
        let bell = Arc::new(Bell::default());
        bell.signed(1);
        bell.wait(Duration::from_secs(30));
        assert!(!bell.take_room());
        assert_eq!(bell.take_signed(), [1]);

        let other = Arc::clone(&bell);
        let bringer = std::thread::spawn(move || {
            for ticket in 2..100 {
                other.signed(ticket);
            }
            other.room();
        });
        let since = Instant::now();
        let (mut count, mut room) = (0, false);
        while !room {
            bell.wait(Duration::from_secs(30));
            room = bell.take_room();
            count += bell.take_signed().len();
        }
        bringer.join().unwrap();
        assert_eq!(count, 98);
        assert!(since.elapsed() < Duration::from_secs(30), "it was woken");
    }
}
