//! How long to wait: functions of their arguments.

use std::time::Duration;

/// Waits that double from `first` to `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after failure number `failures`, counted from 1.
    ///
    /// `spread`, from 0 to 1, is the caller's dice, passed in so that this stays a pure function.
    /// Half of the wait is fixed and half is dice, so that agents that lost the same broker do not
    /// all return at once.
    #[must_use]
    pub fn wait_after(&self, failures: u32, spread: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let half = whole / 2;
        half + half.mul_f64(spread)
    }
}

/// The wait before the next try of a sink that has been failing for `down`: a quarter of that time,
/// between `shortest` and `longest`, so that we notice its return soon without trying too often.
#[must_use]
pub fn probe_wait(down: Duration, shortest: Duration, longest: Duration, spread: f64) -> Duration {
    const FRACTION: u32 = 4;
    let whole = (down / FRACTION).clamp(shortest, longest);
    let half = whole / 2;
    half + half.mul_f64(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let secs = Duration::from_secs;
        let backoff = Backoff { first: secs(2), longest: secs(60) };
        for (failures, wait) in [(0, 2), (1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (u32::MAX, 60)]
        {
            assert_eq!(backoff.wait_after(failures, 1.0), secs(wait), "failure {failures}");
        }
        assert_eq!(backoff.wait_after(2, 0.0), secs(2));
    }

    #[test]
    fn a_sink_is_probed_after_a_quarter_of_the_time_it_has_been_down() {
        let (shortest, longest) = (Duration::from_millis(200), Duration::from_secs(30));
        for (down, wait) in [(0, 200), (1_000, 250), (20_000, 5_000), (3_600_000, 30_000)] {
            let wait = Duration::from_millis(wait);
            assert_eq!(probe_wait(Duration::from_millis(down), shortest, longest, 1.0), wait);
        }
    }
}
