//! Nodes that look at each point by itself: on its own or in a batch, it is the same to them.

use super::graph::{Cx, Out, Site};
use super::group::Group;
use super::item::{Batch, Item};
use super::memory::Memory;
use super::view::View;
use crate::alerts::event::Row;
use crate::alerts::lambda::{Lambda, State};
use crate::alerts::point::{Field, Fields, Name, Point, Tags};
use std::collections::HashMap;
use std::sync::Arc;

/// What becomes of a point.
pub(super) enum Becomes {
    /// It goes on as it is.
    Itself,
    /// It goes on with other fields.
    Changed(Fields),
    /// It goes on with other tags, and maybe in another group.
    Moved(Tags, Fields),
    /// It does not go on.
    Nothing,
}

/// Hands on what becomes of each point.
pub(super) fn each(
    item: Item<'_>,
    group: &Arc<Group>,
    cx: &mut Cx<'_>,
    out: &mut Out<'_>,
    becomes: &mut dyn FnMut(View<'_>, &mut Cx<'_>) -> Becomes,
) {
    match item {
        Item::Point(point) => {
            let becomes = becomes(View::of(point), cx);
            send(point, becomes, group, cx, out);
        }
        Item::Batch(batch) => {
            let rows: Vec<Row> = batch
                .rows
                .iter()
                .filter_map(|row| row_of(row, becomes(View::in_batch(row, batch), cx)))
                .collect();
            out.send(Item::Batch(&Batch { rows: &rows, ..*batch }), group, cx);
        }
    }
}

fn row_of(row: &Row, becomes: Becomes) -> Option<Row> {
    match becomes {
        Becomes::Itself => Some(row.clone()),
        Becomes::Changed(fields) => Some(Row { tags: row.tags.clone(), fields, time: row.time }),
        Becomes::Moved(tags, fields) => Some(Row { tags, fields, time: row.time }),
        Becomes::Nothing => None,
    }
}

/// Hands on what becomes of a point.
pub(super) fn send(
    point: &Point,
    becomes: Becomes,
    group: &Arc<Group>,
    cx: &mut Cx<'_>,
    out: &mut Out<'_>,
) {
    let (tags, fields) = match becomes {
        Becomes::Itself => return out.send(Item::Point(point), group, cx),
        Becomes::Changed(fields) => (None, fields),
        Becomes::Moved(tags, fields) => (Some(tags), fields),
        Becomes::Nothing => return,
    };
    let is_moved = tags.is_some();
    let point = Point {
        database: point.database.clone(),
        retention_policy: point.retention_policy.clone(),
        measurement: point.measurement.clone(),
        tags: tags.unwrap_or_else(|| point.tags.clone()),
        fields,
        time: point.time,
    };
    if !is_moved {
        return out.send(Item::Point(&point), group, cx);
    }
    if let Some(group) = cx.group(&group.dimensions, &point.measurement, &point.tags) {
        out.send(Item::Point(&point), &group, cx);
    }
}

/// The fields, one of them new.
pub(super) fn with(fields: &Fields, name: &Name, value: impl Into<Field>) -> Fields {
    let mut fields = fields.clone();
    fields.set(name.clone(), value.into());
    fields
}

/// A lambda that is true or false.
pub(super) struct Condition(Memory);

impl Condition {
    /// `which` it is of its node's, which has these records.
    pub(super) fn new(
        lambda: Lambda,
        which: &str,
        remembered: &mut HashMap<String, String>,
    ) -> Self {
        Condition(Memory::new(lambda, which, remembered))
    }

    /// Several of one node.
    pub(super) fn all(lambdas: Vec<Lambda>, remembered: &mut HashMap<String, String>) -> Vec<Self> {
        let numbered = lambdas.into_iter().enumerate();
        numbered.map(|(at, it)| Condition::new(it, &at.to_string(), remembered)).collect()
    }

    /// Whether it is true for a point; `None`, with a complaint, if nobody can say.
    pub(super) fn holds(
        &mut self,
        site: &Site,
        view: View<'_>,
        group: &Group,
        cx: &mut Cx<'_>,
    ) -> Option<bool> {
        let Condition(memory) = self;
        let holds = if memory.lambda.remembers() {
            let lambda = memory.lambda.clone();
            let holds = lambda.holds(memory.of(group), &cx.sight(view));
            memory.record(group, site, cx);
            holds
        } else {
            memory.lambda.holds(&mut State::default(), &cx.sight(view))
        };
        holds.map_err(|error| cx.complain_of(site, &error)).ok()
    }

    pub(super) fn leave(&mut self, group: usize, site: &Site, cx: &mut Cx<'_>) {
        self.0.forget(group, site, cx);
    }
}
