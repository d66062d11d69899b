//! From a message to points: what a subscription of the kind `point` says.

use crate::alerts::line::{Lines, Shelf};
use crate::alerts::wanted::{Measurements, Wanted};
use crate::alerts::{Field, Name, Point};
use crate::config::{JsonPath, JsonPoint, Piece, PointRule, Precision, Written};
use crate::mapping::json::{Document, Json};
use crate::mapping::path::find;
use crate::message::Message;
use crate::topic::TopicTemplate;
use std::collections::BTreeMap;

/// The field of a payload that is a value alone.
const VALUE: &str = "value";

/// Reads the messages that a rule with this filter wants.
pub struct Reading<'r> {
    /// What they are.
    pub rule: &'r PointRule,
    /// The filter of the rule.
    pub filter: &'r str,
    /// What the tasks read.
    pub wanted: &'r Wanted,
    /// The time of what says none.
    pub now: i64,
}

/// A point as a message says it.
struct Said<'r> {
    measurement: String,
    tags: Vec<(&'r str, String)>,
    fields: Vec<(String, Field)>,
    time: Option<i64>,
}

impl<'r> Reading<'r> {
    /// Adds the points of a message that some task wants.
    ///
    /// # Errors
    ///
    /// Says why the message is none. Then nothing is added.
    pub fn read(
        &self,
        message: &Message,
        shelf: &mut Shelf,
        points: &mut Vec<Point>,
    ) -> Result<(), String> {
        let PointRule { database, retention_policy, written, .. } = self.rule;
        let to: (Name, Name) = (shelf.name(database), shelf.name(retention_policy));
        let wanted = self.wanted.in_database(database, retention_policy);
        let said = match written {
            Written::Lines => {
                let before = points.len();
                let read = self.lines(message, &to, &wanted, shelf, points);
                if read.is_err() {
                    points.truncate(before);
                }
                return read;
            }
            Written::Value { measurement, tags } => Said {
                measurement: self.made(measurement, message)?,
                tags: of_each(tags, |made| self.made(made, message))?,
                fields: vec![(VALUE.to_owned(), value(&message.payload)?)],
                time: None,
            },
            Written::Json(json) => self.json(json, message)?,
        };
        if said.measurement.is_empty() {
            return Err("a point without a measurement".to_owned());
        }
        if wanted.has(&said.measurement) {
            points.push(self.point(said, to, shelf));
        }
        Ok(())
    }

    fn lines(
        &self,
        message: &Message,
        to: &(Name, Name),
        wanted: &Measurements<'_>,
        shelf: &mut Shelf,
        points: &mut Vec<Point>,
    ) -> Result<(), String> {
        let lines = Lines::new(&message.payload, self.rule.precision);
        let mut lines = lines.map_err(|fault| fault.to_string())?;
        while let Some(line) = lines.next() {
            let line = line.map_err(|fault| fault.to_string())?;
            if wanted.has(&line.measurement()) {
                points.push(line.point((&to.0, &to.1), self.now, shelf));
            }
        }
        Ok(())
    }

    fn json(&self, json: &'r JsonPoint, message: &Message) -> Result<Said<'r>, String> {
        let document = Document::read(&message.payload)?;
        let piece = |piece: &Piece| match piece {
            Piece::Topic(made) => self.made(made, message),
            Piece::Path(path) => {
                let found = find(&document, path).and_then(Json::text);
                Ok(found.map(|text| text.into_owned()).unwrap_or_default())
            }
        };
        let fields = match json.fields.is_empty() {
            true => all_fields(&document)?,
            false => {
                let named = json
                    .fields
                    .iter()
                    .filter_map(|(key, path)| Some((key.clone(), field(find(&document, path)?)?)));
                named.collect()
            }
        };
        if fields.is_empty() {
            return Err(
                "a point without a field: no number, text or truth value is there".to_owned()
            );
        }
        let time = json.time.as_ref().map(|path| time(&document, path, self.rule.precision));
        Ok(Said {
            measurement: piece(&json.measurement)?,
            tags: of_each(&json.tags, piece)?,
            fields,
            time: time.transpose()?,
        })
    }

    fn made(&self, made: &TopicTemplate, message: &Message) -> Result<String, String> {
        let made = made.fill(self.filter, &message.topic, &|value, made| made.push_str(value));
        made.ok_or_else(|| format!("`{}` does not match the topic", self.filter))
    }

    fn point(&self, said: Said<'_>, to: (Name, Name), shelf: &mut Shelf) -> Point {
        // As in line protocol, a tag has a value or is not there.
        let tags = said.tags.into_iter().filter(|(_, value)| !value.is_empty());
        Point {
            database: to.0,
            retention_policy: to.1,
            tags: tags.map(|(key, value)| (shelf.name(key), value.into())).collect(),
            measurement: shelf.name(&said.measurement),
            fields: said.fields.into_iter().map(|(key, it)| (shelf.name(&key), it)).collect(),
            time: said.time.unwrap_or(self.now),
        }
    }
}

fn of_each<T>(
    tags: &BTreeMap<String, T>,
    text: impl Fn(&T) -> Result<String, String>,
) -> Result<Vec<(&str, String)>, String> {
    tags.iter().map(|(key, tag)| Ok((key.as_str(), text(tag)?))).collect()
}

/// Every member that can be a field. A document that is a value alone is the field `value`.
fn all_fields(document: &Document<'_>) -> Result<Vec<(String, Field)>, String> {
    if !document.whole.is_object() {
        return Ok(field(document.whole).map(|it| (VALUE.to_owned(), it)).into_iter().collect());
    }
    let members = document.whole.members().map_err(|why| why.to_string())?;
    Ok(members.into_iter().filter_map(|(key, value)| Some((key, field(value)?))).collect())
}

/// A number, a truth value or a text. A number is a float: devices write `21` when they mean `21.0`.
fn field(value: Json<'_>) -> Option<Field> {
    if let Some(text) = value.string() {
        return Some(Field::from(&*text));
    }
    match &*value.text()? {
        "true" => Some(Field::Bool(true)),
        "false" => Some(Field::Bool(false)),
        number => number.parse().ok().filter(|it: &f64| it.is_finite()).map(Field::Float),
    }
}

/// A payload that is a value alone: a number, `true` or `false`, or else a text.
fn value(payload: &[u8]) -> Result<Field, String> {
    let text = std::str::from_utf8(payload).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.trim_matches(|letter: char| letter == '\0' || letter.is_ascii_whitespace());
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    Ok(match text {
        "" => return Err("it is empty".to_owned()),
        "true" => Field::Bool(true),
        "false" => Field::Bool(false),
        _ => match text.parse().ok().filter(|it: &f64| is_number && it.is_finite()) {
            Some(number) => Field::Float(number),
            None => Field::from(text),
        },
    })
}

/// The time that stands in a document: a number of what the precision says.
fn time(document: &Document<'_>, path: &JsonPath, precision: Precision) -> Result<i64, String> {
    let found = find(document, path).and_then(Json::text);
    let text = found.ok_or_else(|| format!("there is no time at `{}`", path.0))?;
    let unit = precision.nanoseconds();
    let whole = text.parse().ok().and_then(|time: i64| time.checked_mul(unit));
    let time = whole.or_else(|| with_fraction(&text, unit));
    time.ok_or_else(|| format!("`{text}` at `{}` is no number that can be a time", path.0))
}

/// `1714979289.12` seconds, as scripts write it. Digits behind the nanoseconds are cut off.
fn with_fraction(text: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let (mut time, mut place) = (whole.parse::<i64>().ok()?.checked_mul(unit)?, unit);
    for digit in fraction.bytes() {
        place /= 10;
        let digit = i64::from(digit.is_ascii_digit().then(|| digit - b'0')?) * place;
        time = time.checked_add(if whole.starts_with('-') { -digit } else { digit })?;
    }
    Some(time)
}

#[cfg(test)]
mod tests;
