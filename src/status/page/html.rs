//! Writes HTML in which nothing from outside is markup. Markup is what stands in our own source, as
//! its type says; everything else is text, and escaped.

use crate::system::plain::plain;
use std::fmt::{Display, Write};

/// Most characters of one text.
const TEXT_CHARS_MAX: usize = 600;

/// A piece of a page.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of our own.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A text, or a value between double quotes.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        let text = text.to_string();
        // What acts on a terminal may turn or hide the words of a page as well.
        let shown = plain(&text).within(TEXT_CHARS_MAX).to_string();
        for character in shown.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        self
    }

    /// The commands of a path in a drawing: letters and numbers.
    pub(super) fn step(&mut self, letter: char, numbers: (u32, u32)) -> &mut Self {
        debug_assert!(letter.is_ascii_alphabetic());
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{letter}{} {}", numbers.0, numbers.1);
        self
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_never_markup() {
        for (given, wanted) in [
            ("plant/7 ü 温度", "plant/7 ü 温度"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onclick='x", "&quot; onclick=&#39;x"),
            ("&lt;", "&amp;lt;"),
            ("a\nb\u{202e}c\0", r"a\nb\u{202e}c\0"),
            ("<!--", "&lt;!--"),
        ] {
            let mut html = Html::default();
            html.text(given);
            assert_eq!(html.into_string(), wanted);
        }
        let mut html = Html::default();
        html.text("<".repeat(100_000));
        assert!(html.into_string().len() < 4 * (TEXT_CHARS_MAX + 30));
    }
}
