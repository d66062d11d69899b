//! Floats as Go's `strconv` writes them. None of them is negative here: the sign is put in front by
//! who writes it.

/// No float has more digits than that; behind them are zeros. (Rust writes no more than 65,535.)
const DIGITS_MAX: usize = 1_100;

/// `%e`: with this many digits behind the point, or as many as it takes.
pub(super) fn exponential(value: f64, precision: Option<usize>, upper: bool) -> String {
    if !value.is_finite() {
        return odd(value);
    }
    let written = scientific(value, precision);
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let zeros = "0".repeat(precision.unwrap_or_default().saturating_sub(DIGITS_MAX));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let letter = if upper { 'E' } else { 'e' };
    format!("{digits}{zeros}{letter}{sign}{exponent:0>2}")
}

/// `%f`
pub(super) fn fixed(value: f64, precision: usize) -> String {
    if !value.is_finite() {
        return odd(value);
    }
    let digits = precision.min(DIGITS_MAX);
    format!("{value:.digits$}") + &"0".repeat(precision - digits)
}

/// `%g`: with an exponent if it is large or small; the shortest digits if none are asked for.
pub(super) fn general(value: f64, precision: Option<usize>, upper: bool) -> String {
    /// From this exponent on the shortest digits have an exponent.
    const SHORTEST_MAX: usize = 6;
    if !value.is_finite() {
        return odd(value);
    }
    let precision = precision.map(|precision| precision.max(1));
    let written = scientific(value, precision.map(|precision| precision - 1));
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let exponent: i64 = exponent.parse().unwrap_or_default();
    let point = exponent + 1;
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let most = match precision {
        None => SHORTEST_MAX,
        Some(most) if i64::try_from(most).is_ok_and(|most| most > count) && count >= point => {
            digits.len()
        }
        Some(most) => most,
    };
    let is_large = usize::try_from(exponent).is_ok_and(|exponent| exponent >= most);
    if exponent < -4 || is_large {
        exponential(value, Some(digits.len() - 1), upper)
    } else {
        fixed(value, usize::try_from(count - point).unwrap_or_default())
    }
}

/// As Rust writes it: `1.5e-7`.
fn scientific(value: f64, precision: Option<usize>) -> String {
    match precision.map(|precision| precision.min(DIGITS_MAX)) {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    }
}

fn odd(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { "Inf".to_owned() }
}
