//! Floats as Go's `strconv` writes them. None of them is negative here: the sign is put in front by
//! who writes it.

/// `%e`: with so many digits behind the point, or as many as it takes.
pub(super) fn exponential(value: f64, precision: Option<usize>, upper: bool) -> String {
    if !value.is_finite() {
        return odd(value);
    }
    let written = match precision {
        Some(precision) => format!("{value:.precision$e}"),
        None => format!("{value:e}"),
    };
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let letter = if upper { 'E' } else { 'e' };
    format!("{digits}{letter}{sign}{exponent:0>2}")
}

/// `%f`
pub(super) fn fixed(value: f64, precision: usize) -> String {
    if value.is_finite() { format!("{value:.precision$}") } else { odd(value) }
}

/// `%g`: with an exponent if it is large or small; the shortest digits if none are asked for.
pub(super) fn general(value: f64, precision: Option<usize>, upper: bool) -> String {
    /// From this exponent on the shortest digits have an exponent.
    const SHORTEST_MAX: usize = 6;
    if !value.is_finite() {
        return odd(value);
    }
    let precision = precision.map(|precision| precision.max(1));
    let written = match precision {
        Some(precision) => format!("{value:.*e}", precision - 1),
        None => format!("{value:e}"),
    };
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

fn odd(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { "Inf".to_owned() }
}
