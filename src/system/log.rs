//! The log: lines that systemd, procd or a person collects.

use crate::system::plain;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::{Write, stderr, stdout};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// Who collects the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A person or a file: time and level in every line, on stderr.
    Person,
    /// The journal of systemd: the priority in front, and no time, which is there already.
    Journal,
    /// procd, which tells two levels apart by the stream: warnings and errors on stderr, the rest
    /// on stdout, neither with a time.
    Streams,
}

impl Reader {
    /// Judged by `JOURNAL_STREAM`, which systemd sets, and `ILAGENT_LOG`.
    #[must_use]
    pub fn of(journal_stream: bool, ilagent_log: Option<&str>) -> Self {
        match ilagent_log {
            Some("streams") => Reader::Streams,
            _ if journal_stream => Reader::Journal,
            _ => Reader::Person,
        }
    }
}

/// Starts the log.
pub fn start(level: LevelFilter, reader: Reader) {
    // A log that has been started before stays as it is.
    let _ = log::set_boxed_logger(Box::new(Lines { reader })).map(|()| log::set_max_level(level));
}

/// One write a line, so that lines of different threads and processes do not mix.
struct Lines {
    reader: Reader,
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OURS)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level();
        let line = self.line(level, &record.args().to_string());
        // Nobody can be told that the log is gone.
        let _ = if self.reader == Reader::Streams && level > Level::Warn {
            stdout().write_all(line.as_bytes())
        } else {
            stderr().write_all(line.as_bytes())
        };
    }

    fn flush(&self) {}
}

impl Lines {
    /// One line, whatever the words hold: those of others may not write lines of their own.
    fn line(&self, level: Level, words: &str) -> String {
        let words = plain::line(words);
        match self.reader {
            Reader::Person => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                format!("{} [{level}] {words}\n", timestamp(now))
            }
            Reader::Journal => format!("<{}>{words}\n", priority(level)),
            Reader::Streams => format!("{words}\n"),
        }
    }
}

/// As sd-daemon(3) numbers them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A time since 1970 as RFC 3339 writes it, in UTC, to the millisecond.
fn timestamp(since: Duration) -> String {
    const DAY: u64 = 86_400;
    let (days, seconds) = (since.as_secs() / DAY, since.as_secs() % DAY);
    // Years are counted from March, so that the leap day is the last of one; an era of 400 years
    // has 146,097 days, and 719,468 of them lie between the first of March of year 0 and 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_record_is_one_line_in_which_nothing_acts(
            words in any::<String>(),
            acting in prop::collection::vec(0_u32..0x2100, 0..40),
        ) {
            let mut words = words;
            words.extend(acting.into_iter().filter_map(char::from_u32));
            for reader in [Reader::Person, Reader::Journal, Reader::Streams] {
                let line = Lines { reader }.line(Level::Warn, &words);
                let words = line.strip_suffix('\n').unwrap();
                prop_assert!(!words.chars().any(char::is_control), "{words:?}");
                let turns = |c| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                prop_assert!(!words.contains(turns), "{words:?}");
            }
        }
    }

    #[test]
    fn a_record_has_the_priority_it_was_given_and_no_other() {
        let journal = Lines { reader: Reader::Journal };
        let line = journal.line(Level::Warn, "sink: key \n<0>HI there");
        assert_eq!(line, "<4>sink: key \\n<0>HI there\n");
        let longest = journal.line(Level::Warn, &"a".repeat(100_000));
        assert!(longest.len() < 5_000, "{}", longest.len());
    }

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

    #[test]
    fn what_was_asked_for_wins_over_what_systemd_says() {
        assert_eq!(Reader::of(false, None), Reader::Person);
        assert_eq!(Reader::of(true, None), Reader::Journal);
        assert_eq!(Reader::of(true, Some("streams")), Reader::Streams);
        assert_eq!(Reader::of(false, Some("else")), Reader::Person);
    }

    #[test]
    fn times_are_written_as_rfc_3339_has_it() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_220_182, "2026-11-21T00:16:22.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(Duration::from_secs(seconds)), wanted);
        }
        assert!(timestamp(Duration::from_millis(1_042)).ends_with(":01.042Z"));
    }
}
