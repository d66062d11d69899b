//! Functions of any value.

use super::next;
use crate::jsonata::RESULT_BYTES_MAX;
use crate::jsonata::fault::Error;
use crate::jsonata::json;
use crate::jsonata::machine::{Machine, unwritable};
use crate::jsonata::value::Value;

type Result = std::result::Result<Value, Error>;

pub(super) fn string(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    let (value, is_pretty) = (next(&mut arguments), next(&mut arguments));
    match value {
        Value::Nothing => Ok(Value::Nothing),
        value @ (Value::List(_) | Value::Object(_)) if is_pretty.truth() => {
            let text = json::write_rounded(&value, true, RESULT_BYTES_MAX).map_err(unwritable)?;
            Ok(Value::text(&text))
        }
        value => machine.string(&value).map(Value::Text),
    }
}

pub(super) fn boolean(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(match arguments.first() {
        None | Some(Value::Nothing) => Value::Nothing,
        Some(value) => Value::Bool(value.truth()),
    })
}

pub(super) fn not(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(match arguments.first() {
        None | Some(Value::Nothing) => Value::Nothing,
        Some(value) => Value::Bool(!value.truth()),
    })
}

pub(super) fn exists(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(Value::Bool(arguments.first().is_some_and(|value| !value.is_nothing())))
}

pub(super) fn type_of(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(match arguments.first() {
        None | Some(Value::Nothing) => Value::Nothing,
        Some(value) => Value::text(value.kind()),
    })
}

/// What an earlier message left under a label, or as its result.
pub(super) fn last(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(match arguments.first() {
        Some(Value::Text(label)) => (machine.context.last)(Some(label)),
        _ => (machine.context.last)(None),
    })
}
