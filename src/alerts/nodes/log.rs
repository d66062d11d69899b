//! `|log()`: each point is a line in the log, in line protocol.

use super::graph::{Cx, Out, Run, Site};
use super::group::Group;
use super::item::Item;
use super::view::View;
use crate::alerts::effects::Line;
use crate::alerts::pipeline;
use std::fmt::Write;
use std::sync::Arc;

pub(super) struct Log {
    site: Site,
    settings: pipeline::Log,
}

impl Log {
    pub(super) fn new(site: Site, settings: pipeline::Log) -> Self {
        Log { site, settings }
    }

    fn line(&self, view: View<'_>, task: &str) -> Line {
        let prefix = &self.settings.prefix;
        let space = if prefix.is_empty() { "" } else { " " };
        let mut words = format!("{prefix}{space}{}", view.measurement);
        for (name, value) in view.tags.iter() {
            words.extend([",", name, "=", value]);
        }
        for (index, (name, value)) in view.fields.iter().enumerate() {
            let comma = if index == 0 { ' ' } else { ',' };
            write!(words, "{comma}{name}={value}").expect("a text takes any text");
        }
        write!(words, " {}", view.time).expect("a text takes any text");
        Line { task: task.into(), node: self.site.node.clone(), level: self.settings.level, words }
    }
}

impl Run for Log {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        match item {
            Item::Point(point) => {
                cx.effects.log(|| self.line(View::of(point), cx.task));
            }
            Item::Batch(batch) => {
                for row in batch.rows {
                    cx.effects.log(|| self.line(View::in_batch(row, batch), cx.task));
                }
            }
        }
        out.send(item, group, cx);
    }
}
