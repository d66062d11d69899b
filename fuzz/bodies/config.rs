//! Configuration files.

use super::{are_words, say_where};
use ilagent::cli::describe::describe;
use ilagent::config::dialects::native::{self, Syntax};
use ilagent::config::{Checked, Faults, Part, Place, Surroundings};
use serde_json::Value;
use std::fmt::Write;

/// TOML: a configuration, or faults with their places.
pub fn toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    judge(text, &read(text, Syntax::Toml));
}

/// JSON: the same, and what it says means the same as TOML.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read_as_json = read(text, Syntax::Json);
    judge(text, &read_as_json);
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        return assert!(read_as_json.is_err(), "a configuration that is not JSON");
    };
    let mut written = String::new();
    let Value::Object(members) = &document else { return };
    for (name, value) in members {
        let Some(value) = as_toml(value) else { return };
        let _ = writeln!(written, "{} = {value}", quoted(name));
    }
    let read_as_toml = read(&written, Syntax::Toml);
    match (&read_as_json, &read_as_toml) {
        (Ok(json), Ok(toml)) => assert_eq!(json, toml, "{written}"),
        (Ok(_), Err(faults)) => panic!("only as JSON it is right: {faults}\n{written}"),
        // JSON may be refused for what TOML cannot say: a name that stands there twice.
        (Err(_), _) => {}
    }
}

fn read(text: &str, syntax: Syntax) -> Result<Checked, Faults> {
    let around = Surroundings {
        env: &|_| None,
        read: &|path| {
            Ok(path.to_str().is_some_and(|path| path.len() < 40).then(|| "secret".to_owned()))
        },
        list: &|_| Ok(Vec::new()),
        is_open: &|_| false,
        has_kafka: true,
    };
    native::read("box.conf", text, syntax, Part::default(), &around)
}

fn judge(text: &str, read: &Result<Checked, Faults>) {
    match read {
        Ok(checked) => {
            checked.warnings.iter().for_each(|warning| are_words(warning));
            for line in describe(&checked.config).lines() {
                assert!(!line.contains(char::is_control), "{line:?}");
            }
            assert!(!checked.config.ilert.api.is_empty());
        }
        Err(faults) => {
            say_where(faults, text);
            for fault in &faults.0 {
                let Place::File { file, .. } = &fault.place else { panic!("{fault}: no place") };
                assert_eq!(file, "box.conf");
            }
        }
    }
}

/// The same in TOML, if it can be said there.
fn as_toml(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.as_i64()?.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(elements) => {
            let elements: Option<Vec<String>> = elements.iter().map(as_toml).collect();
            format!("[{}]", elements?.join(", "))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Some(format!("{} = {}", quoted(name), as_toml(value)?)));
            format!("{{{}}}", members.collect::<Option<Vec<String>>>()?.join(", "))
        }
    })
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}
