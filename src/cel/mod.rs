//! Expressions that choose the route of an event: the part of CEL that Dapr's subscriptions use.
//!
//! `lexer` cuts a text into words, `parser` makes a tree of them (`tree`), and `evaluate` asks it
//! about an event, with `value` and `functions`. Whatever is not supported is a fault when the
//! expression is read: an expression that fails at each message would stop a subscription.
//!
//! An expression is written by the owner of the box or by the application, an event by anybody. So
//! the tree is bounded, and what an event can make of it is, too.

mod evaluate;
mod functions;
mod lexer;
mod parser;
mod pattern;
mod tree;
mod value;

use std::fmt;
use tree::Node;

/// The longest expression, in bytes.
const BYTES_MAX: usize = 16 * 1024;

/// An expression that can be asked about events.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    root: Node,
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// The same as people count: characters, from 1.
    pub column: usize,
    /// What, and what to do about it.
    pub words: String,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Says what in it is wrong or not supported; the first such thing only.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > BYTES_MAX {
            let words = format!("an expression of {} bytes; at most {BYTES_MAX}", text.len());
            return Err(Fault { offset: 0, column: 1, words });
        }
        let root = lexer::words(text).and_then(parser::parse).map_err(|wrong| {
            let before = text.get(..wrong.offset).unwrap_or(text);
            let column = before.chars().count() + 1;
            Fault { offset: wrong.offset, column, words: wrong.words }
        })?;
        Ok(Expression { text: text.to_owned(), root })
    }

    /// Whether it is true of an event, which it knows as `event`.
    ///
    /// # Errors
    ///
    /// Says why it has no answer: a member is missing, or types do not fit.
    pub fn evaluate(&self, event: &serde_json::Value) -> Result<bool, String> {
        match evaluate::evaluate(&self.root, event)? {
            value::Value::Bool(answer) => Ok(answer),
            other => Err(format!("the result is {}, not true or false", other.name())),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.words)
    }
}

impl std::error::Error for Fault {}

/// What is wrong, before columns are counted.
#[derive(Debug)]
struct Wrong {
    offset: usize,
    words: String,
}

impl Wrong {
    fn at(offset: usize, words: impl Into<String>) -> Self {
        Wrong { offset, words: words.into() }
    }
}

#[cfg(test)]
mod tests;
