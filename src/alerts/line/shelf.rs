//! Names and tags of lines that repeat them, so that a series costs its letters once.

use super::{Line, Raw};
use crate::alerts::point::{Name, Tags};

/// Names and series that a shelf holds: more than a writer sends in one go, and still small.
const SHELF_NAMES: usize = 128;
const SHELF_SERIES: usize = 256;

/// Names and series that were there a moment ago. A newcomer takes the place of what was in it.
#[derive(Debug, Default)]
pub struct Shelf {
    names: Vec<Option<Name>>,
    series: Vec<Option<Series>>,
}

#[derive(Clone, Debug)]
struct Series {
    written: Box<str>,
    measurement: Name,
    tags: Tags,
}

impl Shelf {
    /// A name that may be shared with other points.
    pub fn name(&mut self, text: &str) -> Name {
        self.names.resize(SHELF_NAMES, None);
        let place = &mut self.names[place(text, SHELF_NAMES)];
        match place {
            Some(name) if **name == *text => name.clone(),
            _ => place.insert(text.into()).clone(),
        }
    }

    pub(super) fn series(&mut self, line: &Line<'_, '_>) -> (Name, Tags) {
        self.series.resize(SHELF_SERIES, None);
        let place = place(line.series, SHELF_SERIES);
        if let Some(series) = &self.series[place]
            && *series.written == *line.series
        {
            return (series.measurement.clone(), series.tags.clone());
        }
        let measurement = self.name(&line.measurement());
        let tag = |(key, value): &(Raw<'_>, Raw<'_>)| -> (Name, Name) {
            (self.name(&key.name()), (*value.name()).into())
        };
        let tags: Tags = line.tags.iter().map(tag).collect();
        let written = line.series.into();
        self.series[place] =
            Some(Series { written, measurement: measurement.clone(), tags: tags.clone() });
        (measurement, tags)
    }
}

/// A place among `count` for a text, always the same.
fn place(text: &str, count: usize) -> usize {
    const FACTOR: u32 = 0x9e37_79b1;
    let add = |sum: u32, piece: u32| (sum.rotate_left(5) ^ piece).wrapping_mul(FACTOR);
    let (pieces, rest) = text.as_bytes().as_chunks::<4>();
    let sum = pieces.iter().fold(0, |sum, piece| add(sum, u32::from_le_bytes(*piece)));
    let sum = rest.iter().fold(sum, |sum, byte| add(sum, u32::from(*byte)));
    (sum >> 16) as usize % count
}
