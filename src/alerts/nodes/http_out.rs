//! `|httpOut('name')`: the last points of each group, for whoever asks over HTTP.

use super::alert::series;
use super::graph::{Cx, Out, Run};
use super::group::{Group, Slots};
use super::item::Item;
use crate::alerts::event::Series;
use crate::alerts::json;
use std::sync::Arc;

pub(super) struct HttpOut {
    name: String,
    groups: Slots<Series>,
}

impl HttpOut {
    pub(super) fn new(name: String) -> Self {
        HttpOut { name, groups: Slots::default() }
    }
}

impl Run for HttpOut {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        *self.groups.get(group, Series::default) = match item {
            Item::Point(point) => Series::from(point),
            Item::Batch(batch) => series(batch, &group.tags),
        };
        out.send(item, group, cx);
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }

    fn shown(&self, name: &str) -> Option<String> {
        if name != self.name {
            return None;
        }
        let mut out = String::from("{\"series\":");
        let series: Vec<&Series> = self.groups.iter().collect();
        json::list(&mut out, &series, |out, series| series.write_json(out)).ok()?;
        out.push('}');
        Some(out)
    }
}
