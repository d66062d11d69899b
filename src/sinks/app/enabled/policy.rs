//! What comes of failures: the next attempt, or the end; and whether there are attempts at all.
//! Pure.

use crate::config::{self, Pace, Retry, Trip, defaults};
use std::time::{Duration, Instant};

/// The first wait of a policy that grows, how it grows, and how far it is spread to both sides.
const FIRST: Duration = Duration::from_millis(500);
const GROWTH: f64 = 1.5;
const SPREAD: f64 = 0.5;

/// After this many failures waits have reached any bound.
const GROWN: i32 = 60;

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    /// Its number, counted from 1.
    pub(super) attempt: u32,
    /// The status that says so, if one does.
    pub(super) status: Option<u16>,
}

/// How long to wait before the next attempt; `None` if there is none. Without a policy the first
/// failure is the end for what has a topic of dead letters, as in Dapr; whatever has none is kept
/// and tried again at our own pace.
pub(super) fn wait_after(
    failed: Failed,
    retry: Option<&Retry>,
    has_heir: bool,
    dice: f64,
) -> Option<Duration> {
    let Some(Retry { pace, retries_max, statuses }) = retry else {
        let goes_on = !has_heir && failed.attempt < defaults::ATTEMPTS_MAX;
        return goes_on.then(|| defaults::BACKOFF.wait_after(failed.attempt, dice));
    };
    let ends = match (failed.status, statuses) {
        (Some(status), Some(ranges)) => !ranges.iter().any(|range| range.contains(&status)),
        _ => false,
    };
    if ends || retries_max.is_some_and(|max| failed.attempt > max) {
        return None;
    }
    Some(match pace {
        Pace::Constant(wait) => *wait,
        Pace::Exponential(longest) => {
            let grown = i32::try_from(failed.attempt.saturating_sub(1)).unwrap_or(GROWN);
            let whole = FIRST.mul_f64(GROWTH.powi(grown.min(GROWN))).min(*longest);
            whole.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * dice)
        }
    })
}

/// A breaker: after too many failures it is open for a while, and nothing is attempted.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: config::Breaker,
    state: State,
    consecutive: u32,
    failures: u32,
    attempts: u32,
    /// Since when is counted.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open(Instant),
    /// It was open; this many attempts find out if all is well again.
    Probing(u32),
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(settings: config::Breaker, now: Instant) -> Self {
        Breaker {
            settings,
            state: State::Closed,
            consecutive: 0,
            failures: 0,
            attempts: 0,
            since: now,
        }
    }

    /// Whether an attempt may begin, or how long it has to wait.
    pub(super) fn begins(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed => Ok(()),
            State::Open(until) if now < until => Err(until - now),
            State::Open(_) => {
                self.state = State::Probing(1);
                Ok(())
            }
            State::Probing(under_way) if under_way < self.settings.probes_max.max(1) => {
                self.state = State::Probing(under_way + 1);
                Ok(())
            }
            State::Probing(_) => Err(self.settings.open),
        }
    }

    /// An attempt has ended, well or not; `None` if it says nothing. Says whether that opens it.
    pub(super) fn ended(&mut self, well: Option<bool>, now: Instant) -> bool {
        match (self.state, well) {
            (State::Probing(under_way), None) => {
                self.state = State::Probing(under_way.saturating_sub(1));
                false
            }
            (State::Probing(_), Some(true)) => {
                self.state = State::Closed;
                self.count_from(now);
                false
            }
            (State::Probing(_), Some(false)) => self.opens(now),
            (State::Closed, Some(well)) => self.counts(well, now) && self.opens(now),
            (State::Closed | State::Open(_), _) => false,
        }
    }

    fn counts(&mut self, well: bool, now: Instant) -> bool {
        let interval = self.settings.interval;
        if !interval.is_zero() && now.saturating_duration_since(self.since) >= interval {
            self.count_from(now);
        }
        self.attempts = self.attempts.saturating_add(1);
        if well {
            self.consecutive = 0;
            return false;
        }
        self.consecutive = self.consecutive.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        match self.settings.trip {
            Trip::ConsecutiveFailures(count) => self.consecutive >= count,
            Trip::TotalFailures(count) => self.failures >= count,
            Trip::Requests(count) => self.attempts >= count,
        }
    }

    fn count_from(&mut self, now: Instant) {
        (self.consecutive, self.failures, self.attempts, self.since) = (0, 0, 0, now);
    }

    fn opens(&mut self, now: Instant) -> bool {
        self.state = State::Open(now + self.settings.open);
        self.count_from(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn retry(pace: Pace, retries_max: Option<u32>) -> Retry {
        Retry { pace, retries_max, statuses: None }
    }

    fn wait(attempt: u32, retry: Option<&Retry>, has_heir: bool) -> Option<Duration> {
        wait_after(Failed { attempt, status: Some(500) }, retry, has_heir, 0.5)
    }

    #[test]
    fn a_policy_says_how_often_and_when() {
        let constant = retry(Pace::Constant(MS(200)), Some(4));
        for (attempt, wanted) in
            [(1, Some(MS(200))), (4, Some(MS(200))), (5, None), (6, None), (u32::MAX, None)]
        {
            assert_eq!(wait(attempt, Some(&constant), true), wanted, "{attempt}");
            assert_eq!(wait(attempt, Some(&constant), false), wanted, "{attempt}");
        }
        assert_eq!(wait(1, Some(&retry(Pace::Constant(MS(1)), Some(0))), false), None);
        let growing = retry(Pace::Exponential(MS(2_000)), None);
        for (attempt, wanted) in
            [(1, 500), (2, 750), (3, 1_125), (5, 2_000), (1_000, 2_000), (u32::MAX, 2_000)]
        {
            let failed = |dice| {
                let failed = Failed { attempt, status: None };
                wait_after(failed, Some(&growing), true, dice).unwrap()
            };
            assert_eq!(failed(0.5), MS(wanted), "{attempt}");
            assert_eq!((failed(0.0), failed(1.0)), (MS(wanted) / 2, MS(wanted) * 3 / 2));
        }
    }

    #[test]
    fn without_a_policy_the_end_is_near_only_for_what_has_a_topic_of_dead_letters() {
        assert_eq!(wait(1, None, true), None);
        let wanted = defaults::BACKOFF.wait_after(99, 0.5);
        assert_eq!((wait(99, None, false), wait(100, None, false)), (Some(wanted), None));
    }

    #[test]
    fn statuses_that_are_not_named_end_it_at_once() {
        let mut named = retry(Pace::Constant(MS(1)), None);
        named.statuses = Some(vec![429..=429, 500..=599]);
        for (status, goes_on) in
            [(Some(400), false), (Some(429), true), (Some(503), true), (Some(303), false)]
        {
            let failed = Failed { attempt: 1, status };
            assert_eq!(wait_after(failed, Some(&named), true, 0.5).is_some(), goes_on);
        }
        let retried = Failed { attempt: 1, status: None };
        assert!(wait_after(retried, Some(&named), true, 0.5).is_some(), "RETRY, or no answer");
    }

    fn breaker(trip: Trip, interval: u64, now: Instant) -> Breaker {
        let (open, interval) = (MS(100), MS(interval));
        Breaker::new(config::Breaker { probes_max: 1, interval, open, trip }, now)
    }

    #[test]
    fn a_breaker_opens_closes_and_lets_one_find_out() {
        let now = Instant::now();
        let mut breaker = breaker(Trip::ConsecutiveFailures(2), 0, now);
        let results = [false, true, false].map(|well| breaker.ended(Some(well), now));
        assert_eq!(results, [false; 3], "never two in a row");
        assert_eq!(breaker.begins(now), Ok(()));
        assert!(breaker.ended(Some(false), now));
        assert_eq!(breaker.begins(now + MS(40)), Err(MS(60)));
        assert!(!breaker.ended(Some(true), now + MS(50)), "it began before");
        assert_eq!(breaker.begins(now + MS(50)), Err(MS(50)));
        let later = now + MS(100);
        assert_eq!((breaker.begins(later), breaker.begins(later)), (Ok(()), Err(MS(100))));
        assert!(!breaker.ended(None, later), "it says nothing, so another may go");
        assert_eq!(breaker.begins(later), Ok(()));
        assert!(breaker.ended(Some(false), later), "one is enough");
        let again = later + MS(100);
        assert_eq!(breaker.begins(again), Ok(()));
        assert!(!breaker.ended(Some(true), again));
        assert_eq!((breaker.begins(again), breaker.begins(again)), (Ok(()), Ok(())));
        assert!(!breaker.ended(Some(false), again), "counted from the beginning");
    }

    #[test]
    fn a_breaker_counts_what_it_is_asked_to_count() {
        let now = Instant::now();
        for (trip, interval, results, wanted) in [
            (Trip::TotalFailures(2), 0, vec![(0, false), (1, true), (50, false)], true),
            (Trip::TotalFailures(2), 40, vec![(0, false), (1, true), (50, false)], false),
            (Trip::Requests(3), 0, vec![(0, true), (1, true), (2, false)], true),
            (Trip::Requests(3), 0, vec![(0, true), (1, true), (2, true)], false),
        ] {
            let mut breaker = breaker(trip, interval, now);
            let opened = results.iter().map(|(at, well)| breaker.ended(Some(*well), now + MS(*at)));
            assert_eq!(opened.last(), Some(wanted), "{trip:?} {interval} {results:?}");
        }
    }
}
