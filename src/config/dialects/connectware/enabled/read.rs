//! Values of keys, where one that is a fault already is no second one.

use super::names::is_unknown;
use crate::config::Qos;
use crate::config::document::fields::Fields;
use crate::config::document::{Node, Value};
use std::ops::RangeInclusive;

/// The value of a key, unless it is a fault already.
pub(super) fn node<'f>(fields: &Fields<'f>, key: &'static str) -> Option<&'f Node> {
    fields.node(key).filter(|node| !is_unknown(node))
}

/// A text, with its place.
pub(super) fn text<'f>(fields: &Fields<'f>, key: &'static str) -> Option<(&'f str, usize)> {
    let node = node(fields, key)?;
    match &node.value {
        Value::Text(text) => Some((text, node.at)),
        other => {
            fields.file.add(node.at, format!("{key} must be a text, not {}", kind(other)));
            None
        }
    }
}

/// `true` or `false`.
pub(super) fn truth(fields: &Fields<'_>, key: &'static str) -> Option<bool> {
    let node = node(fields, key)?;
    match &node.value {
        Value::Truth(truth) => Some(*truth),
        other => {
            fields.file.add(node.at, format!("{key} must be true or false, not {}", kind(other)));
            None
        }
    }
}

/// A whole number within a range.
pub(super) fn whole(
    fields: &Fields<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
) -> Option<u64> {
    let node = node(fields, key)?;
    let found = match &node.value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    };
    let found = found.filter(|number| range.contains(number));
    if found.is_none() {
        let not = match &node.value {
            Value::Number(_) => String::new(),
            other => format!(", not {}", kind(other)),
        };
        let words = format!("{key} must be {} to {}{not}", range.start(), range.end());
        fields.file.add(node.at, words);
    }
    found
}

/// A quality of service.
pub(super) fn qos(fields: &Fields<'_>) -> Option<Qos> {
    match whole(fields, "qos", 0..=2)? {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        _ => Some(Qos::ExactlyOnce),
    }
}

/// A text that is one of a few.
pub(super) fn choice(
    fields: &Fields<'_>,
    key: &'static str,
    choices: [&'static str; 2],
) -> Option<&'static str> {
    let (text, at) = text(fields, key)?;
    let found = choices.into_iter().find(|choice| *choice == text);
    if found.is_none() {
        let [one, other] = choices;
        fields.file.add(at, format!("{key} must be `{one}` or `{other}`"));
    }
    found
}

/// The place of a key, or else of the map.
pub(super) fn key_at(fields: &Fields<'_>, key: &'static str) -> usize {
    fields.entry(key).map_or(fields.at, |entry| entry.at)
}

/// What a value is, in words of YAML.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Table(_) => "a map",
        other => other.kind(),
    }
}
