//! `|changeDetect('field', …)`: the first point, and each that differs from the last one that went
//! on, also over a restart: each change is recorded.

use super::each::{Becomes, each};
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::Item;
use crate::alerts::line::{Lines, Shelf};
use crate::alerts::point::{Field, Fields, Name};
use crate::config::Precision;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct ChangeDetect {
    site: Site,
    fields: Vec<Name>,
    /// The values that went on last, in the order of the fields.
    groups: Slots<Known>,
    /// Records of groups that were not seen since the start, by their keys.
    remembered: HashMap<String, String>,
}

struct Known {
    group: Name,
    last: Option<Last>,
    is_recorded: bool,
}

type Last = Vec<Option<Field>>;

impl ChangeDetect {
    pub(super) fn new(site: Site, fields: Vec<Name>, remembered: HashMap<String, String>) -> Self {
        ChangeDetect { site, fields, groups: Slots::default(), remembered }
    }

    fn is_new(&mut self, given: &Fields, group: &Group, cx: &mut Cx<'_>) -> bool {
        let ChangeDetect { site, fields, groups, remembered } = self;
        let Known { last, .. } = groups.get(group, || {
            let record = remembered.remove(&*group.key);
            let is_recorded = record.is_some();
            let last = record.and_then(|record| read(&record, fields.len()));
            Known { group: group.key.clone(), last, is_recorded }
        });
        let mut is_new = last.is_none();
        for (index, name) in fields.iter().enumerate() {
            let Some(value) = given.get(name) else {
                cx.complain(site, || format!("the point has no field \"{name}\""));
                continue;
            };
            let before = last.as_ref().and_then(|last| last[index].as_ref());
            is_new |= before != Some(value);
        }
        if is_new {
            *last = Some(fields.iter().map(|name| given.get(name).cloned()).collect());
        }
        is_new
    }

    fn record(&mut self, number: usize, cx: &mut Cx<'_>) {
        let Some(known) = self.groups.peek_mut(number) else { return };
        known.is_recorded = known.last.is_some();
        let record = known.last.as_ref().map(written);
        cx.effects.remember(cx.task, &self.site.node, &known.group, record);
    }
}

/// Values as line protocol has them, named by their numbers.
fn written(values: &Last) -> String {
    let known = values.iter().enumerate().filter_map(|(at, value)| Some((at, value.as_ref()?)));
    known.map(|(at, value)| format!("{at}={value}")).collect::<Vec<_>>().join(",")
}

/// The other way round. What nobody can read is none.
fn read(record: &str, count: usize) -> Option<Last> {
    let line = format!("c {record}");
    let mut lines = Lines::new(line.as_bytes(), Precision::Nanoseconds).ok()?;
    let nothing: Name = "".into();
    let point = lines.next()?.ok()?.point((&nothing, &nothing), 0, &mut Shelf::default());
    Some((0..count).map(|at| point.fields.get(&at.to_string()).cloned()).collect())
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
        let is_batch = matches!(item, Item::Batch(_));
        if is_batch {
            self.forget(group.number);
        }
        each(item, group, cx, out, &mut |view, cx| {
            if !self.is_new(view.fields, group, cx) {
                return Becomes::Nothing;
            }
            if !is_batch {
                self.record(group.number, cx);
            }
            Becomes::Itself
        });
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }

    fn leave(&mut self, group: usize, cx: &mut Cx<'_>) {
        if let Some(known) = self.groups.peek_mut(group).filter(|known| known.is_recorded) {
            known.last = None;
            self.record(group, cx);
        }
        self.forget(group);
    }
}
