//! `|stateDuration(lambda)` and `|stateCount(lambda)`: for how long, or for how many points, a
//! condition has been true; −1 while it is not.

use super::each::{Becomes, Condition, each, with};
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::Item;
use super::view::{View, nanos};
use crate::alerts::pipeline;
use crate::alerts::point::{Field, Name};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct State {
    site: Site,
    condition: Condition,
    name: Name,
    measure: Measure,
    /// Since when, or for how many points; nothing while it is not true.
    groups: Slots<Option<i64>>,
}

#[derive(Clone, Copy)]
enum Measure {
    Duration { unit: i64 },
    Count,
}

impl State {
    pub(super) fn duration(
        site: Site,
        settings: pipeline::StateDuration,
        remembered: &mut HashMap<String, String>,
    ) -> Self {
        let measure = Measure::Duration { unit: settings.unit };
        let condition = Condition::new(settings.condition, "0", remembered);
        State { site, condition, name: settings.name, measure, groups: Slots::default() }
    }

    pub(super) fn count(
        site: Site,
        settings: pipeline::StateCount,
        remembered: &mut HashMap<String, String>,
    ) -> Self {
        let condition = Condition::new(settings.condition, "0", remembered);
        let (name, measure) = (settings.name, Measure::Count);
        State { site, condition, name, measure, groups: Slots::default() }
    }

    fn becomes(&mut self, view: View<'_>, group: &Group, cx: &mut Cx<'_>) -> Becomes {
        let Some(holds) = self.condition.holds(&self.site, view, group, cx) else {
            return Becomes::Nothing;
        };
        let known = self.groups.get(group, || None);
        if !holds {
            *known = None;
        }
        let value = match self.measure {
            Measure::Duration { .. } if !holds => Field::Float(-1.0),
            Measure::Duration { unit } => {
                let since = *known.get_or_insert(view.time);
                Field::Float(nanos(view.time.saturating_sub(since)) / nanos(unit))
            }
            Measure::Count if !holds => Field::Int(-1),
            Measure::Count => {
                let count = known.get_or_insert(0);
                *count = count.saturating_add(1);
                Field::Int(*count)
            }
        };
        Becomes::Changed(with(view.fields, &self.name, value))
    }
}

impl Run for State {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        if matches!(item, Item::Batch(_)) {
            self.groups.forget(group.number);
        }
        each(item, group, cx, out, &mut |view, cx| self.becomes(view, group, cx));
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }

    fn leave(&mut self, group: usize, cx: &mut Cx<'_>) {
        self.forget(group);
        self.condition.leave(group, &self.site, cx);
    }
}
