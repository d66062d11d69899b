//! Nodes that look at each point by itself: on its own or in a batch, it is the same to them.

use super::graph::{Cx, Out, Site};
use super::group::{Group, Slots};
use super::item::{Batch, Item};
use super::view::View;
use crate::alerts::event::Row;
use crate::alerts::lambda::{Lambda, State};
use crate::alerts::point::{Field, Fields, Name, Point, Tags};
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

/// A lambda, with what it remembers of each group.
pub(super) struct Condition {
    lambda: Lambda,
    states: Slots<State>,
}

impl Condition {
    pub(super) fn new(lambda: Lambda) -> Self {
        Condition { lambda, states: Slots::default() }
    }

    /// Whether it is true for a point; `None`, with a complaint, if nobody can say.
    pub(super) fn holds(
        &mut self,
        site: &Site,
        view: View<'_>,
        group: &Group,
        cx: &mut Cx<'_>,
    ) -> Option<bool> {
        let sight = cx.sight(view);
        let holds = if self.lambda.remembers() {
            let lambda = &self.lambda;
            lambda.holds(self.states.get(group, || lambda.state()), &sight)
        } else {
            self.lambda.holds(&mut State::default(), &sight)
        };
        holds.map_err(|error| cx.complain_of(site, &error)).ok()
    }

    pub(super) fn forget(&mut self, group: usize) {
        self.states.forget(group);
    }
}
