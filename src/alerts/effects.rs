//! What follows from points and from time that passes; whoever runs the engine carries it out.

use super::event::Event;
use super::pipeline::LogLevel;
use super::script::Place;
use crate::message::Record;

/// Whose the records of nodes are.
pub const SCOPE: &str = "kapacitor.node";

/// How many complaints one call gives back; what is wrong with each point would be a flood.
const COMPLAINTS_MAX: usize = 100;

/// How many lines for the log one call gives back.
const LINES_MAX: usize = 10_000;

/// What follows from points, or from time that passes. The order of each list is that of the
/// points.
#[derive(Debug, Default)]
pub struct Effects {
    /// Alerts that go to the handlers of their topics.
    pub events: Vec<Event>,
    /// What went wrong with a point or a group; the task went on.
    pub complaints: Vec<Complaint>,
    /// What must be remembered, in one commit with what follows from the events.
    pub records: Vec<Record>,
    /// What `|log()` writes.
    pub lines: Vec<Line>,
}

impl Effects {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.complaints.is_empty()
            && self.records.is_empty()
            && self.lines.is_empty()
    }

    /// Notes what went wrong, once for each place; `words` are only made if they are new.
    pub(super) fn complain(
        &mut self,
        task: &str,
        node: &str,
        place: Place,
        words: impl FnOnce() -> String,
    ) {
        let is_same =
            |one: &&mut Complaint| one.place == place && one.node == node && one.task == task;
        if let Some(one) = self.complaints.iter_mut().find(is_same) {
            one.times += 1;
        } else if self.complaints.len() < COMPLAINTS_MAX {
            let (task, node) = (task.to_owned(), node.to_owned());
            self.complaints.push(Complaint { task, node, place, words: words(), times: 1 });
        }
    }

    /// Notes what a node remembers of a group, or that it forgot it. Of several the last one
    /// counts.
    pub(super) fn remember(&mut self, task: &str, node: &str, group: &str, value: Option<String>) {
        let key = format!("{task} {node} {group}");
        self.records.push(Record { scope: SCOPE.into(), key, value });
    }

    /// Notes a line for the log.
    pub(super) fn log(&mut self, line: impl FnOnce() -> Line) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(line());
        }
    }
}

/// Something that went wrong with a point or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The task.
    pub task: String,
    /// The node.
    pub node: String,
    /// Where its cause is in the script.
    pub place: Place,
    /// What it is, without the place.
    pub words: String,
    /// How many times it was so.
    pub times: u32,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The task.
    pub task: String,
    /// The node.
    pub node: String,
    /// How loud.
    pub level: LogLevel,
    /// What it says.
    pub words: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_each_point_is_noted_once() {
        let mut effects = Effects::default();
        assert!(effects.is_empty());
        for line in 1..=200 {
            for _ in 0..3 {
                effects.complain("cpu", "where2", Place { line, column: 1 }, || "words".into());
            }
        }
        assert_eq!(effects.complaints.len(), COMPLAINTS_MAX);
        assert_eq!(effects.complaints[7].times, 3);
        assert_eq!(effects.complaints[7].place.line, 8);
    }
}
