//! One step of a way, at work.

use super::memory::{Changes, Collected, Waiting, Waits};
use super::reading::read;
use super::{Item, Kept, Now, Payload};
use crate::config::{Reading, Shape, Step};
use crate::jsonata::{Context, Expression, Scope, Value, json};
use crate::message::Record;
use crate::system::health::Tally;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What happens after a step.
#[derive(Debug)]
pub(super) enum Next {
    /// The next step.
    Pass,
    /// Nothing more.
    Stop,
    /// The message waits for others; some of them may be stored now.
    Held(Option<Record>),
}

/// A step, and what it remembers.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) tally: Tally,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Parse {
        reading: Reading,
        is_told: bool,
    },
    Transform(Expression),
    Filter(Expression),
    SetVars(Vec<(Arc<str>, Expression)>),
    Changes(Changes),
    Burst(Box<Waiting>),
    Collect(Collected),
    Stash(String),
    /// Its expression cannot be read, which the configuration should have said.
    Broken(String),
}

/// The steps of a way. Changes that follow each other are one step.
pub(super) fn compiled(shape: &Shape) -> Vec<Work> {
    let mut works: Vec<Work> = Vec::new();
    let mut steps = shape.steps.iter().enumerate().peekable();
    while let Some((index, step)) = steps.next() {
        let kind = match step {
            Step::Change(change) => {
                let mut changes = vec![change.clone()];
                while let Some((_, Step::Change(change))) = steps.peek() {
                    changes.push(change.clone());
                    steps.next();
                }
                Kind::Changes(Changes::new(changes))
            }
            Step::Burst(burst) => {
                let name = (shape.name.clone(), works.len());
                Kind::Burst(Box::new(Waiting::new(*burst, name)))
            }
            other => kind(other).unwrap_or_else(Kind::Broken),
        };
        let tally = Tally::new(format!("{}, rule {}", shape.name, index + 1));
        works.push(Work { tally, kind });
    }
    works
}

fn kind(step: &Step) -> Result<Kind, String> {
    let expression = |text: &str| {
        let read = Expression::new(text, &Scope::default());
        read.map_err(|fault| fault.to_string())
    };
    Ok(match step {
        Step::Parse(reading) => Kind::Parse { reading: *reading, is_told: false },
        Step::Transform(text) => Kind::Transform(expression(text)?),
        Step::Filter(text) => Kind::Filter(expression(text)?),
        Step::SetVars(vars) => {
            let var =
                |(name, text): &(String, String)| Ok((name.as_str().into(), expression(text)?));
            Kind::SetVars(vars.iter().map(var).collect::<Result<_, String>>()?)
        }
        Step::Collect => Kind::Collect(Collected::default()),
        Step::Stash(label) => Kind::Stash(label.clone()),
        Step::Change(_) | Step::Burst(_) => return Err("it has no expression".to_owned()),
    })
}

impl Work {
    /// Takes a message further; an error is about this message alone.
    pub(super) fn run(
        &mut self,
        item: &mut Item,
        kept: &mut Kept,
        now: Now,
        notes: &mut Vec<String>,
    ) -> Result<Next, String> {
        let place = &self.tally.rule;
        if let Kind::Parse { reading, is_told } = &mut self.kind {
            let (payload, is_longer) = parsed(*reading, &item.payload)?;
            item.payload = payload;
            if is_longer && !*is_told {
                *is_told = true;
                let name = reading.name();
                notes
                    .push(format!("{place}: payloads are longer than {name}; the rest is ignored"));
            }
            return Ok(Next::Pass);
        }
        let value = value(item)?;
        let evaluate = |expression: &Expression, item: &Item, kept: &Kept| {
            let found = evaluated(expression, &value, item, kept, now);
            found.map_err(|why| format!("{place}: {why}"))
        };
        match &mut self.kind {
            Kind::Parse { .. } => {}
            Kind::Transform(expression) => {
                let made = evaluate(expression, item, kept)?;
                if let Value::Function(_) = made {
                    return Err(format!("{place}: the result is a function"));
                }
                if !made.is_finite() {
                    let words = "the result has a number that is not finite (D1001)";
                    return Err(format!("{place}: {words}"));
                }
                item.payload = Payload::Made(made.clone());
                if made.is_nothing() {
                    return Ok(Next::Stop);
                }
            }
            Kind::Filter(expression) => {
                if !evaluate(expression, item, kept)?.truth() {
                    return Ok(Next::Stop);
                }
            }
            Kind::SetVars(vars) => {
                let mut found = Vec::with_capacity(vars.len());
                for (name, expression) in vars {
                    found.push((Arc::clone(name), evaluate(expression, item, kept)?));
                }
                item.vars.retain(|(name, _)| !found.iter().any(|(new, _)| new == name));
                item.vars.extend(found);
            }
            Kind::Changes(changes) => {
                if !changes.pass(&item.label, &value) {
                    return Ok(Next::Stop);
                }
            }
            Kind::Burst(waiting) => return Ok(wait(waiting, item, value, now)),
            Kind::Collect(collected) => return Ok(collect(collected, item, value, place, notes)),
            Kind::Stash(label) => {
                kept.stashing.retain(|(known, _)| known != label);
                kept.stashing.push((label.clone(), value));
            }
            Kind::Broken(why) => return Err(format!("{place}: {why}")),
        }
        Ok(Next::Pass)
    }

    /// Counts what does not pass.
    pub(super) fn count(&self, next: &Result<Next, String>) {
        let count = match next {
            Ok(Next::Pass) => return,
            Ok(Next::Stop | Next::Held(_)) => &self.tally.stopped,
            Err(_) => &self.tally.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn wake_at(&self) -> Option<std::time::Instant> {
        match &self.kind {
            Kind::Burst(waiting) => waiting.wake_at(),
            _ => None,
        }
    }

    /// What waits.
    pub(super) fn let_go(&mut self) -> Option<Item> {
        match &mut self.kind {
            Kind::Burst(waiting) => waiting.let_go(),
            _ => None,
        }
    }

    /// Nothing waits any more.
    pub(super) fn end(&mut self) {
        self.waits(false);
    }

    /// Something may wait again.
    pub(super) fn begin(&mut self) {
        self.waits(true);
    }

    fn waits(&mut self, does: bool) {
        if let Kind::Burst(waiting) = &mut self.kind {
            waiting.is_ended = !does;
        }
    }
}

fn wait(waiting: &mut Waiting, item: &mut Item, value: Value, now: Now) -> Next {
    if !waiting.is_at_work() {
        return Next::Pass;
    }
    match waiting.add(item, value, now) {
        Waits::Yes => Next::Held(None),
        Waits::Stored(record) => Next::Held(Some(record)),
        Waits::No(all) => {
            *item = all;
            Next::Pass
        }
    }
}

fn collect(
    collected: &mut Collected,
    item: &mut Item,
    value: Value,
    place: &str,
    notes: &mut Vec<String>,
) -> Next {
    if let Some(all) = collected.add(&item.label, value) {
        item.payload = Payload::Made(all);
        return Next::Pass;
    }
    if !collected.is_told {
        collected.is_told = true;
        let words = "too much is collected; messages with new labels are stopped";
        notes.push(format!("{place}: {words}"));
    }
    Next::Stop
}

/// The value of a message, which is read as JSON if it has not been read yet.
fn value(item: &mut Item) -> Result<Value, String> {
    if let Payload::Bytes(bytes) = &mut item.payload {
        let value = json::read(crate::mapping::json::trimmed(bytes))
            .map_err(|why| format!("payload is not JSON; begin with parse ({why})"))?;
        item.payload = Payload::Read { value, bytes: std::mem::take(bytes) };
    }
    match &item.payload {
        Payload::Read { value, .. } | Payload::Made(value) => Ok(value.clone()),
        Payload::Bytes(_) => Ok(Value::Nothing),
    }
}

fn parsed(reading: Reading, payload: &Payload) -> Result<(Payload, bool), String> {
    let bytes = match payload {
        Payload::Bytes(bytes) => bytes.as_slice(),
        Payload::Read { value: Value::Text(text), .. } | Payload::Made(Value::Text(text)) => {
            text.as_bytes()
        }
        Payload::Read { .. } | Payload::Made(_) => {
            return Err(format!("parse {} wants bytes or a text", reading.name()));
        }
    };
    let (value, is_longer) = read(reading, bytes)?;
    if !value.is_finite() {
        return Err("payload is not a finite number".to_owned());
    }
    // JSON has only been read.
    let payload = match (reading, payload) {
        (Reading::Json, Payload::Bytes(bytes)) => Payload::Read { value, bytes: bytes.clone() },
        _ => Payload::Made(value),
    };
    Ok((payload, is_longer))
}

fn evaluated(
    expression: &Expression,
    value: &Value,
    item: &Item,
    kept: &Kept,
    now: Now,
) -> Result<Value, String> {
    let last = |label: Option<&str>| match label {
        None => kept.result.clone(),
        Some(label) => {
            let found = kept.stashed.iter().find(|(known, _)| known == label);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        }
    };
    let context = Context {
        topic: &item.topic,
        label: &item.label,
        vars: &item.vars,
        now: now.millis,
        last: &last,
    };
    expression.evaluate(value, &context).map_err(|error| error.to_string())
}
