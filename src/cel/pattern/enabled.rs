//! A build with regular expressions.

use regex_lite::{Regex, RegexBuilder};

/// What a pattern may take in memory, in bytes.
const SIZE_MAX: usize = 256 * 1024;

/// A regular expression.
#[derive(Clone, Debug)]
pub(in crate::cel) struct Pattern(Regex);

impl Pattern {
    pub(in crate::cel) fn new(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).size_limit(SIZE_MAX).build();
        built.map(Pattern).map_err(|why| format!("the pattern of `matches` is wrong: {why}"))
    }

    /// Whether it is found anywhere in a text.
    pub(in crate::cel) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}
