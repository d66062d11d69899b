//! The log: lines that systemd, procd or a person collects.

use crate::system::plain;
use crate::system::threads::lock;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};
use std::collections::VecDeque;
use std::io::{LineWriter, Write, stderr, stdout};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Only our own lines: those of other crates may show keys, which are in URLs.
const OURS: &str = "ilagent";

/// Room for the longest line: the 4,000 characters of [`plain::line`], time and level.
const LINE_BYTES_MAX: usize = 4 * 4_100;

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
    let lines = Box::new(Lines::new(reader, stderr()));
    // A log that has been started before stays as it is.
    let _ = log::set_boxed_logger(lines).map(|()| log::set_max_level(level));
}

/// One write and one line a record, whatever its words hold: those of others may not write lines
/// of their own, and lines of different threads and processes do not mix.
struct Lines {
    reader: Reader,
    /// Puts the time in front, for a person.
    dated: Box<dyn Log>,
}

impl Lines {
    fn new(reader: Reader, out: impl Write + Send + 'static) -> Self {
        let config = ConfigBuilder::new()
            .set_time_format_rfc3339()
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        // It writes a line in several pieces.
        let out = LineWriter::with_capacity(LINE_BYTES_MAX, out);
        Lines { reader, dated: WriteLogger::new(LevelFilter::Trace, config, out) }
    }

    /// A line without a time.
    fn undated(&self, level: Level, words: &str) -> String {
        let words = plain::line(words);
        match self.reader {
            Reader::Person => format!("[{level}] {words}\n"),
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
        if self.reader == Reader::Person && can_be_written(SystemTime::now()) {
            let words = plain::line(&words);
            let mut dated = Record::builder();
            self.dated.log(&dated.level(level).args(format_args!("{words}")).build());
            return;
        }
        let line = self.undated(level, &words);
        // There is no place left to report that the log is gone.
        let _ = if self.reader == Reader::Streams && level > Level::Warn {
            stdout().write_all(line.as_bytes())
        } else {
            stderr().write_all(line.as_bytes())
        };
    }

    fn flush(&self) {}
}

/// Whether RFC 3339 has a form for a time. The crate that writes them panics where it has none,
/// and a clock that is wrong must not end the agent.
fn can_be_written(now: SystemTime) -> bool {
    now.duration_since(UNIX_EPOCH).is_ok_and(|since| since.as_secs() < YEAR_10000)
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
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// What was written, a write each.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A warning as a person reads it, without its line feed.
    fn for_a_person(words: &str) -> String {
        let writes = Writes::default();
        let mut record = Record::builder();
        let record = record.level(Level::Warn).target("ilagent::queue");
        Lines::new(Reader::Person, writes.clone())
            .log(&record.args(format_args!("{words}")).build());
        let writes = writes.0.lock().unwrap();
        assert_eq!(writes.len(), 1, "{writes:?}");
        writes[0].strip_suffix('\n').unwrap().to_string()
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
            let undated = |reader| {
                let lines = Lines::new(reader, Writes::default());
                lines.undated(Level::Warn, &words).strip_suffix('\n').unwrap().to_string()
            };
            let readers = [Reader::Person, Reader::Journal, Reader::Streams];
            for line in readers.map(undated).into_iter().chain([for_a_person(&words)]) {
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
                let turns = |c| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                prop_assert!(!line.contains(turns), "{line:?}");
            }
        }
    }

    #[test]
    fn a_person_reads_the_time_and_the_level_in_front_of_the_words() {
        let line = for_a_person("queue: full");
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!(rest, "[WARN] queue: full");
        assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
        let longest = for_a_person(&"\u{1f980}".repeat(10_000));
        assert!(longest.len() > 4_000, "{}", longest.len());
    }

    #[test]
    fn a_clock_that_is_wrong_costs_the_time_and_no_more() {
        for (seconds, wanted) in [(0, true), (YEAR_10000 - 1, true), (YEAR_10000, false)] {
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(can_be_written(now), wanted, "{seconds}");
        }
        assert!(!can_be_written(UNIX_EPOCH - Duration::from_secs(1)));
        let line = Lines::new(Reader::Person, Writes::default()).undated(Level::Warn, "sink: off");
        assert_eq!(line, "[WARN] sink: off\n");
    }

    #[test]
    fn a_record_has_the_priority_it_was_given_and_no_other() {
        let journal = Lines::new(Reader::Journal, Writes::default());
        let line = journal.undated(Level::Warn, "sink: key \n<0>HI there");
        assert_eq!(line, "<4>sink: key \\n<0>HI there\n");
    }

    #[test]
    fn the_last_warnings_are_remembered_and_no_more() {
        for number in 0..2 * REMEMBERED {
            for_a_person(&format!("number {number}\n{}", "x".repeat(100_000)));
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
