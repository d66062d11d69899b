//! Counts what waits for each sink, for a list. What was there when the agent started may be too
//! much to be counted at once, as the thread that counts also commits: it is counted in pieces.

use super::answer::{Done, counts_of_sinks};
use crate::message::SinkName;
use crate::queue::board::Board;
use crate::queue::database::store::Store;
use crate::queue::row::RowId;
use crate::system::threads::lock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

/// Most rows and most lanes in one piece.
const ROWS: u64 = 5_000;
const LANES: usize = 64;

/// Rows by sink.
pub(in crate::queue) type Counts = BTreeMap<SinkName, u64>;

/// A list that waits for its counts.
pub(in crate::queue) struct Count {
    /// What stands before the counts, and in the end all of it.
    text: String,
    /// Counts for this sink only.
    only: Option<SinkName>,
    /// How many deliveries and dead letters are shown.
    shown: (usize, usize),
    lanes: VecDeque<(u32, SinkName)>,
    /// Where to go on in the first of them.
    from: Option<i64>,
    counts: Counts,
}

impl Count {
    pub(in crate::queue) fn new(
        text: String,
        only: Option<SinkName>,
        shown: (usize, usize),
        board: &Mutex<Board>,
    ) -> Self {
        let mut lanes = lock(board).lane_sinks();
        lanes.retain(|(_, sink)| only.as_ref().is_none_or(|only| only == sink));
        Count { text, only, shown, lanes: lanes.into(), from: None, counts: Counts::new() }
    }

    /// Counts on; says whether there is more to do.
    pub(in crate::queue) fn piece(&mut self, store: &Store, board: &Mutex<Board>) -> Done<bool> {
        let mut left = ROWS;
        for _ in 0..LANES {
            let Some((lane, sink)) = self.lanes.front() else {
                let only = self.only.as_ref();
                let counts = counts_of_sinks(only, self.shown, Some(&self.counts), store, board);
                self.text.push_str(&counts);
                return Ok(false);
            };
            let first = RowId { lane: *lane, seq: 0 };
            let from = self.from.take().unwrap_or(first.rowid());
            let (count, last) = store.count_between(from, first.lane_end(), left)?;
            *self.counts.entry(sink.clone()).or_default() += count;
            left -= count.min(left);
            match last.filter(|_| left == 0) {
                Some(last) => self.from = Some(last + 1),
                None => drop(self.lanes.pop_front()),
            }
            if left == 0 {
                break;
            }
        }
        Ok(true)
    }

    pub(in crate::queue) fn text(&self) -> String {
        self.text.clone()
    }
}
