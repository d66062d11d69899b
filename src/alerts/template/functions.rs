//! The functions that templates can call.

use super::data::write_json;
use super::value::{Int, Value};
use super::{escape, print};
use std::cmp::Ordering;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Len,
    Index,
    Slice,
    Print,
    Printf,
    Println,
    Html,
    Js,
    UrlQuery,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Json,
    JsonCompact,
}

use Function::{
    And, Equal, Greater, GreaterEqual, Html, Index, Js, Json, JsonCompact, Len, Less, LessEqual,
    Not, NotEqual, Or, Print, Printf, Println, Slice, UrlQuery,
};

const ALL: [(&str, Function); 20] = [
    ("and", And),
    ("or", Or),
    ("not", Not),
    ("len", Len),
    ("index", Index),
    ("slice", Slice),
    ("print", Print),
    ("printf", Printf),
    ("println", Println),
    ("html", Html),
    ("js", Js),
    ("urlquery", UrlQuery),
    ("eq", Equal),
    ("ne", NotEqual),
    ("lt", Less),
    ("le", LessEqual),
    ("gt", Greater),
    ("ge", GreaterEqual),
    ("json", Json),
    ("jsonCompact", JsonCompact),
];

impl Function {
    pub(super) fn of(name: &str) -> Option<Function> {
        ALL.into_iter().find(|(known, _)| *known == name).map(|(_, function)| function)
    }

    pub(super) fn name(self) -> &'static str {
        ALL.into_iter().find(|(_, function)| *function == self).map_or("", |(name, _)| name)
    }

    /// What it makes of its arguments. (`and` and `or` do not need all of theirs: see `run`.)
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    pub(super) fn call<'a>(self, arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
        match (self, arguments) {
            (Print, _) => Ok(Value::made(print::print(arguments))),
            (Println, _) => Ok(Value::made(print::println(arguments))),
            (Printf, [Value::Text(pattern), values @ ..]) => {
                Ok(Value::made(print::printf(pattern, values)))
            }
            (Printf, _) => Err("the first argument of `printf` is a text".to_owned()),
            (Html | Js | UrlQuery, _) => Ok(Value::made(self.escaped(arguments))),
            (Not, [value]) => Ok(Value::Bool(!value.is_true())),
            (Len, [value]) => len(value),
            (Index, [value, ways @ ..]) => {
                ways.iter().try_fold(value.clone(), |value, way| index(&value, way))
            }
            (Slice, [Value::Text(text), ends @ ..]) => slice(text, ends),
            (Slice, _) => {
                Err("`slice` takes a text and where the piece begins and ends".to_owned())
            }
            (Equal, [value, others @ ..]) if !others.is_empty() => {
                for other in others {
                    if equal(value, other)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            (NotEqual, [one, other]) => Ok(Value::Bool(!equal(one, other)?)),
            (Less | LessEqual | Greater | GreaterEqual, [one, other]) => {
                Ok(Value::Bool(self.compares(one, other)?))
            }
            (Json | JsonCompact, [value]) => Ok(Value::made(self.json(value))),
            _ => Err(format!("`{}` does not take {} arguments", self.name(), arguments.len())),
        }
    }

    fn escaped(self, arguments: &[Value<'_>]) -> String {
        let text = match arguments {
            [Value::Text(text)] => text.clone().into_owned(),
            _ => {
                // What is missing has no value here; elsewhere it is `<nil>`.
                let mut shown = arguments.to_vec();
                for value in shown.iter_mut().filter(|value| matches!(value, Value::Nil)) {
                    *value = Value::text("<no value>");
                }
                print::print(&shown)
            }
        };
        let mut out = String::new();
        match self {
            Js => escape::js(&mut out, &text),
            UrlQuery => escape::query(&mut out, &text),
            _ => escape::html(&mut out, &text, false),
        }
        out
    }

    fn compares(self, one: &Value<'_>, other: &Value<'_>) -> Result<bool, String> {
        let order = compare(one, other)?;
        Ok(match self {
            Less => order == Some(Ordering::Less),
            LessEqual => order.is_some_and(Ordering::is_le),
            Greater => order == Some(Ordering::Greater),
            _ => order.is_some_and(Ordering::is_ge),
        })
    }

    /// Empty, if there is a number in it that JSON has no word for, as with Kapacitor.
    fn json(self, value: &Value<'_>) -> String {
        let mut out = String::new();
        if write_json(&mut out, value).is_err() {
            return String::new();
        }
        if self == Json {
            out.push('\n');
        }
        out
    }
}

fn len<'a>(value: &Value<'a>) -> Result<Value<'a>, String> {
    match value {
        Value::Text(text) => Ok(Value::count(text.len())),
        Value::Tags(tags) => Ok(Value::count(tags.iter().len())),
        Value::Fields(fields) => Ok(Value::count(fields.iter().len())),
        _ => Err(format!("a value of type {} has no length", value.type_name())),
    }
}

fn index<'a>(value: &Value<'a>, way: &Value<'a>) -> Result<Value<'a>, String> {
    match (value, way) {
        (Value::Tags(tags), Value::Text(key)) => {
            Ok(Value::tag(tags, key).unwrap_or(Value::text("")))
        }
        (Value::Fields(fields), Value::Text(key)) => Ok(Value::field(fields, key)),
        (Value::Tags(_) | Value::Fields(_), _) => {
            Err(format!("a key is a text, not of type {}", way.type_name()))
        }
        (Value::Text(text), Value::Int(place, _)) => usize::try_from(*place)
            .ok()
            .and_then(|place| text.as_bytes().get(place))
            .map(|byte| Value::Int((*byte).into(), Int::Byte))
            .ok_or_else(|| format!("the text has {} bytes, no number {place}", text.len())),
        (Value::Nil, _) => Err("what is missing has no elements".to_owned()),
        _ => Err(format!("a value of type {} has no elements", value.type_name())),
    }
}

fn slice<'a>(text: &str, ends: &[Value<'a>]) -> Result<Value<'a>, String> {
    let wrong = || format!("no such piece in a text of {} bytes", text.len());
    let place = |index: usize, default: usize| match ends.get(index) {
        None => Ok(default),
        Some(Value::Int(place, _)) => usize::try_from(*place).map_err(|_| wrong()),
        Some(_) => Err("a place in a text is a whole number".to_owned()),
    };
    let (begin, end) = (place(0, 0)?, place(1, text.len())?);
    let piece = text.as_bytes().get(begin..end).filter(|_| ends.len() <= 2).ok_or_else(wrong)?;
    Ok(Value::made(String::from_utf8_lossy(piece).into_owned()))
}

/// Two of one kind; what is missing equals only what is missing.
fn equal(one: &Value<'_>, other: &Value<'_>) -> Result<bool, String> {
    Ok(match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Int(one, _), Value::Int(other, _)) => one == other,
        #[expect(clippy::float_cmp, reason = "that is what was asked")]
        (Value::Float(one), Value::Float(other)) => one == other,
        (Value::Text(one), Value::Text(other)) => one == other,
        (Value::Time(one), Value::Time(other)) => one.text() == other.text(),
        (Value::Nil, Value::Nil) => true,
        (Value::Nil, _) | (_, Value::Nil) => false,
        _ => return Err(incomparable(one, other)),
    })
}

fn compare(one: &Value<'_>, other: &Value<'_>) -> Result<Option<Ordering>, String> {
    match (one, other) {
        (Value::Int(one, _), Value::Int(other, _)) => Ok(Some(one.cmp(other))),
        (Value::Float(one), Value::Float(other)) => Ok(one.partial_cmp(other)),
        (Value::Text(one), Value::Text(other)) => Ok(Some(one.cmp(other))),
        _ => Err(incomparable(one, other)),
    }
}

fn incomparable(one: &Value<'_>, other: &Value<'_>) -> String {
    let hint = match (one, other) {
        (Value::Float(_), Value::Int(value, _)) | (Value::Int(value, _), Value::Float(_)) => {
            format!(": write {value}.0 for a float")
        }
        (Value::Nil, _) | (_, Value::Nil) => ": it is missing".to_owned(),
        _ => String::new(),
    };
    let (one, other) = (one.type_name(), other.type_name());
    format!("values of types {one} and {other} cannot be compared{hint}")
}
