//! A build without Connectware's words.

use super::{ReadBroker, Wanted};
use crate::config::document::fields::Fields;
use crate::config::whole::{Part, Placed};
use crate::config::{Broker, Surroundings};

const WORDS: &str = "this build of ilagent knows no service files of Connectware; one that does is \
    built with the cargo feature `connectware`";

/// Refuses the files.
#[must_use]
pub fn part(wanted: &[Wanted], _around: &Surroundings<'_>) -> Part {
    let mut part = Part::default();
    wanted.iter().for_each(|wanted| part.faults.add(wanted.place.clone(), WORDS));
    part
}

/// Refuses the tables.
pub(crate) fn own(
    tables: &[Fields<'_>],
    _brokers: &[Placed<Broker>],
    _read: ReadBroker<'_>,
) -> Vec<Wanted> {
    for table in tables {
        table.file.add(table.at, WORDS);
        table.skip();
    }
    Vec::new()
}
