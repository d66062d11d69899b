//! Functions of objects.

use super::{for_each, next};
use crate::jsonata::fault::Error;
use crate::jsonata::json::Members;
use crate::jsonata::machine::{self, Machine};
use crate::jsonata::operators;
use crate::jsonata::value::Value;
use std::sync::Arc;

type Result = std::result::Result<Value, Error>;

pub(super) fn keys(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut names = Members::default();
    collect_names(&next(&mut arguments.iter()), &mut names);
    let Value::Object(names) = names.object() else { return Ok(Value::Nothing) };
    Ok(Value::sequence(names.members().map(|(name, _)| Value::Text(Arc::clone(name))).collect()))
}

fn collect_names(value: &Value, names: &mut Members) {
    match value {
        Value::Object(object) => {
            object.members().for_each(|(name, _)| names.put(Arc::clone(name), Value::Null));
        }
        Value::List(list) => list.items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}

pub(super) fn lookup(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    let value = next(&mut arguments);
    match next(&mut arguments) {
        Value::Text(name) => machine::lookup(&value, &name, machine),
        _ => Ok(Value::Nothing),
    }
}

pub(super) fn merge(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let Value::List(list) = next(&mut arguments.iter()) else { return Ok(Value::Nothing) };
    let mut members = Members::default();
    for item in &list.items {
        if let Value::Object(object) = item {
            let each = object.members();
            each.for_each(|(name, value)| members.put(Arc::clone(name), value.clone()));
        }
    }
    Ok(members.object())
}

/// An object with one member for each member of an object.
pub(super) fn spread(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(spread_out(next(&mut arguments.iter())))
}

fn spread_out(value: Value) -> Value {
    match value {
        Value::List(list) => {
            let mut items = Vec::new();
            for item in &list.items {
                items.append(&mut operators::items_of(spread_out(item.clone())));
            }
            items.retain(|item| !item.is_nothing());
            Value::sequence(items)
        }
        Value::Object(object) => {
            let one = |(name, value): (&Arc<str>, &Value)| {
                Value::object(vec![(Arc::clone(name), value.clone())])
            };
            Value::sequence(object.members().map(one).collect())
        }
        other => other,
    }
}

pub(super) fn each(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    let (whole, function) = (next(&mut arguments), next(&mut arguments));
    let Value::Object(object) = &whole else { return Ok(Value::Nothing) };
    let mut made = Vec::new();
    for (name, value) in object.members() {
        let key = || Value::Text(Arc::clone(name));
        let result = for_each(machine, &function, value, &key, &whole)?;
        if !result.is_nothing() {
            made.push(result);
        }
    }
    Ok(Value::sequence(made))
}

/// The members for which a function is true; nothing if there are none.
pub(super) fn sift(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    let (whole, function) = (next(&mut arguments), next(&mut arguments));
    let Value::Object(object) = &whole else { return Ok(Value::Nothing) };
    let mut kept = Vec::new();
    for (name, value) in object.members() {
        let key = || Value::Text(Arc::clone(name));
        if for_each(machine, &function, value, &key, &whole)?.truth() {
            kept.push((Arc::clone(name), value.clone()));
        }
    }
    Ok(if kept.is_empty() { Value::Nothing } else { Value::object(kept) })
}
