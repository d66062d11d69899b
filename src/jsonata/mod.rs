//! JSONata: expressions that make one JSON value of another. A subset, in the meaning of the
//! reference implementation; `docs/connectware.md` lists it.
//!
//! What can never work is a [`Fault`] with its place, found before there is a message: unknown
//! functions and variables, wrong numbers of arguments, parts of the language that there are not.
//! What depends on the value is an [`Error`], which fails that message alone. Neither an expression
//! nor a value can take more than a bounded amount of work, memory and stack.
//!
//! Pure: whoever evaluates brings the time and what is known of the message.

mod fault;
mod functions;
pub mod json;
mod lexer;
mod machine;
mod number;
mod operators;
mod parser;
mod resolve;
mod syntax;
mod value;

pub use fault::{Error, Fault};
pub use value::{List, Object, Value};

use machine::Machine;
use std::fmt;
use std::sync::Arc;
use syntax::Node;

/// The longest expression, in bytes.
pub const BYTES_MAX: usize = 16 * 1024;

/// The largest result, in bytes as JSON.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// An expression that is ready to be evaluated. A clone shares it.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    root: Arc<Node>,
}

/// What an expression may name beside its value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'s> {
    /// The variables of `$context.vars`; any, if they are not known.
    pub vars: Option<&'s [String]>,
}

/// What is known of a message beside its value.
pub struct Context<'c> {
    /// Its topic.
    pub topic: &'c str,
    /// Its label; without one, its topic.
    pub label: &'c str,
    /// Variables, by their names; the last of a name counts.
    pub vars: &'c [(Arc<str>, Value)],
    /// The time, in milliseconds since 1970.
    pub now: i64,
    /// What an earlier message left under a label, or as its result.
    pub last: &'c dyn Fn(Option<&str>) -> Value,
}

/// Whether a text is an expression.
///
/// # Errors
///
/// Says what is wrong with it, and where.
pub fn check(text: &str, scope: &Scope<'_>) -> Result<(), Fault> {
    Expression::new(text, scope).map(|_| ())
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and where.
    pub fn new(text: &str, scope: &Scope<'_>) -> Result<Self, Fault> {
        if text.len() > BYTES_MAX {
            let words = format!("an expression has at most {BYTES_MAX} bytes, not {}", text.len());
            return Err(Fault::new(BYTES_MAX, "", words));
        }
        let mut root = parser::parse(text)?;
        resolve::resolve(&mut root, scope)?;
        Ok(Expression { text: text.into(), root: Arc::new(root) })
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value for this one. A function is none.
    ///
    /// # Errors
    ///
    /// It has none, or it would take too much to find it.
    pub fn evaluate(&self, input: &Value, context: &Context<'_>) -> Result<Value, Error> {
        Machine::new(input, context).run(&self.root)
    }
}

/// As it is written.
impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests;
