//! `.inhibit('category', 'tag', …)`: while one alert is open, events of a category that have the
//! same tags are held back, whatever task they are of.

use crate::alerts::point::{Name, Tags};
use std::collections::HashMap;

/// The alerts that hold others back.
#[derive(Default)]
pub(in crate::alerts) struct Inhibitors {
    /// By category; few are ever open at a time.
    open: HashMap<String, Vec<Inhibitor>>,
}

struct Inhibitor {
    task: String,
    node: String,
    group: String,
    tags: Vec<(Name, Name)>,
}

impl Inhibitors {
    /// Whether an event of this category with these tags is held back.
    pub(super) fn hold_back(&self, category: &str, tags: &Tags) -> bool {
        let has = |(name, value): &(Name, Name)| tags.get(name).is_some_and(|given| given == value);
        let open = self.open.get(category);
        open.is_some_and(|open| open.iter().any(|inhibitor| inhibitor.tags.iter().all(has)))
    }

    /// Opens or closes an inhibitor of a group; `tags` are those that it names.
    pub(super) fn set(
        &mut self,
        category: &str,
        (task, node, group): (&str, &str, &str),
        tags: Option<Vec<(Name, Name)>>,
    ) {
        let is_it = |one: &Inhibitor| one.task == task && one.node == node && one.group == group;
        let open = self.open.entry(category.to_owned()).or_default();
        match (tags, open.iter().position(is_it)) {
            (Some(tags), None) => {
                let (task, node, group) = (task.to_owned(), node.to_owned(), group.to_owned());
                open.push(Inhibitor { task, node, group, tags });
            }
            (None, Some(place)) => {
                open.swap_remove(place);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        if open.is_empty() {
            self.open.remove(category);
        }
    }

    /// Closes all of a task.
    pub(in crate::alerts) fn forget(&mut self, task: &str) {
        for open in self.open.values_mut() {
            open.retain(|inhibitor| inhibitor.task != task);
        }
        self.open.retain(|_, open| !open.is_empty());
    }
}
