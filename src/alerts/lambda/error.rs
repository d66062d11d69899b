//! Why an expression has no value for a point.

use super::types::Type;
use crate::alerts::point::Name;
use crate::alerts::script::ast::{Operator, Place, Sign};
use std::fmt;

/// Why an expression has no value for a point, and which part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The part: its place in the script.
    pub place: Place,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a part of an expression.
///
/// It may happen with each point, so the common ones cost no allocation before somebody reads them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// The point has neither a field nor a tag with this name.
    Missing(Name),
    /// The point has both a field and a tag with this name.
    Ambiguous(Name),
    /// Two values that an operator cannot combine.
    Operands(Operator, Type, Type),
    /// A value that an operator cannot change.
    Operand(Sign, Type),
    /// Arguments that a function does not take.
    Arguments {
        /// The function.
        function: &'static str,
        /// What it takes.
        takes: Box<str>,
        /// What it was given.
        given: Box<str>,
    },
    /// A whole number, or a duration, divided by zero.
    DivisionByZero,
    /// The whole expression is not true or false, though it decides something.
    NotBool(Type),
    /// A value that is out of the ordinary: said in words.
    Other(Box<str>),
}

impl Error {
    /// Whether a field or tag is missing, which is no mistake of the script.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.why, Why::Missing(_))
    }
}

impl Why {
    /// In words.
    pub(super) fn other(words: impl Into<Box<str>>) -> Self {
        Why::Other(words.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Missing(name) => write!(f, "the point has no field or tag \"{name}\""),
            Why::Ambiguous(name) => write!(f, "the point has a field and a tag \"{name}\""),
            Why::Operands(operator, left, right) => f.write_str(&mismatch(*operator, left, right)),
            Why::Operand(sign, given) => f.write_str(&unfit(*sign, given)),
            Why::Arguments { function, takes, given } => {
                write!(f, "{function} takes {takes}, not {given}")
            }
            Why::DivisionByZero => f.write_str("division by zero"),
            Why::NotBool(given) => write!(f, "a condition must be a bool, this is: {given}"),
            Why::Other(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Error {}

/// Words for two operands that do not go together.
pub(super) fn mismatch(
    operator: Operator,
    left: impl fmt::Display,
    right: impl fmt::Display,
) -> String {
    format!(
        "{} does not go with {left} and {right}; bool(), int(), float(), string() and duration() \
         convert",
        operator.text()
    )
}

/// Words for an operand that an operator cannot change.
pub(super) fn unfit(sign: Sign, given: impl fmt::Display) -> String {
    match sign {
        Sign::Minus => format!("- needs a number or a duration, this is: {given}"),
        Sign::Not => format!("! needs a bool, this is: {given}"),
    }
}
