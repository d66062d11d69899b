//! `|from()`: which points, at which times, in which groups.

use super::clock::{round, truncate};
use super::each::Condition;
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Grouping};
use super::item::Item;
use super::view::View;
use crate::alerts::pipeline;
use crate::alerts::point::{Name, Point};
use crate::alerts::wanted::is_same_policy;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct From {
    site: Site,
    database: Option<Name>,
    retention_policy: Option<Name>,
    measurement: Option<Name>,
    filters: Vec<Condition>,
    grouping: Grouping,
    truncate: i64,
    round: i64,
}

impl From {
    pub(super) fn new(
        site: Site,
        settings: pipeline::From,
        remembered: &mut HashMap<String, String>,
    ) -> Self {
        From {
            site,
            database: settings.database,
            retention_policy: settings.retention_policy,
            measurement: settings.measurement,
            filters: Condition::all(settings.filters, remembered),
            grouping: Grouping::new(settings.group_by),
            truncate: settings.truncate,
            round: settings.round,
        }
    }

    fn wants(&mut self, point: &Point, group: &Group, cx: &mut Cx<'_>) -> bool {
        let is = |wanted: &Option<Name>, given: &Name| {
            wanted.as_ref().is_none_or(|wanted| wanted == given)
        };
        if !is(&self.measurement, &point.measurement)
            || !is(&self.database, &point.database)
            || !self
                .retention_policy
                .as_ref()
                .is_none_or(|wanted| is_same_policy(wanted, &point.retention_policy))
        {
            return false;
        }
        let site = &self.site;
        let mut filters = self.filters.iter_mut();
        filters.all(|filter| filter.holds(site, View::of(point), group, cx) == Some(true))
    }
}

impl Run for From {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        let Item::Point(point) = item else { return };
        if !self.wants(point, group, cx) {
            return;
        }
        let dimensions = self.grouping.of(&point.tags);
        let Some(group) = cx.group(dimensions, &point.measurement, &point.tags) else { return };
        if self.truncate == 0 && self.round == 0 {
            return out.send(item, &group, cx);
        }
        let time = round(truncate(point.time, self.truncate), self.round);
        out.send(Item::Point(&Point { time, ..point.clone() }), &group, cx);
    }

    fn leave(&mut self, group: usize, cx: &mut Cx<'_>) {
        let From { site, filters, .. } = self;
        filters.iter_mut().for_each(|filter| filter.leave(group, site, cx));
    }
}
