//! How measurements are written.

use super::JsonPath;
use crate::topic::TopicTemplate;
use std::collections::BTreeMap;

/// What the timestamps of points count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `n`, what is meant if nothing is said.
    #[default]
    Nanoseconds,
    /// `u`
    Microseconds,
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
}

impl Precision {
    /// As writers of line protocol spell it.
    ///
    /// # Errors
    ///
    /// Says which there are.
    pub fn of(word: &str) -> Result<Self, String> {
        Ok(match word {
            "" | "n" | "ns" => Precision::Nanoseconds,
            "u" | "us" | "µ" => Precision::Microseconds,
            "ms" => Precision::Milliseconds,
            "s" => Precision::Seconds,
            "m" => Precision::Minutes,
            "h" => Precision::Hours,
            _ => return Err(format!("invalid precision \"{word}\" (use n, u, ms, s, m or h)")),
        })
    }

    /// How many nanoseconds one is.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        match self {
            Precision::Nanoseconds => 1,
            Precision::Microseconds => 1_000,
            Precision::Milliseconds => 1_000_000,
            Precision::Seconds => 1_000_000_000,
            Precision::Minutes => 60_000_000_000,
            Precision::Hours => 3_600_000_000_000,
        }
    }
}

/// How a message becomes points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointRule {
    /// The database that tasks know them by.
    pub database: String,
    /// The retention policy; may be empty.
    pub retention_policy: String,
    /// What timestamps count.
    pub precision: Precision,
    /// How they are written in the payload.
    pub written: Written,
}

impl PointRule {
    /// What stands for the sinks that points may lead to.
    pub const SINK: &str = "alerts";
}

/// How points are written in a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// In line protocol.
    Lines,
    /// One point, in a JSON document.
    Json(Box<JsonPoint>),
    /// One point, whose field `value` is the payload.
    Value {
        /// What is measured.
        measurement: TopicTemplate,
        /// Its tags, by their keys.
        tags: BTreeMap<String, TopicTemplate>,
    },
}

/// Where the parts of a point are in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPoint {
    /// What is measured.
    pub measurement: Piece,
    /// The tags, by their keys.
    pub tags: BTreeMap<String, Piece>,
    /// The fields, by their keys; if there is none, every number, text and truth value of the
    /// document becomes one.
    pub fields: BTreeMap<String, JsonPath>,
    /// Its time; without one it is of the time of its arrival.
    pub time: Option<JsonPath>,
}

/// A text that is part of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Made of the topic.
    Topic(TopicTemplate),
    /// Taken from the document.
    Path(JsonPath),
}
