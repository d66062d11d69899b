//! What a node sees of a point, be it on its own or in a batch.

use super::item::Batch;
use crate::alerts::event::Row;
use crate::alerts::point::{Field, Fields, Name, Point, Tags};

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
