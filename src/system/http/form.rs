//! What stands in a query, or in the body of a form: `db=telegraf&q=CREATE+DATABASE`.

use percent_encoding::percent_decode;
use std::borrow::Cow;

/// All names with their values, in their order. Bytes that are not UTF-8 become U+FFFD.
pub fn pairs(form: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// The values under `name`, in their order.
pub fn values<'f>(form: &'f str, name: &str) -> impl Iterator<Item = Cow<'f, str>> {
    pairs(form).filter(move |(found, _)| found == name).map(|(_, value)| value)
}

/// The first value under `name`.
#[must_use]
pub fn value<'f>(form: &'f str, name: &str) -> Option<Cow<'f, str>> {
    values(form, name).next()
}

/// Undoes the encoding of a name or a value, in which a plus is a space.
fn decoded(text: &str) -> Cow<'_, str> {
    let lossy = |text: &str| percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned();
    match text {
        _ if text.contains('+') => Cow::Owned(lossy(&text.replace('+', " "))),
        _ if text.contains('%') => Cow::Owned(lossy(text)),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_name_and_decoded_once() {
        let form = "db=a%20b&q=CREATE+DATABASE+%22a%2Bb%22&%64b=second&flag&empty=&=x&bad=%FF%zz";
        for (name, wanted) in [
            ("db", &["a b", "second"][..]),
            ("q", &["CREATE DATABASE \"a+b\""]),
            ("flag", &[""]),
            ("empty", &[""]),
            ("", &["x"]),
            ("bad", &["\u{fffd}%zz"]),
            ("none", &[]),
        ] {
            assert_eq!(values(form, name).collect::<Vec<_>>(), wanted, "{name}");
            assert_eq!(value(form, name).as_deref(), wanted.first().copied(), "{name}");
        }
    }
}
