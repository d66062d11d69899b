//! What an expression sees: a point, or the event that a handler is asked about.

use super::types::{Type, Value};
use crate::alerts::point::{Field, Point};
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
    point: &'a Point,
    now: i64,
    zone: Option<&'a Zone>,
    earlier: &'a [(&'a str, Value<'a>)],
}

impl<'a> OfPoint<'a> {
    /// A point that somebody looks at now.
    #[must_use]
    pub fn new(point: &'a Point, now: i64) -> Self {
        OfPoint { point, now, zone: None, earlier: &[] }
    }

    /// Where local time is this zone's, not UTC.
    #[must_use]
    pub fn local(self, zone: &'a Zone) -> Self {
        OfPoint { zone: Some(zone), ..self }
    }

    /// With results that have names; they go before fields and tags of the same name.
    #[must_use]
    pub fn with(self, earlier: &'a [(&'a str, Value<'a>)]) -> Self {
        OfPoint { earlier, ..self }
    }
}

impl Scope for OfPoint<'_> {
    fn reference(&self, name: &str) -> Found<'_> {
        if let Some((_, value)) = self.earlier.iter().rev().find(|(known, _)| *known == name) {
            return Found::One(value.clone());
        }
        let tag = self.point.tags.get(name);
        match (self.point.fields.get(name), tag) {
            (None, None) => Found::Nothing,
            (Some(_), Some(_)) => Found::Both,
            (None, Some(tag)) => Found::One(Value::text(tag)),
            (Some(field), None) => Found::One(match field {
                Field::Float(value) => Value::Float(*value),
                Field::Int(value) => Value::Int(*value),
                Field::Bool(value) => Value::Bool(*value),
                Field::Text(text) => Value::text(text),
            }),
        }
    }

    fn time(&self) -> i64 {
        self.point.time
    }

    fn now(&self) -> i64 {
        self.now
    }

    fn offset(&self, time: i64) -> i64 {
        self.zone.map_or(0, |zone| zone.offset(time))
    }

    fn seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.point.measurement.hash(&mut hasher);
        self.point.tags.hash(&mut hasher);
        self.point.time.hash(&mut hasher);
        hasher.finish()
    }
}
