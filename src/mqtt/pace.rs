//! When to ping, and when to give up a silent connection.

use std::time::{Duration, Instant};

/// The shortest time we allow for an answer.
const PATIENCE_MIN: Duration = Duration::from_secs(2);

/// The longest time we allow for an answer.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// For how long after a question about our state the broker is watched.
const WATCHED: Duration = Duration::from_secs(90);

/// How closely a broker is watched while somebody asks for our state: a probe wants to know within
/// half a minute, and without one nobody pays for the pings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The silence after which it is pinged.
    pub interval: Duration,
    /// The time without an answer after which that is reported; the connection is kept.
    pub worry: Duration,
}

/// The signs of life of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    watch: Watch,
    watched_until: Option<Instant>,
    /// It has been reported that the broker does not answer.
    worried: bool,
    /// The silence after which we ping; `None` means never.
    interval: Option<Duration>,
    patience: Duration,
    sent: Instant,
    heard: Instant,
    /// When the first ping went out after which nothing was heard.
    pinged: Option<Instant>,
}

/// What the time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// The silence is long enough to be reported.
    Worry,
    /// The silence is too long.
    GiveUp,
}

impl Pace {
    /// A broker ends a connection that is silent for one and a half keep-alives, so three quarters
    /// leave time for a slow network, and make few wake-ups.
    pub(super) fn new(keep_alive: Duration, watch: Watch, now: Instant) -> Self {
        let interval = (!keep_alive.is_zero()).then(|| keep_alive * 3 / 4);
        let patience = (keep_alive / 2).clamp(PATIENCE_MIN, PATIENCE_MAX);
        Pace {
            watch,
            watched_until: None,
            worried: false,
            interval,
            patience,
            sent: now,
            heard: now,
            pinged: None,
        }
    }

    /// Somebody asks for our state.
    pub(super) fn watched(&mut self, now: Instant) {
        self.watched_until = Some(now + WATCHED);
    }

    /// Whether it has been reported that the broker does not answer.
    pub(super) fn is_worried(&self) -> bool {
        self.worried
    }

    /// It is reported that the broker does not answer.
    pub(super) fn worry(&mut self) {
        self.worried = true;
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    pub(super) fn pinged(&mut self, now: Instant) {
        self.pinged.get_or_insert(now);
        self.sent = now;
    }

    /// Bytes have come, or reading begins again after a pause in which nothing could be heard.
    /// `true` if that ends a worry.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.pinged = None;
        std::mem::take(&mut self.worried)
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
        let worry = self.watch.worry;
        match self.pinged {
            Some(pinged) if !paused && !self.worried && worry < self.patience => {
                Some((pinged + worry, Due::Worry))
            }
            Some(pinged) if !paused => Some((pinged + self.patience, Due::GiveUp)),
            Some(_) => Some((self.sent + interval, Due::Ping)),
            None if paused => Some((self.sent + interval, Due::Ping)),
            None => {
                let at = self.sent.min(self.heard) + interval;
                let soon = self.heard + self.watch.interval;
                let is_watched = self.watched_until.is_some_and(|until| until >= soon);
                Some((if is_watched { at.min(soon) } else { at }, Due::Ping))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: Watch =
        Watch { interval: Duration::from_secs(15), worry: Duration::from_secs(10) };

    #[test]
    fn an_idle_connection_is_pinged_and_given_up_without_an_answer() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(Duration::from_secs(60), WATCH, start);
        assert_eq!(pace.due(at(44), false), Due::Nothing);
        assert_eq!(pace.wake_at(false), Some(at(45)));
        assert_eq!(pace.due(at(45), false), Due::Ping);
        pace.pinged(at(45));
        assert_eq!(pace.due(at(54), false), Due::Nothing);
        assert_eq!(pace.due(at(55), false), Due::Worry);
        pace.worry();
        assert_eq!(pace.due(at(74), false), Due::Nothing);
        assert_eq!(pace.due(at(75), false), Due::GiveUp);
        assert!(pace.heard(at(46)), "no worry any more");
        assert_eq!(pace.wake_at(false), Some(at(90)));
    }

    #[test]
    fn a_session_that_is_asked_for_pings_sooner_and_only_for_a_while() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(Duration::from_secs(60), WATCH, start);
        pace.watched(at(1));
        assert_eq!(pace.wake_at(false), Some(at(15)));
        pace.pinged(at(15));
        // A broker that stands still is known before half a minute is over.
        assert_eq!(pace.due(at(25), false), Due::Worry);
        pace.heard(at(16));
        assert_eq!(pace.wake_at(false), Some(at(31)));
        pace.heard(at(90));
        assert_eq!(pace.wake_at(false), Some(at(60)), "nothing of ours has gone for a while");
        pace.sent(at(90));
        assert_eq!(pace.wake_at(false), Some(at(135)), "nobody has asked for long");
        pace.watched(at(120));
        assert_eq!(pace.due(at(120), false), Due::Ping, "at once");
    }

    #[test]
    fn a_ping_is_saved_where_both_sides_are_talking_and_only_there() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(Duration::from_secs(60), WATCH, start);
        pace.sent(at(30));
        assert_eq!(pace.due(at(50), false), Due::Ping, "nothing has been heard");
        pace.heard(at(40));
        assert_eq!(pace.due(at(50), false), Due::Nothing);
    }

    #[test]
    fn while_nothing_is_read_pings_go_out_and_answers_are_not_missed() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::new(Duration::from_secs(60), WATCH, start);
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
        let pace = Pace::new(Duration::ZERO, WATCH, Instant::now());
        assert_eq!(pace.wake_at(false), None);
    }
}
