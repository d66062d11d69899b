//! Arithmetic and comparisons. Whole numbers wrap around, as they do in Go.

use super::error::Why;
use super::functions::TEXT_MAX;
use super::types::Value;
use crate::alerts::script::ast::{Operator, Sign};
use std::borrow::Cow;

/// `left operator right`; `AND` and `OR` are decided elsewhere.
pub(super) fn apply<'a>(
    operator: Operator,
    left: Value<'a>,
    right: Value<'a>,
) -> Result<Value<'a>, Why> {
    match operator {
        Operator::Equal
        | Operator::NotEqual
        | Operator::Less
        | Operator::LessEqual
        | Operator::Greater
        | Operator::GreaterEqual => compared(operator, &left, &right),
        Operator::Matches | Operator::MatchesNot => match (&left, &right) {
            (Value::Text(text), Value::Regex(regex)) => {
                Ok(Value::Bool(regex.is_match(text) == (operator == Operator::Matches)))
            }
            _ => Err(mismatch(operator, &left, &right)),
        },
        Operator::Plus | Operator::Minus => sum(operator, left, right),
        Operator::Times => product(&left, &right),
        Operator::Divide | Operator::Remainder => quotient(operator, &left, &right),
        Operator::And | Operator::Or => Err(mismatch(operator, &left, &right)),
    }
}

/// `-value`, `!value`
pub(super) fn signed(sign: Sign, value: &Value<'_>) -> Result<Value<'static>, Why> {
    match (sign, value) {
        (Sign::Minus, Value::Float(value)) => Ok(Value::Float(-value)),
        (Sign::Minus, Value::Int(value)) => Ok(Value::Int(value.wrapping_neg())),
        (Sign::Minus, Value::Duration(value)) => Ok(Value::Duration(value.wrapping_neg())),
        (Sign::Not, Value::Bool(value)) => Ok(Value::Bool(!value)),
        _ => Err(Why::Operand(sign, value.kind())),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a float beside a whole number decides as a float")]
fn compared<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Why> {
    let holds = match (left, right) {
        (Value::Float(left), Value::Float(right)) => holds(operator, left, right),
        (Value::Float(left), Value::Int(right)) => holds(operator, left, &(*right as f64)),
        (Value::Int(left), Value::Float(right)) => holds(operator, &(*left as f64), right),
        (Value::Int(left), Value::Int(right)) | (Value::Duration(left), Value::Duration(right)) => {
            holds(operator, left, right)
        }
        (Value::Text(left), Value::Text(right)) => holds(operator, &**left, &**right),
        (Value::Bool(left), Value::Bool(right)) => match operator {
            Operator::Equal => left == right,
            Operator::NotEqual => left != right,
            _ => return Err(Why::Operands(operator, super::Type::Bool, super::Type::Bool)),
        },
        _ => return Err(mismatch(operator, left, right)),
    };
    Ok(Value::Bool(holds))
}

fn holds<T: PartialOrd + ?Sized>(operator: Operator, left: &T, right: &T) -> bool {
    match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::LessEqual => left <= right,
        Operator::Greater => left > right,
        Operator::GreaterEqual => left >= right,
        _ => false,
    }
}

fn sum<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Why> {
    let plus = operator == Operator::Plus;
    let whole = |left: i64, right| {
        if plus { left.wrapping_add(right) } else { left.wrapping_sub(right) }
    };
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => {
            Ok(Value::Float(if plus { left + right } else { left - right }))
        }
        (Value::Int(left), Value::Int(right)) => Ok(Value::Int(whole(left, right))),
        (Value::Duration(left), Value::Duration(right)) => Ok(Value::Duration(whole(left, right))),
        (Value::Text(left), Value::Text(right)) if plus => joined(left, &right),
        (left, right) => Err(mismatch(operator, &left, &right)),
    }
}

fn joined<'a>(left: Cow<'a, str>, right: &str) -> Result<Value<'a>, Why> {
    if left.len() + right.len() > TEXT_MAX {
        return Err(Why::other(format!("the text would be longer than {TEXT_MAX} bytes")));
    }
    Ok(Value::Text(left + Cow::Owned(right.to_owned())))
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as Go rounds")]
fn product<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Why> {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => Ok(Value::Float(left * right)),
        (Value::Int(left), Value::Int(right)) => Ok(Value::Int(left.wrapping_mul(*right))),
        (Value::Duration(nanos), Value::Int(times))
        | (Value::Int(times), Value::Duration(nanos)) => {
            Ok(Value::Duration(nanos.wrapping_mul(*times)))
        }
        (Value::Duration(nanos), Value::Float(times))
        | (Value::Float(times), Value::Duration(nanos)) => {
            Ok(Value::Duration((*nanos as f64 * times) as i64))
        }
        _ => Err(mismatch(Operator::Times, left, right)),
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as Go rounds")]
fn quotient<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Why> {
    let whole = |left: i64, right: i64| match (right, operator) {
        (0, _) => Err(Why::DivisionByZero),
        (_, Operator::Remainder) => Ok(left.wrapping_rem(right)),
        _ => Ok(left.wrapping_div(right)),
    };
    let divide = operator == Operator::Divide;
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(Value::Int(whole(*left, *right)?)),
        (Value::Float(left), Value::Float(right)) if divide => Ok(Value::Float(left / right)),
        (Value::Duration(left), Value::Int(right)) if divide => {
            Ok(Value::Duration(whole(*left, *right)?))
        }
        (Value::Duration(left), Value::Duration(right)) if divide => {
            Ok(Value::Int(whole(*left, *right)?))
        }
        (Value::Duration(_), Value::Float(0.0)) if divide => Err(Why::DivisionByZero),
        (Value::Duration(left), Value::Float(right)) if divide => {
            Ok(Value::Duration((*left as f64 / right) as i64))
        }
        _ => Err(mismatch(operator, left, right)),
    }
}

fn mismatch(operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Why {
    Why::Operands(operator, left.kind(), right.kind())
}
