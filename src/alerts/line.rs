//! Line protocol: `measurement[,tag=value…] field=value[,…] [timestamp]`.
//!
//! A body is read without copying anything: a [`Line`] borrows from it, and only a line that
//! somebody wants becomes a [`Point`]. Names and tags of lines that repeat them are looked up on a
//! [`Shelf`], so that a series costs its letters once.
//!
//! What is a line and what is not is InfluxDB's to say. We let pass a CR in front of a line feed,
//! which small devices send.

mod shelf;

use super::point::{Field, Fields, Name, Point};
use crate::config::Precision;
pub use shelf::Shelf;
use std::borrow::Cow;
use std::fmt;

/// Most tags of a line.
const TAGS_MAX: usize = 255;
/// Most fields of a line.
const FIELDS_MAX: usize = 1_024;
/// The longest measurement, key or value of a tag, in bytes, as in InfluxDB.
const NAME_BYTES_MAX: usize = 65_535;
/// Most characters of a line that are repeated where it is refused.
const SHOWN_MAX: usize = 500;
/// The times that InfluxDB takes.
const TIMES: std::ops::RangeInclusive<i64> = i64::MIN + 2..=i64::MAX - 1;

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, or its beginning.
    pub line: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unable to parse '{}': {}", self.line, self.reason)
    }
}

/// A measurement, a key, the value of a tag or a text, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    text: &'a str,
    is_escaped: bool,
}

impl<'a> Raw<'a> {
    /// What is meant: a backslash goes if it stands in front of one of `escapable`, and stays
    /// elsewhere.
    fn meant(self, escapable: &[char]) -> Cow<'a, str> {
        if !self.is_escaped {
            return Cow::Borrowed(self.text);
        }
        let mut meant = String::with_capacity(self.text.len());
        let mut letters = self.text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letters.next_if(|next| letter == '\\' && escapable.contains(next)) {
                Some(escaped) => meant.push(escaped),
                None => meant.push(letter),
            }
        }
        Cow::Owned(meant)
    }

    fn measurement(self) -> Cow<'a, str> {
        self.meant(&[',', ' '])
    }

    fn name(self) -> Cow<'a, str> {
        self.meant(&[',', '=', ' '])
    }

    fn text(self) -> Cow<'a, str> {
        self.meant(&['"', '\\'])
    }
}

/// The value of a field, as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `1.5`
    Float(f64),
    /// `5i`
    Int(i64),
    /// `true`
    Bool(bool),
    /// `"text"`
    Text(Raw<'a>),
}

/// A line that can become a point.
#[derive(Debug)]
pub struct Line<'l, 'a> {
    measurement: Raw<'a>,
    /// The measurement and the tags, as they are written.
    series: &'a str,
    tags: &'l [(Raw<'a>, Raw<'a>)],
    fields: &'l [(Raw<'a>, Value<'a>)],
    /// In nanoseconds since 1970, if it says so.
    time: Option<i64>,
}

impl<'a> Line<'_, 'a> {
    /// What is measured.
    #[must_use]
    pub fn measurement(&self) -> Cow<'a, str> {
        self.measurement.measurement()
    }

    /// The point, written to a database and a retention policy; at `now` if it has no time.
    #[must_use]
    pub fn point(&self, to: (&Name, &Name), now: i64, shelf: &mut Shelf) -> Point {
        let (measurement, tags) = shelf.series(self);
        let fields: Fields = self
            .fields
            .iter()
            .map(|(key, value)| (shelf.name(&key.name()), field(*value)))
            .collect();
        Point {
            database: to.0.clone(),
            retention_policy: to.1.clone(),
            measurement,
            tags,
            fields,
            time: self.time.unwrap_or(now),
        }
    }
}

fn field(value: Value<'_>) -> Field {
    match value {
        Value::Float(value) => Field::Float(value),
        Value::Int(value) => Field::Int(value),
        Value::Bool(value) => Field::Bool(value),
        Value::Text(raw) => Field::Text(raw.text().into()),
    }
}

/// Reads the lines of a body, one after the other.
pub struct Lines<'a> {
    text: &'a str,
    /// What has been read of it.
    at: usize,
    precision: Precision,
    tags: Vec<(Raw<'a>, Raw<'a>)>,
    fields: Vec<(Raw<'a>, Value<'a>)>,
}

type Read<T> = Result<T, &'static str>;

impl<'a> Lines<'a> {
    /// The lines of `body`.
    ///
    /// # Errors
    ///
    /// Fails when it is not UTF-8.
    pub fn new(body: &'a [u8], precision: Precision) -> Result<Self, Fault> {
        match std::str::from_utf8(body) {
            Ok(text) => Ok(Lines { text, at: 0, precision, tags: Vec::new(), fields: Vec::new() }),
            Err(error) => {
                let before = &body[..error.valid_up_to()];
                let from = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let line = body[from..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                Err(fault(&String::from_utf8_lossy(line), "it is not UTF-8"))
            }
        }
    }

    /// The next line. After a fault, the one below it.
    #[expect(clippy::should_implement_trait, reason = "a line borrows from the reader, too")]
    pub fn next(&mut self) -> Option<Result<Line<'_, 'a>, Fault>> {
        self.skip_nothing();
        if self.at == self.text.len() {
            return None;
        }
        let from = self.at;
        self.tags.clear();
        self.fields.clear();
        Some(match self.line() {
            Ok((measurement, series, time)) => {
                Ok(Line { measurement, series, tags: &self.tags, fields: &self.fields, time })
            }
            Err(reason) => {
                self.skip_line();
                Err(fault(self.text[from..self.at].trim_end_matches(['\r', '\n']), reason))
            }
        })
    }

    /// Goes to the beginning of a line that is neither blank nor a comment.
    fn skip_nothing(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0 => self.at += 1,
                b'#' => self.skip_line(),
                _ => return,
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        self.at = end.map_or(self.text.len(), |end| self.at + end + 1);
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Whether nothing is left of the line.
    fn is_at_end(&self) -> bool {
        match &self.text.as_bytes()[self.at..] {
            [] | [b'\n', ..] | [b'\r'] | [b'\r', b'\n', ..] => true,
            [..] => false,
        }
    }

    fn line(&mut self) -> Read<(Raw<'a>, &'a str, Option<i64>)> {
        let from = self.at;
        let measurement = self.until(b", ", "missing measurement")?;
        while self.peek() == Some(b',') {
            self.at += 1;
            let tag = self.tag()?;
            self.tags.push(tag);
            if self.tags.len() > TAGS_MAX {
                return Err("more than 255 tags");
            }
        }
        let series = &self.text[from..self.at];
        if has_twins(&self.tags) {
            return Err("duplicate tags");
        }
        self.skip_spaces();
        if self.is_at_end() {
            return Err("missing fields");
        }
        loop {
            let field = self.field()?;
            self.fields.push(field);
            if self.fields.len() > FIELDS_MAX {
                return Err("more than 1024 fields");
            }
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        self.skip_spaces();
        let time = if self.is_at_end() { None } else { Some(self.time()?) };
        Ok((measurement, series, time))
    }

    /// What stands in front of the next of `ends` or the end of the line, unless that is nothing.
    /// A backslash in front of a comma, a space or an equals sign makes it a letter like others.
    fn until(&mut self, ends: &[u8], missing: &'static str) -> Read<Raw<'a>> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        let mut is_escaped = false;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'\\' if matches!(bytes.get(self.at + 1), Some(b',' | b' ' | b'=')) => {
                    is_escaped = true;
                    self.at += 2;
                }
                b',' | b' ' | b'=' if ends.contains(byte) => break,
                b'\n' => break,
                b'\r' if self.is_at_end() => break,
                _ => self.at += 1,
            }
        }
        let text = &self.text[from..self.at];
        match text.len() {
            0 => Err(missing),
            1..=NAME_BYTES_MAX => Ok(Raw { text, is_escaped }),
            _ => Err("a name of more than 65535 bytes"),
        }
    }

    fn tag(&mut self) -> Read<(Raw<'a>, Raw<'a>)> {
        let key = self.until(b",= ", "missing tag key")?;
        if self.peek() != Some(b'=') {
            return Err("missing tag value");
        }
        self.at += 1;
        let value = self.until(b",= ", "missing tag value")?;
        match self.peek() {
            Some(b'=') => Err("invalid tag format"),
            Some(b',' | b' ') => Ok((key, value)),
            _ => Err("missing fields"),
        }
    }

    fn field(&mut self) -> Read<(Raw<'a>, Value<'a>)> {
        let key = self.until(b",= ", "missing field key")?;
        if self.peek() != Some(b'=') {
            return Err("invalid field format");
        }
        self.at += 1;
        let value = match self.peek() {
            Some(b'"') => self.quoted()?,
            Some(b'0'..=b'9' | b'-' | b'.' | b'N' | b'n') => number(self.word())?,
            None | Some(b',' | b' ' | b'\n' | b'\r') => return Err("missing field value"),
            Some(_) => truth(self.word())?,
        };
        match self.peek() {
            Some(b',' | b' ') => Ok((key, value)),
            _ if self.is_at_end() => Ok((key, value)),
            _ => Err("invalid field format"),
        }
    }

    /// What stands in front of the next comma, space or end of the line.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r'));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// A text, which may have several lines.
    fn quoted(&mut self) -> Read<Value<'a>> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let from = self.at;
        let mut is_escaped = false;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'\\' if self.at + 1 < bytes.len() => {
                    is_escaped = true;
                    self.at += 2;
                }
                b'"' => {
                    let text = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(Value::Text(Raw { text, is_escaped }));
                }
                _ => self.at += 1,
            }
        }
        // The fault is in the line in which the text begins.
        self.at = from;
        Err("unbalanced quotes")
    }

    fn time(&mut self) -> Read<i64> {
        let word = self.word();
        self.skip_spaces();
        let digits = word.strip_prefix('-').unwrap_or(word);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("bad timestamp");
        }
        if !self.is_at_end() {
            return Err("there is something behind the timestamp");
        }
        let unit = self.precision.nanoseconds();
        let time = word.parse().ok().and_then(|time: i64| time.checked_mul(unit));
        time.filter(|time| TIMES.contains(time)).ok_or("time outside range")
    }
}

/// Whether two of them have the same key. Writers sort them, which makes it easy to see.
fn has_twins(tags: &[(Raw<'_>, Raw<'_>)]) -> bool {
    let is_twin = |(place, (key, _)): (usize, &(Raw<'_>, Raw<'_>))| {
        tags[..place].iter().any(|(other, _)| other.text == key.text)
    };
    !tags.is_sorted_by(|(one, _), (next, _)| one.text < next.text)
        && tags.iter().enumerate().any(is_twin)
}

fn number(word: &str) -> Read<Value<'_>> {
    const WRONG: &str = "invalid number";
    if let Some(digits) = word.strip_suffix('i') {
        let is_number = digits.strip_prefix('-').unwrap_or(digits).bytes().all(is_digit);
        let number = if is_number { digits.parse().ok() } else { None };
        return number.map(Value::Int).ok_or(WRONG);
    }
    // What else Rust takes for a number: infinities, and none.
    if !word.bytes().all(|byte| is_digit(byte) || b"+-.eE".contains(&byte)) {
        return Err(WRONG);
    }
    let number = word.parse().ok().filter(|number: &f64| number.is_finite());
    number.map(Value::Float).ok_or(WRONG)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn truth(word: &str) -> Read<Value<'_>> {
    match word {
        "t" | "T" | "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
        _ => Err("invalid boolean"),
    }
}

fn fault(line: &str, reason: &'static str) -> Fault {
    let line = match line.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    };
    Fault { line, reason }
}

#[cfg(test)]
mod tests;
