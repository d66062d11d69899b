//! A document as JSON, for definitions that are passed on as they are: Kapacitor's handlers, tasks
//! and variables.

use super::{Node, SyntaxError, Value, json, yaml};
use serde_json::{Map, Number};

/// Reads YAML, or JSON where the name of the file says so. As in YAML 1.1, `yes` and `no`, `on` and
/// `off` are truths, and `0644` is octal.
///
/// # Errors
///
/// Says what is wrong and at which byte.
pub fn read(name: &str, text: &str) -> Result<serde_json::Value, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let node = match name.ends_with(".json") {
        true => json::parse(text)?,
        false => match yaml::parse(text)?.into_iter().next() {
            Some(node) => node,
            None => return Err((0, "there is nothing in it".to_owned())),
        },
    };
    Ok(value(&node, text))
}

fn value(node: &Node, text: &str) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Text(word) => {
            let is_bare = text.get(node.at..).is_some_and(|rest| rest.starts_with(&**word));
            match truth(word).filter(|_| is_bare) {
                Some(truth) => Json::Bool(truth),
                None => Json::String(word.clone()),
            }
        }
        Value::Number(written) => number(written),
        Value::Truth(truth) => Json::Bool(*truth),
        Value::List(nodes) => Json::Array(nodes.iter().map(|node| value(node, text)).collect()),
        Value::Table(entries) => {
            let mut members = Map::new();
            for entry in entries {
                members.insert(entry.key.clone(), value(&entry.node, text));
            }
            Json::Object(members)
        }
        Value::Tagged(tagged) => value(&tagged.node, text),
        Value::Null | Value::Other(_) => Json::Null,
    }
}

/// `0644`, as the mode of a file is written; JSON has no such numbers.
fn octal(written: &str) -> Option<i64> {
    let digits = written.strip_prefix('0').filter(|digits| !digits.is_empty())?;
    i64::from_str_radix(digits.strip_prefix('o').unwrap_or(digits), 8).ok()
}

fn truth(word: &str) -> Option<bool> {
    match word {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn number(written: &str) -> serde_json::Value {
    let whole = octal(written).or_else(|| written.parse().ok()).map(Number::from);
    let number = whole.or_else(|| Number::from_f64(written.parse().ok()?));
    number.map_or_else(|| written.into(), serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handler_file_of_the_manual_is_json() {
        for (name, text, wanted) in [
            (
                "h.yaml",
                "id: handler-id\ntopic: topic-name\nkind: mqtt\noptions:\n  broker-name: 'name'\n  \
                 topic: 'topic-name'\n  qos: 1\n  retained: true\n",
                r#"{"id":"handler-id","kind":"mqtt","options":{"broker-name":"name","qos":1,"retained":true,"topic":"topic-name"},"topic":"topic-name"}"#,
            ),
            (
                "h.yml",
                "a: yes\nb: 'yes'\nc: off\nd: 1.5\ne: ~\n",
                r#"{"a":true,"b":"yes","c":false,"d":1.5,"e":null}"#,
            ),
            ("h.json", r#"{"a":[1,{"b":null}]}"#, r#"{"a":[1,{"b":null}]}"#),
        ] {
            assert_eq!(read(name, text).unwrap().to_string(), wanted, "{name}");
        }
        assert!(read("h.yaml", "").is_err());
    }
}
