//! What becomes of a message on its way from one topic to another.

use crate::topic::TopicTemplate;
use std::sync::Arc;
use std::time::Duration;

/// The steps that the messages of a rule go through, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Whose steps they are. Rules of the same name share what the steps remember.
    pub name: String,
    /// In their order.
    pub steps: Arc<[Step]>,
    /// What a message is known by among others; without one, its topic.
    pub label: Option<TopicTemplate>,
    /// The names of wildcards of the rule's filter, and their numbers from 0.
    pub captures: Vec<(String, usize)>,
}

/// What is done with a message. Expressions are in JSONata.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Its bytes become a value.
    Parse(Reading),
    /// The result of the expression takes its place.
    Transform(String),
    /// It passes if the expression is true.
    Filter(String),
    /// The results of expressions become variables, by their names.
    SetVars(Vec<(String, String)>),
    /// It passes if something in it has changed.
    Change(Change),
    /// Several become one.
    Burst(Burst),
    /// The last values of all labels take its place.
    Collect,
    /// It is kept under this label for later messages.
    Stash(String),
}

/// How bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// JSON.
    Json,
    /// Text in UTF-8.
    Utf8,
    /// Text in ISO 8859-1.
    Latin1,
    /// Text in ASCII.
    Ascii,
    /// Any bytes, which become text in base64.
    ToBase64,
    /// Base64 of a text in UTF-8.
    FromBase64,
    /// Whether the first byte is not 0.
    Boolean,
    /// A whole number.
    Integer {
        /// How many bytes it has.
        bytes: usize,
        /// Whether it may be below 0.
        is_signed: bool,
        /// Whether its first byte is the one that counts most.
        is_big: bool,
    },
    /// A number in the format of IEEE 754.
    Float {
        /// How many bytes it has, 4 or 8.
        bytes: usize,
        /// Whether its first byte is the one that counts most.
        is_big: bool,
    },
}

impl Reading {
    /// All of them by the words that service files have for them.
    pub const ALL: [(&str, Reading); 21] = [
        ("json", Reading::Json),
        ("utf8", Reading::Utf8),
        ("latin1", Reading::Latin1),
        ("ascii", Reading::Ascii),
        ("toBase64", Reading::ToBase64),
        ("fromBase64", Reading::FromBase64),
        ("boolean", Reading::Boolean),
        ("int8", integer(1, true, true)),
        ("uint8", integer(1, false, true)),
        ("int16BE", integer(2, true, true)),
        ("int16LE", integer(2, true, false)),
        ("uint16BE", integer(2, false, true)),
        ("uint16LE", integer(2, false, false)),
        ("int32BE", integer(4, true, true)),
        ("int32LE", integer(4, true, false)),
        ("uint32BE", integer(4, false, true)),
        ("uint32LE", integer(4, false, false)),
        ("floatBE", Reading::Float { bytes: 4, is_big: true }),
        ("floatLE", Reading::Float { bytes: 4, is_big: false }),
        ("doubleBE", Reading::Float { bytes: 8, is_big: true }),
        ("doubleLE", Reading::Float { bytes: 8, is_big: false }),
    ];

    /// The one of this name.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, reading)| *reading)
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, reading)| *reading == self);
        named.map_or("bytes", |(name, _)| name)
    }
}

const fn integer(bytes: usize, is_signed: bool, is_big: bool) -> Reading {
    Reading::Integer { bytes, is_signed, is_big }
}

/// Which changes count.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The dotted path of what is looked at.
    pub key: String,
    /// How far a number has to move; without one, anything that differs counts.
    pub deadband: Option<f64>,
    /// Whether that is in per cent of the number it moves from.
    pub is_relative: bool,
}

/// When several messages become one. With neither, each is passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Once there are this many.
    pub size: Option<usize>,
    /// Once the first has waited this long.
    pub interval: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_name() {
        for (name, reading) in Reading::ALL {
            assert_eq!((Reading::of(name), reading.name()), (Some(reading), name));
        }
        assert_eq!(Reading::of("int16"), None);
    }
}
