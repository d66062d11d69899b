//! Functions of lists.

use super::{count, for_each, next};
use crate::jsonata::fault::Error;
use crate::jsonata::machine::Machine;
use crate::jsonata::operators;
use crate::jsonata::value::{Function, Value};
use std::cmp::Ordering;
use std::sync::Arc;

type Result = std::result::Result<Value, Error>;

pub(super) fn append(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    Ok(operators::append(next(&mut arguments), next(&mut arguments)))
}

pub(super) fn map(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut made = Vec::new();
    each(machine, arguments, &mut |_, result| {
        if !result.is_nothing() {
            made.push(result);
        }
    })
    .map(|is_list| if is_list { Value::sequence(made) } else { Value::Nothing })
}

pub(super) fn filter(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut passed = Vec::new();
    each(machine, arguments, &mut |item, result| {
        if result.truth() {
            passed.push(item.clone());
        }
    })
    .map(|is_list| if is_list { Value::sequence(passed) } else { Value::Nothing })
}

/// Calls a function for each item of a list, if it is one.
fn each(
    machine: &mut Machine<'_>,
    arguments: &[Value],
    take: &mut dyn FnMut(&Value, Value),
) -> std::result::Result<bool, Error> {
    let mut arguments = arguments.iter();
    let (whole, function) = (next(&mut arguments), next(&mut arguments));
    let Value::List(list) = &whole else { return Ok(false) };
    for (index, item) in list.items.iter().enumerate() {
        let result = for_each(machine, &function, item, &|| count(index), &whole)?;
        take(item, result);
    }
    Ok(true)
}

pub(super) fn reduce(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    let (whole, function) = (next(&mut arguments), next(&mut arguments));
    let mut result = next(&mut arguments);
    let (Value::List(list), Value::Function(function)) = (&whole, function) else {
        return Ok(Value::Nothing);
    };
    let arity = function.arity();
    if arity < 2 {
        return Err(Error::new("D3050", "the function of $reduce takes two arguments"));
    }
    let mut items = list.items.iter().enumerate();
    if result.is_nothing() {
        result = items.next().map(|(_, item)| item.clone()).unwrap_or_default();
    }
    for (index, item) in items {
        let mut arguments = vec![result, item.clone()];
        if arity >= 3 {
            arguments.push(count(index));
        }
        if arity >= 4 {
            arguments.push(whole.clone());
        }
        result = machine.apply(&function, arguments, &Value::Nothing)?;
    }
    Ok(result)
}

pub(super) fn distinct(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let value = next(&mut arguments.iter());
    let Value::List(list) = &value else { return Ok(value) };
    if list.items.len() <= 1 {
        return Ok(value);
    }
    let mut kept: Vec<Value> = Vec::new();
    for item in &list.items {
        machine.charge(1 + kept.len() * (1 + item.size()) / 32)?;
        if !kept.iter().any(|known| known.same(item)) {
            kept.push(item.clone());
        }
    }
    Ok(if list.is_sequence { Value::sequence(kept) } else { Value::list(kept) })
}

pub(super) fn reverse(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let value = next(&mut arguments.iter());
    Ok(match &value {
        Value::List(list) if list.items.len() > 1 => {
            Value::list(list.items.iter().rev().cloned().collect())
        }
        _ => value,
    })
}

pub(super) fn zip(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let lists: Vec<Vec<Value>> = arguments
        .iter()
        .map(|value| match value {
            Value::Nothing => Vec::new(),
            value => operators::items_of(value.clone()),
        })
        .collect();
    let shortest = lists.iter().map(Vec::len).min().unwrap_or(0);
    let row = |index: usize| Value::list(lists.iter().map(|list| list[index].clone()).collect());
    Ok(Value::list((0..shortest).map(row).collect()))
}

pub(super) fn sort(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    let (value, function) = (next(&mut arguments), next(&mut arguments));
    let Value::List(list) = &value else { return Ok(value) };
    if list.items.len() <= 1 {
        return Ok(value);
    }
    let order = match function {
        Value::Function(function) => Order::Function(function),
        _ if list.items.iter().all(|item| matches!(item, Value::Number(_))) => Order::Natural,
        _ if list.items.iter().all(|item| matches!(item, Value::Text(_))) => Order::Natural,
        _ => return Err(Error::new("D3070", "only numbers or only texts have an order")),
    };
    sorted(machine, list.items.clone(), &order).map(Value::list)
}

enum Order {
    /// Of numbers or texts.
    Natural,
    /// True means that its arguments are in the wrong order.
    Function(Arc<Function>),
}

/// Our own, because a function of the expression may fail, and contradict itself: pairs of pieces
/// that are in order become one, until there is one piece.
fn sorted(
    machine: &mut Machine<'_>,
    mut items: Vec<Value>,
    order: &Order,
) -> std::result::Result<Vec<Value>, Error> {
    let (count, mut width) = (items.len(), 1);
    while width < count {
        machine.charge(count / 8)?;
        let mut merged = Vec::with_capacity(count);
        for begin in (0..count).step_by(2 * width) {
            let (middle, end) = ((begin + width).min(count), (begin + 2 * width).min(count));
            let (mut left, mut right) = (begin, middle);
            while left < middle || right < end {
                let is_right = right < end
                    && (left == middle || order.is_later(machine, &items[left], &items[right])?);
                let next = if is_right { &mut right } else { &mut left };
                merged.push(items[*next].clone());
                *next += 1;
            }
        }
        (items, width) = (merged, 2 * width);
    }
    Ok(items)
}

impl Order {
    fn is_later(
        &self,
        machine: &mut Machine<'_>,
        one: &Value,
        other: &Value,
    ) -> std::result::Result<bool, Error> {
        match self {
            Order::Natural => Ok(is_later(one, other)),
            Order::Function(function) => {
                let arguments = vec![one.clone(), other.clone()];
                Ok(machine.apply(function, arguments, &Value::Nothing)?.truth())
            }
        }
    }
}

fn is_later(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one > other,
        (Value::Text(one), Value::Text(other)) => {
            operators::text_order(one, other) == Ordering::Greater
        }
        _ => false,
    }
}
