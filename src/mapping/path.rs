//! Dotted paths into a JSON document.

use crate::config::JsonPath;
use serde_json::Value;
use std::borrow::Cow;

/// The value at a path: its parts are member names, and indices where there is an array.
///
/// A member whose name has dots is found when the rest of the path is its whole name. A missing
/// step anywhere means `None`.
#[must_use]
pub fn find<'a>(document: &'a Value, path: &JsonPath) -> Option<&'a Value> {
    walk(document, &path.0)
}

fn walk<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(whole) = step(value, path) {
        return Some(whole);
    }
    let (first, rest) = path.split_once('.')?;
    walk(step(value, first)?, rest)
}

fn step<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(part),
        Value::Array(elements) => elements.get(part.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A scalar as text: a string as it is, numbers and booleans as JSON writes them.
///
/// `None` for null, objects and arrays.
#[must_use]
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Object(_) | Value::Array(_) => None,
    }
}

/// A whole number, also one that is written as a string.
#[must_use]
pub fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_walk_objects_and_arrays() {
        let document = json!({
            "a": { "b": { "c": 1 }, "d.e": 2 },
            "list": [ { "name": "x" }, { "name": "y" } ],
            "dotted.name": 3,
            "null": null
        });
        for (path, wanted) in [
            ("a.b.c", Some(json!(1))),
            ("a.d.e", Some(json!(2))),
            ("dotted.name", Some(json!(3))),
            ("list.1.name", Some(json!("y"))),
            ("list.2.name", None),
            ("list.name", None),
            ("a.x", None),
            ("null", Some(Value::Null)),
            ("", None),
        ] {
            assert_eq!(find(&document, &JsonPath(path.to_owned())), wanted.as_ref(), "{path}");
        }
    }

    #[test]
    fn scalars_are_text_and_structures_are_not() {
        for (value, wanted) in [
            (json!("a"), Some("a")),
            (json!(4711), Some("4711")),
            (json!(true), Some("true")),
            (json!(null), None),
            (json!([1]), None),
            (json!({}), None),
        ] {
            assert_eq!(text(&value).as_deref(), wanted, "{value}");
        }
    }
}
