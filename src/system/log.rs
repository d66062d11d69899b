//! The log: lines that systemd, procd or a person collects.

use crate::system::plain;
use crate::system::threads::lock;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::collections::VecDeque;
use std::io::{Write, stderr, stdout};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Only our own lines: those of other crates may show keys, which are in URLs.
const OURS: &str = "ilagent";

/// Seconds from 1970 to the first year with five digits.
const YEAR_10000: u64 = 253_402_300_800;

/// Most warnings and errors that are remembered, and most characters of each.
const REMEMBERED: usize = 10;
const REMEMBERED_CHARS: usize = 300;

/// The last warnings and errors.
static RECENT: Mutex<VecDeque<Noted>> = Mutex::new(VecDeque::new());

/// A line of the log that is remembered.
#[derive(Clone, Debug)]
pub struct Noted {
    /// When it was written.
    pub at: Instant,
    /// Whether it is more than a warning.
    pub is_error: bool,
    /// Its words; nothing acts in them.
    pub words: String,
}

/// The last warnings and errors, the oldest first.
#[must_use]
pub fn recent() -> Vec<Noted> {
    lock(&RECENT).iter().cloned().collect()
}

fn remember(level: Level, words: &str) {
    let words = plain::plain(words).within(REMEMBERED_CHARS).to_string();
    let mut recent = lock(&RECENT);
    if recent.len() == REMEMBERED {
        recent.pop_front();
    }
    recent.push_back(Noted { at: Instant::now(), is_error: level == Level::Error, words });
}

/// The level for a count of `-v`. `RUST_LOG` overrides it if it names us.
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

/// Logs from now on what a word of Kapacitor's says; `false` if it is none.
pub fn set_level(word: &str) -> bool {
    let level = match word.to_ascii_lowercase().as_str() {
        "error" => LevelFilter::Error,
        "warn" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        _ => return false,
    };
    log::set_max_level(level);
    true
}

/// What collects the lines.
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
    let _ = log::set_boxed_logger(Box::new(Lines(reader))).map(|()| log::set_max_level(level));
}

/// One write and one line a record, whatever its words hold: those of others may not write lines
/// of their own, and lines of different threads and processes do not mix.
struct Lines(Reader);

impl Lines {
    fn line(&self, level: Level, words: &str, now: SystemTime) -> String {
        let words = plain::line(words);
        match self.0 {
            Reader::Person => format!("{}[{level}] {words}\n", date(now).unwrap_or_default()),
            Reader::Journal => format!("<{}>{words}\n", priority(level)),
            Reader::Streams => format!("{words}\n"),
        }
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OURS)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (level, words) = (record.level(), record.args().to_string());
        if level <= Level::Warn {
            remember(level, &words);
        }
        let line = self.line(level, &words, SystemTime::now());
        // There is no place left to report that the log is gone.
        let _ = if self.0 == Reader::Streams && level > Level::Warn {
            stdout().write_all(line.as_bytes())
        } else {
            stderr().write_all(line.as_bytes())
        };
    }

    fn flush(&self) {}
}

/// A time by RFC 3339 and a space, if there is a form for it. The crate that writes them panics where
/// there is none, and a clock that is wrong must not end the agent.
fn date(now: SystemTime) -> Option<String> {
    now.duration_since(UNIX_EPOCH).ok().filter(|since| since.as_secs() < YEAR_10000)?;
    OffsetDateTime::from(now).format(&Rfc3339).ok().map(|time| time + " ")
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};
    use std::time::Duration;

    /// A warning as it is written, without its line feed.
    fn warning(reader: Reader, words: &str) -> String {
        let line = Lines(reader).line(Level::Warn, words, SystemTime::now());
        line.strip_suffix('\n').unwrap().to_owned()
    }

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
                let line = warning(reader, &words);
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
                let turns = |c| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                prop_assert!(!line.contains(turns), "{line:?}");
            }
        }
    }

    #[test]
    fn a_person_reads_the_time_and_the_level_in_front_of_the_words() {
        let line = warning(Reader::Person, "queue: full");
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(rest, "[WARN] queue: full");
        assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
        let longest = warning(Reader::Person, &"\u{1f980}".repeat(10_000));
        assert!(longest.len() > 4_000, "{}", longest.len());
    }

    #[test]
    fn a_clock_that_is_wrong_costs_the_time_and_no_more() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let line = |now| Lines(Reader::Person).line(Level::Warn, "sink: off", now);
        assert_eq!(line(after(0)), "1970-01-01T00:00:00Z [WARN] sink: off\n");
        assert_eq!(line(after(YEAR_10000 - 1)), "9999-12-31T23:59:59Z [WARN] sink: off\n");
        for now in [after(YEAR_10000), UNIX_EPOCH - Duration::from_secs(1)] {
            assert_eq!(line(now), "[WARN] sink: off\n");
        }
    }

    #[test]
    fn a_record_has_the_priority_it_was_given_and_no_other() {
        let line = warning(Reader::Journal, "sink: key \n<0>HI there");
        assert_eq!(line, "<4>sink: key \\n<0>HI there");
    }

    #[test]
    fn the_last_warnings_are_remembered_and_no_more() {
        for number in 0..2 * REMEMBERED {
            remember(Level::Warn, &format!("number {number}\n{}", "x".repeat(100_000)));
        }
        let recent = recent();
        // Other tests may write some of their own meanwhile.
        assert!(recent.len() == REMEMBERED, "{recent:?}");
        let long = |noted: &Noted| noted.words.chars().count() > REMEMBERED_CHARS + 30;
        assert!(
            !recent.iter().any(|noted| long(noted) || noted.words.contains('\n')),
            "{recent:?}"
        );
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
}
