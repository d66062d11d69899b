//! JSON as Go writes it, byte for byte: readers of an alert may compare texts.

use super::point::{Field, Tags};
use std::fmt::Write;
use time::OffsetDateTime;

/// A number that JSON has no word for: an infinite one, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFinite;

/// `"text"`; what HTML takes for its own is escaped, too.
pub(super) fn text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                push(out, format_args!("\\u{:04x}", u32::from(letter)));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// `1`, `0.5`, `1e-7`, `1e+21`: the shortest digits that mean this number.
///
/// # Errors
///
/// Fails for what is no finite number.
pub(super) fn float(out: &mut String, value: f64) -> Result<(), NotFinite> {
    if !value.is_finite() {
        return Err(NotFinite);
    }
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        push(out, format_args!("{value}"));
    } else {
        let digits = format!("{value:e}");
        let sign = if size < 1.0 { "" } else { "+" };
        push(out, format_args!("{}", digits.replace('e', &format!("e{sign}"))));
    }
    Ok(())
}

/// The value of a field.
///
/// # Errors
///
/// Fails for what is no finite number.
pub(super) fn field(out: &mut String, value: &Field) -> Result<(), NotFinite> {
    match value {
        Field::Float(value) => float(out, *value)?,
        Field::Int(value) => push(out, format_args!("{value}")),
        Field::Bool(value) => push(out, format_args!("{value}")),
        Field::Text(value) => text(out, value),
    }
    Ok(())
}

/// `{"host":"a"}`
pub(super) fn tags(out: &mut String, tags: &Tags) {
    out.push('{');
    for (index, (key, value)) in tags.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        text(out, key);
        out.push(':');
        text(out, value);
    }
    out.push('}');
}

/// `[a,b]`
///
/// # Errors
///
/// Fails if writing one of them does.
pub(super) fn list<T>(
    out: &mut String,
    all: &[T],
    mut write: impl FnMut(&mut String, &T) -> Result<(), NotFinite>,
) -> Result<(), NotFinite> {
    out.push('[');
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, one)?;
    }
    out.push(']');
    Ok(())
}

/// `2024-05-06T07:08:09.12Z`, from nanoseconds since 1970.
#[must_use]
pub fn rfc3339(nanos: i64) -> String {
    let mut quoted = String::new();
    time(&mut quoted, nanos);
    quoted.trim_matches('"').to_owned()
}

/// `"2024-05-06T07:08:09.12Z"`, from nanoseconds since 1970.
pub(super) fn time(out: &mut String, nanos: i64) {
    let time = moment(nanos);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, fraction) = time.to_hms_nano();
    let month = u8::from(month);
    push(out, format_args!("\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
    if fraction > 0 {
        let digits = format!(".{fraction:09}");
        out.push_str(digits.trim_end_matches('0'));
    }
    out.push_str("Z\"");
}

/// A time in UTC; all nanoseconds that fit have one.
pub(super) fn moment(nanos: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).expect("years 1677 to 2262 exist")
}

/// Writes to a text, which cannot fail.
pub(super) fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a text takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_as_in_go() {
        for (given, wanted) in [
            ("a \"b\" \\", r#""a \"b\" \\""#),
            ("<a>&\n\r\t\u{8}\u{c}", r#""\u003ca\u003e\u0026\n\r\t\b\f""#),
            ("\0\u{1f}\u{7f}é\u{2028}", "\"\\u0000\\u001f\u{7f}é\\u2028\""),
        ] {
            let mut out = String::new();
            text(&mut out, given);
            assert_eq!(out, wanted);
        }
    }

    #[test]
    fn floats_are_written_as_in_go() {
        for (given, wanted) in [
            (100.0, "100"),
            (9.25, "9.25"),
            (-0.5, "-0.5"),
            (-0.0, "-0"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.25e100, "-1.25e+100"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            let mut out = String::new();
            assert_eq!(float(&mut out, given), Ok(()));
            assert_eq!(out, wanted);
        }
        assert_eq!(float(&mut String::new(), f64::NAN), Err(NotFinite));
        assert_eq!(float(&mut String::new(), f64::NEG_INFINITY), Err(NotFinite));
    }

    #[test]
    fn times_have_as_many_digits_as_they_need() {
        for (given, wanted) in [
            (1_714_979_289_120_000_000, r#""2024-05-06T07:08:09.12Z""#),
            (1_714_979_289_000_000_000, r#""2024-05-06T07:08:09Z""#),
            (1, r#""1970-01-01T00:00:00.000000001Z""#),
            (-1, r#""1969-12-31T23:59:59.999999999Z""#),
            (i64::MIN, r#""1677-09-21T00:12:43.145224192Z""#),
            (i64::MAX, r#""2262-04-11T23:47:16.854775807Z""#),
        ] {
            let mut out = String::new();
            time(&mut out, given);
            assert_eq!(out, wanted);
        }
    }
}
