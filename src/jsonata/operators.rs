//! What signs do with two values.

use super::fault::Error;
use super::syntax::Binary;
use super::value::Value;
use std::cmp::Ordering;

/// Arithmetic; nothing if a side is nothing.
pub(super) fn arithmetic(sign: Binary, left: &Value, right: &Value) -> Result<Value, Error> {
    let number = |value: &Value, code, side| match value {
        Value::Number(number) => Ok(Some(*number)),
        Value::Nothing => Ok(None),
        other => {
            let words = format!("the {side} side is not a number but of type {}", other.kind());
            Err(Error::new(code, words))
        }
    };
    let left = number(left, "T2001", "left")?;
    let right = number(right, "T2002", "right")?;
    let (Some(left), Some(right)) = (left, right) else { return Ok(Value::Nothing) };
    Ok(Value::Number(match sign {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide => left / right,
        _ => left % right,
    }))
}

/// Which of two numbers or texts comes first; nothing if a side is nothing.
pub(super) fn comparison(sign: Binary, left: &Value, right: &Value) -> Result<Value, Error> {
    let is_comparable =
        |value: &Value| matches!(value, Value::Nothing | Value::Number(_) | Value::Text(_));
    if let Some(odd) = [left, right].into_iter().find(|value| !is_comparable(value)) {
        let words =
            format!("numbers and texts can be compared, a value of type {} cannot", odd.kind());
        return Err(Error::new("T2010", words));
    }
    let order = match (left, right) {
        (Value::Nothing, _) | (_, Value::Nothing) => return Ok(Value::Nothing),
        (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(text_order(left, right)),
        _ => return Err(Error::new("T2009", "a number and a text cannot be compared")),
    };
    let holds = order.is_some_and(|order| match sign {
        Binary::Less => order == Ordering::Less,
        Binary::LessOrEqual => order != Ordering::Greater,
        Binary::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    });
    Ok(Value::Bool(holds))
}

/// The order of texts in JavaScript, which is by the units of UTF-16.
pub(super) fn text_order(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
}

/// Whether `left` is among the values of `right`. Lists and objects are only the same as themselves.
pub(super) fn is_in(left: &Value, right: &Value) -> bool {
    let is_it = |value: &Value| match value {
        Value::List(_) | Value::Object(_) | Value::Function(_) => false,
        value => value.same(left),
    };
    match (left, right) {
        (Value::Nothing, _) | (_, Value::Nothing) => false,
        (_, Value::List(list)) => list.items.iter().any(is_it),
        (_, one) => is_it(one),
    }
}

/// The values of both, in one list. Nothing adds nothing.
pub(super) fn append(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Nothing, value) | (value, Value::Nothing) => value,
        (left, right) => {
            let mut items = items_of(left);
            items.append(&mut items_of(right));
            Value::list(items)
        }
    }
}

/// The items of a list; any other value is its own only item.
pub(super) fn items_of(value: Value) -> Vec<Value> {
    match value {
        Value::List(list) => match std::sync::Arc::try_unwrap(list) {
            Ok(list) => list.items,
            Err(shared) => shared.items.clone(),
        },
        value => vec![value],
    }
}

/// The whole numbers from one to the other; nothing if there are none.
pub(super) fn range(first: &Value, last: &Value, most: usize) -> Result<Value, Error> {
    let whole = |value: &Value, code, which| match value {
        Value::Nothing => Ok(None),
        Value::Number(number) if number.fract() == 0.0 => Ok(Some(*number)),
        _ => Err(Error::new(code, format!("the {which} of a range is not a whole number"))),
    };
    let first = whole(first, "T2003", "beginning")?;
    let last = whole(last, "T2004", "end")?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(Value::Nothing) };
    #[allow(clippy::cast_precision_loss, reason = "the bound is small")]
    let is_too_long = last - first >= most as f64;
    if is_too_long {
        return Err(Error::new("D2014", "the range is too long"));
    }
    let next = |number: &f64| (number + 1.0 <= last).then_some(number + 1.0);
    let numbers = std::iter::successors((first <= last).then_some(first), next);
    let items: Vec<Value> = numbers.map(Value::Number).collect();
    Ok(if items.is_empty() { Value::Nothing } else { Value::sequence(items) })
}
