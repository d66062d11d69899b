//! What moves along an edge: one point, or several that belong together.

use crate::alerts::event::Row;
use crate::alerts::point::{Fields, Name, Point, Tags};

/// What moves along an edge.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    /// One point.
    Point(&'a Point),
    /// What a window lets go on.
    Batch(&'a Batch<'a>),
}

impl Item<'_> {
    /// What it measures.
    pub(super) fn measurement(&self) -> &Name {
        match self {
            Item::Point(point) => &point.measurement,
            Item::Batch(batch) => batch.measurement,
        }
    }

    /// Its time.
    pub(super) fn time(&self) -> i64 {
        match self {
            Item::Point(point) => point.time,
            Item::Batch(batch) => batch.time,
        }
    }
}

/// Points that go on together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'a> {
    /// What they measure.
    pub(super) measurement: &'a Name,
    /// The end of the window.
    pub(super) time: i64,
    /// The points.
    pub(super) rows: &'a [Row],
}

/// A point as one of a batch.
pub(super) fn row(point: &Point) -> Row {
    Row { time: point.time, fields: point.fields.clone(), tags: point.tags.clone() }
}

/// A point of a batch on its own.
pub(super) fn point_of(row: &Row, measurement: &Name) -> Point {
    point(measurement, row.tags.clone(), row.fields.clone(), row.time)
}

/// A point that a node makes. Nothing below `from` asks for its database.
pub(super) fn point(measurement: &Name, tags: Tags, fields: Fields, time: i64) -> Point {
    let (database, retention_policy) = (Name::from(""), Name::from(""));
    Point { database, retention_policy, measurement: measurement.clone(), tags, fields, time }
}
