//! When to ping, and when to give a silent connection up.

use std::time::{Duration, Instant};

/// The least time an answer may take.
const PATIENCE_MIN: Duration = Duration::from_secs(2);

/// The longest time an answer may take.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// The signs of life of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    /// Pings after that much silence; `None` is never.
    interval: Option<Duration>,
    patience: Duration,
    sent: Instant,
    heard: Instant,
    /// When the ping went out that nothing has been heard since.
    pinged: Option<Instant>,
}

/// What the time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// Nothing has been heard for too long.
    GiveUp,
}

impl Pace {
    /// A broker ends a connection that is silent for one and a half keep-alives, so three quarters
    /// leave time for a slow network, and make few wake-ups.
    pub(super) fn new(keep_alive: Duration, now: Instant) -> Self {
        let interval = (!keep_alive.is_zero()).then(|| keep_alive * 3 / 4);
        let patience = (keep_alive / 2).clamp(PATIENCE_MIN, PATIENCE_MAX);
        Pace { interval, patience, sent: now, heard: now, pinged: None }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    pub(super) fn pinged(&mut self, now: Instant) {
        self.pinged.get_or_insert(now);
        self.sent = now;
    }

    /// Bytes have come, or reading begins again after a pause in which nothing could be heard.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// While `paused` nothing is read, so nothing can be heard; the broker still wants its pings.
    pub(super) fn due(&self, now: Instant, paused: bool) -> Due {
        match self.next(paused) {
            Some((at, due)) if at <= now => due,
            Some(_) | None => Due::Nothing,
        }
    }

    /// When [`Pace::due`] will have something new to say.
    pub(super) fn wake_at(&self, paused: bool) -> Option<Instant> {
        self.next(paused).map(|(at, _)| at)
    }

    fn next(&self, paused: bool) -> Option<(Instant, Due)> {
        let interval = self.interval?;
        match self.pinged {
            Some(pinged) if !paused => Some((pinged + self.patience, Due::GiveUp)),
            Some(_) => Some((self.sent + interval, Due::Ping)),
            None if paused => Some((self.sent + interval, Due::Ping)),
            None => Some((self.sent.min(self.heard) + interval, Due::Ping)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_pinged_and_given_up_without_an_answer() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(Duration::from_secs(60), start);
        assert_eq!(pace.due(at(44), false), Due::Nothing);
        assert_eq!(pace.wake_at(false), Some(at(45)));
        assert_eq!(pace.due(at(45), false), Due::Ping);
        pace.pinged(at(45));
        assert_eq!(pace.due(at(74), false), Due::Nothing);
        assert_eq!(pace.due(at(75), false), Due::GiveUp);
        pace.heard(at(46));
        assert_eq!(pace.wake_at(false), Some(at(90)));
    }

    #[test]
    fn a_ping_is_saved_where_both_sides_are_talking_and_only_there() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(Duration::from_secs(60), start);
        pace.sent(at(30));
        assert_eq!(pace.due(at(50), false), Due::Ping, "nothing has been heard");
        pace.heard(at(40));
        assert_eq!(pace.due(at(50), false), Due::Nothing);
    }

    #[test]
    fn while_nothing_is_read_pings_go_out_and_answers_are_not_missed() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(Duration::from_secs(60), start);
        for round in 1..5 {
            assert_eq!(pace.due(at(45 * round), true), Due::Ping);
            pace.pinged(at(45 * round));
            assert_eq!(pace.due(at(45 * round + 44), true), Due::Nothing);
        }
        pace.heard(at(230));
        assert_eq!(pace.due(at(230), false), Due::Ping);
    }

    #[test]
    fn no_keep_alive_means_no_pings() {
        let pace = Pace::new(Duration::ZERO, Instant::now());
        assert_eq!(pace.wake_at(false), None);
    }
}
