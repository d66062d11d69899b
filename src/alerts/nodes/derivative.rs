//! `|derivative('field')`: how fast a field changes, from the second point on.

use super::each::{Becomes, each, with};
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::Item;
use super::view::{View, nanos, number};
use crate::alerts::pipeline;
use std::sync::Arc;

pub(super) struct Derivative {
    site: Site,
    settings: pipeline::Derivative,
    /// The value and the time of the point before.
    groups: Slots<Option<(f64, i64)>>,
}

impl Derivative {
    pub(super) fn new(site: Site, settings: pipeline::Derivative) -> Self {
        Derivative { site, settings, groups: Slots::default() }
    }

    fn becomes(&mut self, view: View<'_>, group: &Group, cx: &mut Cx<'_>) -> Becomes {
        let name = &self.settings.field;
        let Some(value) = view.fields.get(name).and_then(number) else {
            cx.complain(&self.site, || format!("the point has no number \"{name}\""));
            return Becomes::Nothing;
        };
        let last = self.groups.get(group, || None).replace((value, view.time));
        let Some((before, then)) = last else { return Becomes::Nothing };
        if view.time == then {
            cx.complain(&self.site, || "two points of a group have the same time".into());
            return Becomes::Nothing;
        }
        let difference = value - before;
        if self.settings.non_negative && difference < 0.0 {
            return Becomes::Nothing;
        }
        let units = nanos(view.time.saturating_sub(then)) / nanos(self.settings.unit);
        Becomes::Changed(with(view.fields, &self.settings.name, difference / units))
    }
}

impl Run for Derivative {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        if matches!(item, Item::Batch(_)) {
            self.forget(group.number);
        }
        each(item, group, cx, out, &mut |view, cx| self.becomes(view, group, cx));
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }
}
