//! A journal of what was sent: a file with one line of JSON for each delivery that another sink
//! took.
//!
//! Lines are made when a delivery is settled, not when it comes in. So they say what was sent, and
//! cost no flash beyond the file. A line is a delivery in memory: a file that cannot be written has
//! a gate and a back-off like every sink, and holds up no other. The lines that wait are bounded;
//! those without room are lost and counted. A kill may cost the lines of the last moments.

use crate::config::FileSink;
use crate::message::{Delivery, Desk, Holds, Keep, LaneName, Outcome, Receipt, SinkName};
use crate::queue::{Push, Queue, Storing, Terms};
use crate::retry::Backoff;
use crate::system::files::open_private;
use log::warn;
use serde::de::IgnoredAny;
use serde_json::json;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most lines that wait in memory, and their bytes; one line may always wait.
const WAITING_MAX: usize = 512;
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// The longest time a write should take. It cannot be ended, only reported.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// Waits between two tries of one line.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

/// What every line begins with, and so every file.
const BEGINNING: &[u8] = br#"{"time":"#;

/// One file.
pub struct File {
    terms: Terms,
    path: PathBuf,
    rotate_at: u64,
    /// How many older files are kept.
    keep: u32,
    open: Mutex<Option<Open>>,
    waiting: Arc<Waiting>,
}

/// The file as it is being written.
struct Open {
    file: fs::File,
    bytes: u64,
}

/// Lines on their way to the file.
#[derive(Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    lost: AtomicUsize,
}

/// Looks whether the file could be written, and makes nothing.
///
/// # Errors
///
/// Says in words why not.
pub fn check(settings: &FileSink) -> Result<(), String> {
    let looked = match settings.path.symlink_metadata() {
        Ok(_) => opened(&settings.path).map(|_| ()),
        Err(error) if error.kind() == ErrorKind::NotFound => is_folder(&settings.path),
        Err(error) => Err(error),
    };
    looked.map_err(|error| words(settings, &error))
}

fn is_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.unwrap_or(Path::new(".")).is_dir() {
        true => Ok(()),
        false => Err(io::Error::other("its folder does not exist")),
    }
}

fn words(settings: &FileSink, error: &io::Error) -> String {
    format!("sink {}: {}: {error}", settings.name, settings.path.display())
}

impl File {
    /// Opens the file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// Says in words why it cannot be written.
    pub fn prepare(settings: &FileSink) -> Result<Self, String> {
        let open = opened(&settings.path).map_err(|error| words(settings, &error))?;
        let terms = Terms {
            sink: SinkName::from(settings.name.clone()),
            // Lines stand in the order in which their deliveries were settled.
            in_flight_max: 1,
            backoff: BACKOFF,
            attempts_max: None,
            in_order: false,
            by_policy: false,
        };
        Ok(File {
            terms,
            path: settings.path.clone(),
            rotate_at: settings.rotate_at,
            keep: settings.keep,
            open: Mutex::new(Some(open)),
            waiting: Arc::default(),
        })
    }

    /// What the queue needs to know of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The longest time an attempt should take.
    #[must_use]
    pub fn attempt_max(&self) -> Duration {
        WRITE_MAX
    }

    /// Tries once to write a line.
    #[must_use]
    pub fn attempt(&self, line: &Delivery) -> Outcome {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&mut open, &line.body) {
            *open = None;
            let why = format!("{}: {error}", self.path.display());
            return Outcome::Later { why, holds: Holds::Sink, after: None };
        }
        let lost = self.waiting.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!("sink {}: {lost} lines are lost, there was no room for them", self.terms.sink);
        }
        Outcome::Delivered
    }

    fn write(&self, open: &mut Option<Open>, line: &[u8]) -> io::Result<()> {
        let is_full =
            |open: &Open| open.bytes > 0 && open.bytes + line.len() as u64 > self.rotate_at;
        if open.as_ref().is_some_and(|open| !open.is_at(&self.path)) {
            *open = None;
        }
        if open.as_ref().is_some_and(is_full) {
            *open = None;
            self.rotate()?;
        }
        let open = match open {
            Some(open) => open,
            None => open.insert(opened(&self.path)?),
        };
        open.add(line)
    }

    /// Puts the file aside as `PATH.1`, and each older one a number further.
    fn rotate(&self) -> io::Result<()> {
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match fs::rename(self.older(number), self.older(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => (),
            }
        }
        fs::rename(&self.path, self.older(1))
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    /// Whether no line is on its way.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.waiting.lines.load(Ordering::Acquire) == 0
    }

    /// What other sinks note their deliveries in.
    #[must_use]
    pub fn journal(&self, queue: &Queue) -> Journal {
        let lane = LaneName { sink: self.terms.sink.clone(), key: String::new() };
        Journal { queue: queue.clone(), lane, waiting: Arc::clone(&self.waiting) }
    }
}

/// Opens a journal to add to it. Another kind of file is left alone: people mistype paths.
fn opened(path: &Path) -> io::Result<Open> {
    let mut file = open_private(path, fs::OpenOptions::new().read(true).append(true))?;
    let bytes = file.metadata()?.len();
    let mut beginning = Vec::with_capacity(BEGINNING.len());
    (&mut file).take(BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    match bytes == 0 || beginning == BEGINNING {
        true => Ok(Open { file, bytes }),
        false => Err(io::Error::other("it is not a journal of ilagent, so it is left as it is")),
    }
}

impl Open {
    /// Whether this is the file that is there by this name. People move journals away.
    fn is_at(&self, path: &Path) -> bool {
        let (Ok(open), Ok(named)) = (self.file.metadata(), path.symlink_metadata()) else {
            return false;
        };
        (open.dev(), open.ino()) == (named.dev(), named.ino())
    }

    /// Adds a line with one write, all of it or nothing.
    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.file.write(line)?;
        if written < line.len() {
            self.file.set_len(self.bytes)?;
            return Err(ErrorKind::StorageFull.into());
        }
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// Takes notes for one file.
pub struct Journal {
    queue: Queue,
    lane: LaneName,
    waiting: Arc<Waiting>,
}

impl Journal {
    /// Notes that `sink` took `delivery`. Never blocks for longer than a push takes.
    pub fn note(&self, sink: &SinkName, delivery: &Delivery) {
        let body = line(sink, delivery, SystemTime::now());
        let Some(place) = Place::of(&self.waiting, body.len()) else { return self.lose() };
        let line = Delivery {
            lane: self.lane.clone(),
            order_key: None,
            errand: delivery.errand.clone(),
            keep: Keep::UntilDelivered,
            body,
            origin: delivery.origin.clone(),
        };
        let receipt = Some(Receipt::new(Arc::new(place), 0, 1));
        let push = Push::Delivery { delivery: line, storing: Storing::IfRefused, receipt };
        if self.queue.push(vec![push], None).is_err() {
            self.lose();
        }
    }

    fn lose(&self) {
        if self.waiting.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!("sink {}: lines are lost until others are written", self.lane.sink);
        }
    }
}

/// The place of a line among those that wait, until its receipt is gone.
struct Place {
    waiting: Arc<Waiting>,
    bytes: usize,
}

impl Place {
    fn of(waiting: &Arc<Waiting>, bytes: usize) -> Option<Self> {
        let lines = waiting.lines.fetch_add(1, Ordering::AcqRel);
        let before = waiting.bytes.fetch_add(bytes, Ordering::AcqRel);
        let place = Place { waiting: Arc::clone(waiting), bytes };
        let fits = lines < WAITING_MAX && before + bytes <= WAITING_BYTES_MAX;
        (fits || lines == 0).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.waiting.lines.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Desk for Place {
    fn signed(&self, _ticket: u64) {}

    fn room(&self) {}
}

/// The line for a delivery. Its key is masked, also where the body names it.
fn line(sink: &SinkName, delivery: &Delivery, now: SystemTime) -> Vec<u8> {
    let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let quoted = |text: &str| json!(text).to_string();
    let key = &delivery.lane.key;
    let order_key = delivery.order_key.as_deref().map_or_else(|| "null".to_owned(), quoted);
    let body = String::from_utf8_lossy(&delivery.body);
    let body = match () {
        () if body.is_empty() => "null".to_owned(),
        // Line breaks between the parts of a document are blanks to JSON.
        () if serde_json::from_str::<IgnoredAny>(&body).is_ok() => body.replace(['\r', '\n'], " "),
        () => quoted(&body),
    };
    let shown = quoted(&delivery.lane.shown_key());
    let body = if key.is_empty() { body } else { body.replace(&quoted(key), &shown) };
    format!(
        "{{\"time\":{time},\"sink\":{},\"kind\":\"{}\",\"key\":{shown},\"order_key\":{order_key},\
         \"body\":{body}}}\n",
        quoted(sink.as_str()),
        delivery.errand.kind()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Errand;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ilagent-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn settings(&self) -> FileSink {
            FileSink { rotate_at: 100, keep: 2, ..FileSink::at(self.0.join("journal")) }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn delivery(body: &str) -> Delivery {
        Delivery {
            lane: LaneName { sink: "ilert".into(), key: "il1api123456".to_owned() },
            order_key: Some("pump \"7\"".to_owned()),
            errand: Errand::Event { path: "/api/events".to_owned() },
            keep: Keep::UntilDelivered,
            body: body.as_bytes().to_vec(),
            origin: "http".to_owned(),
        }
    }

    /// A line of 40 bytes with this letter in it.
    fn short(letter: char) -> Delivery {
        delivery(&format!("{{\"time\":{}}}\n", letter.to_string().repeat(30)))
    }

    #[test]
    fn a_line_says_what_was_sent_and_no_key() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (body, shown) in [
            ("", "null"),
            (
                "{\"integrationKey\":\"il1api123456\",\n\"a\":1}",
                r#"{"integrationKey":"il1api…", "a":1}"#,
            ),
            ("no \"JSON\"\n", r#""no \"JSON\"\n""#),
        ] {
            let line = line(&"ilert".into(), &delivery(body), now);
            let wanted = format!(
                "{{\"time\":1700000000,\"sink\":\"ilert\",\"kind\":\"event\",\"key\":\"il1api…\",\
                 \"order_key\":\"pump \\\"7\\\"\",\"body\":{shown}}}\n"
            );
            assert_eq!(String::from_utf8_lossy(&line), wanted);
            assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        }
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = Folder::new("rotated");
        let file = File::prepare(&folder.settings()).unwrap();
        for letter in "aabbccddee".chars() {
            assert_eq!(file.attempt(&short(letter)), Outcome::Delivered);
        }
        for (name, letter) in [("journal", "e"), ("journal.1", "d"), ("journal.2", "c")] {
            let path = folder.0.join(name);
            let text = fs::read_to_string(&path).unwrap();
            let whole = text.lines().count() == 2 && text.lines().all(|line| line.contains(letter));
            assert!(whole, "{name}: {text}");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(!folder.0.join("journal.3").exists());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_tried_again() {
        let folder = Folder::new("gone");
        let file = File::prepare(&folder.settings()).unwrap();
        let away = Folder::new("away");
        fs::remove_dir(&away.0).unwrap();
        fs::rename(&folder.0, &away.0).unwrap();
        let outcome = file.attempt(&short('a'));
        assert!(matches!(outcome, Outcome::Later { holds: Holds::Sink, .. }), "{outcome:?}");
        fs::rename(&away.0, &folder.0).unwrap();
        assert_eq!(file.attempt(&short('a')), Outcome::Delivered);
        assert_eq!(fs::read(folder.0.join("journal")).unwrap(), short('a').body);
    }

    #[test]
    fn what_is_not_a_journal_is_left_alone() {
        let folder = Folder::new("strange");
        let settings = folder.settings();
        fs::write(folder.0.join("elsewhere"), "").unwrap();
        let makes: [fn(&Path); 4] = [
            |path| fs::write(path, "root:x:0:0::/:/bin/sh\n").unwrap(),
            |path| symlink(path.with_file_name("elsewhere"), path).unwrap(),
            |path| symlink(path.with_file_name("nowhere"), path).unwrap(),
            |path| fs::create_dir(path).unwrap(),
        ];
        for make in makes {
            make(&settings.path);
            let before = fs::read(&settings.path).ok();
            assert!(check(&settings).is_err() && File::prepare(&settings).is_err());
            assert_eq!(fs::read(&settings.path).ok(), before);
            let _ = fs::remove_file(&settings.path).or_else(|_| fs::remove_dir(&settings.path));
        }
        assert!(!folder.0.join("nowhere").exists());
        assert_eq!(check(&settings), Ok(()));
        assert!(!settings.path.exists(), "a check makes nothing");
    }

    #[test]
    fn lines_that_wait_are_bounded() {
        let waiting = Arc::default();
        let places: Vec<_> = (0..WAITING_MAX).map_while(|_| Place::of(&waiting, 1)).collect();
        assert_eq!(places.len(), WAITING_MAX);
        assert!(Place::of(&waiting, 1).is_none());
        drop(places);
        let large = Place::of(&waiting, WAITING_BYTES_MAX * 2);
        assert!(large.is_some() && Place::of(&waiting, 1).is_none(), "one may always wait");
        drop(large);
        assert_eq!(waiting.bytes.load(Ordering::Relaxed), 0);
    }
}
