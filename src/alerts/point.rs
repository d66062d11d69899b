//! A measurement: what line protocol says in one line.
//!
//! Names and texts are shared, so a clone copies no letter: windows keep points for a long time,
//! and points of one series have the same names and tags.

use std::fmt;
use std::sync::Arc;

/// A name or a text that several points may share.
pub type Name = Arc<str>;

/// Values of a series at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The database it was written to.
    pub database: Name,
    /// The retention policy it was written to; empty if its writer named none.
    pub retention_policy: Name,
    /// What is measured, such as `cpu`.
    pub measurement: Name,
    /// What it was measured of.
    pub tags: Tags,
    /// What was measured.
    pub fields: Fields,
    /// When, in nanoseconds since 1970.
    pub time: i64,
}

/// Tags, sorted by their keys. A clone shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(Arc<[(Name, Name)]>);

impl Tags {
    /// The value of a tag.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Name> {
        find(&self.0, key)
    }

    /// Sets a tag; all others stay.
    pub fn set(&mut self, key: Name, value: Name) {
        let mut tags = self.0.to_vec();
        put(&mut tags, key, value);
        self.0 = tags.into();
    }

    /// Takes a tag away, if it is there.
    pub fn remove(&mut self, key: &str) {
        if let Ok(place) = place(&self.0, key) {
            let mut tags = self.0.to_vec();
            tags.remove(place);
            self.0 = tags.into();
        }
    }

    /// In the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &Name)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// In whatever order they come. Of two with the same key the last one stays.
impl FromIterator<(Name, Name)> for Tags {
    fn from_iter<I: IntoIterator<Item = (Name, Name)>>(tags: I) -> Self {
        Tags(sorted(tags).into())
    }
}

/// Fields, sorted by their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(Name, Field)>);

impl Fields {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Field> {
        find(&self.0, key)
    }

    /// Sets a field; all others stay.
    pub fn set(&mut self, key: Name, value: Field) {
        put(&mut self.0, key, value);
    }

    /// Takes a field away, if it is there.
    pub fn remove(&mut self, key: &str) -> Option<Field> {
        let place = place(&self.0, key).ok()?;
        Some(self.0.remove(place).1)
    }

    /// Puts others, in the order of their keys, in the place of what is there. Memory and names are
    /// used again.
    pub(super) fn replace<'a>(&mut self, fields: impl Iterator<Item = (&'a Name, Field)>) {
        let mut count = 0;
        for (name, value) in fields {
            match self.0.get_mut(count) {
                Some(field) => {
                    if !Arc::ptr_eq(&field.0, name) {
                        field.0 = name.clone();
                    }
                    field.1 = value;
                }
                None => self.0.push((name.clone(), value)),
            }
            count += 1;
        }
        self.0.truncate(count);
    }

    /// In the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &Field)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// In whatever order they come. Of two with the same key the last one stays.
impl FromIterator<(Name, Field)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Name, Field)>>(fields: I) -> Self {
        Fields(sorted(fields))
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// `1`, `1.5`, `1e3`.
    Float(f64),
    /// `5i`.
    Int(i64),
    /// `true`, `f`, …
    Bool(bool),
    /// `"text"`.
    Text(Name),
}

impl From<f64> for Field {
    fn from(value: f64) -> Self {
        Field::Float(value)
    }
}

impl From<i64> for Field {
    fn from(value: i64) -> Self {
        Field::Int(value)
    }
}

impl From<bool> for Field {
    fn from(value: bool) -> Self {
        Field::Bool(value)
    }
}

impl From<&str> for Field {
    fn from(value: &str) -> Self {
        Field::Text(value.into())
    }
}

/// As line protocol has it.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Float(value) => write!(f, "{value}"),
            Field::Int(value) => write!(f, "{value}i"),
            Field::Bool(value) => write!(f, "{value}"),
            Field::Text(text) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
        }
    }
}

/// How many entries are looked at one after the other. That is three times as fast as halving them,
/// because most names already differ in their lengths.
const FEW: usize = 32;

fn find<'a, T>(entries: &'a [(Name, T)], key: &str) -> Option<&'a T> {
    if entries.len() <= FEW {
        return entries.iter().find(|(name, _)| **name == *key).map(|(_, value)| value);
    }
    place(entries, key).ok().map(|place| &entries[place].1)
}

/// Where an entry is, or where it would have to be.
fn place<T>(entries: &[(Name, T)], key: &str) -> Result<usize, usize> {
    entries.binary_search_by(|(name, _)| (**name).cmp(key))
}

fn put<T>(entries: &mut Vec<(Name, T)>, key: Name, value: T) {
    match place(entries, &key) {
        Ok(place) => entries[place].1 = value,
        Err(place) => entries.insert(place, (key, value)),
    }
}

fn sorted<T>(entries: impl IntoIterator<Item = (Name, T)>) -> Vec<(Name, T)> {
    let all: Vec<(Name, T)> = entries.into_iter().collect();
    if all.is_sorted_by(|(one, _), (next, _)| one < next) {
        return all;
    }
    let mut sorted = Vec::with_capacity(all.len());
    for (key, value) in all {
        put(&mut sorted, key, value);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn tags_are_sorted_and_each_key_is_there_once() {
        let mut given = tags(&[("host", "a"), ("cpu", "0"), ("host", "b")]);
        assert_eq!(given, tags(&[("cpu", "0"), ("host", "b")]));
        given.set("dc".into(), "east".into());
        given.set("cpu".into(), "1".into());
        given.remove("host");
        given.remove("host");
        assert_eq!(given, tags(&[("dc", "east"), ("cpu", "1")]));
        let keys: Vec<&str> = given.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["cpu", "dc"]);
        assert_eq!(given.get("dc").map(|value| &**value), Some("east"));
        assert_eq!(given.get("host"), None);
    }

    #[test]
    fn fields_are_sorted_and_each_key_is_there_once() {
        let pairs = [("b", Field::from(1.5)), ("a", Field::from(2_i64)), ("b", Field::from(true))];
        let mut given: Fields = pairs.into_iter().map(|(key, it)| (key.into(), it)).collect();
        given.set("c".into(), "text".into());
        let found: Vec<String> =
            given.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(found, ["a=2i", "b=true", r#"c="text""#]);
        assert_eq!(given.remove("b"), Some(Field::Bool(true)));
        assert_eq!(given.get("b"), None);
        assert!(!given.is_empty());
    }

    #[test]
    fn a_field_is_found_among_few_and_among_many() {
        for count in [1, FEW, FEW + 1, 3 * FEW] {
            let name = |number: usize| Name::from(format!("field{number}"));
            let fields: Fields = (0..count).map(|one| (name(one), Field::from(true))).collect();
            assert!((0..count).all(|one| fields.get(&name(one)).is_some()));
            assert_eq!(fields.get(&name(count)), None);
        }
    }

    #[test]
    fn a_field_reads_as_in_line_protocol() {
        for (field, wanted) in [
            (Field::Float(0.5), "0.5"),
            (Field::Float(3.0), "3"),
            (Field::Int(-3), "-3i"),
            (Field::Bool(false), "false"),
            (Field::from(r#"a "b" \"#), r#""a \"b\" \\""#),
        ] {
            assert_eq!(field.to_string(), wanted);
        }
    }
}
