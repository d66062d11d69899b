//! Tasks and handlers as people define them: over the API, or with files in the load directory.
//!
//! A definition is stored before it is answered, and then it takes effect. All of them are read back
//! at the start.

pub(super) mod handlers;
mod shown;
pub(super) mod tasks;

use super::Watch;
use super::brokers::Brokers;
use super::task::{Task, Which};
use crate::alerts::{Named, topics};
use crate::config::Kapacitor;
use crate::message::Record;
use crate::queue::{Push, Queue};
use crate::system::threads::lock;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Whose the records of definitions are.
const TASKS: &str = "kapacitor.task";
const TEMPLATES: &str = "kapacitor.template";
const HANDLERS: &str = "kapacitor.handler";

/// Most tasks, most templates, and most handlers.
const TASKS_MAX: usize = 1_000;
const HANDLERS_MAX: usize = 1_000;

/// The root of all links.
pub(super) const BASE: &str = "/kapacitor/v1";

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of HTTP that says so.
    pub status: u16,
    /// Why, in words.
    pub words: String,
}

impl Refusal {
    /// With a status and words.
    #[must_use]
    pub fn new(status: u16, words: impl Into<String>) -> Self {
        Refusal { status, words: words.into() }
    }
}

/// Waits until a batch is stored.
pub type Safe<'s> = dyn Fn(Vec<Push>) -> Result<(), Refusal> + 's;

/// All definitions.
pub struct Definitions {
    pub(super) watch: Arc<Watch>,
    queue: Queue,
    pub(super) brokers: Brokers,
    pub(super) folder: Option<PathBuf>,
    pub(super) known: Mutex<Known>,
}

/// What is defined.
#[derive(Default)]
pub(super) struct Known {
    pub(super) tasks: Named<Task>,
    pub(super) templates: Named<Task>,
    /// By [`handlers::place`].
    pub(super) handlers: Named<Handler>,
}

impl Known {
    fn all(&self, which: Which) -> &Named<Task> {
        match which {
            Which::Tasks => &self.tasks,
            Which::Templates => &self.templates,
        }
    }

    pub(super) fn all_mut(&mut self, which: Which) -> &mut Named<Task> {
        match which {
            Which::Tasks => &mut self.tasks,
            Which::Templates => &mut self.templates,
        }
    }
}

/// A handler as it was defined.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Handler {
    /// Topic, id, kind, match and options.
    pub(super) given: Value,
    /// Whether a file in the load directory defines it.
    #[serde(default)]
    pub(super) loaded: bool,
}

impl Definitions {
    /// Reads back what is stored, and enables the tasks that were.
    #[must_use]
    pub fn restored(watch: Arc<Watch>, queue: Queue, config: &Kapacitor) -> Arc<Self> {
        let definitions = Definitions {
            brokers: watch.look(|_, deliver| deliver.brokers.clone()),
            watch,
            queue,
            folder: config.load.clone(),
            known: Mutex::default(),
        };
        let mut known = Known::default();
        for (scope, which) in [(TASKS, Which::Tasks), (TEMPLATES, Which::Templates)] {
            for (key, text) in definitions.queue.records(scope) {
                match serde_json::from_str::<Task>(&text) {
                    Ok(task) => drop(known.all_mut(which).insert(key, Box::new(task))),
                    Err(why) => {
                        let word = which.word();
                        log::error!("alerts: the {word} {key} cannot be read back: {why}");
                    }
                }
            }
        }
        for (key, text) in definitions.queue.records(HANDLERS) {
            let place = key.split_once('\n');
            match (serde_json::from_str::<Handler>(&text), place) {
                (Ok(handler), Some((topic, id))) => {
                    definitions.restore_handler(topic, id, &handler);
                    known.handlers.insert(key, Box::new(handler));
                }
                _ => log::error!("alerts: the handler {key:?} cannot be read back"),
            }
        }
        for task in known.tasks.values_mut().filter(|task| task.enabled) {
            definitions.start(task);
            if !task.error.is_empty() {
                log::error!("alerts: the task {} does not run: {}", task.id, task.error);
            }
        }
        *lock(&definitions.known) = known;
        Arc::new(definitions)
    }

    /// The queue that definitions are stored in.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The broker that handlers publish to if they name none.
    #[must_use]
    pub fn default_broker(&self) -> Option<&str> {
        self.brokers.default.as_deref()
    }

    /// How many tasks there are, and how many of them are enabled.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let known = lock(&self.known);
        let enabled = known.tasks.values().filter(|task| task.enabled).count();
        (known.tasks.len(), enabled)
    }

    /// How many points came, by where they were written to.
    #[must_use]
    pub fn ingress(&self) -> Value {
        lock(&self.watch.state).ingress.shown()
    }

    /// Forgets a topic; its handlers go with it.
    pub fn delete_topic(&self, name: &str, safe: &Safe<'_>) -> Result<(), Refusal> {
        let mut known = lock(&self.known);
        let mut records = Vec::new();
        let gone = lock(&self.watch.state).deliver.topics.forget(name, &mut records);
        for id in gone {
            let place = handlers::place(name, &id);
            known.handlers.remove(&place);
            records.push(forgotten(HANDLERS, place));
        }
        store(records, safe)
    }

    /// Topics that fit a pattern and are at least this bad.
    pub fn topics(&self, pattern: &str, level: &str) -> Result<Value, Refusal> {
        let least = level_of(level)?;
        let state = lock(&self.watch.state);
        let all = state.deliver.topics.all();
        let topics: Vec<Value> = all
            .filter(|(name, topic)| fits(pattern, name) && topic.level() >= least)
            .map(|(name, topic)| topic_object(name, topic))
            .collect();
        let link = json!({ "rel": "self", "href": format!("{BASE}/alerts/topics") });
        Ok(json!({ "link": link, "topics": topics }))
    }

    /// One topic.
    pub fn topic(&self, name: &str) -> Result<Value, Refusal> {
        let state = lock(&self.watch.state);
        let topic = state.deliver.topics.get(name).ok_or_else(|| no_topic(name))?;
        Ok(topic_object(name, topic))
    }

    /// The events of a topic that are at least this bad.
    pub fn events(&self, name: &str, level: &str) -> Result<Value, Refusal> {
        let least = level_of(level)?;
        let state = lock(&self.watch.state);
        let topic = state.deliver.topics.get(name).ok_or_else(|| no_topic(name))?;
        let events: Vec<Value> = topic
            .states()
            .filter(|(_, state)| state.level() >= least)
            .map(|(id, state)| event_object(name, id, state))
            .collect();
        let link = json!({ "rel": "self", "href": format!("{}/events", href(name)) });
        Ok(json!({ "link": link, "topic": name, "events": events }))
    }

    /// One event of a topic.
    pub fn event(&self, name: &str, id: &str) -> Result<Value, Refusal> {
        let state = lock(&self.watch.state);
        let topic = state.deliver.topics.get(name).ok_or_else(|| no_topic(name))?;
        let event = topic.state(id).ok_or_else(|| {
            Refusal::new(404, format!("event {id:?} does not exist for topic {name:?}"))
        })?;
        Ok(event_object(name, id, event))
    }
}

fn topic_object(name: &str, topic: &topics::Topic) -> Value {
    let href = href(name);
    json!({
        "link": { "rel": "self", "href": href },
        "id": name,
        "level": topic.level().name(),
        "collected": topic.collected,
        "events-link": { "rel": "events", "href": format!("{href}/events") },
        "handlers-link": { "rel": "handlers", "href": format!("{href}/handlers") },
    })
}

fn event_object(topic: &str, id: &str, state: &topics::State) -> Value {
    let href = format!("{}/events/{}", href(topic), escaped(id));
    json!({
        "link": { "rel": "self", "href": href },
        "id": id,
        "state": {
            "message": state.message,
            "details": state.details,
            "time": super::rfc_3339(state.time),
            "duration": state.duration,
            "level": state.level().name(),
        },
    })
}

/// Where a topic is.
fn href(topic: &str) -> String {
    format!("{BASE}/alerts/topics/{}", escaped(topic))
}

/// A name as a segment of a path.
pub(super) fn escaped(name: &str) -> Cow<'_, str> {
    const PLAIN: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');
    utf8_percent_encode(name, PLAIN).into()
}

fn no_topic(name: &str) -> Refusal {
    Refusal::new(404, format!("unknown topic: {name:?}"))
}

fn level_of(word: &str) -> Result<crate::alerts::Level, Refusal> {
    crate::alerts::Level::of(word)
        .ok_or_else(|| Refusal::new(400, format!("invalid min-level: {word:?}")))
}

/// Whether an id is made of letters, digits and these marks.
fn is_id(id: &str, marks: &[char]) -> bool {
    !id.is_empty()
        && id.chars().all(|c| c.is_alphabetic() || c.is_ascii_digit() || marks.contains(&c))
}

/// Whether a name fits a pattern of a shell: `*` and `?` for anything but a slash, `[a-c]`. Every
/// name fits an empty one.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    pattern.is_empty() || fits_from(&pattern, &name)
}

fn fits_from(pattern: &[char], name: &[char]) -> bool {
    // Where to go on if the last `*` has to take one more letter.
    let (mut at, mut of, mut again) = (0, 0, None);
    while at < name.len() {
        let step = match pattern.get(of) {
            Some('*') => {
                again = Some((of + 1, at));
                of += 1;
                continue;
            }
            Some('?') if name[at] != '/' => Some(1),
            Some('[') => set(&pattern[of..], name[at]),
            Some('\\') if pattern.get(of + 1) == Some(&name[at]) => Some(2),
            Some(letter) if *letter == name[at] => Some(1),
            _ => None,
        };
        match (step, again) {
            (Some(step), _) => (at, of) = (at + 1, of + step),
            (None, Some((after, from))) if name[from] != '/' => {
                again = Some((after, from + 1));
                (at, of) = (from + 1, after);
            }
            _ => return false,
        }
    }
    pattern[of..].iter().all(|letter| *letter == '*')
}

/// How long a set such as `[a-c]` is, if the letter is in it.
fn set(pattern: &[char], letter: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
    let inside = &pattern[1..end];
    let (is_not, mut inside) = match inside {
        ['^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut found = false;
    while let [first, rest @ ..] = inside {
        inside = match rest {
            ['-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&letter);
                rest
            }
            rest => {
                found |= *first == letter;
                rest
            }
        };
    }
    (found != is_not).then_some(end + 1)
}

fn stored(scope: &'static str, key: String, value: String) -> Record {
    Record { scope: scope.into(), key, value: Some(value) }
}

fn forgotten(scope: &'static str, key: String) -> Record {
    Record { scope: scope.into(), key, value: None }
}

/// Stores records, if there are any.
fn store(records: Vec<Record>, safe: &Safe<'_>) -> Result<(), Refusal> {
    let batch = records.into_iter().map(|record| Push::Record { record, receipt: None });
    let batch: Vec<Push> = batch.collect();
    if batch.is_empty() { Ok(()) } else { safe(batch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, fitting, others) in [
            ("", &["a", "a/b"][..], &[][..]),
            ("*", &["a", "cpu_alert"], &["a/b"]),
            ("cpu_*", &["cpu_", "cpu_alert"], &["cpu", "mem_cpu_"]),
            ("*_*t", &["a_b_t", "_t"], &["t", "a_b"]),
            ("a?c", &["abc"], &["ac", "a/c", "abcd"]),
            ("[a-c]x[^y]", &["axz", "cxx"], &["dxz", "axy", "ax"]),
            ("a\\*", &["a*"], &["ab"]),
        ] {
            for name in fitting {
                assert!(fits(pattern, name), "{pattern} {name}");
            }
            for name in others {
                assert!(!fits(pattern, name), "{pattern} {name}");
            }
        }
    }
}
