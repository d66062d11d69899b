//! What a `var` stands for, and what whoever uses a script gives for its variables.

use super::ast::{Comments, Expression, Place, Sign, Term};
use super::lexer::nanos;
use super::parser::parse_expression;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A value of a script, outside of its lambdas.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(Box<str>),
    /// `TRUE` or `FALSE`.
    Bool(bool),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A regular expression.
    Regex(Box<str>),
    /// `*`
    Star,
    /// A list of texts and stars.
    List(Vec<Value>),
    /// What is evaluated later, with the names of `var` replaced.
    Lambda(Expression),
}

impl Value {
    /// What a template calls its type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "string",
            Value::Bool(_) => "bool",
            Value::Duration(_) => "duration",
            Value::Regex(_) => "regex",
            Value::Star => "star",
            Value::List(_) => "list",
            Value::Lambda(_) => "lambda",
        }
    }

    /// The same as an expression at a place, which is how it is put into a lambda.
    #[must_use]
    pub fn expression(&self, place: Place) -> Expression {
        let at = |term| Expression { place, comments: Comments::default(), term };
        let negative = |term| at(Term::Unary(Sign::Minus, Box::new(at(term))));
        match self {
            // The smallest has no positive counterpart; nobody means it to the last digit.
            Value::Int(value) if *value < 0 => {
                negative(Term::Int { value: value.checked_neg().unwrap_or(i64::MAX), octal: false })
            }
            Value::Int(value) => at(Term::Int { value: *value, octal: false }),
            Value::Float(value) if *value < 0.0 => negative(Term::Float(-value)),
            Value::Float(value) => at(Term::Float(*value)),
            Value::Duration(nanos) if *nanos < 0 => {
                let nanos = nanos.checked_neg().unwrap_or(i64::MAX);
                negative(Term::Duration { nanos, written: "".into() })
            }
            Value::Duration(nanos) => at(Term::Duration { nanos: *nanos, written: "".into() }),
            Value::Text(value) => at(Term::Text { value: value.clone(), raw: false }),
            Value::Bool(value) => at(Term::Bool(*value)),
            Value::Regex(pattern) => at(Term::Regex(pattern.clone())),
            Value::Star => at(Term::Star),
            Value::List(items) => {
                at(Term::List(items.iter().map(|item| item.expression(place)).collect()))
            }
            Value::Lambda(inner) => inner.clone(),
        }
    }
}

/// The nanoseconds of a duration as scripts write it, such as `90s`.
#[must_use]
pub fn nanoseconds(written: &str) -> Option<i64> {
    nanos(written)
}

/// The values of a script's variables, by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vars {
    values: BTreeMap<String, Value>,
    are_open: bool,
}

impl Vars {
    /// Reads them as Kapacitor's API has them: `{"limit": {"type": "float", "value": 90}}`.
    ///
    /// # Errors
    ///
    /// Says which of them is wrong, and why.
    pub fn read(json: &Json) -> Result<Self, String> {
        let Json::Object(members) = json else {
            return Err("vars is an object with a member for each of them".to_owned());
        };
        let mut vars = BTreeMap::new();
        for (name, member) in members {
            let value = value(member).map_err(|what| format!("var {name}: {what}"))?;
            vars.insert(name.clone(), value);
        }
        Ok(Vars { values: vars, are_open: false })
    }

    /// Those of a template, which nobody has given yet.
    #[must_use]
    pub fn open() -> Self {
        Vars { are_open: true, ..Vars::default() }
    }

    pub(super) fn are_open(&self) -> bool {
        self.are_open
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }
}

/// `{"type": …, "value": …}`; a description may be there, too.
fn value(member: &Json) -> Result<Value, String> {
    let Some(kind) = member.get("type").and_then(Json::as_str) else {
        return Err("it has no \"type\"".to_owned());
    };
    let value = member.get("value").unwrap_or(&Json::Null);
    let text = || value.as_str().map(Box::from);
    let found = match kind {
        "int" => value.as_i64().map(Value::Int),
        "float" => value.as_f64().map(Value::Float),
        "bool" => value.as_bool().map(Value::Bool),
        "string" => text().map(Value::Text),
        "regex" => text().map(Value::Regex),
        "duration" => match value {
            Json::String(written) => nanos(written).map(Value::Duration),
            other => other.as_i64().map(Value::Duration),
        },
        "lambda" => {
            let parsed = value.as_str().map(parse_expression);
            return match parsed {
                Some(Ok(expression)) => Ok(Value::Lambda(expression)),
                Some(Err(fault)) => Err(fault.to_string()),
                None => Err(not(value, kind)),
            };
        }
        "star" => Some(Value::Star),
        "list" => return list(value),
        _ => return Err(unknown_kind(kind)),
    };
    found.ok_or_else(|| not(value, kind))
}

fn list(items: &Json) -> Result<Value, String> {
    let Json::Array(items) = items else { return Err(not(items, "list")) };
    let items: Result<Vec<Value>, String> = items.iter().map(value).collect();
    match items? {
        items if items.iter().all(|item| matches!(item, Value::Text(_) | Value::Star)) => {
            Ok(Value::List(items))
        }
        _ => Err("a list holds strings and stars only".to_owned()),
    }
}

fn not(value: &Json, kind: &str) -> String {
    let hint = if kind == "duration" { "; a duration is written \"10s\"" } else { "" };
    format!("{value} is not of the type {kind}{hint}")
}

/// The types that a variable of a template may have.
const KINDS: [&str; 9] =
    ["int", "float", "bool", "string", "regex", "duration", "lambda", "list", "star"];

/// Whether a template may declare it.
pub(super) fn is_kind(kind: &str) -> bool {
    KINDS.contains(&kind)
}

pub(super) fn unknown_kind(kind: &str) -> String {
    format!("there is no type `{kind}`; types are {}", KINDS.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::script::format_expression;
    use serde_json::json;

    fn read(kind: &str, value: &Json) -> Result<String, String> {
        let vars = Vars::read(&json!({"x": {"type": kind, "value": value, "description": "d"}}))?;
        let expression = vars.get("x").unwrap().expression(Place::default());
        Ok(format_expression(&expression))
    }

    #[test]
    fn vars_are_read_as_the_api_has_them() {
        for (kind, value, wanted) in [
            ("int", json!(-42), "-42"),
            ("float", json!(90), "90.0"),
            ("bool", json!(true), "TRUE"),
            ("string", json!("it's"), "'it\\'s'"),
            ("regex", json!("^a/b$"), "/^a\\/b$/"),
            ("duration", json!("90s"), "90s"),
            ("duration", json!(120_000_000_000_i64), "2m"),
            ("lambda", json!("\"a\">1"), "\"a\" > 1"),
            ("star", json!(""), "*"),
            (
                "list",
                json!([{"type": "string", "value": "a"}, {"type": "star", "value": null}]),
                "['a', *]",
            ),
        ] {
            assert_eq!(read(kind, &value).as_deref(), Ok(wanted), "{kind}");
        }
    }

    #[test]
    fn a_var_that_is_wrong_is_named() {
        for (kind, value, wanted) in [
            ("int", json!("5"), "var x: \"5\" is not of the type int"),
            ("int", json!(5.5), "var x: 5.5 is not of the type int"),
            (
                "duration",
                json!("1h30m"),
                "var x: \"1h30m\" is not of the type duration; a duration is written \"10s\"",
            ),
            (
                "lambda",
                json!("1 +"),
                "var x: line 1 char 4: unexpected end of the script, a value \
                                      is expected",
            ),
            (
                "list",
                json!([{"type": "int", "value": 1}]),
                "var x: a list holds strings and stars \
                                                            only",
            ),
            (
                "text",
                json!("a"),
                "var x: there is no type `text`; types are int, float, bool, string, regex, \
                 duration, lambda, list, star",
            ),
        ] {
            assert_eq!(read(kind, &value), Err(wanted.to_owned()));
        }
        assert_eq!(Vars::read(&json!({"x": 5})), Err("var x: it has no \"type\"".to_owned()));
    }
}
