//! Dotted paths into a JSON document.

use super::json::{Document, Json};
use crate::config::JsonPath;

/// The value at a path: its parts are member names, and indices where there is an array.
///
/// A member with dots in its name is found if the rest of the path is its whole name. `None` if any
/// step is missing.
#[must_use]
pub fn find<'a>(document: &Document<'a>, path: &JsonPath) -> Option<Json<'a>> {
    if !document.whole.is_object() {
        return walk(document.whole, &path.0);
    }
    // The members of the document have been read already.
    if let Some(whole) = document.member(&path.0) {
        return Some(whole);
    }
    let (first, rest) = path.0.split_once('.')?;
    walk(document.member(first)?, rest)
}

fn walk<'a>(value: Json<'a>, path: &str) -> Option<Json<'a>> {
    if let Some(whole) = value.step(path) {
        return Some(whole);
    }
    let (first, rest) = path.split_once('.')?;
    walk(value.step(first)?, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_walk_objects_and_arrays() {
        let document = br#"{"a":{"b":{"c":1},"d.e":2},"list":[{"name":"x"},{"name":"y"}],
            "dotted.name":3,"null":null}"#;
        let document = Document::read(document).unwrap();
        for (path, wanted) in [
            ("a.b.c", Some("1")),
            ("a.d.e", Some("2")),
            ("dotted.name", Some("3")),
            ("list.1.name", Some("\"y\"")),
            ("list.2.name", None),
            ("list.name", None),
            ("a.x", None),
            ("a.b.c.d", None),
            ("null", Some("null")),
            ("", None),
        ] {
            let found = find(&document, &JsonPath(path.to_owned()));
            assert_eq!(found.map(|value| value.raw().get()), wanted, "{path}");
        }
        let list = Document::read(b"[[1,2]]").unwrap();
        assert_eq!(find(&list, &JsonPath("0.1".to_owned())).unwrap().whole_number(), Some(2));
    }
}
