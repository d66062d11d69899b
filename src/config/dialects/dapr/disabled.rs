//! A build without Dapr's words.

use super::Given;
use crate::config::document::fields::Fields;
use crate::config::whole::Part;
use crate::config::{Place, Surroundings};

const WORDS: &str = "this build of ilagent does nothing of what a Dapr sidecar does; one that does \
    is built with the cargo feature `dapr`";

/// Refuses the flags.
#[must_use]
pub fn part(_given: &[Given], _around: &Surroundings<'_>) -> Part {
    let mut part = Part::default();
    part.faults.add(Place::from("daprd"), WORDS);
    part
}

/// Refuses the table.
pub(crate) fn own(fields: &Fields<'_>) -> Part {
    fields.file.add(fields.at, WORDS);
    fields.skip();
    Part::default()
}
