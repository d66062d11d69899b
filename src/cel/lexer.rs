//! From a text to words.

use super::Wrong;

/// A word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word<'a> {
    /// A name, or a word such as `true` or `in`.
    Name(&'a str),
    /// A number as it is written, without a sign.
    Number(&'a str),
    /// A text, without its quotes.
    Text(String),
    /// An operator or a bracket.
    Mark(&'static str),
    /// Behind the last word.
    End,
}

/// Longer marks first.
const MARKS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ".", ",", "?", ":", "+",
    "-", "*", "/", "%", "{", "}",
];

/// All words with their offsets; the last one is [`Word::End`].
pub(super) fn words(text: &str) -> Result<Vec<(Word<'_>, usize)>, Wrong> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (word, bytes) = match first {
            '"' | '\'' => quoted(rest, first, at)?,
            '0'..='9' => number(rest, at)?,
            'a'..='z' | 'A'..='Z' | '_' => name(rest, at)?,
            _ => mark(rest, at)?,
        };
        words.push((word, at));
        at += bytes;
    }
    words.push((Word::End, text.len()));
    Ok(words)
}

/// How many bytes from the front are of a kind.
fn span(text: &str, is: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !is(byte)).unwrap_or(text.len())
}

fn name(rest: &str, at: usize) -> Result<(Word<'_>, usize), Wrong> {
    let bytes = span(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let name = &rest[..bytes];
    if name.len() <= 2 && rest[bytes..].starts_with(['"', '\'']) {
        let words =
            format!("`{name}` in front of a text is not supported; write `\\\\` for a backslash");
        return Err(Wrong::at(at, words));
    }
    Ok((Word::Name(name), bytes))
}

/// `12`, `0x1F`, `3u`, `1.5`, `2e-3`.
fn number(rest: &str, at: usize) -> Result<(Word<'_>, usize), Wrong> {
    let digits = |text: &str| span(text, |byte| byte.is_ascii_digit());
    let mut bytes = digits(rest);
    if let Some(hex) = rest.strip_prefix("0x") {
        bytes = 2 + span(hex, |byte| byte.is_ascii_hexdigit());
    } else {
        if let Some(fraction) = rest[bytes..].strip_prefix('.') {
            bytes += match digits(fraction) {
                0 => 0,
                fraction => 1 + fraction,
            };
        }
        if let Some(power) = rest[bytes..].strip_prefix(['e', 'E']) {
            let sign = usize::from(power.starts_with(['+', '-']));
            match digits(&power[sign..]) {
                0 => (),
                power => bytes += 1 + sign + power,
            }
        }
    }
    bytes += usize::from(rest[bytes..].starts_with(['u', 'U']));
    let behind = span(&rest[bytes..], |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if behind > 0 {
        return Err(Wrong::at(at, format!("`{}` is not a number", &rest[..bytes + behind])));
    }
    Ok((Word::Number(&rest[..bytes]), bytes))
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(Word<'_>, usize), Wrong> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((index, letter)) = chars.next() {
        match letter {
            _ if letter == quote => return Ok((Word::Text(text), index + 1)),
            '\\' => {
                let escaped = chars.next().map(|(_, letter)| letter);
                text.push(match escaped {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(letter @ ('\\' | '"' | '\'')) => letter,
                    Some('u') => {
                        let digits = chars.by_ref().take(4).map(|(_, digit)| digit);
                        unicode(&digits.collect::<String>()).ok_or_else(|| {
                            Wrong::at(at + index, "`\\u` takes four hexadecimal digits of a character")
                        })?
                    }
                    _ => {
                        let words = "only \\n, \\t, \\\\, \\\", \\' and \\uXXXX may follow a backslash; \
                                     write `\\\\` for a backslash";
                        return Err(Wrong::at(at + index, words));
                    }
                });
            }
            '\n' | '\r' => break,
            letter => text.push(letter),
        }
    }
    Err(Wrong::at(at, format!("a text without its closing {quote}")))
}

fn unicode(digits: &str) -> Option<char> {
    let are_digits = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| are_digits)?)
}

fn mark(rest: &str, at: usize) -> Result<(Word<'_>, usize), Wrong> {
    if rest.starts_with("===") || rest.starts_with("!==") {
        return Err(Wrong::at(
            at,
            format!("`{}` is no operator; write `{}`", &rest[..3], &rest[..2]),
        ));
    }
    if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
        return Ok((Word::Mark(mark), mark.len()));
    }
    let first = rest.chars().next().unwrap_or_default();
    Err(Wrong::at(
        at,
        match first {
            '=' => "`=` is no operator; write `==`".to_owned(),
            '&' | '|' => format!("`{first}` is no operator; write `{first}{first}`"),
            other => format!("`{}` has no meaning here", other.escape_debug()),
        },
    ))
}
