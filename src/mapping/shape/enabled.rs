//! The rules of service files at work.

mod memory;
mod reading;
mod steps;

use super::{Done, Made, Now, SCOPE};
use crate::config::{PublishRule, Rule, Shape, Step, Target};
use crate::jsonata::{Value, json};
use crate::mapping::publish;
use crate::message::{Message, Qos, Receipt, Record};
use crate::system::health::Tally;
use crate::topic::{self, capture, matches};
use std::sync::Arc;
use std::time::Instant;
use steps::{Next, Work};

/// The largest payload that rules make, in bytes.
const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The rules of all mappings and endpoints, by their names.
#[derive(Debug, Default)]
pub struct Shapes {
    /// In the order of their names.
    works: Vec<Works>,
    notes: Vec<String>,
}

/// The rules of one.
#[derive(Debug)]
struct Works {
    name: String,
    /// The filters of its messages, and where they go.
    ways: Vec<Arc<Way>>,
    rules: Arc<[Step]>,
    steps: Vec<Work>,
    kept: Kept,
}

/// A filter, and where its messages go.
type Way = (String, PublishRule);

/// What messages leave for later ones.
#[derive(Debug, Default)]
struct Kept {
    /// By their labels.
    stashed: Vec<(String, Value)>,
    /// What the message under way leaves, which it does not see itself.
    stashing: Vec<(String, Value)>,
    /// The last result.
    result: Value,
}

/// A message on its way, or several.
#[derive(Clone, Debug)]
struct Item {
    topic: Arc<str>,
    label: Arc<str>,
    qos: Qos,
    retain: bool,
    way: Arc<Way>,
    payload: Payload,
    vars: Vec<(Arc<str>, Value)>,
    receipts: Vec<Receipt>,
    /// The keys of records that it takes the place of.
    stored: Vec<String>,
}

#[derive(Clone, Debug)]
enum Payload {
    /// As it came, not read yet.
    Bytes(Vec<u8>),
    /// Read, and not changed: the bytes pass.
    Read { value: Value, bytes: Vec<u8> },
    /// Changed.
    Made(Value),
}

impl Payload {
    /// In which form it goes out; nothing if it is no value.
    fn bytes(&self) -> Result<Option<Vec<u8>>, String> {
        match self {
            Payload::Bytes(bytes) | Payload::Read { bytes, .. } => Ok(Some(bytes.clone())),
            Payload::Made(Value::Text(text)) => Ok(Some(text.as_bytes().to_vec())),
            Payload::Made(value) => match json::write(value, RESULT_BYTES_MAX) {
                Ok(text) => Ok(text.map(String::into_bytes)),
                Err(json::Unwritable::Infinite) => {
                    Err("the result has a number that is not finite (D1001)".to_owned())
                }
                Err(json::Unwritable::Large) => Err("the result is too large".to_owned()),
            },
        }
    }
}

impl Shapes {
    /// Those of all rules; expressions have been checked when the configuration was read.
    #[must_use]
    pub fn new<'r>(rules: impl Iterator<Item = &'r Rule>) -> Self {
        let mut shapes = Shapes::default();
        for rule in rules {
            if let Target::Publish(to) = &rule.to
                && let Some(shape) = &to.shape
            {
                let place = shapes.find(&shape.name).unwrap_or_else(|place| {
                    shapes.works.insert(place, Works::new(shape));
                    place
                });
                let filter = topic::unshared(&rule.filter).to_owned();
                shapes.works[place].ways.push(Arc::new((filter, (**to).clone())));
            }
        }
        shapes
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.works.binary_search_by(|works| works.name.as_str().cmp(name))
    }

    fn of(&mut self, name: &str) -> Option<&mut Works> {
        let place = self.find(name).ok()?;
        self.works.get_mut(place)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.works.is_empty()
    }

    /// Takes over what is remembered, for all that is as it was before.
    pub fn inherit(&mut self, mut former: Shapes) {
        for works in &mut self.works {
            if let Some(old) = former.of(&works.name)
                && old.rules == works.rules
                && old.ways == works.ways
            {
                works.steps = std::mem::take(&mut old.steps);
                works.kept = std::mem::take(&mut old.kept);
                works.steps.iter_mut().for_each(Work::begin);
            }
        }
    }

    /// What has not passed each rule, by their names.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        let steps = self.works.iter().flat_map(|works| &works.steps);
        let mut tallies: Vec<Tally> = steps.map(|work| work.tally.clone()).collect();
        tallies.sort_unstable_by(|one, other| one.rule.cmp(&other.rule));
        tallies
    }

    /// What follows from a message. What is held has its receipt with it.
    pub fn feed(
        &mut self,
        rule: &PublishRule,
        filter: &str,
        message: &Message,
        receipt: Receipt,
        now: Now,
    ) -> Vec<Done> {
        let Some(shape) = &rule.shape else { return Vec::new() };
        let Ok(place) = self.find(&shape.name) else { return Vec::new() };
        let works = &mut self.works[place];
        let filter = topic::unshared(filter);
        let is_it = |way: &&Arc<Way>| way.0 == filter && way.1 == *rule;
        let Some(way) = works.ways.iter().find(is_it) else { return Vec::new() };
        let item = item(way, shape, message, receipt);
        works.run(item, 0, now, &mut self.notes)
    }

    /// What was held when the process was killed, by the records of it. It waits no longer.
    pub fn restore(&mut self, mut records: Vec<(String, String)>, now: Now) -> Vec<Done> {
        records.sort_unstable();
        let mut done = Vec::new();
        for (key, text) in &records {
            let found = memory::recalled(key, text);
            let place = found.as_ref().and_then(|found| self.find(&found.shape).ok());
            let works = place.map(|place| &mut self.works[place]);
            let item = works.as_ref().zip(found.as_ref()).and_then(|(works, found)| {
                let way = works.ways.iter().find(|way| matches(&way.0, &found.topic))?;
                Some(found.item(way, key))
            });
            match (works, found, item) {
                (Some(works), Some(found), Some(item)) => {
                    let next = (found.step + 1).min(works.steps.len());
                    done.extend(works.run(item, next, now, &mut self.notes));
                }
                _ => {
                    let reason = "messages that waited for others, whose rule is gone".to_owned();
                    let payload = text.clone().into_bytes();
                    let made = Made::Dead { reason, topic: key.clone(), payload };
                    done.push(Done { made, receipts: Vec::new() });
                    done.push(forgotten(key.clone()));
                }
            }
        }
        done
    }

    /// When something is due though no message comes.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let steps = self.works.iter().flat_map(|works| &works.steps);
        steps.filter_map(Work::wake_at).min()
    }

    /// What is due.
    pub fn wake(&mut self, now: Now) -> Vec<Done> {
        self.let_go(now, &|work| work.wake_at().is_some_and(|at| at <= now.instant))
    }

    /// All that is held, at the end. What comes later is not held any more.
    pub fn end(&mut self, now: Now) -> Vec<Done> {
        let done = self.let_go(now, &|_| true);
        let steps = self.works.iter_mut().flat_map(|works| &mut works.steps);
        steps.for_each(Work::end);
        done
    }

    /// What is to be said in the log.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn let_go(&mut self, now: Now, which: &dyn Fn(&Work) -> bool) -> Vec<Done> {
        let mut done = Vec::new();
        for works in &mut self.works {
            for index in 0..works.steps.len() {
                if which(&works.steps[index])
                    && let Some(item) = works.steps[index].let_go()
                {
                    done.extend(works.run(item, index + 1, now, &mut self.notes));
                }
            }
        }
        done
    }
}

/// A message at the beginning of its way.
fn item(way: &Arc<Way>, shape: &Shape, message: &Message, receipt: Receipt) -> Item {
    let filter = &way.0;
    let topic: Arc<str> = message.topic.as_str().into();
    let write = |value: &str, made: &mut String| made.push_str(value);
    let label = shape.label.as_ref().and_then(|label| label.fill(filter, &topic, &write));
    let captured = capture(filter, &topic).unwrap_or_default();
    let captures = shape.captures.iter().map(|(name, number)| {
        let value = captured.get(*number).copied().flatten().unwrap_or_default();
        (name.as_str().into(), Value::text(value))
    });
    Item {
        label: label.map_or_else(|| Arc::clone(&topic), Arc::from),
        vars: captures.collect(),
        topic,
        qos: message.qos,
        retain: message.retain,
        way: Arc::clone(way),
        payload: Payload::Bytes(message.payload.clone()),
        receipts: vec![receipt],
        stored: Vec::new(),
    }
}

impl Works {
    fn new(shape: &Shape) -> Self {
        let (ways, kept) = (Vec::new(), Kept::default());
        let name = shape.name.clone();
        Works { name, ways, rules: Arc::clone(&shape.steps), steps: steps::compiled(shape), kept }
    }

    /// From a step on.
    fn run(
        &mut self,
        mut item: Item,
        first: usize,
        now: Now,
        notes: &mut Vec<String>,
    ) -> Vec<Done> {
        let mut next = Ok(Next::Pass);
        for work in &mut self.steps[first..] {
            next = work.run(&mut item, &mut self.kept, now, notes);
            work.count(&next);
            match next {
                Ok(Next::Pass) => {}
                _ => break,
            }
        }
        for (label, value) in std::mem::take(&mut self.kept.stashing) {
            self.kept.stashed.retain(|(known, _)| *known != label);
            self.kept.stashed.push((label, value));
        }
        let made = match next {
            Ok(Next::Held(None)) => return Vec::new(),
            Ok(Next::Held(Some(record))) => Made::Remember(record),
            Ok(Next::Stop) => Made::Stopped,
            Ok(Next::Pass) => match self.delivery(&item) {
                Ok(Some(made)) => made,
                Ok(None) => Made::Stopped,
                Err(reason) => dead(reason, &item),
            },
            Err(reason) => dead(reason, &item),
        };
        let mut done = vec![Done { made, receipts: item.receipts }];
        done.extend(item.stored.into_iter().map(forgotten));
        done
    }

    /// What leaves the last step, if it is a value.
    fn delivery(&mut self, item: &Item) -> Result<Option<Made>, String> {
        let Some(body) = item.payload.bytes()? else { return Ok(None) };
        if let Payload::Made(value) | Payload::Read { value, .. } = &item.payload {
            self.kept.result = value.clone();
        }
        let (filter, rule) = &*item.way;
        let variable = |name: &str| {
            let found = item.vars.iter().rev().find(|(known, _)| &**known == name);
            found.and_then(|(_, value)| match value {
                Value::Text(text) => Some(text.to_string()),
                Value::Number(_) | Value::Bool(_) => json::write(value, usize::MAX).ok().flatten(),
                _ => None,
            })
        };
        let topic = rule.topic.render_with(filter, &item.topic, &variable);
        let topic = topic.map_err(|why| format!("a publication that cannot be made: {why}"))?;
        let (qos, retain) = (rule.qos.unwrap_or(item.qos), rule.retain.unwrap_or(item.retain));
        let delivery = publish::delivery(rule, topic, qos, retain, body, &item.topic);
        let is_stored = !item.stored.is_empty();
        Ok(Some(if is_stored { Made::Store(delivery) } else { Made::Deliver(delivery) }))
    }
}

/// A record is not needed any more.
fn forgotten(key: String) -> Done {
    let record = Record { scope: SCOPE.into(), key, value: None };
    Done { made: Made::Remember(record), receipts: Vec::new() }
}

fn dead(reason: String, item: &Item) -> Made {
    let payload = item.payload.bytes().ok().flatten().unwrap_or_default();
    Made::Dead { reason, topic: item.topic.to_string(), payload }
}

#[cfg(test)]
mod tests;
