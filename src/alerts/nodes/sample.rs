//! `|sample(…)`: one of every n points, or those at certain times.

use super::clock::truncate;
use super::graph::{Cx, Out, Run};
use super::group::{Group, Slots};
use super::item::Item;
use crate::alerts::pipeline;
use std::sync::Arc;

pub(super) struct Sample {
    which: pipeline::Sample,
    /// How many points or batches there were in each group.
    counts: Slots<u64>,
}

impl Sample {
    pub(super) fn new(which: pipeline::Sample) -> Self {
        Sample { which, counts: Slots::default() }
    }
}

impl Run for Sample {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        let goes_on = match self.which {
            pipeline::Sample::Count(each) => {
                let count = self.counts.get(group, || 0);
                let is_first = *count == 0;
                *count = (*count + 1) % each.max(1);
                is_first
            }
            pipeline::Sample::Duration(step) => truncate(item.time(), step) == item.time(),
        };
        if goes_on {
            out.send(item, group, cx);
        }
    }

    fn forget(&mut self, group: usize) {
        self.counts.forget(group);
    }
}
