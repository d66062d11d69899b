//! A build without Kapacitor's words.

use crate::config::document::Node;
use crate::config::document::fields::Fields;
use crate::config::whole::Part;
use crate::config::{Http, Kapacitor, Place, Surroundings};
use std::time::Duration;

const WORDS: &str = "this build of ilagent does nothing of what a Kapacitor does; one that does is \
    built with the cargo feature `kapacitor`";

/// What `[kapacitor]` says.
pub(crate) struct Own {
    pub(crate) kapacitor: Kapacitor,
    pub(crate) http: Http,
}

/// The file to read if none was named.
#[must_use]
pub fn whereabouts(_around: &Surroundings<'_>) -> String {
    "/etc/kapacitor/kapacitor.conf".to_owned()
}

/// Refuses the file.
#[must_use]
pub fn part(name: &str, _text: &str, _around: &Surroundings<'_>) -> Part {
    let mut part = Part::default();
    part.faults.add(Place::from(name), WORDS);
    part
}

/// Refuses the table.
pub(crate) fn own(fields: &Fields<'_>, _brokers: &[Node], _hold: Duration) -> Own {
    fields.file.add(fields.at, WORDS);
    fields.skip();
    Own { kapacitor: Kapacitor::default(), http: Http::on_port(0) }
}
