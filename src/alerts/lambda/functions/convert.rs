//! From one type to another, and what goes with any type.

use super::{Body, Function, Signature, Trouble, takes};
use crate::alerts::lambda::Scope;
use crate::alerts::lambda::types::{Type, Value};
use crate::alerts::script;
use std::borrow::Cow;

use Type::{Bool, Duration, Float, Int, Regex, Text, Time};

/// What a duration is counted in; `u` are microseconds.
const UNITS: [(&str, i64); 8] = [
    ("w", 7 * 24 * 3_600_000_000_000),
    ("d", 24 * 3_600_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("u", 1_000),
    ("ns", 1),
];

pub(super) const TABLE: &[Function] = &[
    function(
        "bool",
        &[takes(&[Bool], Bool), takes(&[Text], Bool), takes(&[Int], Bool), takes(&[Float], Bool)],
        to_bool,
    ),
    function(
        "int",
        &[
            takes(&[Bool], Int),
            takes(&[Text], Int),
            takes(&[Int], Int),
            takes(&[Float], Int),
            takes(&[Duration], Int),
        ],
        to_int,
    ),
    function(
        "float",
        &[
            takes(&[Bool], Float),
            takes(&[Text], Float),
            takes(&[Int], Float),
            takes(&[Float], Float),
        ],
        to_float,
    ),
    function(
        "string",
        &[
            takes(&[Bool], Text),
            takes(&[Text], Text),
            takes(&[Int], Text),
            takes(&[Float], Text),
            takes(&[Duration], Text),
        ],
        to_text,
    ),
    function(
        "duration",
        &[
            takes(&[Int, Duration], Duration),
            takes(&[Float, Duration], Duration),
            takes(&[Text, Duration], Duration),
            takes(&[Text], Duration),
            takes(&[Duration], Duration),
        ],
        to_duration,
    ),
    function("humanBytes", &[takes(&[Int], Text), takes(&[Float], Text)], human_bytes),
    function(
        "if",
        &[
            takes(&[Bool, Float, Float], Float),
            takes(&[Bool, Int, Int], Int),
            takes(&[Bool, Text, Text], Text),
            takes(&[Bool, Bool, Bool], Bool),
            takes(&[Bool, Regex, Regex], Regex),
            takes(&[Bool, Time, Time], Time),
            takes(&[Bool, Duration, Duration], Duration),
        ],
        choose,
    ),
];

const fn function(
    name: &'static str,
    signatures: &'static [Signature],
    body: super::Call,
) -> Function {
    Function { name, body: Body::Other(signatures, body) }
}

fn to_bool<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let value = match given {
        [Value::Bool(value)] => Some(*value),
        [Value::Int(value)] => [false, true].into_iter().find(|&one| i64::from(one) == *value),
        [Value::Float(value)] if *value == 0.0 => Some(false),
        [Value::Float(value)] => (*value == 1.0).then_some(true),
        [Value::Text(text)] => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        },
        _ => return Err(Trouble::Arguments),
    };
    value.map(Value::Bool).ok_or_else(|| unreadable(&given[0], "true or false, nor 0 or 1"))
}

#[expect(clippy::cast_possible_truncation, reason = "what does not fit becomes what fits best")]
fn to_int<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let value = match given {
        [Value::Bool(value)] => i64::from(*value),
        [Value::Int(value) | Value::Duration(value)] => *value,
        [Value::Float(value)] => *value as i64,
        [Value::Text(text)] => text.parse().map_err(|_| unreadable(&given[0], "a whole number"))?,
        _ => return Err(Trouble::Arguments),
    };
    Ok(Value::Int(value))
}

#[expect(clippy::cast_precision_loss, reason = "the nearest float is what is asked for")]
fn to_float<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let value = match given {
        [Value::Bool(value)] => f64::from(u8::from(*value)),
        [Value::Int(value)] => *value as f64,
        [Value::Float(value)] => *value,
        [Value::Text(text)] => text.parse().map_err(|_| unreadable(&given[0], "a number"))?,
        _ => return Err(Trouble::Arguments),
    };
    Ok(Value::Float(value))
}

fn to_text<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let text = match given {
        [Value::Bool(value)] => value.to_string(),
        [Value::Int(value)] => value.to_string(),
        [Value::Float(value)] => float_text(*value),
        [Value::Duration(value)] => script::duration(*value),
        [Value::Text(text)] => return Ok(Value::Text(text.clone())),
        _ => return Err(Trouble::Arguments),
    };
    Ok(Value::Text(Cow::Owned(text)))
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "as Go rounds")]
fn to_duration<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let nanos = match given {
        [Value::Duration(value)] => *value,
        [Value::Int(value), Value::Duration(unit)] => value.wrapping_mul(*unit),
        [Value::Float(value), Value::Duration(unit)] => (*value * *unit as f64) as i64,
        [Value::Text(text)] | [Value::Text(text), Value::Duration(_)] => {
            read_duration(text).ok_or_else(|| unreadable(&given[0], "a duration such as 1h30m"))?
        }
        _ => return Err(Trouble::Arguments),
    };
    Ok(Value::Duration(nanos))
}

/// All arguments are there already, as in Kapacitor: a function that remembers counts in each.
fn choose<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Bool(condition), then, otherwise] = given else { return Err(Trouble::Arguments) };
    if then.kind() != otherwise.kind() {
        return Err(Trouble::Arguments);
    }
    Ok(if *condition { then.clone() } else { otherwise.clone() })
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn human_bytes<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let bytes = match given {
        [Value::Int(value)] => *value as f64,
        [Value::Float(value)] => value.trunc(),
        _ => return Err(Trouble::Arguments),
    };
    Ok(Value::Text(Cow::Owned(human_text(bytes))))
}

/// `512 B`, `9.8 kB`, `83 MB`: units of a thousand, one decimal below ten.
fn human_text(bytes: f64) -> String {
    const NAMES: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut scaled = bytes;
    let mut unit = 0;
    while scaled.abs() >= 1000.0 && unit + 1 < NAMES.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let rounded = (scaled * 10.0 + 0.5).floor() / 10.0;
    let decimals = usize::from(unit > 0 && rounded.abs() < 10.0);
    format!("{rounded:.decimals$} {}", NAMES[unit])
}

/// As Go has it: all digits that are needed and no exponent.
fn float_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}

/// `5m`, `1h30m`, `-1w`.
fn read_duration(text: &str) -> Option<i64> {
    let (minus, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut nanos: i64 = 0;
    loop {
        let digits = rest.find(|one: char| !one.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|one: char| one.is_ascii_digit()).unwrap_or(rest.len());
        let name = if &rest[..letters] == "µ" { "u" } else { &rest[..letters] };
        let (_, unit) = UNITS.into_iter().find(|(known, _)| *known == name)?;
        nanos = nanos.checked_add(count.checked_mul(unit)?)?;
        rest = &rest[letters..];
        if rest.is_empty() {
            return Some(minus * nanos);
        }
    }
}

fn unreadable(given: &Value<'_>, wanted: &str) -> Trouble {
    let shown = match given {
        Value::Text(text) => format!("'{}'", text.chars().take(40).collect::<String>()),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Bool(_) | Value::Duration(_) | Value::Time(_) | Value::Regex(_) => "this".to_owned(),
    };
    Trouble::Words(format!("{shown} is not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_duration_or_not() {
        for (text, wanted) in [
            ("5m", Some(300_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("-2s", Some(-2_000_000_000)),
            ("10ms3u4ns", Some(10_003_004)),
            ("3µ", Some(3_000)),
            ("2.5h", None),
            ("5", None),
            ("m", None),
            ("", None),
            ("-", None),
            ("5m 3s", None),
            ("99999999999w", None),
        ] {
            assert_eq!(read_duration(text), wanted, "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_as_a_person_says_them() {
        for (bytes, wanted) in [
            (0.0, "0 B"),
            (9.0, "9 B"),
            (999.0, "999 B"),
            (1000.0, "1.0 kB"),
            (1023.0, "1.0 kB"),
            (9_949.0, "9.9 kB"),
            (9_999.0, "10 kB"),
            (12_345.0, "12 kB"),
            (82_854_982.0, "83 MB"),
            (1e18, "1.0 EB"),
            (9.3e18, "9.3 EB"),
            (-2000.0, "-2.0 kB"),
        ] {
            assert_eq!(human_text(bytes), wanted, "{bytes}");
        }
    }

    #[test]
    fn floats_have_no_exponent() {
        for (value, wanted) in
            [(1.5, "1.5"), (1.0, "1"), (1e20, "100000000000000000000"), (f64::NAN, "NaN")]
        {
            assert_eq!(float_text(value), wanted);
        }
        assert_eq!(float_text(f64::NEG_INFINITY), "-Inf");
    }
}
