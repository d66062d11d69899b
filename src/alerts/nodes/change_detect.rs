//! `|changeDetect('field', …)`: the first point, and each that differs from the last one that went
//! on.

use super::each::{Becomes, each};
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::Item;
use crate::alerts::point::{Field, Fields, Name};
use std::sync::Arc;

pub(super) struct ChangeDetect {
    site: Site,
    fields: Vec<Name>,
    /// The values that went on last, in the order of the fields.
    groups: Slots<Option<Vec<Option<Field>>>>,
}

impl ChangeDetect {
    pub(super) fn new(site: Site, fields: Vec<Name>) -> Self {
        ChangeDetect { site, fields, groups: Slots::default() }
    }

    fn is_new(&mut self, fields: &Fields, group: &Group, cx: &mut Cx<'_>) -> bool {
        let last = self.groups.get(group, || None);
        let mut is_new = last.is_none();
        for (index, name) in self.fields.iter().enumerate() {
            let Some(value) = fields.get(name) else {
                cx.complain(&self.site, || format!("the point has no field \"{name}\""));
                continue;
            };
            let before = last.as_ref().and_then(|last| last[index].as_ref());
            is_new |= before != Some(value);
        }
        if is_new {
            *last = Some(self.fields.iter().map(|name| fields.get(name).cloned()).collect());
        }
        is_new
    }
}

impl Run for ChangeDetect {
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
        each(item, group, cx, out, &mut |view, cx| {
            if self.is_new(view.fields, group, cx) { Becomes::Itself } else { Becomes::Nothing }
        });
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }
}
