//! How values are written: Go's `print`, `println` and `printf`.

use super::float;
use super::quote::{is_hidden, quoted, quoted_letter};
use super::value::{Int, Value};
use std::fmt::Write;

/// Go refuses wider ones, too.
const WIDTH_MAX: i64 = 1_000_000;

/// The last ones of what details have from messages, and messages from ids.
const EMBEDDED: [&str; 2] = ["ServerInfo", "Duration"];

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    /// `%#v`: as it would be written in Go.
    source: bool,
    /// Inside of `%!d(…)` nobody asks a value what it says of itself.
    wrong: bool,
}

/// `%v`: what a template writes.
pub(super) fn plain(out: &mut String, value: &Value<'_>) {
    write(out, Manner::default(), 'v', value);
}

/// Several values; a space between two of them if neither is a text.
pub(super) fn print(values: &[Value<'_>]) -> String {
    let mut out = String::new();
    let is_text = |value: &Value<'_>| matches!(value, Value::Text(_));
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            out.push(' ');
        }
        plain(&mut out, value);
    }
    out
}

/// Several values with spaces between them, and the end of the line.
pub(super) fn println(values: &[Value<'_>]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        plain(&mut out, value);
    }
    out.push('\n');
    out
}

/// Values by a pattern; what is wrong with it is said in the text, as Go does.
pub(super) fn printf(pattern: &str, values: &[Value<'_>]) -> String {
    let mut out = String::new();
    let mut printf = Printf { values, next: 0, reordered: false, good: true };
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = printf.one(&mut out, &rest[at + 1..]);
    }
    out.push_str(rest);
    if !printf.reordered && printf.next < values.len() {
        out.push_str("%!(EXTRA ");
        for (index, value) in values[printf.next..].iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            out.push_str(comma);
            typed(&mut out, Manner::default(), value);
        }
        out.push(')');
    }
    out
}

struct Printf<'a, 'v> {
    values: &'a [Value<'v>],
    next: usize,
    /// Whether a `%[n]` chose its value.
    reordered: bool,
    /// Whether the last `%[n]` was one.
    good: bool,
}

impl Printf<'_, '_> {
    /// What stands behind a `%`; what is left behind the verb.
    fn one<'p>(&mut self, out: &mut String, pattern: &'p str) -> &'p str {
        self.good = true;
        let (mut manner, mut rest) = flags(pattern);
        let mut after_index = self.index(&mut rest);
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            match self.star() {
                Some(width) => {
                    manner.minus |= width < 0;
                    manner.zero &= !manner.minus;
                    manner.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            manner.width = digits(&mut rest);
            self.good &= !(after_index && manner.width.is_some());
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            self.good &= !after_index;
            after_index = self.index(&mut rest);
            if let Some(after) = rest.strip_prefix('*') {
                rest = after;
                match self.star() {
                    Some(precision) if precision >= 0 => {
                        manner.precision = usize::try_from(precision).ok();
                    }
                    Some(_) | None => out.push_str("%!(BADPREC)"),
                }
                after_index = false;
            } else {
                manner.precision = Some(digits(&mut rest).unwrap_or_default());
            }
        }
        if !after_index {
            self.index(&mut rest);
        }
        let Some(verb) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            return rest;
        };
        self.verb(out, manner, verb);
        &rest[verb.len_utf8()..]
    }

    fn verb(&mut self, out: &mut String, manner: Manner, verb: char) {
        if verb == '%' {
            out.push('%');
        } else if !self.good {
            put(out, format_args!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            let manner = match verb {
                'v' => Manner { plus: false, sharp: false, source: manner.sharp, ..manner },
                _ => manner,
            };
            write(out, manner, verb, value);
        } else {
            put(out, format_args!("%!{verb}(MISSING)"));
        }
    }

    /// `[n]`: the next value is the n-th. Whether there is one.
    fn index(&mut self, rest: &mut &str) -> bool {
        let Some(inside) = rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some(length) = inside.find(']') else {
            self.good = false;
            *rest = inside;
            return false;
        };
        match inside[..length].parse::<usize>() {
            Ok(index) if (1..=self.values.len()).contains(&index) => self.next = index - 1,
            Ok(_) | Err(_) => self.good = false,
        }
        *rest = &inside[length + 1..];
        true
    }

    /// `*`: the next value is a width or a precision.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(value, _) if value.abs() <= WIDTH_MAX => Some(*value),
            _ => None,
        }
    }
}

fn flags(pattern: &str) -> (Manner, &str) {
    let mut manner = Manner::default();
    for (at, flag) in pattern.char_indices() {
        match flag {
            '#' => manner.sharp = true,
            '0' => manner.zero = true,
            '+' => manner.plus = true,
            '-' => manner.minus = true,
            ' ' => manner.space = true,
            _ => return (manner, &pattern[at..]),
        }
    }
    (manner, "")
}

fn digits(rest: &mut &str) -> Option<usize> {
    let length = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(length);
    *rest = after;
    let number: i64 = digits.parse().ok().filter(|number| *number <= WIDTH_MAX)?;
    usize::try_from(number).ok()
}

/// Writes a value with a verb.
pub(super) fn write(out: &mut String, manner: Manner, verb: char, value: &Value<'_>) {
    if verb == 'T' {
        return text(out, manner, 's', value.type_name());
    }
    if !manner.wrong
        && !manner.source
        && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
        && let Some(spoken) = value.spoken()
    {
        return text(out, manner, verb, &spoken);
    }
    let done = match value {
        Value::Nil if verb == 'v' => {
            pad(out, manner, "<nil>");
            true
        }
        Value::Bool(value) if matches!(verb, 'v' | 't') => {
            pad(out, manner, if *value { "true" } else { "false" });
            true
        }
        Value::Int(value, kind) => int(out, manner, verb, *value, *kind),
        Value::Float(value) => float(out, manner, verb, *value),
        Value::Text(text) if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') => {
            self::text(out, manner, verb, text);
            true
        }
        Value::Time(moment) if manner.wrong => {
            pad(out, manner, &moment.text());
            true
        }
        Value::Tags(_) | Value::Fields(_) => {
            map(out, manner, verb, value);
            true
        }
        Value::Server(server) => structure(out, manner, verb, &server.members()),
        Value::Data(data) => structure(out, manner, verb, &data.members()),
        Value::Nil | Value::Bool(_) | Value::Text(_) | Value::Time(_) => false,
    };
    if !done {
        wrong(out, manner, verb, value);
    }
}

/// `%!d(string=text)`
fn wrong(out: &mut String, manner: Manner, verb: char, value: &Value<'_>) {
    put(out, format_args!("%!{verb}("));
    typed(out, Manner { wrong: true, ..manner }, value);
    out.push(')');
}

/// `string=text`
fn typed(out: &mut String, manner: Manner, value: &Value<'_>) {
    out.push_str(value.type_name());
    if !matches!(value, Value::Nil) {
        out.push('=');
        write(out, manner, 'v', value);
    }
}

fn map(out: &mut String, manner: Manner, verb: char, value: &Value<'_>) {
    out.push_str("map[");
    for (index, (key, value)) in value.pairs().unwrap_or_default().into_iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        write(out, manner, verb, &Value::text(key));
        out.push(':');
        write(out, manner, verb, &value);
    }
    out.push(']');
}

/// `{a b}`; what Go embeds has braces of its own.
fn structure(out: &mut String, manner: Manner, verb: char, members: &[(&str, Value<'_>)]) -> bool {
    let ends = |name: &str| EMBEDDED.contains(&name);
    let last = members.last().map_or("", |(name, _)| *name);
    let embedded = members.iter().filter(|(name, _)| ends(name) && *name != last).count();
    out.push_str(&"{".repeat(1 + embedded));
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        write(out, manner, verb, value);
        if ends(name) && *name != last {
            out.push('}');
        }
    }
    out.push('}');
    true
}

fn int(out: &mut String, manner: Manner, verb: char, value: i64, kind: Int) -> bool {
    let size = value.unsigned_abs();
    let letter = || u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let sharp = |prefix: &'static str| if manner.sharp { prefix } else { "" };
    let (digits, prefix) = match verb {
        'v' if manner.source && kind == Int::Byte => (format!("{size:x}"), "0x"),
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), sharp("0b")),
        'o' => (format!("{size:o}"), sharp("0")),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), sharp("0x")),
        'X' => (format!("{size:X}"), sharp("0X")),
        'c' => {
            pad(out, manner, letter().encode_utf8(&mut [0; 4]));
            return true;
        }
        'q' => {
            pad(out, manner, &quoted_letter(letter(), manner.plus));
            return true;
        }
        'U' => {
            pad(out, Manner { zero: false, ..manner }, &format!("U+{size:04X}"));
            return true;
        }
        _ => return false,
    };
    whole(out, manner, value < 0, &digits, prefix, value == 0);
    true
}

/// A whole number with as many digits as it must have.
fn whole(
    out: &mut String,
    manner: Manner,
    is_negative: bool,
    digits: &str,
    prefix: &str,
    is_zero: bool,
) {
    let plus = manner.plus;
    let sign = match (is_negative, plus, manner.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    let spaces = Manner { zero: false, ..manner };
    let least = match (manner.precision, manner.width) {
        (Some(0), _) if is_zero => return pad(out, spaces, ""),
        (Some(precision), _) => precision,
        (None, Some(width)) if manner.zero && !manner.minus => width.saturating_sub(sign.len()),
        (None, _) => 0,
    };
    let zeros = "0".repeat(least.saturating_sub(digits.len()));
    let prefix =
        if prefix == "0" && (zeros.starts_with('0') || digits == "0") { "" } else { prefix };
    pad(out, spaces, &format!("{sign}{prefix}{zeros}{digits}"));
}

fn float(out: &mut String, manner: Manner, verb: char, value: f64) -> bool {
    let precision = manner.precision;
    let written = match verb {
        'v' => float::general(value.abs(), precision, false),
        'g' | 'G' => float::general(value.abs(), precision, verb == 'G'),
        'e' | 'E' => float::exponential(value.abs(), Some(precision.unwrap_or(6)), verb == 'E'),
        'f' | 'F' => float::fixed(value.abs(), precision.unwrap_or(6)),
        _ => return false,
    };
    let sign = match value.is_sign_negative() && !value.is_nan() {
        true => "-",
        false if manner.plus => "+",
        false if manner.space => " ",
        false if value.is_infinite() => "+",
        false => "",
    };
    let manner = Manner { zero: manner.zero && value.is_finite(), ..manner };
    let length = sign.len() + written.len();
    match manner.width {
        Some(width) if manner.zero && !manner.minus && width > length => {
            put(out, format_args!("{sign}{}{written}", "0".repeat(width - length)));
        }
        _ => pad(out, Manner { zero: false, ..manner }, &format!("{sign}{written}")),
    }
    true
}

fn text(out: &mut String, manner: Manner, verb: char, text: &str) {
    let end = manner.precision.and_then(|most| text.char_indices().nth(most));
    let cut = end.map_or(text, |(at, _)| &text[..at]);
    match verb {
        'v' if manner.source => pad(out, manner, &quoted(text, false)),
        'v' | 's' => pad(out, manner, cut),
        'q' if manner.sharp && !cut.contains(['`', '\u{feff}']) && !cut.contains(is_hidden) => {
            pad(out, manner, &format!("`{cut}`"));
        }
        'q' => pad(out, manner, &quoted(cut, manner.plus)),
        _ => {
            let bytes = &text.as_bytes()[..manner.precision.unwrap_or(text.len()).min(text.len())];
            pad(out, manner, &hex(bytes, manner, verb == 'X'));
        }
    }
}

fn hex(bytes: &[u8], manner: Manner, upper: bool) -> String {
    let mut out = String::new();
    let prefix = if upper { "0X" } else { "0x" };
    for (index, byte) in bytes.iter().enumerate() {
        if manner.space && index > 0 {
            out.push(' ');
        }
        if manner.sharp && (manner.space || index == 0) {
            out.push_str(prefix);
        }
        if upper {
            put(&mut out, format_args!("{byte:02X}"));
        } else {
            put(&mut out, format_args!("{byte:02x}"));
        }
    }
    out
}

/// Fills up to the width.
fn pad(out: &mut String, manner: Manner, text: &str) {
    let missing = manner.width.unwrap_or_default().saturating_sub(text.chars().count());
    let fill = if manner.zero && !manner.minus { "0" } else { " " };
    if manner.minus {
        out.push_str(text);
    }
    out.push_str(&fill.repeat(missing));
    if !manner.minus {
        out.push_str(text);
    }
}

pub(super) fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a text takes all that is written to it");
}
