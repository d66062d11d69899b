//! What a node sees of a point, be it on its own or in a batch; lambdas see the same.

use super::item::Batch;
use crate::alerts::event::Row;
use crate::alerts::lambda::{Found, Scope, Value};
use crate::alerts::point::{Field, Fields, Name, Point, Tags};
use crate::alerts::zone::Zone;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A point as a node sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) measurement: &'a Name,
    pub(super) tags: &'a Tags,
    pub(super) fields: &'a Fields,
    pub(super) time: i64,
}

impl<'a> View<'a> {
    pub(super) fn of(point: &'a Point) -> Self {
        let Point { measurement, tags, fields, time, .. } = point;
        View { measurement, tags, fields, time: *time }
    }

    pub(super) fn in_batch(row: &'a Row, batch: &Batch<'a>) -> Self {
        View {
            measurement: batch.measurement,
            tags: &row.tags,
            fields: &row.fields,
            time: row.time,
        }
    }
}

/// What a lambda sees: a point, and what was computed of it before.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) view: View<'a>,
    pub(super) now: i64,
    pub(super) zone: &'a Zone,
    pub(super) earlier: &'a [(Name, Field)],
}

impl Scope for Sight<'_> {
    fn reference(&self, name: &str) -> Found<'_> {
        if let Some((_, field)) = self.earlier.iter().rev().find(|(known, _)| **known == *name) {
            return Found::One(value(field));
        }
        match (self.view.fields.get(name), self.view.tags.get(name)) {
            (None, None) => Found::Nothing,
            (Some(_), Some(_)) => Found::Both,
            (None, Some(tag)) => Found::One(Value::text(tag)),
            (Some(field), None) => Found::One(value(field)),
        }
    }

    fn time(&self) -> i64 {
        self.view.time
    }

    fn now(&self) -> i64 {
        self.now
    }

    fn offset(&self, time: i64) -> i64 {
        self.zone.offset(time)
    }

    fn seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.view.measurement.hash(&mut hasher);
        self.view.tags.hash(&mut hasher);
        self.view.time.hash(&mut hasher);
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

/// A field as a number.
pub(super) fn number(field: &Field) -> Option<f64> {
    match *field {
        Field::Float(value) => Some(value),
        #[expect(clippy::cast_precision_loss, reason = "as Kapacitor does")]
        Field::Int(value) => Some(value as f64),
        Field::Bool(_) | Field::Text(_) => None,
    }
}

/// What a field is, in words.
pub(super) fn kind(field: &Field) -> &'static str {
    match field {
        Field::Float(_) => "a float",
        Field::Int(_) => "an int",
        Field::Bool(_) => "a bool",
        Field::Text(_) => "a string",
    }
}

/// Nanoseconds, for a ratio.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
pub(super) fn nanos(nanos: i64) -> f64 {
    nanos as f64
}
