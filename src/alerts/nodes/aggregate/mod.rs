//! `|count('field')` and its like: a function of one field of many points.
//!
//! Some make one value of a batch, some choose one point of it, some choose several, and some
//! ([`series`]) make a value of each point and the ones before. Points that come one by one are a
//! batch while they have the same time.

mod numbers;
mod reduce;
mod series;

use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::{Batch, Item, point, row};
use crate::alerts::event::Row;
use crate::alerts::pipeline::{self, Function};
use crate::alerts::point::{Field, Fields, Name, Tags};
use reduce::{Reduced, reduce};
use std::sync::Arc;

/// How many points of the same time are kept in a group.
const SAME_TIME_MAX: usize = 10_000;

/// A node for the function.
pub(super) fn running(site: Site, settings: pipeline::Aggregate) -> Box<dyn Run> {
    match settings.function {
        Function::Difference
        | Function::Elapsed(_)
        | Function::CumulativeSum
        | Function::MovingAverage(_) => Box::new(series::Series::new(site, settings)),
        _ => Box::new(Aggregate { site, settings, groups: Slots::default() }),
    }
}

struct Aggregate {
    site: Site,
    settings: pipeline::Aggregate,
    /// Points with the same time, of groups whose points come one by one.
    groups: Slots<Waiting>,
}

struct Waiting {
    measurement: Name,
    rows: Vec<Row>,
}

impl Run for Aggregate {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        match item {
            Item::Batch(batch) => self.batch(batch, group, cx, out),
            Item::Point(point) => {
                let measurement = point.measurement.clone();
                let waiting = self.groups.get(group, || Waiting { measurement, rows: Vec::new() });
                let mut ready = Vec::new();
                if waiting.rows.first().is_some_and(|row| row.time != point.time) {
                    ready = std::mem::take(&mut waiting.rows);
                }
                if waiting.rows.len() < SAME_TIME_MAX {
                    waiting.rows.push(row(point));
                }
                if let Some(first) = ready.first() {
                    let measurement = &waiting.measurement.clone();
                    let batch = Batch { measurement, time: first.time, rows: &ready };
                    self.batch(&batch, group, cx, out);
                }
            }
        }
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }
}

impl Aggregate {
    fn batch(&self, batch: &Batch<'_>, group: &Arc<Group>, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        let (values, lacking) = values(batch, &self.settings.field);
        if lacking {
            let field = &self.settings.field;
            cx.complain(&self.site, || format!("the point has no field \"{field}\""));
        }
        if values.is_empty() && (lacking || self.settings.function != Function::Count) {
            return;
        }
        let reduced = match reduce(&self.settings.function, &values) {
            Ok(reduced) => reduced,
            Err(words) => return cx.complain(&self.site, || words),
        };
        let rows: Vec<Row> =
            reduced.into_iter().map(|one| self.row(one, batch, &group.tags)).collect();
        if makes_batch(&self.settings.function) {
            return out.send(Item::Batch(&Batch { rows: &rows, ..*batch }), group, cx);
        }
        for row in rows {
            let point = point(batch.measurement, row.tags, row.fields, row.time);
            out.send(Item::Point(&point), group, cx);
        }
    }

    /// What goes on of a result.
    fn row(&self, reduced: Reduced, batch: &Batch<'_>, tags: &Tags) -> Row {
        let settings = &self.settings;
        let chosen = reduced.chosen.map(|index| &batch.rows[index]);
        let time = match chosen {
            Some(row) if settings.point_times => row.time,
            _ => batch.time,
        };
        let (mut tags, mut fields) = (tags.clone(), Fields::default());
        match (&settings.function, chosen) {
            (Function::Top(_, names) | Function::Bottom(_, names), Some(row)) => {
                for name in names {
                    if let Some(value) = row.tags.get(name) {
                        tags.set(name.clone(), value.clone());
                    }
                    if let Some(value) = row.fields.get(name) {
                        fields.set(name.clone(), value.clone());
                    }
                }
            }
            (Function::Distinct, _) | (_, None) => {}
            (_, Some(row)) => {
                tags = row.tags.clone();
                fields = row.fields.clone();
                fields.remove(&settings.field);
            }
        }
        fields.set(settings.name.clone(), reduced.value);
        Row { tags, fields, time }
    }
}

/// Whether its results stay together.
fn makes_batch(function: &Function) -> bool {
    matches!(function, Function::Distinct | Function::Top(..) | Function::Bottom(..))
}

/// A value of the field.
#[derive(Clone, Copy)]
struct Sample<'a> {
    value: &'a Field,
    time: i64,
    /// Which point of the batch it is of.
    row: usize,
}

/// The values of a field, and whether a point lacks it.
fn values<'a>(batch: &Batch<'a>, field: &str) -> (Vec<Sample<'a>>, bool) {
    let rows = batch.rows.iter().enumerate();
    let sample = |(row, point): (usize, &'a Row)| {
        let value = point.fields.get(field)?;
        Some(Sample { value, time: point.time, row })
    };
    let values: Vec<Sample<'a>> = rows.filter_map(sample).collect();
    let lacking = values.len() < batch.rows.len();
    (values, lacking)
}
