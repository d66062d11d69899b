//! What rules remember, each within bounds.

use super::{Item, Payload, Way};
use crate::config::{Burst, Change};
use crate::jsonata::{Value, json};
use crate::mapping::shape::{Now, SCOPE};
use crate::message::{Qos, Record};
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

/// Most keys that a rule knows.
const KEYS_MAX: usize = 10_000;

/// Most messages that wait for others.
const BURST_MAX: usize = 10_000;

/// How many messages wait while their sources keep them. A broker that sends no more before some are
/// acknowledged would wait for us, and we for it; so then they are stored.
const UNSIGNED_MAX: usize = 10;

/// How large the values that wait, or are collected, may be together, in bytes.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Changes that stand together: a message passes if one of them is seen.
#[derive(Debug)]
pub(super) struct Changes {
    changes: Vec<Change>,
    /// What each was compared with last, with its label.
    references: Vec<(Arc<str>, Vec<Option<Reference>>)>,
    /// Where each label is among them.
    places: HashMap<Arc<str>, usize>,
    /// Which of them is the oldest, once there are as many as there may be.
    oldest: usize,
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq)]
enum Reference {
    Missing,
    Number(f64),
    /// Any other value, which may be large.
    Digest(u64),
}

impl Reference {
    fn of(value: Option<&Value>) -> Self {
        match value {
            None => Reference::Missing,
            Some(Value::Number(number)) => Reference::Number(*number),
            Some(value) => {
                let mut hasher = DefaultHasher::new();
                digest(value, &mut hasher);
                Reference::Digest(hasher.finish())
            }
        }
    }
}

/// The order of members does not count.
fn digest(value: &Value, hasher: &mut dyn Hasher) {
    match value {
        Value::Object(object) => {
            let one = |(name, value): (&Arc<str>, &Value)| {
                let mut inner = DefaultHasher::new();
                name.hash(&mut inner);
                digest(value, &mut inner);
                inner.finish()
            };
            hasher.write_u8(b'{');
            hasher.write_u64(object.members().map(one).fold(0, u64::wrapping_add));
        }
        Value::List(list) => {
            hasher.write_u8(b'[');
            list.items.iter().for_each(|item| digest(item, hasher));
            hasher.write_u8(b']');
        }
        scalar => {
            let text = json::write(scalar, usize::MAX).ok().flatten().unwrap_or_default();
            hasher.write(text.as_bytes());
            hasher.write_u8(0);
        }
    }
}

impl Changes {
    pub(super) fn new(changes: Vec<Change>) -> Self {
        Changes { changes, references: Vec::new(), places: HashMap::new(), oldest: 0 }
    }

    pub(super) fn pass(&mut self, label: &Arc<str>, value: &Value) -> bool {
        let place = self.places.get(label).copied().unwrap_or_else(|| self.begin(label));
        let mut is_seen = false;
        for (change, reference) in self.changes.iter().zip(&mut self.references[place].1) {
            let new = Reference::of(at_path(value, &change.key));
            if reference.as_ref().is_none_or(|old| counts(change, old, &new)) {
                *reference = Some(new);
                is_seen = true;
            }
        }
        is_seen
    }

    /// A place for a label that is new; the oldest gives way.
    fn begin(&mut self, label: &Arc<str>) -> usize {
        let fresh = (Arc::clone(label), vec![None; self.changes.len()]);
        let mut place = self.references.len();
        if place < KEYS_MAX {
            self.references.push(fresh);
        } else {
            place = self.oldest;
            self.oldest = (place + 1) % KEYS_MAX;
            self.places.remove(&self.references[place].0);
            self.references[place] = fresh;
        }
        self.places.insert(Arc::clone(label), place);
        place
    }
}

fn counts(change: &Change, old: &Reference, new: &Reference) -> bool {
    match (change.deadband, old, new) {
        (Some(deadband), Reference::Number(old), Reference::Number(new)) => {
            let moved = (new - old).abs();
            if !change.is_relative {
                return moved >= deadband;
            }
            if *old == 0.0 { moved > 0.0 } else { moved / old.abs() * 100.0 >= deadband }
        }
        _ => old != new,
    }
}

/// What stands at a dotted path.
fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let step = |value: &'v Value, part: &str| match value {
        Value::Object(object) => object.get(part),
        Value::List(list) => list.items.get(part.parse::<usize>().ok()?),
        _ => None,
    };
    if let Some(whole) = step(value, path) {
        return Some(whole);
    }
    let (first, rest) = path.split_once('.')?;
    at_path(step(value, first)?, rest)
}

/// Values that wait until there are enough of them.
#[derive(Debug)]
pub(super) struct Waiting {
    burst: Burst,
    /// What records are named after: the shape and the number of the step.
    name: (String, usize),
    values: Vec<Value>,
    bytes: usize,
    /// When the first came.
    since: Option<Instant>,
    /// The last, with the receipts of all that are not stored.
    last: Option<Item>,
    /// The keys of records, and how many values are in them.
    stored: (Vec<String>, usize),
    /// Nothing waits any more.
    pub(super) is_ended: bool,
}

/// What becomes of a message that waits.
pub(super) enum Waits {
    Yes,
    /// Some are stored.
    Stored(Record),
    /// All are in this one.
    No(Item),
}

impl Waiting {
    pub(super) fn new(burst: Burst, name: (String, usize)) -> Self {
        Waiting {
            burst,
            name,
            values: Vec::new(),
            bytes: 0,
            since: None,
            last: None,
            stored: (Vec::new(), 0),
            is_ended: false,
        }
    }

    /// Whether messages wait here at all.
    pub(super) fn is_at_work(&self) -> bool {
        self.burst.size.is_some() || self.burst.interval.is_some()
    }

    /// Adds a message.
    pub(super) fn add(&mut self, item: &mut Item, value: Value, now: Now) -> Waits {
        self.bytes += size(&value);
        self.values.push(value);
        self.since.get_or_insert(now.instant);
        let mut receipts = self.last.take().map(|last| last.receipts).unwrap_or_default();
        receipts.append(&mut item.receipts);
        self.stored.0.append(&mut item.stored);
        let is_much = receipts.len() >= UNSIGNED_MAX;
        self.last = Some(Item { receipts, ..item.clone() });
        let most = self.burst.size.unwrap_or(BURST_MAX).min(BURST_MAX);
        let is_full = self.values.len() >= most || self.bytes >= BYTES_MAX || self.is_ended;
        if is_full {
            return self.let_go().map_or(Waits::Yes, Waits::No);
        }
        if !is_much {
            return Waits::Yes;
        }
        // What cannot be written down becomes a dead letter with all others, later.
        let Some(record) = self.record(item, now.millis) else { return Waits::Yes };
        if let Some(last) = &mut self.last {
            item.receipts = std::mem::take(&mut last.receipts);
        }
        Waits::Stored(record)
    }

    /// A record of the values that are not in one yet, under the topic of the last.
    fn record(&mut self, item: &Item, millis: i64) -> Option<Record> {
        let (name, step) = &self.name;
        let key = format!("{name} {step} {millis:014} {:06}", self.stored.0.len());
        let text = |text: &Arc<str>| Value::Text(Arc::clone(text));
        let values = Value::list(self.values[self.stored.1..].to_vec());
        let document = Value::object(vec![
            ("topic".into(), text(&item.topic)),
            ("label".into(), text(&item.label)),
            ("vars".into(), Value::object(item.vars.clone())),
            ("values".into(), values),
        ]);
        let value = json::write(&document, usize::MAX).ok()?;
        self.stored.1 = self.values.len();
        self.stored.0.push(key.clone());
        Some(Record { scope: SCOPE.into(), key, value })
    }

    pub(super) fn let_go(&mut self) -> Option<Item> {
        let mut item = self.last.take()?;
        let values = std::mem::take(&mut self.values);
        item.payload = Payload::Made(Value::list(values));
        item.stored = std::mem::take(&mut self.stored).0;
        (self.bytes, self.since) = (0, None);
        Some(item)
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.since?.checked_add(self.burst.interval?)
    }
}

/// What a record of values says that waited.
pub(super) struct Recalled {
    pub(super) shape: String,
    pub(super) step: usize,
    pub(super) topic: String,
    label: Arc<str>,
    vars: Vec<(Arc<str>, Value)>,
    values: Value,
}

/// Reads a record; `None` if it is none.
pub(super) fn recalled(key: &str, text: &str) -> Option<Recalled> {
    // A name may have blanks.
    let mut words = key.rsplitn(4, ' ').skip(2);
    let step = words.next()?.parse().ok()?;
    let shape = words.next()?.to_owned();
    let Value::Object(document) = json::read(text.as_bytes()).ok()? else { return None };
    let text = |name: &str| match document.get(name) {
        Some(Value::Text(text)) => Some(Arc::clone(text)),
        _ => None,
    };
    let (topic, label) = (text("topic")?.to_string(), text("label")?);
    let vars = match document.get("vars")? {
        Value::Object(vars) => {
            vars.members().map(|(name, value)| (Arc::clone(name), value.clone()))
        }
        _ => return None,
    };
    let vars = vars.collect();
    let values = document.get("values")?.clone();
    Some(Recalled { shape, step, topic, label, vars, values })
}

impl Recalled {
    /// All of them in one message. The flags of the last are not known any more.
    pub(super) fn item(&self, way: &Arc<Way>, key: &str) -> Item {
        Item {
            topic: self.topic.as_str().into(),
            label: Arc::clone(&self.label),
            qos: Qos::AtLeastOnce,
            retain: false,
            way: Arc::clone(way),
            payload: Payload::Made(self.values.clone()),
            vars: self.vars.clone(),
            receipts: Vec::new(),
            stored: vec![key.to_owned()],
        }
    }
}

/// The last values, by label.
#[derive(Debug, Default)]
pub(super) struct Collected {
    values: Vec<(Arc<str>, Value)>,
    places: HashMap<Arc<str>, usize>,
    bytes: usize,
    /// It has been said that there is no room.
    pub(super) is_told: bool,
}

impl Collected {
    /// All of them with a new one, or `None` if there is no room for it.
    pub(super) fn add(&mut self, label: &Arc<str>, value: Value) -> Option<Value> {
        let place = self.places.get(label).copied();
        let before = place.map_or(0, |place| size(&self.values[place].1));
        let bytes = self.bytes - before + size(&value);
        if bytes > BYTES_MAX || place.is_none() && self.values.len() >= KEYS_MAX {
            return None;
        }
        self.bytes = bytes;
        match place {
            Some(place) => self.values[place].1 = value,
            None => {
                self.places.insert(Arc::clone(label), self.values.len());
                self.values.push((Arc::clone(label), value));
            }
        }
        Some(Value::object(self.values.clone()))
    }
}

/// About how many bytes a value takes.
fn size(value: &Value) -> usize {
    /// What each value takes beside its text.
    const EACH: usize = 16;
    EACH + match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.iter().map(size).sum(),
        Value::Object(object) => {
            object.members().map(|(name, value)| name.len() + size(value)).sum()
        }
        _ => 0,
    }
}
