//! The kind `point` of a subscription: how a message becomes points.

use crate::config::document::fields::Fields;
use crate::config::values::{self, put};
use crate::config::{JsonPoint, Piece, PointRule, Precision, Written};
use crate::topic::{Pattern, TopicTemplate};
use std::collections::BTreeMap;

/// How a payload is written.
enum Format {
    Lines,
    Json,
    Value,
}

/// The keys that the form of a payload gives a meaning to.
const KEYS: [&str; 5] = ["measurement", "measurement-path", "tags", "fields", "time"];

/// A point rule as it is written. What is made of the topic depends on the filter of each rule.
pub(super) struct Point<'f> {
    fields: &'f Fields<'f>,
    format: Format,
    database: String,
    retention_policy: String,
    precision: Precision,
}

impl<'f> Point<'f> {
    /// Reads all but what is made of the topic.
    pub(super) fn read(fields: &'f Fields<'f>) -> Self {
        let mut format = Format::Lines;
        fields.text("format", &mut |text| put(&mut format, of(text)));
        let mut point = Point {
            fields,
            format,
            database: String::new(),
            retention_policy: String::new(),
            precision: Precision::default(),
        };
        fields.text("database", &mut |text| put(&mut point.database, values::filled(text)));
        point.retention_policy = fields.words("retention-policy").unwrap_or_default();
        fields.text("precision", &mut |text| put(&mut point.precision, Precision::of(text)));
        if !fields.has(&["database"]) {
            let what = "points need a `database`, by which tasks know them";
            fields.file.add(fields.place("kind"), what);
        }
        point.say_what_has_no_effect();
        point
    }

    fn say_what_has_no_effect(&self) {
        let unused: &[&str] = match self.format {
            Format::Lines => &KEYS,
            Format::Value => &["measurement-path", "fields", "time", "precision"],
            Format::Json => &[],
        };
        for key in KEYS.into_iter().chain(["precision"]).filter(|key| unused.contains(key)) {
            if self.fields.has(&[key]) {
                let what = match self.format {
                    Format::Lines => {
                        "line protocol says this itself: it is for `format = \"json\"`"
                    }
                    Format::Value | Format::Json => "this is for `format = \"json\"`",
                };
                self.fields.file.add(self.fields.place(key), what);
            }
        }
    }

    /// The rule for what `pattern` matches; `None` if it cannot be read.
    pub(super) fn rule(&self, pattern: &Pattern) -> Option<PointRule> {
        let written = match self.format {
            Format::Lines => Written::Lines,
            Format::Json => Written::Json(Box::new(self.json(pattern)?)),
            Format::Value => {
                let tags = self.made(pattern);
                Written::Value { measurement: self.measurement(pattern)?, tags }
            }
        };
        Some(PointRule {
            database: self.database.clone(),
            retention_policy: self.retention_policy.clone(),
            precision: self.precision,
            written,
        })
    }

    fn json(&self, pattern: &Pattern) -> Option<JsonPoint> {
        let (mut path, mut time) = (None, None);
        let mut fields = BTreeMap::new();
        self.fields.text("measurement-path", &mut |text| put(&mut path, values::path(text)));
        self.fields.text("time", &mut |text| put(&mut time, values::path(text)));
        self.fields.pairs("fields", &mut |key, text| {
            fields.insert(values::filled(key)?, values::path(text)?);
            Ok(())
        });
        let tags = self.pieces(pattern);
        let measurement = match path {
            Some(_) if self.fields.has(&["measurement"]) => {
                let what = "give this or `measurement`, not both";
                self.fields.file.add(self.fields.place("measurement-path"), what);
                return None;
            }
            Some(path) => Piece::Path(path),
            None if self.fields.has(&["measurement-path"]) => return None,
            None => Piece::Topic(self.measurement(pattern)?),
        };
        Some(JsonPoint { measurement, tags, fields, time })
    }

    /// `measurement`, a text with places for what the wildcards matched.
    fn measurement(&self, pattern: &Pattern) -> Option<TopicTemplate> {
        let mut measurement = None;
        self.fields.text("measurement", &mut |text| {
            put(&mut measurement, TopicTemplate::parse(&values::filled(text)?, pattern))
        });
        if !self.fields.has(&["measurement"]) {
            let what = "points of this format need a `measurement`, such as \"climate\"";
            self.fields.file.add(self.fields.place("kind"), what);
        }
        measurement
    }

    /// `tags`, each made of the topic if it has a place for it, and otherwise taken from the
    /// document.
    fn pieces(&self, pattern: &Pattern) -> BTreeMap<String, Piece> {
        let mut tags = BTreeMap::new();
        self.fields.pairs("tags", &mut |key, text| {
            let piece = match text.contains('{') {
                true => Piece::Topic(TopicTemplate::parse(text, pattern)?),
                false => Piece::Path(values::path(text)?),
            };
            tags.insert(values::filled(key)?, piece);
            Ok(())
        });
        tags
    }

    /// `tags` of what has no document: all are made of the topic.
    fn made(&self, pattern: &Pattern) -> BTreeMap<String, TopicTemplate> {
        let mut tags = BTreeMap::new();
        self.fields.pairs("tags", &mut |key, text| {
            tags.insert(values::filled(key)?, TopicTemplate::parse(text, pattern)?);
            Ok(())
        });
        tags
    }
}

fn of(text: &str) -> Result<Format, String> {
    match text {
        "line" => Ok(Format::Lines),
        "json" => Ok(Format::Json),
        "value" => Ok(Format::Value),
        _ => Err(format!("the format of points is `line`, `json` or `value`, not `{text}`")),
    }
}
