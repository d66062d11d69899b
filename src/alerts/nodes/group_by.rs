//! `|groupBy(…)`: other groups than above.
//!
//! The points of batches with the same time are sorted into new batches, which go on when a batch
//! with another time comes: only then are they complete.

use super::graph::{Cx, Out, Run};
use super::group::{Group, Grouping};
use super::item::{Batch, Item};
use crate::alerts::event::Row;
use crate::alerts::pipeline;
use crate::alerts::point::Name;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many points are sorted at once.
const SORTED_MAX: usize = 1_000_000;

pub(super) struct GroupBy {
    grouping: Grouping,
    sorted: BTreeMap<usize, Sorted>,
    time: i64,
    rows: usize,
}

/// Points of a new group.
struct Sorted {
    group: Arc<Group>,
    measurement: Name,
    rows: Vec<Row>,
}

impl GroupBy {
    pub(super) fn new(by: pipeline::GroupBy) -> Self {
        GroupBy { grouping: Grouping::new(by), sorted: BTreeMap::new(), time: 0, rows: 0 }
    }

    fn sort(&mut self, batch: &Batch<'_>, cx: &mut Cx<'_>) {
        for row in batch.rows {
            let dimensions = self.grouping.of(&row.tags);
            let Some(group) = cx.group(dimensions, batch.measurement, &row.tags) else { continue };
            let sorted = self.sorted.entry(group.number).or_insert_with(|| Sorted {
                group,
                measurement: batch.measurement.clone(),
                rows: Vec::new(),
            });
            sorted.rows.push(row.clone());
            self.rows += 1;
        }
    }

    fn go_on(&mut self, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        self.rows = 0;
        for Sorted { group, measurement, rows } in std::mem::take(&mut self.sorted).into_values() {
            let batch = Batch { measurement: &measurement, time: self.time, rows: &rows };
            out.send(Item::Batch(&batch), &group, cx);
        }
    }
}

impl Run for GroupBy {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        _: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        match item {
            Item::Point(point) => {
                let dimensions = self.grouping.of(&point.tags);
                if let Some(group) = cx.group(dimensions, &point.measurement, &point.tags) {
                    out.send(item, &group, cx);
                }
            }
            Item::Batch(batch) => {
                if batch.time != self.time || self.rows >= SORTED_MAX {
                    self.go_on(cx, out);
                }
                self.time = batch.time;
                self.sort(batch, cx);
            }
        }
    }

    fn holds(&self, group: usize) -> bool {
        self.sorted.contains_key(&group)
    }
}
