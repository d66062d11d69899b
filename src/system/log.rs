//! The log: lines on stderr, which systemd and procd collect.

use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, LevelPadding, WriteLogger};
use std::io::{LineWriter, Write, stderr};

/// Only our own lines: those of the crates we use may show keys, which stand in URLs.
const OURS: &str = "ilagent";

/// The level for a count of `-v`; `RUST_LOG`, where it says something for us, replaces it.
#[must_use]
pub fn level(verbosity: u32, rust_log: Option<&str>) -> LevelFilter {
    let from_count = match verbosity {
        0 | 1 => LevelFilter::Warn,
        2 => LevelFilter::Info,
        3 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let directive = |part: &str| match part.trim().split_once('=') {
        None => part.trim().parse().ok(),
        Some((target, level)) if target.trim() == OURS => level.trim().parse().ok(),
        Some(_) => None,
    };
    rust_log.and_then(|text| text.split(',').rev().find_map(directive)).unwrap_or(from_count)
}

/// Starts the log. In a `journal` lines carry their priority, and no time, which is there already.
pub fn start(level: LevelFilter, journal: bool) {
    if journal {
        // A log that has been started before stays as it is.
        let _ = log::set_boxed_logger(Box::new(Journal)).map(|()| log::set_max_level(level));
        return;
    }
    let config = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_time_level(LevelFilter::Error)
        .set_level_padding(LevelPadding::Off)
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str(OURS)
        .build();
    // One write a line, so that lines of different threads and processes do not mix.
    let _ = WriteLogger::init(level, config, LineWriter::new(stderr()));
}

struct Journal;

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OURS)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let priority = match record.level() {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            // Nobody can be told that the log is gone.
            let _ = stderr().write_all(format!("<{priority}>{}\n", record.args()).as_bytes());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_replaces_the_count() {
        for (verbosity, rust_log, wanted) in [
            (0, None, LevelFilter::Warn),
            (1, None, LevelFilter::Warn),
            (2, None, LevelFilter::Info),
            (3, None, LevelFilter::Debug),
            (9, None, LevelFilter::Trace),
            (0, Some("debug"), LevelFilter::Debug),
            (3, Some("off"), LevelFilter::Off),
            (0, Some("ureq=trace,ilagent=info"), LevelFilter::Info),
            (2, Some("ureq=trace"), LevelFilter::Info),
            (2, Some("nonsense"), LevelFilter::Info),
        ] {
            assert_eq!(level(verbosity, rust_log), wanted, "{verbosity} {rust_log:?}");
        }
    }
}
