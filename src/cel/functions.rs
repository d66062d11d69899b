//! The functions of expressions.

use super::value::Value;
use std::borrow::Cow;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Matches,
    Size,
    Int,
    Double,
    Text,
}

const ALL: [Function; 8] = [
    Function::StartsWith,
    Function::EndsWith,
    Function::Contains,
    Function::Matches,
    Function::Size,
    Function::Int,
    Function::Double,
    Function::Text,
];

/// Their names, in the order of `ALL`, and `has`, which looks at a member without taking it.
pub(super) const NAMES: [&str; 9] =
    ["startsWith", "endsWith", "contains", "matches", "size", "int", "double", "string", "has"];

impl Function {
    pub(super) fn of(name: &str) -> Option<Self> {
        let place = NAMES.iter().position(|known| *known == name)?;
        ALL.get(place).copied()
    }

    pub(super) fn name(self) -> &'static str {
        ALL.iter().position(|each| *each == self).map_or("", |place| NAMES[place])
    }

    /// How many values it takes, that it is called on included.
    pub(super) fn values(self) -> usize {
        match self {
            Function::StartsWith | Function::EndsWith | Function::Contains | Function::Matches => 2,
            Function::Size | Function::Int | Function::Double | Function::Text => 1,
        }
    }

    /// Whether it can be called on a value.
    pub(super) fn is_method(self) -> bool {
        !matches!(self, Function::Int | Function::Double | Function::Text)
    }
}

/// What a function makes of values, which are as many as it takes.
pub(super) fn call<'v>(function: Function, values: &[Value<'v>]) -> Result<Value<'v>, String> {
    let [value, rest @ ..] = values else { return Err("nothing to call it on".to_owned()) };
    let made = match (function, value, rest) {
        (Function::StartsWith, Value::Text(text), [Value::Text(part)]) => {
            Some(Value::Bool(text.starts_with(part.as_ref())))
        }
        (Function::EndsWith, Value::Text(text), [Value::Text(part)]) => {
            Some(Value::Bool(text.ends_with(part.as_ref())))
        }
        (Function::Contains, Value::Text(text), [Value::Text(part)]) => {
            Some(Value::Bool(text.contains(part.as_ref())))
        }
        (Function::Size, _, _) => {
            size(value).and_then(|size| i64::try_from(size).ok()).map(Value::Int)
        }
        (Function::Int, _, _) => int(value).map(Value::Int),
        (Function::Double, Value::Text(text), _) => text.parse().ok().map(Value::Double),
        (Function::Double, _, _) => value.number().map(Value::Double),
        (Function::Text, _, _) => text(value).map(Value::Text),
        _ => None,
    };
    made.ok_or_else(|| {
        let name = function.name();
        match rest {
            [] => format!("`{name}` cannot be made of {}", value.name()),
            [part, ..] => {
                format!("`{name}` cannot be asked of {} and {}", value.name(), part.name())
            }
        }
    })
}

fn size(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Text(text) => Some(text.chars().count()),
        Value::Map(map) => Some(map.len()),
        _ => value.length(),
    }
}

fn int(value: &Value<'_>) -> Option<i64> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Int(int) => Some(*int),
        Value::Uint(uint) => i64::try_from(*uint).ok(),
        #[expect(clippy::cast_possible_truncation, reason = "it is in range, and its rest goes")]
        Value::Double(double) => (-BEYOND < *double && *double < BEYOND).then_some(*double as i64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn text<'v>(value: &Value<'v>) -> Option<Cow<'v, str>> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(bool) => Some(Cow::Borrowed(if *bool { "true" } else { "false" })),
        Value::Int(int) => Some(int.to_string().into()),
        Value::Uint(uint) => Some(uint.to_string().into()),
        Value::Double(double) => Some(shortest(*double).into()),
        _ => None,
    }
}

/// A number as Go writes it: with an exponent from seven digits before the point on, or four zeros
/// behind it.
fn shortest(double: f64) -> String {
    let scientific = format!("{double:e}");
    let Some((digits, power)) = scientific.split_once('e') else { return scientific };
    let power: i32 = power.parse().unwrap_or_default();
    if (-4..6).contains(&power) {
        return double.to_string();
    }
    let mut made = digits.to_owned();
    let sign = if power < 0 { '-' } else { '+' };
    let _ = write!(made, "e{sign}{:02}", power.abs());
    made
}
