//! Values as programs in Go read them.

/// A duration, in nanoseconds: `1m30s`, `500ms`, `-5s`, `0`.
#[must_use]
pub fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("μs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = if rest.is_empty() { f64::NAN } else { 0.0 };
    while !rest.is_empty() {
        let length = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..length].parse().ok()?;
        let after = &rest[length..];
        let end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let (_, nanos) = UNITS.into_iter().find(|(known, _)| *known == unit)?;
        sum += number * nanos;
        rest = after;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is checked just before")]
    (sum < 9e18).then_some((sign * sum) as i64)
}

/// A boolean.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1ns", Some(1)),
            ("1.5us", Some(1_500)),
            ("2µs", Some(2_000)),
            ("2μs", Some(2_000)),
            ("500ms", Some(500_000_000)),
            ("+90s", Some(90_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("-5s", Some(-5_000_000_000)),
            ("", None),
            ("-", None),
            ("5", None),
            ("1.5", None),
            (" 5s", None),
            ("5 s", None),
            ("s", None),
            (".s", None),
            ("5x", None),
            ("1d", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text), wanted, "{text}");
        }
    }

    #[test]
    fn booleans_are_the_words_that_go_knows() {
        for (text, wanted) in [
            ("true", Some(true)),
            ("T", Some(true)),
            ("1", Some(true)),
            ("False", Some(false)),
            ("0", Some(false)),
            ("tRUE", None),
            ("yes", None),
            ("", None),
            (" true", None),
        ] {
            assert_eq!(boolean(text), wanted, "{text}");
        }
    }
}
