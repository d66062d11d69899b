//! What a template can compute with, and the fields and methods that values have.

use super::clock::{self, Moment};
use super::data::{Data, Server};
use crate::alerts::point::{Field, Fields, Tags};
use std::borrow::Cow;

/// A value; texts are borrowed wherever they are not made.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// What a map says about a key that it does not have.
    Nil,
    Bool(bool),
    Int(i64, Int),
    Float(f64),
    Text(Cow<'a, str>),
    Time(Moment<'a>),
    Tags(&'a Tags),
    Fields(&'a Fields),
    Server(&'a Server),
    Data(&'a Data<'a>),
}

/// Which of Go's integers it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Int {
    /// What is written in a template, or counted.
    Plain,
    /// What a point has.
    Int64,
    /// A letter of a text.
    Byte,
    Duration,
    Month,
    Weekday,
}

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }

    pub(super) fn made(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }

    pub(super) fn int(value: i64) -> Self {
        Value::Int(value, Int::Plain)
    }

    /// A count of something in memory.
    pub(super) fn count(count: usize) -> Self {
        Value::int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn duration(nanos: i64) -> Self {
        Value::Int(nanos, Int::Duration)
    }

    /// The name of its type in Go.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Time(_) => "time.Time",
            Value::Tags(_) => "map[string]string",
            Value::Fields(_) => "map[string]interface {}",
            Value::Server(_) | Value::Data(_) => "struct",
            Value::Int(_, Int::Plain) => "int",
            Value::Int(_, Int::Int64) => "int64",
            Value::Int(_, Int::Byte) => "uint8",
            Value::Int(_, Int::Duration) => "time.Duration",
            Value::Int(_, Int::Month) => "time.Month",
            Value::Int(_, Int::Weekday) => "time.Weekday",
        }
    }

    /// What Go's `String()` says of it, if its type has that method.
    pub(super) fn spoken(&self) -> Option<Cow<'a, str>> {
        Some(match self {
            Value::Int(nanos, Int::Duration) => clock::duration_text(*nanos).into(),
            Value::Int(month, Int::Month) => clock::month_name(*month).into(),
            Value::Int(day, Int::Weekday) => clock::weekday_name(*day).into(),
            Value::Time(moment) => moment.text().into(),
            _ => return None,
        })
    }

    /// Whether `if` takes it for something: not for `false`, 0 and what is empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value, _) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Tags(tags) => !tags.is_empty(),
            Value::Fields(fields) => !fields.is_empty(),
            Value::Time(_) | Value::Server(_) | Value::Data(_) => true,
        }
    }

    /// What `.name` is of it, with the arguments that a method may have.
    ///
    /// # Errors
    ///
    /// Says why there is no such thing.
    pub(super) fn member(&self, name: &str, arguments: &[Value<'a>]) -> Result<Self, String> {
        let found = match self {
            Value::Nil => Some(Value::Nil),
            Value::Tags(tags) => Some(Value::tag(tags, name).unwrap_or(Value::Nil)),
            Value::Fields(fields) => Some(Value::field(fields, name)),
            Value::Server(server) => server.member(name),
            Value::Data(data) => data.member(name),
            Value::Time(moment) => return moment.method(name, arguments),
            Value::Int(value, Int::Duration) => {
                return clock::duration_method(*value, name, arguments);
            }
            Value::Int(_, Int::Month | Int::Weekday) if name == "String" => {
                self.spoken().map(Value::Text)
            }
            _ => None,
        };
        match found {
            None => Err(self.unknown(name)),
            Some(_) if !arguments.is_empty() => {
                Err(format!("`.{name}` is no method and takes no arguments"))
            }
            Some(found) => Ok(found),
        }
    }

    fn unknown(&self, name: &str) -> String {
        match self {
            Value::Data(data) => {
                let known: Vec<String> =
                    data.names().into_iter().map(|known| format!(".{known}")).collect();
                format!("there is no `.{name}` here, only {}", known.join(", "))
            }
            _ => format!("a value of type {} has no `.{name}`", self.type_name()),
        }
    }

    pub(super) fn tag(tags: &'a Tags, key: &str) -> Option<Self> {
        tags.get(key).map(|value| Value::text(value))
    }

    pub(super) fn field(fields: &'a Fields, key: &str) -> Self {
        fields.get(key).map_or(Value::Nil, Value::from)
    }

    /// The pairs of a map, in the order of their keys.
    pub(super) fn pairs(&self) -> Option<Vec<(&'a str, Value<'a>)>> {
        match *self {
            Value::Tags(tags) => {
                Some(tags.iter().map(|(key, value)| (&**key, Value::text(value))).collect())
            }
            Value::Fields(fields) => {
                Some(fields.iter().map(|(key, value)| (&**key, Value::from(value))).collect())
            }
            _ => None,
        }
    }
}

impl<'a> From<&'a Field> for Value<'a> {
    fn from(field: &'a Field) -> Self {
        match field {
            Field::Float(value) => Value::Float(*value),
            Field::Int(value) => Value::Int(*value, Int::Int64),
            Field::Bool(value) => Value::Bool(*value),
            Field::Text(text) => Value::text(text),
        }
    }
}
