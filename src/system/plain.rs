//! Text from outside, made fit for a line of the log, a terminal or an answer.
//!
//! Topics, payloads, keys, file names and the words of brokers, servers and resolvers are chosen by
//! others. Printed verbatim, a line feed in them begins a line that looks like one of ours (even
//! with its own priority in the journal), and an escape sequence controls the terminal. This is the
//! one place that makes such texts safe: control and invisible characters are written as escapes,
//! and long texts are cut.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter, Write};

/// Most characters shown of one text, such as a topic or a key.
const CHARS_MAX: usize = 200;

/// Most characters of a line that contains several of them.
const LINE_CHARS_MAX: usize = 4_000;

/// A text from outside, on one line: at most 200 characters, none of them active.
#[must_use]
pub fn plain(text: &str) -> Plain<'_> {
    plain_bytes(text.as_bytes())
}

/// The same for bytes that may not be text; those that are not are written as `\xff`.
#[must_use]
pub fn plain_bytes(bytes: &[u8]) -> Plain<'_> {
    Plain { bytes, chars_max: CHARS_MAX }
}

/// A whole line, such as one of the log or a fault.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if text.len() <= LINE_CHARS_MAX && !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(plain(text).within(LINE_CHARS_MAX).to_string())
}

/// Several lines of our own, in which line feeds stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    let acts = |character| character != '\n' && acts(character);
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|part| plain(part).within(usize::MAX).to_string());
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// A JSON document of our own: characters that act are escaped in its texts, the only place where
/// JSON may have them. It means the same.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(acts) {
        return Cow::Borrowed(document);
    }
    let mut shown = String::with_capacity(document.len());
    for character in document.chars() {
        if acts(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Writes a text as it is shown; see [`plain`].
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    bytes: &'a [u8],
    chars_max: usize,
}

impl Plain<'_> {
    /// With another limit on the number of characters.
    #[must_use]
    pub fn within(self, chars_max: usize) -> Self {
        Plain { chars_max, ..self }
    }
}

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut left = self.chars_max;
        for chunk in self.bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if left == 0 {
                    return self.cut(f);
                }
                left -= 1;
                put(f, character)?;
            }
            for byte in chunk.invalid() {
                if left == 0 {
                    return self.cut(f);
                }
                left -= 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl Plain<'_> {
    fn cut(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "… ({} bytes)", self.bytes.len())
    }
}

fn put(f: &mut Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\0' | '\t' | '\n' | '\r' => write!(f, "{}", character.escape_debug()),
        _ if acts(character) => write!(f, "{}", character.escape_unicode()),
        _ => f.write_char(character),
    }
}

/// Whether a character controls the line it stands in, or hides in it.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}'                            // Ends of lines and paragraphs.
            | '\u{61c}' | '\u{200e}' | '\u{200f}'              // Turn the direction of what follows.
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' // Cannot be seen.
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped_and_the_rest_is_left() {
        for (given, wanted) in [
            ("plant/1 'ü' \"x\" \\n 温度", "plant/1 'ü' \"x\" \\n 温度"),
            ("a\nFAKE\r\t\0", r"a\nFAKE\r\t\0"),
            ("\x1b]0;title\x07\x7f", r"\u{1b}]0;title\u{7}\u{7f}"),
            ("\u{9b}2J\u{85}\u{2028}", r"\u{9b}2J\u{85}\u{2028}"),
            ("a\u{202e}b\u{2066}c\u{feff}", r"a\u{202e}b\u{2066}c\u{feff}"),
            ("👩\u{200d}🔧", "👩\u{200d}🔧"),
        ] {
            assert_eq!(plain(given).to_string(), wanted);
            assert_eq!(line(given), wanted);
        }
        assert_eq!(plain_bytes(b"\xff\xc3(\n").to_string(), r"\xff\xc3(\n");
        assert_eq!(lines("a\n\x1b\nb"), "a\n\\u{1b}\nb");
    }

    #[test]
    fn json_means_the_same_when_it_is_shown() {
        let text = "ü \u{7f}\u{9b}2J\u{202e}\u{e0001}\n\0";
        let document = serde_json::to_string(text).unwrap();
        let shown = json(&document);
        assert_eq!(shown, r#""ü \u007f\u009b2J\u202e\udb40\udc01\n\u0000""#);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn what_is_long_is_cut_and_says_how_long_it_is() {
        let topic = "ü".repeat(32 * 1024);
        let shown = plain(&topic).to_string();
        assert!(shown.ends_with("ü… (65536 bytes)"), "{shown}");
        assert_eq!(shown.chars().filter(|c| *c == 'ü').count(), 200);
        assert_eq!(plain(&"a".repeat(200)).to_string().len(), 200);
        assert_eq!(plain("abc").within(2).to_string(), "ab… (3 bytes)");
        assert!(line(&topic).chars().count() < LINE_CHARS_MAX + 30);
    }
}
