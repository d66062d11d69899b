//! Keys in texts from outside: an API, or a gateway in front of it, may quote a key it could not
//! use, and its words go into the log, dead letters and `/status`.

use crate::message::masked;

/// Anything shorter is no secret, and would be found in unrelated words.
const SHORTEST: usize = 4;

/// What must not be shown of one delivery.
pub struct Secrets<'a>(Vec<&'a str>);

impl<'a> Secrets<'a> {
    /// These, except those that are too short to be secrets.
    #[must_use]
    pub fn of(mut secrets: Vec<&'a str>) -> Self {
        secrets.retain(|secret| secret.chars().count() >= SHORTEST);
        // If one begins with another, the longer one is looked for first.
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        Secrets(secrets)
    }

    /// `text` with every secret masked, in any spelling.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = self.0.iter().find_map(|secret| Some((secret, written(secret, rest)?)));
            match found {
                Some((secret, after)) => {
                    shown.push_str(&masked(secret));
                    rest = after;
                }
                None => {
                    shown.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        shown
    }
}

/// What follows `secret` in a text that begins with it: verbatim, in upper or lower case, with
/// JSON's escapes, or percent-encoded.
fn written<'t>(secret: &str, text: &'t str) -> Option<&'t str> {
    secret.chars().try_fold(text, |rest, letter| {
        plain(letter, rest).or_else(|| in_json(letter, rest)).or_else(|| in_url(letter, rest))
    })
}

fn plain(letter: char, text: &str) -> Option<&str> {
    let shown = text.chars().next()?;
    shown.eq_ignore_ascii_case(&letter).then(|| &text[shown.len_utf8()..])
}

fn in_json(letter: char, text: &str) -> Option<&str> {
    let escaped = text.strip_prefix('\\')?;
    let short = match letter {
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '"' | '\\' | '/' => Some(letter),
        _ => None,
    };
    if let Some(after) = short.and_then(|short| escaped.strip_prefix(short)) {
        return Some(after);
    }
    let mut units = [0; 2];
    letter.encode_utf16(&mut units).iter().enumerate().try_fold(escaped, |rest, (at, unit)| {
        let rest = if at == 0 { rest } else { rest.strip_prefix('\\')? };
        let (digits, after) = rest.strip_prefix('u')?.split_at_checked(4)?;
        (u16::from_str_radix(digits, 16) == Ok(*unit)).then_some(after)
    })
}

fn in_url(letter: char, text: &str) -> Option<&str> {
    if let (' ', Some(after)) = (letter, text.strip_prefix('+')) {
        return Some(after);
    }
    letter.encode_utf8(&mut [0; 4]).bytes().try_fold(text, |rest, byte| {
        let (digits, after) = rest.strip_prefix('%')?.split_at_checked(2)?;
        (u8::from_str_radix(digits, 16) == Ok(byte)).then_some(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_masked_however_it_is_written() {
        for (key, text, wanted) in [
            ("il1apiSECRET", "key 'il1apiSECRET' is unknown", "key 'il1api…' is unknown"),
            ("il1apiSECRET", "IL1APISECRET, il1apisecret", "il1api…, il1api…"),
            ("il1apiSECRET", r"\u0069l1api\u0053ECRET", "il1api…"),
            ("il1apiSECRET", "/%69l1api%53ECRET?", "/il1api…?"),
            ("secret/key \"7\"", r#"{"k":"secret\/key \"7\""}"#, r#"{"k":"secret…"}"#),
            ("secret/key \"7\"", "secret%2Fkey%20%227%22 secret%2fkey+%227%22", "secret… secret…"),
            ("schlüssel/1", "schl%C3%BCssel%2F1 schl\\u00fcssel\\/1", "schlüs… schlüs…"),
            ("a\n😀secret", r"a\n\ud83d\uDE00secret", r"a\n😀sec…"),
            ("short", "short and shorter", "*** and ***er"),
            ("abc", "abc", "abc"),
            ("", "nothing", "nothing"),
            ("il1apiSECRET", "il1apiSECRE and \\ and %", "il1apiSECRE and \\ and %"),
        ] {
            assert_eq!(Secrets::of(vec![key]).mask(text), wanted, "{key}");
        }
    }

    #[test]
    fn of_two_keys_the_longer_one_is_looked_for_first() {
        let secrets = Secrets::of(vec!["bearer-token-1", "il1hbt-monitor", "il1hbt-monitor-2"]);
        let text = "Bearer bearer-token-1, il1hbt-monitor, il1hbt-monitor-2";
        assert_eq!(secrets.mask(text), "Bearer bearer…, il1hbt…, il1hbt…");
    }
}
