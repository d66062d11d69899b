//! The first half of `|deadman(…)`: how many points there were, once an interval.
//!
//! It goes by the clock, not by points: an alert below it is about points that do not come. Ticks
//! are multiples of the interval. A group is first counted over a whole interval. While no group
//! was seen there is one without a name, as in Kapacitor, so a sensor that never sent anything is
//! dead; unlike there it is alive again as soon as any group is seen.
//!
//! Groups are remembered over a restart, so what died meanwhile is missed. They are forgotten with
//! their task.

use super::clock::truncate;
use super::graph::{Cx, Out, Run, Site};
use super::group::{ALL, Group, Slots};
use super::item::{Item, point};
use crate::alerts::pipeline;
use crate::alerts::point::{Field, Fields, Name};
use std::sync::Arc;

/// What the points of a deadman are called, and their field.
const NAMES: (&str, &str) = ("stats", "emitted");

/// A tick that is late by more is no tick: the clock was set, or the machine slept.
const LATE_MAX: i64 = 3_600 * pipeline::SECOND;

pub(super) struct Deadman {
    site: Site,
    interval: i64,
    /// When the interval ends.
    next: i64,
    measurement: Name,
    field: Name,
    groups: Slots<Counted>,
    nameless: Nameless,
}

/// The group without a name.
enum Nameless {
    /// There was no other; the number of points since then.
    Open { points: u64, is_whole: bool },
    /// There are others.
    Gone,
}

struct Counted {
    group: Arc<Group>,
    points: u64,
    /// Whether the interval began with this group known.
    is_whole: bool,
}

impl Deadman {
    /// `known` are the groups there were before a restart.
    pub(super) fn new(
        site: Site,
        settings: pipeline::Deadman,
        known: Vec<Arc<Group>>,
        now: i64,
    ) -> Self {
        let interval = settings.interval.max(1);
        let nameless = if known.is_empty() { Nameless::default() } else { Nameless::Gone };
        let mut groups = Slots::default();
        for group in known {
            groups.get(&group, || Counted::new(&group));
        }
        Deadman {
            site,
            interval,
            next: truncate(now, interval).saturating_add(interval),
            measurement: NAMES.0.into(),
            field: NAMES.1.into(),
            groups,
            nameless,
        }
    }

    fn count(&mut self, group: &Arc<Group>, points: u64, cx: &mut Cx<'_>) {
        if group.number == ALL {
            self.nameless = Nameless::Gone;
        }
        if let Nameless::Open { points: all, .. } = &mut self.nameless {
            *all += points;
        }
        let counted = self.groups.get(group, || {
            if group.number != ALL {
                let seen = Some("seen".to_owned());
                cx.effects.remember(cx.task, &self.site.node, &group.key, seen);
            }
            Counted::new(group)
        });
        counted.points += points;
    }

    /// Begins to count again: the clock was set.
    fn begin(&mut self, now: i64) {
        self.next = truncate(now, self.interval).saturating_add(self.interval);
        self.groups.iter_mut().for_each(|counted| counted.points = 0);
    }

    fn tick(&mut self, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        let time = self.next;
        self.next = truncate(cx.now, self.interval).saturating_add(self.interval);
        let (measurement, field) = (&self.measurement, &self.field);
        let mut send = |points: u64, group: &Arc<Group>, cx: &mut Cx<'_>| {
            let fields = Fields::from_iter([(field.clone(), Field::Float(number(points)))]);
            let point = point(measurement, group.tags.clone(), fields, time);
            out.send(Item::Point(&point), group, cx);
        };
        if let Some(points) = self.nameless.tick() {
            let all = Arc::clone(cx.groups.all());
            send(points, &all, cx);
        }
        for counted in self.groups.iter_mut() {
            let points = std::mem::take(&mut counted.points);
            if std::mem::replace(&mut counted.is_whole, true) {
                send(points, &counted.group, cx);
            }
        }
    }
}

impl Counted {
    fn new(group: &Arc<Group>) -> Self {
        Counted { group: Arc::clone(group), points: 0, is_whole: false }
    }
}

impl Nameless {
    /// How many points it has, if it is time to say so.
    fn tick(&mut self) -> Option<u64> {
        let Nameless::Open { points, is_whole } = self else { return None };
        let points = *points;
        if points == 0 && !std::mem::replace(is_whole, true) {
            return None;
        }
        if points > 0 {
            *self = Nameless::Gone;
        }
        Some(points)
    }
}

impl Default for Nameless {
    fn default() -> Self {
        Nameless::Open { points: 0, is_whole: false }
    }
}

impl Run for Deadman {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        _: &mut Out<'_>,
    ) {
        let points = match item {
            Item::Point(_) => 1,
            Item::Batch(batch) => batch.rows.len() as u64,
        };
        self.count(group, points, cx);
    }

    fn wake_at(&self) -> Option<i64> {
        Some(self.next)
    }

    fn wake(&mut self, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        let late = cx.now.saturating_sub(self.next);
        if late > LATE_MAX || late < -self.interval {
            self.begin(cx.now);
        } else if late >= 0 {
            self.tick(cx, out);
        }
    }

    fn holds(&self, group: usize) -> bool {
        self.groups.peek(group).is_some()
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are never so many")]
fn number(points: u64) -> f64 {
    points as f64
}
