//! Topics: the way of an event from its task to the handlers. A topic knows how bad it is with each
//! of its events, over restarts.

use super::Named;
use super::event::{Event, Level};
use super::handlers::HandlerSpec;
use crate::message::Record;
use serde::{Deserialize, Serialize};

/// Whose the records of topics are.
pub const SCOPE: &str = "kapacitor.topic";

/// Most events that one topic knows. Beyond it those that are well are forgotten first, then the
/// oldest.
pub const EVENTS_MAX: usize = 10_000;

/// How an event was last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What it said.
    pub message: String,
    /// What else there was to say.
    pub details: String,
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// For how long it had not been `OK`, in nanoseconds.
    pub duration: i64,
    /// How bad it was, as a number.
    level: u8,
    /// Its record is behind: it is as bad as the record says, but has happened again.
    #[serde(skip)]
    behind: bool,
}

impl State {
    /// How bad it was.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::ALL.get(usize::from(self.level)).copied().unwrap_or_default()
    }

    fn of(event: &Event) -> Self {
        State {
            message: event.message.clone(),
            details: event.details.clone(),
            time: event.time,
            duration: event.duration,
            level: event.level as u8,
            behind: false,
        }
    }

    /// What is written of it: nothing if all is well.
    fn record(&self) -> Option<String> {
        (self.level > 0).then(|| serde_json::to_string(self).ok()).flatten()
    }
}

/// One topic.
#[derive(Debug, Default)]
pub struct Topic {
    states: Named<State>,
    /// Events since the start.
    pub collected: u64,
    /// Handlers that people defined, by their ids.
    handlers: Named<HandlerSpec>,
    /// Handlers that stand in a script. They are not shown.
    own: Vec<HandlerSpec>,
    /// The task of a topic of its own is not enabled: nobody sees the topic.
    hidden: bool,
}

impl Topic {
    /// How bad it is: as bad as the worst of its events.
    #[must_use]
    pub fn level(&self) -> Level {
        self.states.values().map(|state| state.level()).max().unwrap_or_default()
    }

    /// Its events, by their ids.
    pub fn states(&self) -> impl Iterator<Item = (&str, &State)> {
        self.states.iter().map(|(id, state)| (id.as_str(), &**state))
    }

    /// How an event was last.
    #[must_use]
    pub fn state(&self, id: &str) -> Option<&State> {
        self.states.get(id).map(|state| &**state)
    }

    /// The handlers that people defined, by their ids.
    pub fn handlers(&self) -> impl Iterator<Item = &HandlerSpec> {
        self.handlers.values().map(|handler| &**handler)
    }

    /// The handler of an id.
    #[must_use]
    pub fn handler(&self, id: &str) -> Option<&HandlerSpec> {
        self.handlers.get(id).map(|handler| &**handler)
    }

    /// Makes room for one more event; says which one was forgotten.
    fn make_room(&mut self) -> Option<String> {
        if self.states.len() < EVENTS_MAX {
            return None;
        }
        let ages = self.states.iter().map(|(id, state)| ((state.level > 0, state.time), id));
        let id = ages.min_by_key(|(age, _)| *age)?.1.clone();
        self.states.remove(&id);
        Some(id)
    }
}

/// All topics.
#[derive(Debug, Default)]
pub struct Topics {
    all: Named<Topic>,
    /// Whether there are events whose records are behind.
    behind: bool,
}

impl Topics {
    /// As they were remembered.
    #[must_use]
    pub fn restored(records: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut topics = Topics::default();
        for (key, value) in records {
            let Some((topic, id)) = key.split_once('\n') else { continue };
            let Ok(state) = serde_json::from_str(&value) else { continue };
            topics.all.entry(topic.to_owned()).or_default().states.insert(id.to_owned(), state);
        }
        // Those of tasks come to light with their tasks.
        for (name, topic) in &mut topics.all {
            topic.hidden = name.starts_with("main:");
        }
        topics
    }

    /// Takes an event: tells it how bad it was before, and remembers how it is now. What has to be
    /// written goes into `records`.
    pub fn take(&mut self, event: &mut Event, records: &mut Vec<Record>) {
        let topic = self.all.entry(event.topic.to_string()).or_default();
        topic.collected += 1;
        let before = topic.states.get(&event.id).map(|state| state.level());
        event.previous_level = before.unwrap_or_default();
        let mut state = State::of(event);
        // What was well is in no record.
        if before.unwrap_or_default() != event.level {
            records.push(record(&event.topic, &event.id, state.record()));
        } else if event.level != Level::Ok {
            state.behind = true;
            self.behind = true;
        }
        if before.is_none()
            && let Some(forgotten) = topic.make_room()
        {
            records.push(record(&event.topic, &forgotten, None));
        }
        match topic.states.get_mut(&event.id) {
            Some(known) => **known = state,
            None => drop(topic.states.insert(event.id.clone(), Box::new(state))),
        }
    }

    /// Whether records are behind.
    #[must_use]
    pub fn are_behind(&self) -> bool {
        self.behind
    }

    /// The records that are behind, as they have to be.
    pub fn catch_up(&mut self, records: &mut Vec<Record>) {
        self.behind = false;
        for (name, topic) in &mut self.all {
            for (id, state) in topic.states.iter_mut().filter(|(_, state)| state.behind) {
                state.behind = false;
                records.push(record(name, id, state.record()));
            }
        }
    }

    /// The handlers that hear of the events of a topic: those of the script first.
    pub fn listening(&self, topic: &str) -> impl Iterator<Item = &HandlerSpec> {
        let topic = self.all.get(topic).into_iter();
        topic.flat_map(|topic| topic.own.iter().chain(topic.handlers()))
    }

    /// Those that are to be seen, by their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Topic)> {
        let seen = self.all.iter().filter(|(_, topic)| !topic.hidden);
        seen.map(|(name, topic)| (name.as_str(), &**topic))
    }

    /// A topic that is to be seen.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.all.get(name).map(|topic| &**topic).filter(|topic| !topic.hidden)
    }

    /// Adds a handler, or puts it in place of the one with its id.
    pub fn put(&mut self, handler: HandlerSpec) {
        let topic = self.all.entry(handler.topic.clone()).or_default();
        topic.hidden = false;
        topic.handlers.insert(handler.id.clone(), Box::new(handler));
    }

    /// Removes a handler; says whether it was there.
    pub fn remove(&mut self, topic: &str, id: &str) -> bool {
        self.all.get_mut(topic).is_some_and(|topic| topic.handlers.remove(id).is_some())
    }

    /// Shows the topic of an alert whose task is enabled, with the handlers of its script.
    pub fn show(&mut self, name: &str, own: Vec<HandlerSpec>) {
        let topic = self.all.entry(name.to_owned()).or_default();
        (topic.own, topic.hidden) = (own, false);
    }

    /// Hides the topics of a task that is not enabled any more.
    pub fn hide(&mut self, task: &str) {
        for topic in self.of_task(task) {
            (topic.own, topic.hidden) = (Vec::new(), true);
        }
    }

    /// Forgets the topics of a task.
    pub fn forget_task(&mut self, task: &str, records: &mut Vec<Record>) {
        let begin = begin(task);
        let names: Vec<String> =
            self.all.keys().filter(|name| name.starts_with(&begin)).cloned().collect();
        names.iter().for_each(|name| drop(self.forget(name, records)));
    }

    /// Forgets a topic with its handlers; gives back their ids.
    pub fn forget(&mut self, name: &str, records: &mut Vec<Record>) -> Vec<String> {
        let Some(topic) = self.all.remove(name) else { return Vec::new() };
        let known = topic.states.into_iter().filter(|(_, state)| state.level > 0);
        records.extend(known.map(|(id, _)| record(name, &id, None)));
        topic.handlers.into_keys().collect()
    }

    fn of_task(&mut self, task: &str) -> impl Iterator<Item = &mut Topic> {
        let begin = begin(task);
        let all = self.all.iter_mut();
        all.filter(move |(name, _)| name.starts_with(&begin)).map(|(_, it)| &mut **it)
    }
}

/// How the names of the topics of a task begin.
fn begin(task: &str) -> String {
    format!("main:{task}:")
}

fn record(topic: &str, id: &str, value: Option<String>) -> Record {
    Record { scope: SCOPE.into(), key: format!("{topic}\n{id}"), value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn event(topic: &str, id: &str, level: Level, time: i64) -> Event {
        Event { topic: topic.into(), id: id.to_owned(), level, time, ..Event::default() }
    }

    #[test]
    fn a_topic_is_as_bad_as_the_worst_of_its_events() {
        let (mut topics, mut stored) = (Topics::default(), BTreeMap::new());
        for (id, level, before, worst, kept) in [
            ("a", Level::Ok, Level::Ok, Level::Ok, 0),
            ("b", Level::Critical, Level::Ok, Level::Critical, 1),
            ("a", Level::Info, Level::Ok, Level::Critical, 2),
            ("b", Level::Warning, Level::Critical, Level::Warning, 2),
            ("b", Level::Ok, Level::Warning, Level::Info, 1),
        ] {
            let (mut event, mut records) = (event("cpu", id, level, 7), Vec::new());
            topics.take(&mut event, &mut records);
            for Record { key, value, .. } in records {
                match value {
                    Some(value) => stored.insert(key, value),
                    None => stored.remove(&key),
                };
            }
            assert_eq!(event.previous_level, before, "{id} {level}");
            assert_eq!(topics.get("cpu").unwrap().level(), worst, "{id} {level}");
            assert_eq!(stored.len(), kept, "{id} {level}");
        }
        assert_eq!(topics.get("cpu").unwrap().collected, 5);
        let again = Topics::restored(stored);
        let topic = again.get("cpu").unwrap();
        assert_eq!((topic.level(), topic.collected), (Level::Info, 0));
        assert_eq!(topic.state("a").unwrap().time, 7);
        assert_eq!(topic.state("b"), None, "what is well is not remembered");
    }

    #[test]
    fn what_happens_again_is_written_later() {
        let (mut topics, mut records) = (Topics::default(), Vec::new());
        for (time, level, written, is_behind) in [
            (1, Level::Critical, 1, false),
            (2, Level::Critical, 0, true),
            (3, Level::Critical, 0, true),
            (4, Level::Info, 1, true),
            (5, Level::Info, 0, true),
        ] {
            topics.take(&mut event("cpu", "a", level, time), &mut records);
            assert_eq!((records.len(), topics.are_behind()), (written, is_behind), "{time}");
            records.clear();
        }
        topics.catch_up(&mut records);
        assert!(!topics.are_behind());
        let stored = records.drain(..).map(|it| (it.key, it.value.unwrap()));
        let again = Topics::restored(stored.collect::<Vec<_>>());
        assert_eq!(again.get("cpu").unwrap().state("a").unwrap().time, 5);
        topics.catch_up(&mut records);
        assert!(records.is_empty());
    }

    #[test]
    fn the_topic_of_a_task_is_seen_while_the_task_is_enabled() {
        let (mut topics, mut records) = (Topics::default(), Vec::new());
        topics.show("main:cpu:alert2", Vec::new());
        topics.take(&mut event("main:cpu:alert2", "a", Level::Info, 1), &mut records);
        topics.take(&mut event("main:cpu2:alert2", "a", Level::Info, 1), &mut records);
        topics.hide("cpu");
        assert!(topics.get("main:cpu:alert2").is_none());
        let stored = records.drain(..).map(|it| (it.key, it.value.unwrap()));
        let mut topics = Topics::restored(stored.collect::<Vec<_>>());
        assert_eq!(topics.all().count(), 0);
        topics.show("main:cpu:alert2", Vec::new());
        assert_eq!(topics.get("main:cpu:alert2").unwrap().level(), Level::Info);
        topics.forget_task("cpu", &mut records);
        assert_eq!(records.len(), 1, "the other task keeps its own");
        assert!(topics.get("main:cpu:alert2").is_none());
    }

    #[test]
    fn events_are_bounded() {
        let (mut topics, mut records) = (Topics::default(), Vec::new());
        let most = i64::try_from(EVENTS_MAX).unwrap();
        for time in 0..=most {
            let level = if time == 5 { Level::Ok } else { Level::Info };
            topics.take(&mut event("cpu", &time.to_string(), level, time), &mut records);
        }
        topics.take(&mut event("cpu", "one more", Level::Info, most), &mut records);
        let topic = topics.get("cpu").unwrap();
        assert_eq!(topic.states().count(), EVENTS_MAX);
        assert!(topic.state("5").is_none(), "the one that is well goes first");
        assert!(topic.state("0").is_none(), "then the oldest");
    }
}
