//! TOML with places.

use super::{Entry, Node, SyntaxError, Value};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

/// Most syntax errors reported for one file; the first is usually the cause of the others.
const ERRORS_MAX: usize = 5;

/// Reads TOML.
pub fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let at = table.span().start;
        return Ok(Node { at, value: from_table(table.into_inner()) });
    }
    let error =
        |error: &Error| (error.span().map_or(0, |span| span.start), error.message().to_owned());
    Err(errors.iter().take(ERRORS_MAX).map(error).collect())
}

fn from_table(table: DeTable<'_>) -> Value {
    let entry = |(key, value): (Spanned<Cow<'_, str>>, Spanned<DeValue<'_>>)| Entry {
        at: key.span().start,
        key: key.into_inner().into_owned(),
        node: from_value(value),
    };
    let mut entries: Vec<Entry> = table.into_iter().map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.at);
    Value::Table(entries)
}

fn from_value(value: Spanned<DeValue<'_>>) -> Node {
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
