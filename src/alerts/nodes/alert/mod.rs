//! `|alert()`: which level each point has, and what is said about it.

mod decide;
mod inhibit;
mod machine;
#[cfg(test)]
mod tests;
mod words;

pub(in crate::alerts) use inhibit::Inhibitors;

use super::each::{Becomes, send};
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::{Batch, Item};
use super::view::View;
use crate::alerts::event::{Event, Level, Row, Series};
use crate::alerts::pipeline;
use crate::alerts::point::{Field, Fields, Name, Point, Tags};
use decide::Deciders;
use machine::{Machine, Rules, Step};
use std::collections::HashMap;
use std::sync::Arc;
use words::Words;

pub(super) struct Alert {
    site: Site,
    settings: pipeline::Alert,
    rules: Rules,
    deciders: Deciders,
    words: Words,
    groups: Slots<Machine>,
    /// Records of groups that were not seen since the start, by their keys.
    remembered: HashMap<String, String>,
}

impl Alert {
    pub(super) fn new(
        site: Site,
        settings: pipeline::Alert,
        mut remembered: HashMap<String, String>,
    ) -> Self {
        let rules = Rules::of(&settings);
        let deciders = Deciders::of(&settings, &mut remembered);
        let words = Words::of(&settings);
        let groups = Slots::default();
        Alert { site, settings, rules, deciders, words, groups, remembered }
    }

    fn point(&mut self, point: &Point, group: &Arc<Group>, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        let view = View::of(point);
        let now = self.machine(group).level();
        let Some(level) = self.deciders.level(now, &self.site, view, group, cx) else { return };
        let time = point.time;
        let step = self.step(group, cx, |machine, rules| machine.point(rules, level, time));
        self.inhibit(level, view.tags, group, cx);
        let Step::Event(duration) = step else { return };
        let event = self.event(view, level, duration, group, cx);
        let becomes = self.becomes(&event, view);
        self.publish(event, cx, || vec![Series::from(point)]);
        send(point, becomes, group, cx, out);
    }

    fn batch(&mut self, batch: &Batch<'_>, group: &Arc<Group>, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        let now = self.machine(group).level();
        let Some((level, row)) = self.level_of_rows(now, batch, group, cx) else { return };
        let is_of_all = self.settings.all || level == Level::Ok;
        let time = if is_of_all { batch.time } else { row.time };
        let step = self.step(group, cx, |machine, rules| machine.batch(rules, level, time));
        self.inhibit(level, &group.tags, group, cx);
        let Step::Event(duration) = step else { return };
        let view =
            View { measurement: batch.measurement, tags: &group.tags, fields: &row.fields, time };
        let event = self.event(view, level, duration, group, cx);
        let rows: Vec<Row> = batch.rows.iter().map(|row| self.row(&event, row, batch)).collect();
        self.publish(event, cx, || vec![series(batch, &group.tags)]);
        out.send(Item::Batch(&Batch { rows: &rows, ..*batch }), group, cx);
    }

    /// The level of all points together, and the point that stands for them; nothing if none of
    /// them says.
    fn level_of_rows<'a>(
        &mut self,
        now: Level,
        batch: &Batch<'a>,
        group: &Group,
        cx: &mut Cx<'_>,
    ) -> Option<(Level, &'a Row)> {
        let mut lowest = Level::Critical;
        let mut highest: Option<(Level, &Row)> = None;
        for row in batch.rows {
            let view = View::in_batch(row, batch);
            let Some(level) = self.deciders.level(now, &self.site, view, group, cx) else {
                continue;
            };
            lowest = lowest.min(level);
            if highest.is_none_or(|(highest, _)| level > highest) {
                highest = Some((level, row));
            }
        }
        let (highest, row) = highest?;
        Some((if self.settings.all { lowest } else { highest }, row))
    }

    /// What is known of a group; it goes on from its record.
    fn machine(&mut self, group: &Group) -> &mut Machine {
        let Alert { groups, rules, remembered, .. } = self;
        groups.get(group, || {
            let record = remembered.remove(&*group.key);
            let restored = record.and_then(|record| Machine::restored(rules, &record));
            restored.unwrap_or_else(|| Machine::new(rules))
        })
    }

    /// Goes a step, and remembers it if that matters.
    fn step(
        &mut self,
        group: &Group,
        cx: &mut Cx<'_>,
        go: impl FnOnce(&mut Machine, &Rules) -> Step,
    ) -> Step {
        let rules = self.rules;
        let machine = self.machine(group);
        let before = machine.memory(&rules);
        let step = go(machine, &rules);
        if machine.memory(&rules) != before {
            let record = machine.record();
            cx.effects.remember(cx.task, &self.site.node, &group.key, record);
        }
        step
    }

    /// Holds others back, or not any more.
    fn inhibit(&self, level: Level, tags: &Tags, group: &Group, cx: &mut Cx<'_>) {
        for inhibit in &self.settings.inhibits {
            let named = || {
                let value = |name: &Name| tags.get(name).cloned().unwrap_or_else(|| "".into());
                inhibit.tags.iter().map(|name| (name.clone(), value(name))).collect()
            };
            let owner = (cx.task, self.site.node.as_str(), &*group.key);
            let tags = (level != Level::Ok).then(named);
            cx.inhibitors.set(&inhibit.category, owner, tags);
        }
    }

    fn event(
        &self,
        view: View<'_>,
        level: Level,
        duration: i64,
        group: &Group,
        cx: &mut Cx<'_>,
    ) -> Event {
        let mut event = Event {
            time: view.time,
            duration,
            level,
            recoverable: !self.settings.no_recoveries,
            task: cx.task.into(),
            name: view.measurement.clone(),
            group: group.text.clone(),
            tags: view.tags.clone(),
            fields: view.fields.clone(),
            ..Event::default()
        };
        self.words.say(&mut event, &self.site, cx);
        event
    }

    /// Sends the event to the node's own topic, which its handlers listen to, and to the other one.
    fn publish(&self, mut event: Event, cx: &mut Cx<'_>, series: impl FnOnce() -> Vec<Series>) {
        let settings = &self.settings;
        let own = !settings.handlers.is_empty();
        let category = settings.category.as_deref();
        let is_held_back =
            category.is_some_and(|category| cx.inhibitors.hold_back(category, &event.tags));
        if is_held_back || (!own && settings.topic.is_none()) {
            return;
        }
        event.series = series();
        if own {
            let topic = own_topic(cx.task, &self.site.node);
            cx.effects.events.push(Event { topic: topic.into(), ..event.clone() });
        }
        if let Some(topic) = &settings.topic {
            cx.effects.events.push(Event { topic: topic.as_str().into(), ..event });
        }
    }
}

/// The topic of the handlers that are written in the script.
#[must_use]
pub fn own_topic(task: &str, node: &str) -> String {
    format!("main:{task}:{node}")
}

impl Run for Alert {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        match item {
            Item::Point(point) => self.point(point, group, cx, out),
            Item::Batch(batch) => self.batch(batch, group, cx, out),
        }
    }

    fn holds(&self, group: usize) -> bool {
        self.groups.peek(group).is_some_and(|machine| !machine.is_at_rest())
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }

    fn leave(&mut self, group: usize, cx: &mut Cx<'_>) {
        self.forget(group);
        self.deciders.leave(group, &self.site, cx);
    }
}

impl Alert {
    /// The point, with what the script wants to know of the event.
    fn becomes(&self, event: &Event, view: View<'_>) -> Becomes {
        let settings = &self.settings;
        let tags = [(&settings.level_tag, event.level.name()), (&settings.id_tag, &event.id)];
        let mut tagged: Option<Tags> = None;
        for (name, value) in tags {
            if let Some(name) = name {
                let tags = tagged.get_or_insert_with(|| view.tags.clone());
                tags.set(name.clone(), value.into());
            }
        }
        let fields: [(&Option<Name>, &dyn Fn() -> Field); 4] = [
            (&settings.level_field, &|| event.level.name().into()),
            (&settings.id_field, &|| event.id.as_str().into()),
            (&settings.message_field, &|| event.message.as_str().into()),
            (&settings.duration_field, &|| event.duration.into()),
        ];
        let mut changed: Option<Fields> = None;
        for (name, value) in fields {
            if let Some(name) = name {
                let fields = changed.get_or_insert_with(|| view.fields.clone());
                fields.set(name.clone(), value());
            }
        }
        match (tagged, changed) {
            (None, None) => Becomes::Itself,
            (None, Some(fields)) => Becomes::Changed(fields),
            (Some(tags), fields) => {
                Becomes::Moved(tags, fields.unwrap_or_else(|| view.fields.clone()))
            }
        }
    }

    /// The same for a point of a batch.
    fn row(&self, event: &Event, row: &Row, batch: &Batch<'_>) -> Row {
        match self.becomes(event, View::in_batch(row, batch)) {
            Becomes::Changed(fields) => Row { fields, ..row.clone() },
            Becomes::Moved(tags, fields) => Row { tags, fields, time: row.time },
            Becomes::Itself | Becomes::Nothing => row.clone(),
        }
    }
}

/// A batch as a handler gets it.
pub(super) fn series(batch: &Batch<'_>, tags: &Tags) -> Series {
    Series { name: batch.measurement.clone(), tags: tags.clone(), rows: batch.rows.to_vec() }
}
