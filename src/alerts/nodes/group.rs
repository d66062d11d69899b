//! Groups: which points belong together.
//!
//! A group is found by a key that is built in a buffer, so a point of a known group costs no
//! allocation. Nodes keep what they know of a group under its number.

use crate::alerts::pipeline::GroupBy;
use crate::alerts::point::{Name, Tags};
use std::collections::HashMap;
use std::sync::Arc;

/// How many groups a task may have.
pub const GROUPS_MAX: usize = 100_000;

/// After how long without a point a group is forgotten, if no window is longer: a day.
const SILENCE: i64 = 24 * 3_600 * 1_000_000_000;

/// How often silent groups are looked for: an hour.
const SWEEP: i64 = 3_600 * 1_000_000_000;

/// The group of all points where nothing makes a group.
pub(super) const ALL: usize = 0;

/// What makes groups, in the order in which it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dimensions {
    /// Names of tags, sorted.
    pub(super) tags: Vec<Name>,
    /// Whether each measurement is a group of its own.
    pub(super) by_measurement: bool,
}

/// Points that belong together.
#[derive(Debug)]
pub(super) struct Group {
    /// Its number in its task.
    pub(super) number: usize,
    /// Its name in records: its text, with escapes where a text could mean two groups.
    pub(super) key: Name,
    /// Its name in templates: the measurement if it makes a group, then `tag=value,…`; empty if
    /// there is just one group.
    pub(super) text: Name,
    /// The tags that make it, with their values, also empty ones.
    pub(super) tags: Tags,
    /// What makes it.
    pub(super) dimensions: Arc<Dimensions>,
}

struct Entry {
    group: Arc<Group>,
    seen: i64,
}

/// The groups of a task.
pub(in crate::alerts) struct Groups {
    numbers: HashMap<Name, usize>,
    entries: Vec<Option<Entry>>,
    all: Arc<Group>,
    free: Vec<usize>,
    buffer: String,
    silence: i64,
    swept: i64,
}

impl Groups {
    /// Only the group of all points. Groups are kept for at least twice as long as the longest
    /// window keeps points.
    pub(in crate::alerts) fn new(window: i64) -> Self {
        let all = Group {
            number: ALL,
            key: "".into(),
            text: "".into(),
            tags: Tags::default(),
            dimensions: Arc::default(),
        };
        Groups {
            numbers: HashMap::new(),
            entries: vec![None],
            all: Arc::new(all),
            free: Vec::new(),
            buffer: String::new(),
            silence: SILENCE.max(window.saturating_mul(2)),
            swept: 0,
        }
    }

    /// The group of all points.
    pub(super) fn all(&self) -> &Arc<Group> {
        &self.all
    }

    /// The group of a point; `None` if there are too many.
    pub(super) fn of(
        &mut self,
        dimensions: &Arc<Dimensions>,
        measurement: &str,
        tags: &Tags,
        now: i64,
    ) -> Option<Arc<Group>> {
        if dimensions.tags.is_empty() && !dimensions.by_measurement {
            return Some(Arc::clone(&self.all));
        }
        write_key(&mut self.buffer, dimensions, measurement, tags);
        if let Some(&number) = self.numbers.get(self.buffer.as_str())
            && let Some(entry) = &mut self.entries[number]
        {
            entry.seen = now;
            return Some(Arc::clone(&entry.group));
        }
        self.found(dimensions, measurement, tags, now)
    }

    /// Gives a new group a number.
    fn found(
        &mut self,
        dimensions: &Arc<Dimensions>,
        measurement: &str,
        tags: &Tags,
        now: i64,
    ) -> Option<Arc<Group>> {
        if self.numbers.len() >= GROUPS_MAX {
            return None;
        }
        let number = self.free.pop().unwrap_or(self.entries.len());
        let key = Name::from(self.buffer.as_str());
        let text = text(dimensions, measurement, tags);
        let text = if text == *key { key.clone() } else { text.into() };
        let group = Arc::new(Group {
            number,
            key,
            text,
            tags: dimensions.tags.iter().map(|name| (name.clone(), value(tags, name))).collect(),
            dimensions: Arc::clone(dimensions),
        });
        let entry = Some(Entry { group: Arc::clone(&group), seen: now });
        if number == self.entries.len() {
            self.entries.push(entry);
        } else {
            self.entries[number] = entry;
        }
        self.numbers.insert(group.key.clone(), number);
        Some(group)
    }

    /// The group that a record is about; `None` if nobody can read its key, or if there are too many.
    pub(super) fn restored(&mut self, key: &str, now: i64) -> Option<Arc<Group>> {
        let (measurement, pairs) = match key.split_once('\n') {
            Some((measurement, pairs)) => (Some(unescaped(measurement)), pairs),
            None => (None, key),
        };
        let mut tags = Vec::new();
        for pair in split(pairs, ',').filter(|pair| !pair.is_empty()) {
            let mut sides = split(pair, '=').map(unescaped);
            tags.push((sides.next()?.into(), sides.next()?.into()));
        }
        let names = tags.iter().map(|(name, _): &(Name, Name)| name.clone()).collect();
        let dimensions = Dimensions { tags: names, by_measurement: measurement.is_some() };
        let measurement = measurement.unwrap_or_default();
        self.of(&Arc::new(dimensions), &measurement, &tags.into_iter().collect(), now)
    }

    /// Whether it is time to look for silent groups.
    pub(super) fn is_sweep_due(&self, now: i64) -> bool {
        now.saturating_sub(self.swept) >= SWEEP || now < self.swept
    }

    /// Forgets groups that have been silent for long, except those that somebody holds, and gives
    /// their numbers.
    pub(super) fn sweep(&mut self, now: i64, is_held: impl Fn(usize) -> bool) -> Vec<usize> {
        let elapsed = now.saturating_sub(self.swept);
        self.swept = now;
        let mut forgotten = Vec::new();
        if elapsed > self.silence {
            // The clock was set, as after a start in 1970: no group was silent that long.
            self.entries.iter_mut().flatten().for_each(|entry| entry.seen = now);
            return forgotten;
        }
        for (number, slot) in self.entries.iter_mut().enumerate().skip(ALL + 1) {
            let Some(entry) = slot else { continue };
            // A clock that was put back must not keep a group for ever.
            entry.seen = entry.seen.min(now);
            if now.saturating_sub(entry.seen) > self.silence && !is_held(number) {
                self.numbers.remove(&entry.group.key);
                *slot = None;
                forgotten.push(number);
            }
        }
        self.free.extend(&forgotten);
        forgotten
    }

    /// How many there are, that of all points aside.
    pub(in crate::alerts) fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// Tells which dimensions a point has, for a `groupBy` of which some depend on the point.
pub(super) struct Grouping {
    by: GroupBy,
    /// Those of the point before, which are mostly those of the next.
    last: Arc<Dimensions>,
}

impl Grouping {
    pub(super) fn new(by: GroupBy) -> Self {
        let mut tags = by.tags.clone();
        tags.retain(|tag| !by.exclude.contains(tag));
        tags.sort();
        tags.dedup();
        let last = Arc::new(Dimensions { tags, by_measurement: by.by_measurement });
        Grouping { by, last }
    }

    /// The dimensions of a point with these tags.
    pub(super) fn of(&mut self, tags: &Tags) -> &Arc<Dimensions> {
        if self.by.all {
            let exclude = &self.by.exclude;
            let wanted =
                || tags.iter().map(|(name, _)| name).filter(|name| !exclude.contains(name));
            if !wanted().eq(&self.last.tags) {
                let by_measurement = self.by.by_measurement;
                let dimensions = Dimensions { tags: wanted().cloned().collect(), by_measurement };
                self.last = Arc::new(dimensions);
            }
        }
        &self.last
    }
}

/// What a node knows of each group.
pub(super) struct Slots<T>(Vec<Option<Box<T>>>);

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots(Vec::new())
    }
}

impl<T> Slots<T> {
    /// What is known of a group, or `fresh`.
    pub(super) fn get(&mut self, group: &Group, fresh: impl FnOnce() -> T) -> &mut T {
        if self.0.len() <= group.number {
            self.0.resize_with(group.number + 1, || None);
        }
        self.0[group.number].get_or_insert_with(|| Box::new(fresh()))
    }

    /// What is known of a group, if anything.
    pub(super) fn peek(&self, number: usize) -> Option<&T> {
        self.0.get(number)?.as_deref()
    }

    /// The same, to change it.
    pub(super) fn peek_mut(&mut self, number: usize) -> Option<&mut T> {
        self.0.get_mut(number)?.as_deref_mut()
    }

    /// Forgets a group.
    pub(super) fn forget(&mut self, number: usize) {
        if let Some(slot) = self.0.get_mut(number) {
            *slot = None;
        }
    }

    /// What is known of each group, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(Option::as_deref)
    }

    /// The same, to change it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().filter_map(Option::as_deref_mut)
    }
}

fn value(tags: &Tags, name: &str) -> Name {
    tags.get(name).cloned().unwrap_or_else(|| "".into())
}

fn write_key(key: &mut String, dimensions: &Dimensions, measurement: &str, tags: &Tags) {
    key.clear();
    if dimensions.by_measurement {
        push_escaped(key, measurement);
        key.push('\n');
    }
    for (index, name) in dimensions.tags.iter().enumerate() {
        if index > 0 {
            key.push(',');
        }
        push_escaped(key, name);
        key.push('=');
        push_escaped(key, tags.get(name).map_or("", |value| value));
    }
}

fn push_escaped(key: &mut String, text: &str) {
    let is_special = |byte: u8| matches!(byte, b',' | b'=' | b'\\' | b'\n' | 0);
    if !text.bytes().any(is_special) {
        return key.push_str(text);
    }
    for letter in text.chars() {
        match letter {
            '\n' => key.push_str("\\n"),
            '\0' => key.push_str("\\0"),
            ',' | '=' | '\\' => key.extend(['\\', letter]),
            _ => key.push(letter),
        }
    }
}

/// The parts between separators that are not escaped.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |letter| {
        let is_end = letter == separator && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    })
}

fn unescaped(text: &str) -> String {
    let mut letters = text.chars();
    let mut unescaped = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        unescaped.push(match letter {
            '\\' => match letters.next() {
                Some('n') => '\n',
                Some('0') => '\0',
                Some(letter) => letter,
                None => break,
            },
            letter => letter,
        });
    }
    unescaped
}

fn text(dimensions: &Dimensions, measurement: &str, tags: &Tags) -> String {
    let mut text = String::new();
    if dimensions.by_measurement {
        text.push_str(measurement);
        text.push('\n');
    }
    for (index, name) in dimensions.tags.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        text.extend([comma, name, "=", tags.get(name).map_or("", |value| value)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    fn by(names: &[&str]) -> GroupBy {
        GroupBy { tags: names.iter().map(|&name| name.into()).collect(), ..GroupBy::default() }
    }

    fn text_of(by: GroupBy, given: &[(&str, &str)]) -> String {
        let mut groups = Groups::new(0);
        let mut grouping = Grouping::new(by);
        let given = tags(given);
        let group = groups.of(grouping.of(&given), "cpu", &given, 0).expect("there is room");
        group.text.to_string()
    }

    #[test]
    fn a_group_has_a_text() {
        let host = [("host", "a"), ("dc", "x")];
        assert_eq!(text_of(by(&[]), &host), "");
        assert_eq!(text_of(by(&["host"]), &host), "host=a");
        assert_eq!(text_of(by(&["host", "dc"]), &host), "dc=x,host=a", "sorted");
        assert_eq!(text_of(by(&["host", "rack"]), &host), "host=a,rack=", "a missing tag is empty");
        let all = GroupBy { all: true, ..GroupBy::default() };
        assert_eq!(text_of(all.clone(), &host), "dc=x,host=a");
        assert_eq!(text_of(all.clone(), &[]), "");
        let others = GroupBy { exclude: vec!["dc".into()], ..all };
        assert_eq!(text_of(others, &host), "host=a");
        let measured = GroupBy { by_measurement: true, ..by(&["host"]) };
        assert_eq!(text_of(measured, &host), "cpu\nhost=a");
    }

    #[test]
    fn values_with_commas_are_no_other_groups() {
        let mut groups = Groups::new(0);
        let mut grouping = Grouping::new(by(&["a", "b"]));
        let mut number = |given: &[(&str, &str)]| {
            let given = tags(given);
            groups.of(grouping.of(&given), "m", &given, 0).expect("there is room").number
        };
        let one = number(&[("a", "1,b=2")]);
        let other = number(&[("a", "1"), ("b", "2,b=")]);
        let third = number(&[("a", "1"), ("b", "2")]);
        assert_eq!([one, other, third], [1, 2, 3]);
        assert_eq!(number(&[("a", "1,b=2")]), one);
    }

    #[test]
    fn a_group_comes_back_from_its_key() {
        let mut groups = Groups::new(0);
        for (by_measurement, given) in [
            (false, vec![("host", "a")]),
            (true, vec![]),
            (true, vec![("host", "a"), ("rack", "")]),
            (false, vec![("a=,\\", "1,b=2\n\0\\"), ("b", "ä")]),
        ] {
            let given = tags(&given);
            let names = given.iter().map(|(name, _)| name.clone()).collect();
            let dimensions = Arc::new(Dimensions { tags: names, by_measurement });
            let group = groups.of(&dimensions, "c\npu", &given, 0).expect("there is room");
            let mut others = Groups::new(0);
            let restored = others.restored(&group.key, 0).expect("it can be read");
            assert_eq!(restored.tags, given);
            assert_eq!(restored.text, group.text);
            assert_eq!(restored.dimensions, group.dimensions);
            assert_eq!(restored.key, group.key);
        }
        assert!(groups.restored("nonsense", 0).is_none());
    }

    #[test]
    fn silent_groups_are_forgotten_unless_they_are_held() {
        let mut groups = Groups::new(0);
        let mut grouping = Grouping::new(by(&["a"]));
        let mut number = |groups: &mut Groups, value: &str, now: i64| {
            let given = tags(&[("a", value)]);
            groups.of(grouping.of(&given), "m", &given, now).expect("there is room").number
        };
        assert_eq!(number(&mut groups, "x", 0), 1);
        assert_eq!(number(&mut groups, "y", 0), 2);
        assert_eq!(number(&mut groups, "z", SILENCE), 3);
        assert!(groups.is_sweep_due(SWEEP));
        assert!(groups.sweep(SWEEP, |_| false).is_empty());
        assert_eq!(groups.sweep(SILENCE + 1, |number| number == 2), [1]);
        assert!(!groups.is_sweep_due(SILENCE + 2));
        assert_eq!(groups.len(), 2);
        assert_eq!(number(&mut groups, "new", SILENCE), 1, "a number is used again");
        assert_eq!(number(&mut groups, "y", SILENCE), 2);

        let later = 50 * 365 * SILENCE;
        assert!(groups.sweep(later, |_| false).is_empty(), "the clock was set");
        assert!(groups.sweep(later + SILENCE, |_| false).is_empty());
        assert_eq!(groups.sweep(later + SILENCE + 1, |_| false), [1, 2, 3]);
        assert_eq!(groups.len(), 0);
    }

    #[test]
    fn there_are_not_too_many_groups() {
        let mut groups = Groups::new(0);
        let dimensions = Arc::new(Dimensions { tags: vec!["a".into()], by_measurement: false });
        for index in 0..GROUPS_MAX {
            let given = tags(&[("a", &index.to_string())]);
            assert!(groups.of(&dimensions, "m", &given, 0).is_some());
        }
        assert!(groups.of(&dimensions, "m", &tags(&[("a", "more")]), 0).is_none());
        assert!(groups.of(&dimensions, "m", &tags(&[("a", "7")]), 0).is_some());
    }
}
