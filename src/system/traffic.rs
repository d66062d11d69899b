//! How much passes, and how fast: messages by the minute for the last hour, and how long sinks take.

use std::time::{Duration, Instant};

/// So many minutes are remembered.
pub const MINUTES: usize = 60;

/// Messages by the minute. A minute begins with the first message ever.
#[derive(Clone, Debug)]
pub struct Minutes {
    began: Option<Instant>,
    /// The number of the newest minute, counted from the beginning.
    newest: u64,
    /// Each in the place that its number leaves over when divided by their count.
    counts: [u32; MINUTES],
}

impl Default for Minutes {
    fn default() -> Self {
        Minutes { began: None, newest: 0, counts: [0; MINUTES] }
    }
}

impl Minutes {
    /// So many more have come.
    pub fn add(&mut self, count: u32, now: Instant) {
        self.began.get_or_insert(now);
        self.go_on(now);
        let place = place(self.newest);
        self.counts[place] = self.counts[place].saturating_add(count);
    }

    /// The oldest minute first; the last one is not over.
    #[must_use]
    pub fn shown(&self, now: Instant) -> [u32; MINUTES] {
        let mut minutes = self.clone();
        minutes.go_on(now);
        let oldest = place(minutes.newest + 1);
        minutes.counts.rotate_left(oldest);
        minutes.counts
    }

    /// Empties the places of the minutes in which nothing came.
    fn go_on(&mut self, now: Instant) {
        let Some(began) = self.began else { return };
        let newest = now.saturating_duration_since(began).as_secs() / 60;
        if newest - self.newest.min(newest) >= MINUTES as u64 {
            self.counts = [0; MINUTES];
            self.newest = newest;
        }
        while self.newest < newest {
            self.newest += 1;
            self.counts[place(self.newest)] = 0;
        }
    }
}

fn place(minute: u64) -> usize {
    usize::try_from(minute % MINUTES as u64).unwrap_or(0)
}

/// The bounds of [`Latency`], in milliseconds: from a broker next door to an outage of an hour.
pub const BOUNDS: [u32; 12] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000, 600_000, 3_600_000];

/// How long things took: how many of them up to each bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// As many as there are bounds, and those that took longer.
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Latency {
    /// One more.
    pub fn note(&mut self, took: Duration) {
        let is_within = |bound: &u32| took <= Duration::from_millis(u64::from(*bound));
        let place = BOUNDS.iter().position(is_within).unwrap_or(BOUNDS.len());
        self.counts[place] = self.counts[place].wrapping_add(1);
        self.sum = self.sum.checked_add(took).unwrap_or_default();
    }

    /// How many took at most as long as each bound; the last one is how many there are.
    #[must_use]
    pub fn up_to(&self) -> [u64; BOUNDS.len() + 1] {
        let mut sums = self.counts;
        for at in 1..sums.len() {
            sums[at] = sums[at].wrapping_add(sums[at - 1]);
        }
        sums
    }

    /// How long all of them took together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_remembered_minute_by_minute() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut minutes = Minutes::default();
        assert_eq!(minutes.shown(start), [0; MINUTES]);
        minutes.add(3, start);
        minutes.add(4, at(59));
        minutes.add(5, at(60));
        assert_eq!(minutes.shown(at(119))[57..], [0, 7, 5]);
        assert_eq!(minutes.shown(at(180))[56..], [7, 5, 0, 0]);
        minutes.add(1, at(59 * 60));
        let shown = minutes.shown(at(59 * 60));
        assert_eq!((shown[0], shown[1], shown[59]), (7, 5, 1), "the first one is an hour ago");
        assert_eq!(minutes.shown(at(60 * 60))[0], 5, "and is forgotten");
        assert_eq!(minutes.shown(at(10_000_000)), [0; MINUTES]);
        minutes.add(9, at(10_000_000));
        assert_eq!(minutes.shown(at(10_000_000))[58..], [0, 9]);
    }

    #[test]
    fn each_time_counts_for_its_bound_and_all_above() {
        let mut latency = Latency::default();
        for millis in [0, 10, 11, 2_500, 3_600_001] {
            latency.note(Duration::from_millis(millis));
        }
        assert_eq!(latency.up_to(), [2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5]);
        assert_eq!(latency.sum(), Duration::from_millis(3_602_522));
    }
}
