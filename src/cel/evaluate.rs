//! From a tree and an event to a value.

use super::functions::call;
use super::tree::{Comparison, Node, Step};
use super::value::Value;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cmp::Ordering;

/// The longest text that an expression may make, in bytes.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

type Evaluated<'v> = Result<Value<'v>, String>;

/// The value of a part of an expression.
pub(super) fn evaluate<'v>(node: &'v Node, event: &'v Json) -> Evaluated<'v> {
    let value = |node: &'v Node| evaluate(node, event);
    match node {
        Node::Literal(literal) => Ok(Value::literal(literal)),
        Node::Event => Ok(Value::of(event)),
        Node::List(all) => all.iter().map(value).collect::<Result<_, _>>().map(Value::List),
        Node::Path(start, steps) => {
            steps.iter().try_fold(value(start)?, |at, step| further(&at, step, event))
        }
        Node::Has(inner, member) => Ok(Value::Bool(match value(inner)? {
            Value::Map(map) => map.contains_key(member),
            _ => false,
        })),
        Node::Not(inner) => Ok(Value::Bool(!bool_of(value(inner)?)?)),
        Node::And(all) => decided(all, false, event),
        Node::Or(all) => decided(all, true, event),
        Node::Sum(all) => {
            let mut parts = all.iter();
            let first = parts.next().map_or(Ok(Value::Null), value)?;
            parts.try_fold(first, |sum, next| add(sum, value(next)?))
        }
        Node::Compare(comparison, sides) => {
            compare(*comparison, &value(&sides.0)?, &value(&sides.1)?).map(Value::Bool)
        }
        Node::Choice(parts) => match bool_of(value(&parts.0)?)? {
            true => value(&parts.1),
            false => value(&parts.2),
        },
        Node::Call(function, values) => {
            let values = values.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            call(*function, &values)
        }
        Node::Matches(subject, pattern) => match value(subject)? {
            Value::Text(text) => Ok(Value::Bool(pattern.is_in(&text))),
            other => Err(format!("`matches` is for texts, and this is {}", other.name())),
        },
    }
}

fn bool_of(value: Value<'_>) -> Result<bool, String> {
    match value {
        Value::Bool(bool) => Ok(bool),
        other => Err(format!("{} stands where true or false is wanted", other.name())),
    }
}

/// `&&` and `||`: one that decides outweighs errors of all others, wherever they stand.
fn decided<'v>(all: &'v [Node], decisive: bool, event: &'v Json) -> Evaluated<'v> {
    let mut wrong = None;
    for node in all {
        match evaluate(node, event).and_then(bool_of) {
            Ok(bool) if bool == decisive => return Ok(Value::Bool(decisive)),
            Ok(_) => (),
            Err(why) => wrong = wrong.or(Some(why)),
        }
    }
    wrong.map_or(Ok(Value::Bool(!decisive)), Err)
}

/// A step further into a value.
fn further<'v>(at: &Value<'v>, step: &'v Step, event: &'v Json) -> Evaluated<'v> {
    let index = match step {
        Step::Member(name) => Value::Text(Cow::Borrowed(name)),
        Step::Index(node) => evaluate(node, event)?,
    };
    match (at, &index) {
        (Value::Map(map), Value::Text(name)) => match map.get(name.as_ref()) {
            Some(found) => Ok(Value::of(found)),
            None => Err(format!("there is no member `{}`", name.escape_debug())),
        },
        (Value::Array(_) | Value::List(_), _) if index.number().is_some() => {
            let number = index.number().unwrap_or(-1.0);
            let place = (0..at.length().unwrap_or(0)).find(|place| *place as f64 == number);
            place.and_then(|place| at.element(place)).ok_or_else(|| {
                format!("a list of {} has no element {number}", at.length().unwrap_or(0))
            })
        }
        _ => match step {
            Step::Member(name) => {
                Err(format!("{} has no member `{}`", at.name(), name.escape_debug()))
            }
            Step::Index(_) => Err(format!("{} is no index of {}", index.name(), at.name())),
        },
    }
}

fn add<'v>(one: Value<'v>, other: Value<'v>) -> Evaluated<'v> {
    Ok(match (one, other) {
        (Value::Text(one), Value::Text(other)) => {
            if one.len() + other.len() > TEXT_BYTES_MAX {
                return Err("the text becomes too long".to_owned());
            }
            Value::Text(one + other)
        }
        (Value::Double(one), Value::Double(other)) => Value::Double(one + other),
        (Value::Int(one), Value::Int(other)) => {
            Value::Int(one.checked_add(other).ok_or("the sum is out of range")?)
        }
        (Value::Uint(one), Value::Uint(other)) => {
            Value::Uint(one.checked_add(other).ok_or("the sum is out of range")?)
        }
        (one, other) => {
            return Err(format!(
                "{} and {} cannot be added (a number of an event needs a point: `1.0`)",
                one.name(),
                other.name()
            ));
        }
    })
}

fn compare(comparison: Comparison, one: &Value<'_>, other: &Value<'_>) -> Result<bool, String> {
    let ordered = |is: fn(Ordering) -> bool| {
        one.order(other)
            .map(is)
            .ok_or_else(|| format!("{} and {} have no order", one.name(), other.name()))
    };
    match comparison {
        Comparison::Equal => Ok(one.equals(other)),
        Comparison::Unequal => Ok(!one.equals(other)),
        Comparison::Less => ordered(Ordering::is_lt),
        Comparison::LessOrEqual => ordered(Ordering::is_le),
        Comparison::More => ordered(Ordering::is_gt),
        Comparison::MoreOrEqual => ordered(Ordering::is_ge),
        Comparison::In => match other {
            Value::Map(map) => {
                Ok(matches!(one, Value::Text(key) if map.contains_key(key.as_ref())))
            }
            _ => {
                let length = other.length().ok_or_else(|| {
                    format!("`in` is for lists and maps, and this is {}", other.name())
                })?;
                let is = |place| other.element(place).is_some_and(|it| one.equals(&it));
                Ok((0..length).any(is))
            }
        },
    }
}
