//! Numbers as JavaScript writes and reads them.

use std::fmt::Write;

/// From this exponent on a number is written with one.
const EXPONENT_MAX: i32 = 21;

/// Below this one, too.
const EXPONENT_MIN: i32 = -7;

/// How many digits a number keeps in a text that is made of it.
const DIGITS: usize = 15;

/// Appends the shortest text that reads back. The number is finite.
pub(super) fn write(number: f64, out: &mut String) {
    if number == 0.0 {
        out.push('0');
        return;
    }
    let shortest = format!("{number:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if exponent > EXPONENT_MIN && exponent < EXPONENT_MAX {
        let _ = write!(out, "{number}");
    } else {
        let sign = if exponent > 0 { "+" } else { "" };
        let _ = write!(out, "{mantissa}e{sign}{exponent}");
    }
}

/// A fraction without the digits that only rounding has put there.
pub(super) fn rounded(number: f64) -> f64 {
    if number.fract() == 0.0 {
        return number;
    }
    format!("{number:.*e}", DIGITS - 1).parse().unwrap_or(number)
}

/// Moves the decimal point by so many digits to the right, as it is written and not as it is
/// multiplied.
pub(super) fn shifted(number: f64, digits: f64) -> f64 {
    let written = format!("{number:e}");
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent = exponent.parse::<f64>().unwrap_or_default() + digits;
    format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN)
}

/// The length of a number at the beginning of a text, as JSON has them; 0 if there is none.
pub(super) fn length(text: &[u8], may_be_negative: bool) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let at = |index: usize| text.get(index).copied().unwrap_or_default();
    let begin = usize::from(may_be_negative && at(0) == b'-');
    let mut end = match at(begin) {
        b'0' => begin + 1,
        b'1'..=b'9' => begin + digits(begin),
        _ => return 0,
    };
    if at(end) == b'.' && at(end + 1).is_ascii_digit() {
        end += 1 + digits(end + 1);
    }
    if matches!(at(end), b'e' | b'E') {
        let sign = usize::from(matches!(at(end + 1), b'+' | b'-'));
        if at(end + 1 + sign).is_ascii_digit() {
            end += 1 + sign + digits(end + 1 + sign);
        }
    }
    end
}

/// Reads a text that is a number and nothing else.
pub(super) fn read(text: &str) -> Option<f64> {
    let number: f64 = match text.get(..2) {
        Some("0x" | "0X") => whole(&text[2..], 16)?,
        Some("0o" | "0O") => whole(&text[2..], 8)?,
        Some("0b" | "0B") => whole(&text[2..], 2)?,
        _ if !text.is_empty() && length(text.as_bytes(), true) == text.len() => {
            text.parse().ok()?
        }
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn whole(digits: &str, base: u32) -> Option<f64> {
    let digit = |letter: char| letter.to_digit(base).map(f64::from);
    let add = |sum: f64, letter| Some(sum * f64::from(base) + digit(letter)?);
    if digits.is_empty() { None } else { digits.chars().try_fold(0.0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_javascript_does() {
        for (number, wanted) in [
            (0.0, "0"),
            (-0.0, "0"),
            (20.0, "20"),
            (-20.5, "-20.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (-1.25e300, "-1.25e+300"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ] {
            let mut written = String::new();
            write(number, &mut written);
            assert_eq!(written, wanted);
            assert_eq!(written.parse::<f64>().unwrap(), number);
        }
        assert_eq!(rounded(0.1 + 0.2), 0.3);
    }

    #[test]
    fn numbers_are_read_as_json_has_them() {
        for (text, wanted) in [
            ("7.25", Some(7.25)),
            ("-1e3", Some(-1000.0)),
            ("0x1F", Some(31.0)),
            ("01", None),
            ("1.", None),
            (".5", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1e400", None),
            ("0x", None),
            ("NaN", None),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
