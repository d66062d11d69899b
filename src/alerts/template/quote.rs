//! Texts and letters between quotes, as Go's `%q` has them.

use super::print::put;

/// Whether a quoted text cannot show it.
pub(super) fn is_hidden(letter: char) -> bool {
    letter.is_control() && letter != '\t'
}

/// Between double quotes; `ascii` escapes all other letters.
pub(super) fn quoted(text: &str, ascii: bool) -> String {
    let mut out = "\"".to_owned();
    for letter in text.chars() {
        escaped(&mut out, letter, '"', ascii);
    }
    out.push('"');
    out
}

pub(super) fn quoted_letter(letter: char, ascii: bool) -> String {
    let mut out = "'".to_owned();
    escaped(&mut out, letter, '\'', ascii);
    out.push('\'');
    out
}

fn escaped(out: &mut String, letter: char, quote: char, ascii: bool) {
    match letter {
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        _ if letter == quote => {
            out.push('\\');
            out.push(quote);
        }
        '\0'..='\u{1f}' | '\u{7f}' => put(out, format_args!("\\x{:02x}", u32::from(letter))),
        _ if letter.is_control() || (ascii && letter > '\u{7f}') => {
            let code = u32::from(letter);
            if code > 0xffff {
                put(out, format_args!("\\U{code:08x}"));
            } else {
                put(out, format_args!("\\u{code:04x}"));
            }
        }
        _ => out.push(letter),
    }
}
