//! Which level a point has.
//!
//! An expression that fails counts as false, as in Kapacitor, but it never ends an alert: a point
//! that lacks a field says nothing about it. Kapacitor takes such a point for a recovery;
//! [`Settings::failed_is_false`](crate::alerts::Settings) does, too.
//!
//! Each expression is asked at most once for a point, so `count()` in it counts points.

use crate::alerts::event::Level;
use crate::alerts::lambda::Lambda;
use crate::alerts::nodes::each::Condition;
use crate::alerts::nodes::graph::{Cx, Site};
use crate::alerts::nodes::group::Group;
use crate::alerts::nodes::view::View;
use crate::alerts::pipeline::{Alert, Rule};
use std::collections::HashMap;

/// When each level begins and ends, from the highest.
pub(super) struct Deciders([Decider; 3]);

struct Decider {
    level: Level,
    when: Option<Condition>,
    reset: Option<Condition>,
}

impl Deciders {
    pub(super) fn of(alert: &Alert, remembered: &mut HashMap<String, String>) -> Self {
        Deciders([
            Decider::of(Level::Critical, &alert.crit, remembered),
            Decider::of(Level::Warning, &alert.warn, remembered),
            Decider::of(Level::Info, &alert.info, remembered),
        ])
    }

    /// The level of a point in a group that has the level `now`; nothing if the point does not say.
    pub(super) fn level(
        &mut self,
        now: Level,
        site: &Site,
        view: View<'_>,
        group: &Group,
        cx: &mut Cx<'_>,
    ) -> Option<Level> {
        let mut failed = false;
        let level = self.asked(now, &mut |condition| {
            let holds = condition.holds(site, view, group, cx);
            failed |= holds.is_none();
            holds
        });
        let is_unknown = failed && level < now && !cx.settings.failed_is_false;
        (!is_unknown).then_some(level)
    }

    /// From the highest level down to the one there is, then its reset, then from there down.
    fn asked(&mut self, now: Level, ask: &mut dyn FnMut(&mut Condition) -> Option<bool>) -> Level {
        for decider in self.0.iter_mut().filter(|decider| decider.level >= now) {
            if decider.when.as_mut().and_then(&mut *ask) == Some(true) {
                return decider.level;
            }
        }
        for decider in self.0.iter_mut().filter(|decider| decider.level == now) {
            if decider.reset.as_mut().and_then(&mut *ask) == Some(false) {
                return now;
            }
        }
        for decider in self.0.iter_mut().filter(|decider| decider.level < now) {
            if decider.when.as_mut().and_then(&mut *ask) == Some(true) {
                return decider.level;
            }
        }
        Level::Ok
    }

    pub(super) fn leave(&mut self, group: usize, site: &Site, cx: &mut Cx<'_>) {
        for Decider { when, reset, .. } in &mut self.0 {
            for condition in [when, reset].into_iter().flatten() {
                condition.leave(group, site, cx);
            }
        }
    }
}

impl Decider {
    /// A reset without a level is without effect.
    fn of(level: Level, rule: &Rule, remembered: &mut HashMap<String, String>) -> Self {
        let reset = rule.when.as_ref().and(rule.reset.as_ref());
        let mut condition = |lambda: &Lambda, what: &str| {
            Condition::new(lambda.clone(), &format!("{what} {}", level.name()), remembered)
        };
        let when = rule.when.as_ref().map(|lambda| condition(lambda, "when"));
        let reset = reset.map(|lambda| condition(lambda, "reset"));
        Decider { level, when, reset }
    }
}
