//! What is wrong with an expression, or with a value that it is used on.

use std::borrow::Cow;
use std::fmt;

/// An expression that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, in bytes from the beginning.
    pub offset: usize,
    /// What JSONata calls it; empty if JSONata would allow it.
    pub code: &'static str,
    /// Why, for people.
    pub words: String,
}

impl Fault {
    pub(super) fn new(offset: usize, code: &'static str, words: impl Into<String>) -> Self {
        Fault { offset, code, words: words.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            "" => f.write_str(&self.words),
            code => write!(f, "{} ({code})", self.words),
        }
    }
}

/// Why an expression has no result for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which part of the expression, by its place in bytes.
    pub at: Option<usize>,
    /// What JSONata calls it; empty for bounds of our own.
    pub code: &'static str,
    /// Why, for people.
    pub words: Cow<'static, str>,
}

impl Error {
    pub(super) fn new(code: &'static str, words: impl Into<Cow<'static, str>>) -> Self {
        Error { at: None, code, words: words.into() }
    }

    /// At this place, unless it has one.
    pub(super) fn at(mut self, at: usize) -> Self {
        self.at.get_or_insert(at);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        match (self.code, self.at) {
            ("", None) => Ok(()),
            ("", Some(at)) => write!(f, " (at character {})", at + 1),
            (code, None) => write!(f, " ({code})"),
            (code, Some(at)) => write!(f, " ({code} at character {})", at + 1),
        }
    }
}
