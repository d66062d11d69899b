//! `ilagent queue recover`: rows of a file that was put aside go into the queue.
//!
//! The file may be damaged, or a log alone, so it is read page by page like those that are
//! salvaged, and nothing is written to it. Its pages are in no order, but deliveries of an order
//! key must be. So each walk through the file notes where the oldest rows lie that are still to
//! come, as many as a bounded memory holds, and takes those in their order.

use crate::message::LaneName;
use crate::queue::board::Board;
use crate::queue::change::{Buried, Change};
use crate::queue::database::dead_letters::{self, Stored};
use crate::queue::database::file;
use crate::queue::database::pages::{Found, Pages, Value};
use crate::queue::database::salvage::{bounds, lane_of};
use crate::queue::database::store::Store;
use crate::queue::push::Storing;
use crate::queue::row::{self, RowId, SEQ_MAX, Unchecked};
use crate::system::threads::lock;
use rusqlite::types::ValueRef;
use std::collections::{BinaryHeap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Rows that are looked at, and that are taken, in a piece, and most bytes of the latter.
const LOOKED_AT: usize = 2_000;
const ROWS: usize = 256;
const BYTES: usize = 512 * 1024;

/// Rows that are noted in one walk.
const NOTED_MAX: usize = 32 * 1024;

/// A row of the file: deliveries before dead letters, each by its number, and where it lies.
type Noted = (bool, i64, (u32, usize));

/// A file whose rows are being taken over.
pub(in crate::queue) struct Recovery {
    file: PathBuf,
    pages: Pages,
    unchecked: Unchecked,
    lanes: HashMap<u32, LaneName>,
    /// The first of those that are still to come.
    noted: BinaryHeap<Noted>,
    noted_max: usize,
    /// There are others behind them.
    more: bool,
    /// Up to where all are taken.
    done: Option<Noted>,
    /// Noted in this walk and to be taken now, the last one first.
    next: Option<Vec<Noted>>,
    /// The last one that was taken, and its sum.
    previous: Option<(bool, i64, i64)>,
    deliveries: u64,
    letters: u64,
    known: u64,
    damaged: u64,
}

impl Recovery {
    /// Looks whether the file may be one of ours.
    pub(in crate::queue) fn of(path: &str, store: &Store) -> Result<Self, String> {
        let file = Path::new(path);
        let words = |error: std::io::Error| {
            format!("{path}: {error} (the agent, if one runs, has to be able to read it)")
        };
        if store.is_at(file) {
            return Err(format!("{path} is the queue itself"));
        }
        if !file::could_be_ours(file).map_err(words)? {
            return Err(format!("{path} holds nothing of ilagent"));
        }
        Ok(Recovery {
            file: file.to_owned(),
            pages: Pages::open_with_log(file).map_err(words)?,
            unchecked: Unchecked::default(),
            lanes: HashMap::new(),
            noted: BinaryHeap::new(),
            noted_max: NOTED_MAX,
            more: false,
            done: None,
            next: None,
            previous: None,
            deliveries: 0,
            letters: 0,
            known: 0,
            damaged: 0,
        })
    }

    /// Adds what is to be written for the next piece; says whether there may be another one.
    pub(in crate::queue) fn piece(
        &mut self,
        store: &Store,
        board: &Mutex<Board>,
        changes: &mut Vec<Change>,
    ) -> Result<bool, String> {
        let mut bytes = 0;
        for taken in 0..ROWS {
            let Some(next) = &mut self.next else { return self.look().map(|()| true) };
            let Some(noted) = next.pop() else {
                if taken > 0 {
                    break;
                }
                self.next = None;
                self.pages.rewind();
                return Ok(std::mem::take(&mut self.more));
            };
            self.done = Some(noted);
            let found = self.pages.row_at(noted.2).map_err(|error| self.words(&error))?;
            if let Some(found) = found {
                bytes += self.take(noted, &found, store, board, changes)?;
            }
            if bytes >= BYTES {
                break;
            }
        }
        Ok(true)
    }

    /// Notes what lies in the next pages.
    fn look(&mut self) -> Result<(), String> {
        for _ in 0..LOOKED_AT {
            match self.pages.next_row().map_err(|error| self.words(&error))? {
                Some(found) => self.note(&found),
                None => {
                    let mut noted = std::mem::take(&mut self.noted).into_sorted_vec();
                    noted.reverse();
                    self.next = Some(noted);
                    break;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, found: &Found) {
        self.unchecked = bounds(found).unwrap_or(self.unchecked);
        if let Some((number, name)) = lane_of(found) {
            self.lanes.insert(number, name);
        }
        // The column of the id is empty in rows of ours, as the id is the key.
        let (Some(id), Some(Value::Null)) = (found.id, found.columns.first()) else { return };
        let noted = match found.columns.len() {
            8 | row::DELIVERY_COLUMNS => (false, id & SEQ_MAX.cast_signed(), found.place),
            9 | row::LETTER_COLUMNS => (true, id, found.place),
            _ => return,
        };
        if self.done.is_some_and(|done| noted <= done) {
            return;
        }
        self.noted.push(noted);
        if self.noted.len() > self.noted_max {
            self.noted.pop();
            self.more = true;
        }
    }

    /// Takes a row over, and says how many bytes that brings.
    fn take(
        &mut self,
        noted: Noted,
        found: &Found,
        store: &Store,
        board: &Mutex<Board>,
        changes: &mut Vec<Change>,
    ) -> Result<usize, String> {
        let Some(id) = found.id else { return Ok(0) };
        let mut columns: Vec<ValueRef> = found.columns.iter().map(Value::as_ref).collect();
        let from_version_1 = matches!(columns.len(), 8 | 9);
        let unchecked = if from_version_1 { Unchecked::ALL } else { self.unchecked };
        columns[0] = ValueRef::Integer(id);
        row::complete(&mut columns);
        let is_letter = noted.0;
        let sum = if is_letter { row::letter_sum(&columns) } else { row::lasting_sum(&columns) };
        let this = Some((is_letter, id, sum));
        if std::mem::replace(&mut self.previous, this) == this {
            return Ok(0);
        }
        let known = store.has_row(is_letter, id, sum);
        if known.map_err(|error| format!("the database says: {error}"))? {
            self.known += 1;
            return Ok(0);
        }
        let taken = if is_letter {
            take_letter(&columns, unchecked, changes).inspect(|_| self.letters += 1)
        } else {
            let name = RowId::of(id).and_then(|row| self.lanes.get(&row.lane)).cloned();
            take_delivery(&columns, name, unchecked, board, changes)
                .inspect(|_| self.deliveries += 1)
        };
        self.damaged += u64::from(taken.is_none());
        Ok(taken.unwrap_or(0))
    }

    fn words(&self, error: &std::io::Error) -> String {
        format!("{}: {error}", self.file.display())
    }

    /// What to say of it when it is done.
    pub(in crate::queue) fn text(&self) -> String {
        let Recovery { deliveries, letters, known, damaged, .. } = self;
        log::warn!(
            "queue: {deliveries} deliveries and {letters} dead letters were taken over from {}",
            self.file.display()
        );
        format!(
            "{deliveries} deliveries and {letters} dead letters taken over; {known} were there \
             already, {damaged} are damaged and were left\n"
        )
    }
}

/// Adds a dead letter, unless it is damaged.
fn take_letter(
    columns: &[ValueRef],
    unchecked: Unchecked,
    changes: &mut Vec<Change>,
) -> Option<usize> {
    let Stored { letter, sound, .. } = dead_letters::stored(columns, unchecked);
    let bytes = letter.body.len();
    sound.then(|| changes.push(Change::Bury(Buried::Message, letter, None)))?;
    Some(bytes)
}

/// Adds a delivery, unless it is damaged. One whose lane lost its name is named after its content.
fn take_delivery(
    columns: &[ValueRef],
    name: Option<LaneName>,
    unchecked: Unchecked,
    board: &Mutex<Board>,
    changes: &mut Vec<Change>,
) -> Option<usize> {
    let is_named = name.is_some();
    let read = row::delivery(columns, name.unwrap_or_default(), unchecked).ok()?;
    let mut delivery = read.delivery;
    if !is_named {
        delivery.lane = delivery.errand.lane_after(&delivery.body)?;
    }
    let bytes = delivery.body.len();
    let mut board = lock(board);
    board.expect(&delivery);
    board.insert(delivery, Storing::AtOnce, None, changes);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::message::{Delivery, Errand, Keep};
    use crate::queue::database::write::write_all;
    use crate::queue::push::DeadLetter;
    use std::fs;

    const ROWS: u64 = 60;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("ilagent-recover-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn open(path: PathBuf) -> Store {
        Store::open(&config::Queue { path, ..config::Queue::default() }).unwrap()
    }

    fn delivery(key: &str, number: u64) -> Delivery {
        Delivery {
            lane: LaneName { sink: "ilert".into(), key: key.to_owned() },
            order_key: Some("a".to_owned()),
            errand: Errand::Event { path: "/api/events".to_owned() },
            keep: Keep::UntilDelivered,
            body: format!("{number:0>300}").into_bytes(),
            origin: "http".to_owned(),
        }
    }

    /// Deliveries of two lanes in turn, some of which went, and a dead letter.
    fn fill(store: &mut Store) {
        store.begin().unwrap();
        for (number, key) in [(1, "one"), (2, "two")] {
            store
                .add_lane(number, &LaneName { sink: "ilert".into(), key: key.to_owned() })
                .unwrap();
        }
        for seq in (1..=ROWS).rev() {
            let lane = 1 + u32::try_from(seq % 2).unwrap();
            let key = if lane == 1 { "one" } else { "two" };
            store.insert(RowId { lane, seq }, &delivery(key, seq), 0).unwrap();
        }
        store.delete(RowId { lane: 1, seq: 2 }).unwrap();
        store.bury(&DeadLetter::of(delivery("one", 99), "why".to_owned())).unwrap();
        store.commit().unwrap();
    }

    /// Takes a file over, and returns what is said of it.
    fn recover(store: &mut Store, file: &Path, noted_max: usize) -> String {
        let mut recovery = Recovery::of(file.to_str().unwrap(), store).unwrap();
        recovery.noted_max = noted_max;
        let mut board = Board::new();
        board.restore(store.lanes().unwrap());
        let (board, mut changes) = (Mutex::new(board), Vec::new());
        while recovery.piece(store, &board, &mut changes).unwrap() {
            write_all(store, &changes).unwrap();
            changes.clear();
        }
        recovery.text()
    }

    /// The keys and numbers of what waits, in its order.
    fn waiting(store: &Store) -> Vec<(String, u64)> {
        let listed = store.listed(None, 1_000).unwrap();
        let shown = listed.iter().map(|one| store.shown(one.seq).unwrap().unwrap().delivery);
        let number = |body: Vec<u8>| String::from_utf8(body).unwrap().parse().unwrap();
        shown.map(|one| (one.lane.key, number(one.body))).collect()
    }

    #[test]
    fn what_a_file_holds_is_taken_over_in_its_order_and_only_once() {
        for (name, noted_max) in [("whole", NOTED_MAX), ("in-several-walks", 7)] {
            let folder = folder(name);
            let old = folder.join("old.db3");
            fill(&mut open(old.clone()));
            let before = fs::read(&old).unwrap();
            let mut store = open(folder.join("new.db3"));
            store.begin().unwrap();
            store.add_lane(1, &LaneName { sink: "ilert".into(), key: "two".to_owned() }).unwrap();
            store.insert(RowId { lane: 1, seq: 1 }, &delivery("two", 0), 0).unwrap();
            store.commit().unwrap();
            let said = recover(&mut store, &old, noted_max);
            assert_eq!(
                said,
                "59 deliveries and 1 dead letters taken over; 0 were there already, 0 are damaged \
                 and were left\n"
            );
            let found = waiting(&store);
            let key = |number: u64| if number.is_multiple_of(2) { "one" } else { "two" };
            let came = (1..=ROWS).filter(|number| *number != 2);
            let wanted: Vec<_> = [("two".to_owned(), 0)]
                .into_iter()
                .chain(came.map(|number| (key(number).to_owned(), number)))
                .collect();
            assert_eq!(found, wanted, "{name}");
            assert_eq!(fs::read(&old).unwrap(), before, "it is only read");
            assert!(Recovery::of(folder.join("new.db3").to_str().unwrap(), &store).is_err());
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn what_is_in_the_queue_already_is_skipped() {
        let folder = folder("known");
        let (old, new) = (folder.join("old.db3"), folder.join("new.db3"));
        fill(&mut open(old.clone()));
        fs::copy(&old, &new).unwrap();
        let mut store = open(new);
        store.attempts(RowId { lane: 2, seq: 3 }, 4).unwrap();
        store.delete(RowId { lane: 1, seq: 4 }).unwrap();
        let said = recover(&mut store, &old, NOTED_MAX);
        assert!(said.starts_with("1 deliveries and 0 dead letters taken over; 59 were"), "{said}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_damaged_file_and_a_log_alone_are_read_too() {
        let folder = folder("damaged");
        let old = folder.join("old.db3");
        let mut store = open(old.clone());
        fill(&mut store);
        let log = folder.join("only-wal");
        fs::copy(folder.join("old.db3-wal"), &log).unwrap();
        store.checkpoint();
        drop(store);
        let mut bytes = fs::read(&old).unwrap();
        let needle = format!("{:0>300}", 7);
        let at = bytes.windows(300).position(|window| window == needle.as_bytes()).unwrap();
        bytes[at] = b'x';
        bytes[..100].fill(0xff);
        fs::write(&old, bytes).unwrap();
        for (file, wanted) in [
            (old, "58 deliveries and 1 dead letters taken over; 0 were there already, 1 are"),
            (log, "59 deliveries and 1 dead letters taken over; 0 were there already, 0 are"),
        ] {
            let mut store = open(folder.join(format!("{}.new", file.display())));
            let said = recover(&mut store, &file, NOTED_MAX);
            assert!(said.starts_with(wanted), "{}: {said}", file.display());
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
