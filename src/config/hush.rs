//! Secrets in the wrong place.
//!
//! Faults show the value that is wrong. Somebody who mixes up two lines puts a key where a number
//! belongs, or a password into a URL, and faults end up in logs and tickets.

use crate::message::masked;
use std::borrow::Cow;

/// The prefix of ilert's keys.
const KEYS: &str = "il1";
/// A quoted word of letters and digits at least this long is taken for a key.
const LONG: usize = 20;
/// A word with the prefix is a key if it is longer than this.
const SHORT: usize = 8;

/// Removes passwords from URLs and cuts keys short.
#[must_use]
pub fn hushed(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains(KEYS) && !text.contains('`') {
        return Cow::Borrowed(text);
    }
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(number, part)| keyless(&without_passwords(part), number % 2 == 1));
    Cow::Owned(parts.collect::<Vec<_>>().join("`"))
}

/// `scheme://user:password@host` becomes `scheme://***@host`.
fn without_passwords(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let kept = after[..end].rfind('@').unwrap_or(0);
        out.extend([before, "://", if kept > 0 { "***" } else { "" }]);
        rest = &after[kept..];
    }
    out + rest
}

/// Keys are masked as in the log.
fn keyless(text: &str, is_quoted: bool) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_+=".contains(letter);
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, after) = rest.split_at(start);
        let (word, after) =
            after.split_at(after.find(|letter| !is_part(letter)).unwrap_or(after.len()));
        out.push_str(before);
        if is_key(word.trim_start_matches('-'), is_quoted) {
            out.push_str(&masked(word));
        } else {
            out.push_str(word);
        }
        rest = after;
    }
    out + rest
}

fn is_key(word: &str, is_quoted: bool) -> bool {
    let mixed = word.contains(|letter: char| letter.is_ascii_digit())
        && word.contains(|letter: char| letter.is_ascii_alphabetic());
    (word.starts_with(KEYS) && word.len() > SHORT) || (is_quoted && mixed && word.len() >= LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_not_shown() {
        for (text, wanted) in [
            ("`il1api123456789` is not a TCP port", "`il1api…` is not a TCP port"),
            ("there is no file il1api123456789", "there is no file il1api…"),
            ("no flag `--il1api123456789`", "no flag `--il1a…`"),
            ("`9f86d081884c7d659a2f` is no time", "`9f86d0…` is no time"),
            ("`http://u:p@ss@h:1/x` is not", "`http://***@h:1/x` is not"),
            ("socks5://token@h and http://h", "socks5://***@h and http://h"),
            ("`a/9f86d081884c7d659a2feaa0` is no topic", "`a/9f86d0…` is no topic"),
            // What people need to see stays.
            (
                "`18446744073709551616` is not a whole number",
                "`18446744073709551616` is not a whole number",
            ),
            ("`abc` is not a size such as 64 KB", "`abc` is not a size such as 64 KB"),
            ("give `map-val-etype-resolve`", "give `map-val-etype-resolve`"),
            (
                "there is no file /tmp/ilagent-test-123456-7",
                "there is no file /tmp/ilagent-test-123456-7",
            ),
            ("`il1api` is no key", "`il1api` is no key"),
            ("use http(s)://host:port", "use http(s)://host:port"),
        ] {
            assert_eq!(hushed(text), wanted);
        }
    }
}
