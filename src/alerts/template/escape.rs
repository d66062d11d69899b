//! Texts inside of other languages: HTML, JavaScript, queries.

use crate::alerts::json::push;

/// What `html` makes of a text, and what details do with everything that is put into them; those
/// also escape `+`.
pub(super) fn html(out: &mut String, text: &str, with_plus: bool) {
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '+' if with_plus => out.push_str("&#43;"),
            '\0' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
}

/// What `js` makes of a text.
pub(super) fn js(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..='\u{1f}' => {
                push(out, format_args!("\\u{:04X}", u32::from(letter)));
            }
            _ if letter.is_control() => push(out, format_args!("\\u{:04X}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
}

/// What `urlquery` makes of a text.
pub(super) fn query(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            _ => push(out, format_args!("%{byte:02X}")),
        }
    }
}
