//! Whether deliveries may pass at present: open, or closed with one probe at a time.
//!
//! Lanes and sinks have one each. After a refusal of the sink as a whole, the next probe waits a
//! quarter of the time that the sink has been down. One that is down again soon after it came back, as
//! an API is that limits a whole fleet, is asked as seldom as before.

use crate::retry::probe_wait;
use std::time::{Duration, Instant};

/// A sink or lane that fails is asked again after this long at the earliest.
const PROBE_SHORTEST: Duration = Duration::from_millis(400);

/// However long it has been failing, it is asked again after this long.
const PROBE_LONGEST: Duration = Duration::from_secs(30);

/// At most this much of an outage counts for the next one.
const REMEMBERED_MAX: Duration = Duration::from_secs(300);

/// Each second since the end of an outage takes this many off what counts of it.
const FORGOTTEN: u32 = 10;

/// A gate. It closes when what is behind it fails, and opens with the first success.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: Option<Closed>,
    /// When it opened last, and how long it had been closed.
    opened: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Closed {
    since: Instant,
    /// What is left of the outage before.
    before: Duration,
    probe_at: Instant,
    probing: bool,
}

/// A gate's answer to a delivery that wants to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Go.
    Open,
    /// Go, but alone, as a probe.
    Probe,
    /// Not before this moment.
    NotBefore(Instant),
    /// Not before the probe under way has come back.
    AfterProbe,
}

impl Gate {
    pub(super) fn pass(&self, now: Instant) -> Pass {
        match &self.closed {
            None => Pass::Open,
            Some(closed) if closed.probing => Pass::AfterProbe,
            Some(closed) if closed.probe_at <= now => Pass::Probe,
            Some(closed) => Pass::NotBefore(closed.probe_at),
        }
    }

    /// Notes that the delivery that was let through is a probe.
    pub(super) fn probing(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.probing = true;
        }
    }

    /// Closes the gate, or keeps it closed after a probe that failed. `after` is what the other
    /// side asked for: it can make the wait longer than our own, never shorter. Failures of
    /// attempts that began before it closed do not extend the wait.
    pub(super) fn close(&mut self, now: Instant, probe: bool, after: Option<Duration>, dice: f64) {
        let (since, before) = match &self.closed {
            Some(closed) => (closed.since, closed.before),
            None => (now, self.remembered(now)),
        };
        if self.closed.is_some() && !probe && after.is_none() {
            return;
        }
        let down = now.saturating_duration_since(since) + before;
        let own = probe_wait(down, PROBE_SHORTEST, PROBE_LONGEST, dice);
        let asked = now + after.map_or(own, |after| after.max(own));
        let probing = !probe && self.closed.as_ref().is_some_and(|closed| closed.probing);
        let probe_at =
            self.closed.as_ref().filter(|_| !probe).map_or(asked, |c| c.probe_at.max(asked));
        self.closed = Some(Closed { since, before, probe_at, probing });
    }

    /// The probe came back and says nothing about what is behind the gate; another may go.
    pub(super) fn probe_is_back(&mut self, now: Instant) {
        if let Some(closed) = &mut self.closed {
            closed.probing = false;
            closed.probe_at = now;
        }
    }

    /// Opens the gate; says whether it was closed.
    pub(super) fn open(&mut self, now: Instant) -> bool {
        let Some(closed) = self.closed.take() else { return false };
        let down = now.saturating_duration_since(closed.since) + closed.before;
        self.opened = Some((now, down.min(REMEMBERED_MAX)));
        true
    }

    /// Opens the gate and forgets why it was closed: somebody asked for it.
    pub(super) fn set_free(&mut self) {
        *self = Gate::default();
    }

    /// What is left of the last outage.
    fn remembered(&self, now: Instant) -> Duration {
        let Some((at, down)) = self.opened else { return Duration::ZERO };
        down.saturating_sub(now.saturating_duration_since(at) * FORGOTTEN)
    }

    /// When a probe may go, if the gate is closed.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        self.closed.as_ref().map(|closed| closed.probe_at)
    }

    /// How long it has been closed, and how long until the next probe.
    pub(super) fn closed_for(&self, now: Instant) -> Option<(Duration, Duration)> {
        self.closed.as_ref().map(|closed| {
            let since = now.saturating_duration_since(closed.since);
            (since, closed.probe_at.saturating_duration_since(now))
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_lets_one_probe_through_at_a_time() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        assert_eq!(gate.pass(now), Pass::Open);
        gate.close(now, false, None, 1.0);
        assert_eq!(gate.pass(now), Pass::NotBefore(now + PROBE_SHORTEST));
        let later = now + PROBE_SHORTEST;
        assert_eq!(gate.pass(later), Pass::Probe);
        gate.probing();
        assert_eq!(gate.pass(later), Pass::AfterProbe);
        gate.close(later, true, None, 1.0);
        assert_eq!(gate.pass(later), Pass::NotBefore(later + PROBE_SHORTEST));
        assert!(gate.open(later));
        assert_eq!(gate.pass(later), Pass::Open);
    }

    #[test]
    fn failures_of_attempts_that_began_before_do_not_extend_the_wait() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.close(now, false, None, 1.0);
        gate.close(now + PROBE_SHORTEST * 3 / 4, false, None, 1.0);
        assert_eq!(gate.pass(now + PROBE_SHORTEST), Pass::Probe);
    }

    #[test]
    fn whoever_is_away_again_soon_is_asked_as_seldom_as_before() {
        let secs = Duration::from_secs;
        let (mut gate, start) = (Gate::default(), Instant::now());
        let wait = |gate: &Gate, now: Instant| gate.probe_at().unwrap() - now;
        let fails = |gate: &mut Gate, at: Instant| gate.close(at, true, None, 1.0);
        fails(&mut gate, start);
        fails(&mut gate, start + secs(60));
        assert_eq!(wait(&gate, start + secs(60)), secs(15));
        let back = start + secs(75);
        assert!(gate.open(back) && !gate.open(back));
        // Two seconds later most of it is still remembered, and later nothing.
        let mut soon = Gate { closed: None, opened: gate.opened };
        fails(&mut soon, back + secs(2));
        assert_eq!(wait(&soon, back + secs(2)), secs(75 - 20) / 4);
        assert_eq!(soon.closed_for(back + secs(3)).unwrap().0, secs(1), "it was open meanwhile");
        fails(&mut gate, back + secs(8));
        assert_eq!(wait(&gate, back + secs(8)), PROBE_SHORTEST);
        soon.set_free();
        fails(&mut soon, back + secs(3));
        assert_eq!(wait(&soon, back + secs(3)), PROBE_SHORTEST, "somebody asked for it");
    }

    #[test]
    fn what_the_other_side_asked_for_is_obeyed() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        let asked = Duration::from_secs(7);
        gate.close(now, false, Some(asked), 0.0);
        assert_eq!(gate.pass(now + asked / 2), Pass::NotBefore(now + asked));
    }

    #[test]
    fn what_the_other_side_asks_for_never_shortens_our_own_wait() {
        let mut now = Instant::now();
        let (mut gate, mut without) = (Gate::default(), Gate::default());
        for failure in 0..40 {
            for (gate, after) in [(&mut gate, Some(Duration::ZERO)), (&mut without, None)] {
                gate.close(now, failure > 0, after, 0.5);
            }
            let Pass::NotBefore(probe_at) = without.pass(now) else { panic!("it is closed") };
            assert_eq!(gate.pass(now), Pass::NotBefore(probe_at), "failure {failure}");
            now = probe_at;
        }
        assert_eq!(without.pass(now - PROBE_SHORTEST), Pass::NotBefore(now));
    }
}
