//! `[[sink.file]]`: a journal of what was sent.

use crate::config::FileSink;
use crate::config::document::fields::Fields;
use crate::config::values::{self, put};
use crate::config::whole::Placed;
use std::path::PathBuf;

/// Reads all file sinks.
pub(super) fn files(tables: &[Fields<'_>]) -> Vec<Placed<FileSink>> {
    tables.iter().map(placed).collect()
}

fn placed(fields: &Fields<'_>) -> Placed<FileSink> {
    let it = file(fields);
    fields.end();
    let place = |key| fields.file.place(fields.place(key));
    Placed { it, is_enabled: true, name: place("name"), id: place("path"), needs: Vec::new() }
}

/// The sink, without a path if that cannot be read.
fn file(fields: &Fields<'_>) -> FileSink {
    let mut path: Option<PathBuf> = None;
    fields.text("path", &mut |text| put(&mut path, values::filled(text).map(PathBuf::from)));
    if !fields.has(&["path"]) {
        fields.file.add(fields.at, "[[sink.file]] needs a `path`");
    }
    let mut sink = FileSink::at(path.unwrap_or_default());
    fields.text("name", &mut |text| put(&mut sink.name, values::journal(text)));
    fields.number("rotate-at", &mut |text| {
        put(&mut sink.rotate_at, values::size(text, values::ROTATE_BYTES))
    });
    fields.number("keep", &mut |text| {
        put(&mut sink.keep, values::count_u32(text, values::OLDER_FILES))
    });
    sink
}
