//! `[[sink.file]]`: a journal of what was sent.

use crate::config::document::fields::Fields;
use crate::config::values::{self, put};
use crate::config::{FileSink, Sink};
use std::path::PathBuf;

/// Reads all file sinks, and checks that they do not get in each other's way.
pub(super) fn files(tables: &[Fields<'_>]) -> Vec<FileSink> {
    let mut files: Vec<FileSink> = Vec::new();
    for fields in tables {
        let sink = file(fields);
        fields.end();
        let Some(sink) = sink else { continue };
        if sink.name == Sink::ILERT || files.iter().any(|other| other.name == sink.name) {
            let what = format!("there is another sink of the name `{}`", sink.name);
            fields.file.add(fields.place("name"), what);
        }
        if files.iter().any(|other| other.path == sink.path) {
            fields.file.add(fields.place("path"), "another sink writes to this file");
        }
        files.push(sink);
    }
    files
}

fn file(fields: &Fields<'_>) -> Option<FileSink> {
    let mut path: Option<PathBuf> = None;
    fields.text("path", &mut |text| put(&mut path, values::filled(text).map(PathBuf::from)));
    if !fields.has(&["path"]) {
        fields.file.add(fields.at, "[[sink.file]] needs a `path`");
    }
    let mut sink = FileSink::at(path.unwrap_or_default());
    fields.text("name", &mut |text| put(&mut sink.name, values::line(text)));
    fields.number("rotate-at", &mut |text| {
        put(&mut sink.rotate_at, values::size(text, values::ROTATE_BYTES))
    });
    fields.number("keep", &mut |text| {
        put(&mut sink.keep, values::count_u32(text, values::OLDER_FILES))
    });
    (!sink.path.as_os_str().is_empty()).then_some(sink)
}
