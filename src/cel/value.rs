//! What an expression calculates with.

use super::tree::Literal;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A value; what stands in the event is not copied.
#[derive(Clone, Debug)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// Also every number of an event.
    Double(f64),
    Text(Cow<'v, str>),
    /// A list of the event.
    Array(&'v [Json]),
    /// A list of the expression.
    List(Vec<Value<'v>>),
    Map(&'v Map<String, Json>),
}

impl<'v> Value<'v> {
    pub(super) fn of(json: &'v Json) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::Text(Cow::Borrowed(text)),
            Json::Array(all) => Value::Array(all),
            Json::Object(map) => Value::Map(map),
        }
    }

    pub(super) fn literal(literal: &'v Literal) -> Self {
        match literal {
            Literal::Null => Value::Null,
            Literal::Bool(bool) => Value::Bool(*bool),
            Literal::Int(int) => Value::Int(*int),
            Literal::Uint(uint) => Value::Uint(*uint),
            Literal::Double(double) => Value::Double(*double),
            Literal::Text(text) => Value::Text(Cow::Borrowed(text)),
        }
    }

    /// What it is, in words.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an integer",
            Value::Uint(_) => "an unsigned integer",
            Value::Double(_) => "a number",
            Value::Text(_) => "a text",
            Value::Array(_) | Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// How many elements a list has.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Value::Array(all) => Some(all.len()),
            Value::List(all) => Some(all.len()),
            _ => None,
        }
    }

    /// An element of a list.
    pub(super) fn element(&self, index: usize) -> Option<Value<'v>> {
        match self {
            Value::Array(all) => all.get(index).map(Value::of),
            Value::List(all) => all.get(index).cloned(),
            _ => None,
        }
    }

    /// Numbers are equal by value; values of different types never are.
    pub(super) fn equals(&self, other: &Value<'_>) -> bool {
        if let (Some(length), Some(others)) = (self.length(), other.length()) {
            let equal = |index| match (self.element(index), other.element(index)) {
                (Some(one), Some(another)) => one.equals(&another),
                _ => false,
            };
            return length == others && (0..length).all(equal);
        }
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Map(one), Value::Map(another)) => {
                let equal = |(key, value)| {
                    another.get(key).is_some_and(|it| Value::of(value).equals(&Value::of(it)))
                };
                one.len() == another.len() && one.iter().all(equal)
            }
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// Which comes first, if that can be said.
    pub(super) fn order(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(one), Value::Bool(another)) => Some(one.cmp(another)),
            // By bytes is by code points.
            (Value::Text(one), Value::Text(another)) => Some(one.cmp(another)),
            _ => match (self.whole(), other.whole()) {
                (Some(one), Some(another)) => Some(one.cmp(&another)),
                _ => self.number()?.partial_cmp(&other.number()?),
            },
        }
    }

    /// As an integer, if it is one by type.
    fn whole(&self) -> Option<i128> {
        match self {
            Value::Int(int) => Some((*int).into()),
            Value::Uint(uint) => Some((*uint).into()),
            _ => None,
        }
    }

    /// As a floating-point number.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(int) => Some(*int as f64),
            Value::Uint(uint) => Some(*uint as f64),
            Value::Double(double) => Some(*double),
            _ => None,
        }
    }
}
