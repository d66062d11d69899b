//! Multiples of a duration, as Kapacitor counts them: from the first day of the year 1, a Monday.

/// From the year 1 to 1970, in nanoseconds.
const SINCE_YEAR_ONE: i128 = 62_135_596_800 * 1_000_000_000;

/// The latest multiple of `step` that is not after `time`; 0 leaves the time.
pub(super) fn truncate(time: i64, step: i64) -> i64 {
    time.saturating_sub(past(time, step))
}

/// The multiple of `step` that is next to `time`, of two the later one; 0 leaves the time.
pub(super) fn round(time: i64, step: i64) -> i64 {
    let past = past(time, step);
    if step <= 0 || past < step - past {
        time.saturating_sub(past)
    } else {
        time.saturating_add(step - past)
    }
}

/// The time since the latest multiple.
fn past(time: i64, step: i64) -> i64 {
    if step <= 0 {
        return 0;
    }
    let past = (i128::from(time) + SINCE_YEAR_ONE).rem_euclid(i128::from(step));
    i64::try_from(past).expect("the remainder is less than the step")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::pipeline::SECOND;

    #[test]
    fn times_are_cut_and_rounded() {
        let day = 86_400 * SECOND;
        for (time, step, cut, rounded) in [
            (17 * SECOND, 10 * SECOND, 10 * SECOND, 20 * SECOND),
            (15 * SECOND, 10 * SECOND, 10 * SECOND, 20 * SECOND),
            (14 * SECOND, 10 * SECOND, 10 * SECOND, 10 * SECOND),
            (20 * SECOND, 10 * SECOND, 20 * SECOND, 20 * SECOND),
            (-1, 10, -10, 0),
            (7, 0, 7, 7),
            // 1970 began on a Thursday: the Mondays around are the 29th and the 5th.
            (0, 7 * day, -3 * day, -3 * day),
        ] {
            assert_eq!(truncate(time, step), cut, "{time} to {step}");
            assert_eq!(round(time, step), rounded, "{time} to {step}");
        }
    }
}
