//! The model as lines, one a setting: `brokers[0].port = 1883`. Read from its `Debug` form, so that
//! no setting can be forgotten.

use ilagent::config::Config;

/// A value as `{:#?}` prints it.
enum Value {
    Plain(String),
    /// What stands before the bracket, the bracket, and the values inside with their names.
    Of(String, char, Vec<(String, Value)>),
}

/// The settings, in order: where each stands, and its value.
pub(crate) fn settings(config: &Config) -> Vec<(String, String)> {
    let text = format!("{config:#?}");
    let mut lines = text.lines();
    let value = value(lines.next().unwrap(), &mut lines);
    let mut settings = Vec::new();
    put("", &value, &mut settings);
    settings
}

/// Whether a value says that nothing was given.
pub(crate) fn is_nothing(value: &str) -> bool {
    ["None", "[]", "{}", "false"].contains(&value)
}

fn value<'a>(first: &str, rest: &mut impl Iterator<Item = &'a str>) -> Value {
    let first = first.trim_end_matches(',');
    let Some(opening) = first.chars().last().filter(|last| "{[(".contains(*last)) else {
        return Value::Plain(first.to_owned());
    };
    let mut inside = Vec::new();
    while let Some(line) = rest.next().map(str::trim).filter(|line| !is_end(line)) {
        let (name, text) = match line.split_once(": ").filter(|(name, _)| is_name(name)) {
            Some((name, text)) => (name.to_owned(), text),
            None => (inside.len().to_string(), line),
        };
        inside.push((name, value(text, rest)));
    }
    Value::Of(first[..first.len() - 1].trim().to_owned(), opening, inside)
}

fn is_end(line: &str) -> bool {
    line.starts_with(['}', ']', ')'])
}

/// A field, or a key of a map.
fn is_name(text: &str) -> bool {
    let letters = text.trim_matches('"');
    !letters.is_empty() && !letters.contains(['"', ' ', '(', '{'])
}

fn put(path: &str, value: &Value, settings: &mut Vec<(String, String)>) {
    match value {
        Value::Plain(text) => settings.push((path.to_owned(), text.clone())),
        Value::Of(name, '(', inside) => match (name.as_str(), inside.as_slice()) {
            ("Some", [(_, value @ Value::Of(name, '{', _))]) => {
                settings.push((path.to_owned(), name.clone()));
                put(path, value, settings);
            }
            ("Some", [(_, value)]) => put(path, value, settings),
            (_, [(_, Value::Plain(text))]) => {
                settings.push((path.to_owned(), format!("{name}({text})")));
            }
            _ => {
                settings.push((path.to_owned(), name.clone()));
                inside.iter().for_each(|(_, value)| put(path, value, settings));
            }
        },
        Value::Of(_, '[', inside) => {
            inside.iter().for_each(|(at, value)| put(&format!("{path}[{at}]"), value, settings));
        }
        Value::Of(_, _, inside) => {
            let dot = if path.is_empty() { "" } else { "." };
            inside
                .iter()
                .for_each(|(name, value)| put(&format!("{path}{dot}{name}"), value, settings));
        }
    }
}
