//! What the functions of a lambda remember of each group, also over a restart.
//!
//! `count()` differs after each point, and a record for each point would wear out the flash. So a
//! group has a new record once a minute at most: after a power cut its functions go on from there.

use super::graph::{Cx, Site};
use super::group::{Group, Slots};
use crate::alerts::lambda::{Lambda, State};
use crate::alerts::point::Name;
use std::collections::HashMap;

/// The least time between two records of a group, in nanoseconds.
pub(super) const RECORD_EVERY: i64 = 60_000_000_000;

/// Begins the keys of these records; what else a node remembers is under the group alone.
const MARK: char = '\u{1}';

/// A lambda with what it remembers.
pub(super) struct Memory {
    pub(super) lambda: Lambda,
    /// Which of the lambdas of its node it is.
    which: String,
    groups: Slots<Known>,
    /// Records of groups that were not seen since the start, by the keys of the groups.
    remembered: HashMap<String, String>,
}

struct Known {
    group: Name,
    state: State,
    /// When it was recorded.
    recorded: Option<i64>,
}

impl Memory {
    /// Takes its records out of those of its node.
    pub(super) fn new(lambda: Lambda, which: &str, of_node: &mut HashMap<String, String>) -> Self {
        let which = format!("{MARK}{which} ");
        let mine = |key: &String, _: &mut String| key.starts_with(&which);
        let remembered = of_node
            .extract_if(mine)
            .map(|(key, record)| (key[which.len()..].to_owned(), record))
            .collect();
        Memory { lambda, which, groups: Slots::default(), remembered }
    }

    /// What it remembers of a group; it goes on from its record.
    pub(super) fn of(&mut self, group: &Group) -> &mut State {
        let Memory { lambda, groups, remembered, .. } = self;
        let known = groups.get(group, || {
            let record = remembered.remove(&*group.key);
            let state = record.map_or_else(|| lambda.state(), |record| lambda.restored(&record));
            Known { group: group.key.clone(), state, recorded: None }
        });
        &mut known.state
    }

    /// Records what it remembers of a group now, if it is time.
    pub(super) fn record(&mut self, group: &Group, site: &Site, cx: &mut Cx<'_>) {
        let Some(known) = self.groups.peek_mut(group.number) else { return };
        let is_new = known.recorded.is_some_and(|at| (at..at + RECORD_EVERY).contains(&cx.now));
        if !is_new {
            known.recorded = Some(cx.now);
            let key = format!("{}{}", self.which, known.group);
            cx.effects.remember(cx.task, &site.node, &key, Some(known.state.to_text()));
        }
    }

    /// Forgets a group.
    pub(super) fn forget(&mut self, number: usize, site: &Site, cx: &mut Cx<'_>) {
        if let Some(known) = self.groups.peek(number) {
            let key = format!("{}{}", self.which, known.group);
            cx.effects.remember(cx.task, &site.node, &key, None);
        }
        self.groups.forget(number);
    }
}
