//! `|where(lambda)`: only points for which all conditions are true.

use super::each::{Becomes, Condition, each};
use super::graph::{Cx, Out, Run, Site};
use super::group::Group;
use super::item::Item;
use crate::alerts::lambda::Lambda;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct Where {
    site: Site,
    conditions: Vec<Condition>,
}

impl Where {
    pub(super) fn new(
        site: Site,
        conditions: Vec<Lambda>,
        remembered: &mut HashMap<String, String>,
    ) -> Self {
        Where { site, conditions: Condition::all(conditions, remembered) }
    }
}

impl Run for Where {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        each(item, group, cx, out, &mut |view, cx| {
            let holds = |condition: &mut Condition| condition.holds(&self.site, view, group, cx);
            if self.conditions.iter_mut().map(holds).all(|holds| holds == Some(true)) {
                Becomes::Itself
            } else {
                Becomes::Nothing
            }
        });
    }

    fn leave(&mut self, group: usize, cx: &mut Cx<'_>) {
        let Where { site, conditions } = self;
        conditions.iter_mut().for_each(|condition| condition.leave(group, site, cx));
    }
}
