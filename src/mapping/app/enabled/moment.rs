//! A moment as RFC 3339 writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// Reads `2026-11-26T21:04:45.5+01:00`; a fraction of a second is left out.
pub(super) fn read(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    let are_right = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let offset = offset(rest)?;
    let secs = days(year, month, day) * DAY + hour * 3_600 + minute * 60 + second - offset;
    let moment = match u64::try_from(secs) {
        Ok(secs) => UNIX_EPOCH.checked_add(Duration::from_secs(secs))?,
        // No clock of ours stands before 1970.
        Err(_) => UNIX_EPOCH,
    };
    are_right.then_some(moment)
}

/// The offset from UTC, in seconds.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(&text[1..], ':', [2, 2])?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(between);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let are_digits = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| are_digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970, in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March end with the day that not all of them have.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seconds_since_1970() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-02T00:00:01.999Z", Some(86_401)),
            ("2000-02-29T12:00:00+01:00", Some(951_822_000)),
            ("2000-03-01T00:00:00-00:30", Some(951_870_600)),
            ("2026-11-26t21:04:45z", Some(1_795_727_085)),
            ("2024-12-31 23:59:60Z", Some(1_735_689_600)),
            ("0001-01-01T00:00:00Z", Some(0)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00+1:00", None),
            ("2026-1-01T00:00:00Z", None),
            ("2026-01-01", None),
            ("2026-01-01Tü0:00:00Z", None),
            ("", None),
        ] {
            let wanted = wanted.map(|secs| UNIX_EPOCH + Duration::from_secs(secs));
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
