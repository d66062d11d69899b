//! Paths: step by step, with what stands behind each in brackets.

use super::{LOOKS_A_STEP, Machine};
use crate::jsonata::fault::Error;
use crate::jsonata::syntax::{Kind, Node};
use crate::jsonata::value::{List, Value};
use std::sync::Arc;

impl Machine<'_> {
    pub(super) fn wildcard(&mut self, input: &Value) -> Result<Value, Error> {
        let mut found = Vec::new();
        match input.unwrapped() {
            Value::Object(object) => {
                object.members().for_each(|(_, value)| flatten(value, &mut found));
            }
            Value::List(list) => list.items.iter().for_each(|value| flatten(value, &mut found)),
            _ => {}
        }
        self.made(Value::sequence(found))
    }

    pub(super) fn path(
        &mut self,
        steps: &[Node],
        is_kept: bool,
        input: &Value,
        frame: usize,
    ) -> Result<Value, Error> {
        let (passed, value) = plain_steps(steps, input);
        let result = if passed == steps.len() {
            value
        } else if passed > 0 && value.is_nothing() {
            Value::Nothing
        } else {
            let is_absolute = matches!(
                steps[0].kind,
                Kind::Variable(_) | Kind::Context | Kind::Root | Kind::Native(_) | Kind::Around(_)
            );
            let current = match value {
                Value::List(list) if passed > 0 || !is_absolute => list,
                value => sequence_of(value),
            };
            self.steps(steps, passed, current, frame)?
        };
        Ok(match result {
            result if !is_kept || result.is_nothing() => result,
            Value::List(list) if list.is_sequence => {
                Value::List(list).marked(|list| list.is_kept = true)
            }
            Value::List(list) if list.is_whole => {
                Value::sequence(vec![Value::List(list)]).marked(|list| list.is_kept = true)
            }
            Value::List(list) => Value::List(list),
            one => Value::sequence(vec![one]).marked(|list| list.is_kept = true),
        })
    }

    /// The steps of a path that are left.
    fn steps(
        &mut self,
        steps: &[Node],
        passed: usize,
        mut current: Arc<List>,
        frame: usize,
    ) -> Result<Value, Error> {
        for (index, step) in steps.iter().enumerate().skip(passed) {
            let is_last = index + 1 == steps.len();
            let found = match index == 0 && step.is_whole {
                true => self.eval(step, &Value::List(current), frame)?,
                false => self.step(step, &current, is_last, frame)?,
            };
            let next = match &found {
                Value::Nothing => return Ok(Value::Nothing),
                Value::List(list) if list.items.is_empty() => return Ok(Value::Nothing),
                Value::List(list) => Arc::clone(list),
                one => sequence_of(one.clone()),
            };
            if is_last {
                return Ok(found);
            }
            current = next;
        }
        Ok(Value::List(current))
    }

    fn step(
        &mut self,
        step: &Node,
        current: &List,
        is_last: bool,
        frame: usize,
    ) -> Result<Value, Error> {
        let mut results = Vec::new();
        for item in &current.items {
            let mut found = self.eval(step, item, frame)?;
            for stage in &step.stages {
                found = self.filter(stage, found, frame)?;
            }
            if !found.is_nothing() {
                results.push(found);
            }
        }
        if let ([Value::List(list)], true) = (results.as_slice(), is_last)
            && !list.is_sequence
        {
            return Ok(results.remove(0));
        }
        let mut flat = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Value::List(list) if !list.is_whole => flat.extend(list.items.iter().cloned()),
                other => flat.push(other),
            }
        }
        self.charge(flat.len() / LOOKS_A_STEP)?;
        Ok(Value::sequence(flat))
    }

    /// What of a value passes a predicate.
    pub(super) fn filter(
        &mut self,
        predicate: &Node,
        value: Value,
        frame: usize,
    ) -> Result<Value, Error> {
        let list = match value {
            Value::Nothing => return Ok(Value::Nothing),
            Value::List(list) => list,
            one => sequence_of(one),
        };
        let items = &list.items;
        if let Kind::Literal(Value::Number(number)) = predicate.kind {
            let item = index_of(number, items.len()).map(|index| items[index].clone());
            return Ok(match item {
                Some(Value::List(inner)) => Value::List(inner),
                Some(item) => Value::sequence(vec![item]),
                None => Value::sequence(Vec::new()),
            });
        }
        let mut passed = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let result = self.eval(predicate, item, frame)?;
            self.look(&result)?;
            let is_this = |number: f64| index_of(number, items.len()) == Some(index);
            match &result {
                Value::Number(number) if is_this(*number) => passed.push(item.clone()),
                Value::Number(_) => {}
                Value::List(list) if list.items.iter().all(is_number) => {
                    let times = list.items.iter().filter(|wanted| match wanted {
                        Value::Number(number) => is_this(*number),
                        _ => false,
                    });
                    passed.extend(times.map(|_| item.clone()));
                }
                result if result.truth() => passed.push(item.clone()),
                _ => {}
            }
        }
        self.charge(passed.len() / LOOKS_A_STEP)?;
        Ok(Value::sequence(passed))
    }
}

/// The first steps as far as they are only names, and there is only one value.
fn plain_steps(steps: &[Node], input: &Value) -> (usize, Value) {
    let mut value = input;
    let mut passed = 0;
    for step in steps {
        let (Kind::Name(name), [], Value::Object(object)) =
            (&step.kind, step.stages.as_slice(), value)
        else {
            break;
        };
        passed += 1;
        match object.get(name) {
            Some(found) => value = found,
            None => return (passed, Value::Nothing),
        }
    }
    (passed, value.clone())
}

/// A member; of a list, those of all its items.
pub(in crate::jsonata) fn lookup(
    input: &Value,
    name: &str,
    machine: &mut Machine<'_>,
) -> Result<Value, Error> {
    match input {
        Value::Object(object) => {
            machine.charge(object.members().len() / LOOKS_A_STEP)?;
            Ok(object.get(name).cloned().unwrap_or_default())
        }
        Value::List(list) => {
            machine.charge(1)?;
            let mut found = Vec::new();
            for item in &list.items {
                match lookup(item, name, machine)? {
                    Value::Nothing => {}
                    Value::List(list) => found.extend(list.items.iter().cloned()),
                    value => found.push(value),
                }
            }
            machine.made(Value::sequence(found))
        }
        _ => Ok(Value::Nothing),
    }
}

fn flatten(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::List(list) => list.items.iter().for_each(|item| flatten(item, found)),
        value => found.push(value.clone()),
    }
}

fn sequence_of(value: Value) -> Arc<List> {
    match Value::sequence(vec![value]) {
        Value::List(list) => list,
        _ => unreachable!("a sequence is a list"),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_))
}

/// Which item a number means; one below 0 counts from the end.
fn index_of(number: f64, length: usize) -> Option<usize> {
    #[allow(clippy::cast_precision_loss, reason = "no list is that long")]
    let from_end = length as f64;
    let index = number.floor();
    let index = if index < 0.0 { from_end + index } else { index };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the list")]
    (index >= 0.0 && index < from_end).then_some(index as usize)
}
