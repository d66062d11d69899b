//! Functions of numbers.

use super::count as counted;
use crate::jsonata::fault::Error;
use crate::jsonata::machine::Machine;
use crate::jsonata::number as written;
use crate::jsonata::value::Value;

type Result = std::result::Result<Value, Error>;

fn each(arguments: &[Value], make: impl FnOnce(f64) -> f64) -> Result {
    Ok(match arguments {
        [Value::Number(number), ..] => Value::Number(make(*number)),
        _ => Value::Nothing,
    })
}

/// The numbers of a list; `None` if there is no list.
fn numbers(arguments: &[Value]) -> Option<Vec<f64>> {
    let [Value::List(list), ..] = arguments else { return None };
    let number = |value: &Value| match value {
        Value::Number(number) => Some(*number),
        _ => None,
    };
    Some(list.items.iter().filter_map(number).collect())
}

pub(super) fn abs(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, f64::abs)
}

pub(super) fn floor(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, f64::floor)
}

pub(super) fn ceil(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, f64::ceil)
}

pub(super) fn sqrt(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    match arguments.first() {
        Some(Value::Number(number)) if *number < 0.0 => {
            Err(Error::new("D3060", "a number below 0 has no square root"))
        }
        _ => each(arguments, f64::sqrt),
    }
}

pub(super) fn power(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let [Value::Number(base), Value::Number(exponent), ..] = arguments else {
        return Ok(match arguments {
            [Value::Number(_), ..] => return Err(not_finite()),
            _ => Value::Nothing,
        });
    };
    let result = base.powf(*exponent);
    if result.is_finite() { Ok(Value::Number(result)) } else { Err(not_finite()) }
}

fn not_finite() -> Error {
    Error::new("D3061", "the power is not a finite number")
}

/// To the nearest, and to an even digit if there are two.
pub(super) fn round(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let digits = match arguments.get(1) {
        Some(Value::Number(digits)) => *digits,
        _ => 0.0,
    };
    each(arguments, |number| {
        if digits == 0.0 || !number.is_finite() {
            return whole(number);
        }
        written::shifted(whole(written::shifted(number, digits)), -digits)
    })
}

fn whole(number: f64) -> f64 {
    let rounded = number.round_ties_even();
    if rounded == 0.0 { 0.0 } else { rounded }
}

pub(super) fn number(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(match arguments.first() {
        Some(Value::Number(number)) => Value::Number(*number),
        Some(Value::Bool(value)) => Value::Number(f64::from(u8::from(*value))),
        Some(Value::Text(text)) => match written::read(text) {
            Some(number) => Value::Number(number),
            None => return Err(Error::new("D3030", format!("{text:?} is not a number"))),
        },
        _ => Value::Nothing,
    })
}

pub(super) fn sum(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(numbers(arguments).map_or(Value::Nothing, |numbers| Value::Number(total(&numbers))))
}

/// In their order; an empty one is 0, not the -0 that `sum` would make of it.
fn total(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |sum, number| sum + number)
}

pub(super) fn count(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(match arguments.first() {
        Some(Value::List(list)) => counted(list.items.len()),
        _ => counted(0),
    })
}

pub(super) fn average(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let numbers = numbers(arguments).filter(|numbers| !numbers.is_empty());
    #[allow(clippy::cast_precision_loss, reason = "no list is that long")]
    let average = |numbers: Vec<f64>| total(&numbers) / numbers.len() as f64;
    Ok(numbers.map_or(Value::Nothing, |numbers| Value::Number(average(numbers))))
}

pub(super) fn max(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    extreme(arguments, f64::max)
}

pub(super) fn min(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    extreme(arguments, f64::min)
}

fn extreme(arguments: &[Value], choose: fn(f64, f64) -> f64) -> Result {
    let numbers = numbers(arguments).unwrap_or_default();
    Ok(numbers.into_iter().reduce(choose).map_or(Value::Nothing, Value::Number))
}
