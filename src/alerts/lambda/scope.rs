//! What an expression sees: a point, or the event that a handler is asked about.

use super::types::{Type, Value};
use crate::alerts::point::{Field, Fields, Name, Point, Tags};
use crate::alerts::zone::Zone;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What an expression sees.
pub trait Scope {
    /// What a name in double quotes stands for. (`"time"` is [`Scope::time`].)
    fn reference(&self, name: &str) -> Found<'_>;

    /// The time of the point, in nanoseconds since 1970.
    fn time(&self) -> i64;

    /// The time when somebody looks at it.
    fn now(&self) -> i64 {
        self.time()
    }

    /// How far local time is ahead of UTC then, in nanoseconds.
    fn offset(&self, _time: i64) -> i64 {
        0
    }

    /// A number that differs between groups and times, from which `rand()` begins.
    fn seed(&self) -> u64 {
        self.time().cast_unsigned()
    }

    /// What the event is that a handler is asked about. Only asked for in
    /// [`Lambda::matching`](super::Lambda::matching).
    fn outer(&self, _what: Outer) -> Value<'_> {
        Value::Bool(false)
    }
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Found<'a> {
    /// Nothing: it is missing.
    Nothing,
    /// This.
    One(Value<'a>),
    /// Two things: a field and a tag.
    Both,
}

/// What only a handler's `match` can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// `level()`: an int from 0, `OK`, to 3, `CRITICAL`.
    Level,
    /// `changed()`: a bool, whether the level differs from the previous one.
    Changed,
    /// `name()`: a string, the measurement.
    Name,
    /// `taskName()`: a string.
    TaskName,
    /// `alertDuration()`: a duration.
    AlertDuration,
}

impl Outer {
    pub(super) const ALL: [Outer; 5] =
        [Outer::Level, Outer::Changed, Outer::Name, Outer::TaskName, Outer::AlertDuration];

    pub(super) fn name(self) -> &'static str {
        match self {
            Outer::Level => "level",
            Outer::Changed => "changed",
            Outer::Name => "name",
            Outer::TaskName => "taskName",
            Outer::AlertDuration => "alertDuration",
        }
    }

    pub(super) fn makes(self) -> Type {
        match self {
            Outer::Level => Type::Int,
            Outer::Changed => Type::Bool,
            Outer::Name | Outer::TaskName => Type::Text,
            Outer::AlertDuration => Type::Duration,
        }
    }
}

/// Names of levels in a `match`, as what `level()` makes.
pub(super) const LEVELS: [(&str, i64); 4] =
    [("OK", 0), ("INFO", 1), ("WARNING", 2), ("CRITICAL", 3)];

/// A point, and what was computed of it before.
#[derive(Clone, Copy, Debug)]
pub struct OfPoint<'a> {
    /// What was measured.
    pub measurement: &'a Name,
    /// Its tags.
    pub tags: &'a Tags,
    /// Its fields.
    pub fields: &'a Fields,
    /// Its time.
    pub time: i64,
    /// The time when somebody looks at it.
    pub now: i64,
    /// What local time is.
    pub zone: &'a Zone,
    /// Results that have names; they go before fields and tags of the same name.
    pub earlier: &'a [(Name, Field)],
}

impl<'a> OfPoint<'a> {
    /// A point that somebody looks at now, where local time is UTC.
    #[must_use]
    pub fn new(point: &'a Point, now: i64) -> Self {
        let Point { measurement, tags, fields, time, .. } = point;
        OfPoint { measurement, tags, fields, time: *time, now, zone: &Zone::UTC, earlier: &[] }
    }
}

impl Scope for OfPoint<'_> {
    fn reference(&self, name: &str) -> Found<'_> {
        if let Some((_, field)) = self.earlier.iter().rev().find(|(known, _)| **known == *name) {
            return Found::One(value(field));
        }
        match (self.fields.get(name), self.tags.get(name)) {
            (None, None) => Found::Nothing,
            (Some(_), Some(_)) => Found::Both,
            (None, Some(tag)) => Found::One(Value::text(tag)),
            (Some(field), None) => Found::One(value(field)),
        }
    }

    fn time(&self) -> i64 {
        self.time
    }

    fn now(&self) -> i64 {
        self.now
    }

    fn offset(&self, time: i64) -> i64 {
        self.zone.offset(time)
    }

    fn seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.measurement.hash(&mut hasher);
        self.tags.hash(&mut hasher);
        self.time.hash(&mut hasher);
        hasher.finish()
    }
}

/// A field as expressions know it.
fn value(field: &Field) -> Value<'_> {
    match field {
        Field::Float(value) => Value::Float(*value),
        Field::Int(value) => Value::Int(*value),
        Field::Bool(value) => Value::Bool(*value),
        Field::Text(text) => Value::text(text),
    }
}
