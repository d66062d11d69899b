//! What a file says, before anybody knows what it means: values, each with its place.

use std::borrow::Cow;
use toml::de::{DeTable, DeValue};

/// Most syntax errors told of one file; the first is usually the cause of the others.
const ERRORS_MAX: usize = 5;

/// A value and the byte at which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

/// The values that TOML and JSON share.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// As written, because that is how it is told when it is wrong.
    Number(String),
    Truth(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// Something else, by its name: a date, say.
    Other(&'static str),
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) node: Node,
}

impl Value {
    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Truth(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

impl Node {
    /// The way to what begins at a byte, as people write it: `mqtt[0].url`. Empty for the whole.
    pub(super) fn path_to(&self, at: usize) -> Option<String> {
        if self.at == at {
            return Some(String::new());
        }
        match &self.value {
            Value::Table(entries) => entries.iter().find_map(|entry| {
                let here = (entry.at == at).then(String::new);
                Some(joined(&entry.key, &here.or_else(|| entry.node.path_to(at))?))
            }),
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .find_map(|(index, node)| Some(joined(&format!("[{index}]"), &node.path_to(at)?))),
            Value::Text(_) | Value::Number(_) | Value::Truth(_) | Value::Other(_) => None,
        }
    }
}

fn joined(step: &str, rest: &str) -> String {
    let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{step}{dot}{rest}")
}

/// What is wrong with the syntax, and the byte where it is.
pub(super) type SyntaxError = (usize, String);

/// Reads TOML.
pub(super) fn from_toml(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let at = table.span().start;
        return Ok(Node { at, value: from_table(table.into_inner()) });
    }
    let error = |error: &toml::de::Error| {
        (error.span().map_or(0, |span| span.start), error.message().to_owned())
    };
    Err(errors.iter().take(ERRORS_MAX).map(error).collect())
}

fn from_table(table: DeTable<'_>) -> Value {
    let entry = |(key, value): (toml::Spanned<Cow<'_, str>>, toml::Spanned<DeValue<'_>>)| Entry {
        at: key.span().start,
        key: key.into_inner().into_owned(),
        node: from_value(value),
    };
    let mut entries: Vec<Entry> = table.into_iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.at);
    Value::Table(entries)
}

fn from_value(value: toml::Spanned<DeValue<'_>>) -> Node {
    let at = value.span().start;
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => {
            Value::Number(number.as_str().to_owned())
        }
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix());
            Value::Number(whole.map_or_else(|_| number.to_string(), |whole| whole.to_string()))
        }
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Value::Truth(truth),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(list) => Value::List(list.into_iter().map(from_value).collect()),
        DeValue::Table(table) => from_table(table),
    };
    Node { at, value }
}
