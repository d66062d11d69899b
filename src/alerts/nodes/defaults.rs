//! `|default()` and `|delete()`: fields and tags that a point gets if it lacks them, or loses.

use super::each::{Becomes, each};
use super::graph::{Cx, Out, Run};
use super::group::{Dimensions, Group};
use super::item::Item;
use super::view::View;
use crate::alerts::pipeline;
use crate::alerts::point::{Fields, Tags};
use std::sync::Arc;

pub(super) struct Defaults(pipeline::Defaults);

impl Defaults {
    pub(super) fn new(settings: pipeline::Defaults) -> Self {
        Defaults(settings)
    }

    fn becomes(&self, view: View<'_>) -> Becomes {
        let mut fields = view.fields.clone();
        for (name, value) in &self.0.fields {
            if fields.get(name).is_none() {
                fields.set(name.clone(), value.clone());
            }
        }
        let mut tags: Option<Tags> = None;
        for (name, value) in &self.0.tags {
            if view.tags.get(name).is_none_or(|value| value.is_empty()) {
                tags.get_or_insert_with(|| view.tags.clone()).set(name.clone(), value.clone());
            }
        }
        match tags {
            Some(tags) => Becomes::Moved(tags, fields),
            None => Becomes::Changed(fields),
        }
    }
}

impl Run for Defaults {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        each(item, group, cx, out, &mut |view, _| self.becomes(view));
    }
}

pub(super) struct Delete {
    settings: pipeline::Delete,
    /// What makes groups above, and what is left of it below.
    dimensions: Option<(Arc<Dimensions>, Arc<Dimensions>)>,
}

impl Delete {
    pub(super) fn new(settings: pipeline::Delete) -> Self {
        Delete { settings, dimensions: None }
    }

    fn becomes(&self, view: View<'_>) -> (Tags, Fields) {
        let (mut tags, mut fields) = (view.tags.clone(), view.fields.clone());
        for name in &self.settings.fields {
            fields.remove(name);
        }
        for name in &self.settings.tags {
            tags.remove(name);
        }
        (tags, fields)
    }

    /// A tag that is deleted makes no group any more.
    fn below(&mut self, above: &Arc<Dimensions>) -> Arc<Dimensions> {
        if let Some((known, below)) = &self.dimensions
            && known == above
        {
            return Arc::clone(below);
        }
        let mut left = Dimensions::clone(above);
        left.tags.retain(|tag| !self.settings.tags.contains(tag));
        let left = Arc::new(left);
        self.dimensions = Some((Arc::clone(above), Arc::clone(&left)));
        left
    }
}

impl Run for Delete {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        let is_grouped = |tag| group.dimensions.tags.contains(tag);
        let regrouped = if self.settings.tags.iter().any(is_grouped) {
            let below = self.below(&group.dimensions);
            let measurement = item.measurement();
            let Some(group) = cx.group(&below, measurement, &group.tags) else { return };
            group
        } else {
            Arc::clone(group)
        };
        each(item, &regrouped, cx, out, &mut |view, _| {
            let (tags, fields) = self.becomes(view);
            Becomes::Moved(tags, fields)
        });
    }
}
