//! What an expression may be, and which operator goes with what.

use crate::alerts::script::ast::{Operator, Sign};
use regex_lite::Regex;
use std::borrow::Cow;
use std::fmt;

/// What an expression is for one point. Texts are borrowed from the point or from the expression
/// wherever they are not made, so comparing costs no allocation.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// A number with a fraction.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(Cow<'a, str>),
    /// Nanoseconds.
    Duration(i64),
    /// Nanoseconds since 1970.
    Time(i64),
    /// A pattern.
    Regex(&'a Regex),
}

impl<'a> Value<'a> {
    /// A text that is somebody else's.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }

    /// Which type it has.
    #[must_use]
    pub fn kind(&self) -> Type {
        match self {
            Value::Float(_) => Type::Float,
            Value::Int(_) => Type::Int,
            Value::Bool(_) => Type::Bool,
            Value::Text(_) => Type::Text,
            Value::Duration(_) => Type::Duration,
            Value::Time(_) => Type::Time,
            Value::Regex(_) => Type::Regex,
        }
    }
}

/// A type, by the name that scripts have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `float`
    Float,
    /// `int`
    Int,
    /// `bool`
    Bool,
    /// `string`
    Text,
    /// `duration`
    Duration,
    /// `time`
    Time,
    /// `regex`
    Regex,
}

impl Type {
    /// All of them.
    pub(super) const ALL: [Type; 7] =
        [Type::Float, Type::Int, Type::Bool, Type::Text, Type::Duration, Type::Time, Type::Regex];

    fn is_number(self) -> bool {
        matches!(self, Type::Float | Type::Int)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Type::Float => "float",
            Type::Int => "int",
            Type::Bool => "bool",
            Type::Text => "string",
            Type::Duration => "duration",
            Type::Time => "time",
            Type::Regex => "regex",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The types that an expression may turn out to have; what a reference stands for is only known
/// when there is a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    /// What a field or a tag may be.
    pub(super) const REFERENCE: Types = Types::of(Type::Float)
        .and(Type::Int)
        .and(Type::Bool)
        .and(Type::Text)
        .and(Type::Duration)
        .and(Type::Time);

    /// Nothing.
    pub(super) const NONE: Types = Types(0);

    /// Just this one.
    pub(super) const fn of(one: Type) -> Types {
        Types(1 << one as u8)
    }

    /// These and one more.
    pub(super) const fn and(self, one: Type) -> Types {
        Types(self.0 | 1 << one as u8)
    }

    /// Whether this one is among them.
    pub(super) const fn has(self, one: Type) -> bool {
        self.0 & 1 << one as u8 != 0
    }

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self == Types::NONE
    }

    fn iter(self) -> impl Iterator<Item = Type> {
        Type::ALL.into_iter().filter(move |&one| self.has(one))
    }

    /// What an operator may make of these and those.
    pub(super) fn combined(self, operator: Operator, right: Types) -> Types {
        let mut types = Types::NONE;
        for left in self.iter() {
            for result in right.iter().filter_map(|right| outcome(operator, left, right)) {
                types = types.and(result);
            }
        }
        types
    }

    /// What an operator may make of these.
    pub(super) fn signed(self, sign: Sign) -> Types {
        let fits = |&one: &Type| match sign {
            Sign::Minus => matches!(one, Type::Float | Type::Int | Type::Duration),
            Sign::Not => one == Type::Bool,
        };
        self.iter().filter(fits).fold(Types::NONE, Types::and)
    }
}

/// As a person reads them: `int`, `float or int`; a reference is a `field or tag`.
impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Types::REFERENCE {
            return f.write_str("field or tag");
        }
        for (index, one) in self.iter().enumerate() {
            let or = if index > 0 { " or " } else { "" };
            write!(f, "{or}{one}")?;
        }
        Ok(())
    }
}

/// The type of `left operator right`, if the two go together.
pub(super) fn outcome(operator: Operator, left: Type, right: Type) -> Option<Type> {
    use Type::{Bool, Duration, Float, Int, Regex, Text};
    let numbers = left.is_number() && right.is_number();
    match operator {
        Operator::And | Operator::Or => (left == Bool && right == Bool).then_some(Bool),
        Operator::Matches | Operator::MatchesNot => {
            (left == Text && right == Regex).then_some(Bool)
        }
        Operator::Equal | Operator::NotEqual => {
            let alike = left == right && matches!(left, Text | Duration | Bool);
            (numbers || alike).then_some(Bool)
        }
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
            let alike = left == right && matches!(left, Text | Duration);
            (numbers || alike).then_some(Bool)
        }
        Operator::Plus => {
            (left == right && matches!(left, Int | Float | Text | Duration)).then_some(left)
        }
        Operator::Minus => {
            (left == right && matches!(left, Int | Float | Duration)).then_some(left)
        }
        Operator::Times => match (left, right) {
            (Int, Int) | (Float, Float) => Some(left),
            (Duration, Int | Float) | (Int | Float, Duration) => Some(Duration),
            _ => None,
        },
        Operator::Divide => match (left, right) {
            (Int, Int) | (Float, Float) | (Duration, Int | Float) => Some(left),
            (Duration, Duration) => Some(Int),
            _ => None,
        },
        Operator::Remainder => (left == Int && right == Int).then_some(Int),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_words() {
        for (types, wanted) in [
            (Types::of(Type::Int), "int"),
            (Types::of(Type::Int).and(Type::Float), "float or int"),
            (Types::REFERENCE, "field or tag"),
        ] {
            assert_eq!(types.to_string(), wanted);
        }
    }

    #[test]
    fn a_result_has_the_types_of_all_pairs_that_go_together() {
        let float = Types::of(Type::Float);
        for (left, operator, right, wanted) in [
            (Types::REFERENCE, Operator::Plus, float, "float"),
            (Types::REFERENCE, Operator::Times, float, "float or duration"),
            (Types::REFERENCE, Operator::Less, float, "bool"),
            (Types::of(Type::Text), Operator::Less, float, ""),
            (Types::of(Type::Time), Operator::Equal, Types::of(Type::Time), ""),
        ] {
            let found = left.combined(operator, right).to_string();
            assert_eq!(found, wanted, "{left} {} {right}", operator.text());
        }
    }
}
