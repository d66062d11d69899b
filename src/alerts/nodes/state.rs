//! `|stateDuration(lambda)` and `|stateCount(lambda)`: for how long, or for how many points, a
//! condition has been true; −1 while it is not.
//!
//! Both go on over a restart. When a condition becomes true or is not any more is recorded at once;
//! a count that grows once a minute, because it differs after each point.

use super::each::{Becomes, Condition, each, with};
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::Item;
use super::memory::RECORD_EVERY;
use super::view::{View, nanos};
use crate::alerts::lambda::Lambda;
use crate::alerts::pipeline;
use crate::alerts::point::{Field, Name};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct State {
    site: Site,
    condition: Condition,
    name: Name,
    measure: Measure,
    groups: Slots<Known>,
    /// Records of groups that were not seen since the start, by their keys.
    remembered: HashMap<String, String>,
}

/// What is known of a group.
struct Known {
    group: Name,
    /// Since when, or for how many points; nothing while it is not true.
    value: Option<i64>,
    /// What its record says, and since when it does, if that was after the start.
    recorded: (Option<i64>, Option<i64>),
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
        remembered: HashMap<String, String>,
    ) -> Self {
        let measure = Measure::Duration { unit: settings.unit };
        State::new(site, settings.condition, settings.name, measure, remembered)
    }

    pub(super) fn count(
        site: Site,
        settings: pipeline::StateCount,
        remembered: HashMap<String, String>,
    ) -> Self {
        State::new(site, settings.condition, settings.name, Measure::Count, remembered)
    }

    fn new(
        site: Site,
        condition: Lambda,
        name: Name,
        measure: Measure,
        mut remembered: HashMap<String, String>,
    ) -> Self {
        let condition = Condition::new(condition, "0", &mut remembered);
        State { site, condition, name, measure, groups: Slots::default(), remembered }
    }

    fn becomes(&mut self, view: View<'_>, group: &Group, cx: &mut Cx<'_>) -> Becomes {
        let Some(holds) = self.condition.holds(&self.site, view, group, cx) else {
            return Becomes::Nothing;
        };
        let State { measure, groups, remembered, .. } = self;
        let known = groups.get(group, || {
            let record = remembered.remove(&*group.key);
            let value = record.and_then(|record| record.parse().ok());
            Known { group: group.key.clone(), value, recorded: (value, None) }
        });
        if !holds {
            known.value = None;
        }
        let value = match *measure {
            Measure::Duration { .. } if !holds => Field::Float(-1.0),
            Measure::Duration { unit } => {
                let since = *known.value.get_or_insert(view.time);
                Field::Float(nanos(view.time.saturating_sub(since)) / nanos(unit))
            }
            Measure::Count if !holds => Field::Int(-1),
            Measure::Count => {
                let count = known.value.get_or_insert(0);
                *count = count.saturating_add(1);
                Field::Int(*count)
            }
        };
        Becomes::Changed(with(view.fields, &self.name, value))
    }

    /// Records what is known of a group, if it is time.
    fn record(&mut self, number: usize, cx: &mut Cx<'_>) {
        let Some(known) = self.groups.peek_mut(number) else { return };
        let (recorded, at) = known.recorded;
        let is_fresh = at.is_some_and(|at| (at..at + RECORD_EVERY).contains(&cx.now));
        let grows = matches!(self.measure, Measure::Count) && known.value.is_some();
        if known.value != recorded && !(grows && recorded.is_some() && is_fresh) {
            known.recorded = (known.value, Some(cx.now));
            let value = known.value.map(|value| value.to_string());
            cx.effects.remember(cx.task, &self.site.node, &known.group, value);
        }
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
        let is_batch = matches!(item, Item::Batch(_));
        if is_batch {
            self.groups.forget(group.number);
        }
        each(item, group, cx, out, &mut |view, cx| {
            let becomes = self.becomes(view, group, cx);
            if !is_batch {
                self.record(group.number, cx);
            }
            becomes
        });
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }

    fn leave(&mut self, group: usize, cx: &mut Cx<'_>) {
        if let Some(known) = self.groups.peek_mut(group) {
            known.value = None;
            self.record(group, cx);
        }
        self.forget(group);
        self.condition.leave(group, &self.site, cx);
    }
}
