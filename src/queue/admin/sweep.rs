//! `ilagent queue retry` and `drop`, in pieces.
//!
//! A full queue does not fit into memory, and a commit that waits for all of it holds up those of
//! the sources. So a piece is as small as a few commits, ids and sizes are all that is read of
//! what is dropped, and between two pieces the queue thread serves others.

use super::answer::{Done, Id, Refusal};
use crate::message::SinkName;
use crate::queue::board::Board;
use crate::queue::change::Change;
use crate::queue::database::dead_letters::{self, Stored};
use crate::queue::database::store::Store;
use crate::queue::push::Storing;
use crate::queue::row::RowId;
use crate::system::threads::lock;
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Mutex;

/// Most rows in a piece.
const ROWS: usize = 256;

/// Most lanes that are looked at for one.
const LANES: usize = 64;

/// Most bytes of their bodies: what is deleted has to be looked for page by page.
const BYTES: u64 = 512 * 1024;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queue) enum Verb {
    Retry,
    Drop,
}

/// A command under way.
pub(in crate::queue) struct Sweep {
    verb: Verb,
    /// Of this sink only.
    sink: Option<SinkName>,
    waiting: Waiting,
    dead: Dead,
    /// Waiting deliveries and dead letters that are done.
    done: (u64, u64),
    /// The first of these was not counted.
    uncounted: bool,
    /// The first of these was estimated.
    roughly: bool,
    in_flight: u64,
    hopeless: u64,
}

enum Waiting {
    /// Rows behind this id, as far as they were there when the command came.
    All {
        from: i64,
        until: u64,
    },
    These(VecDeque<(RowId, u64)>),
}

enum Dead {
    /// Those behind the first number, up to the second.
    All {
        after: i64,
        until: i64,
    },
    These(VecDeque<i64>),
}

impl Sweep {
    /// Everything that is there now, or all of one sink.
    pub(in crate::queue) fn all(
        verb: Verb,
        sink: Option<SinkName>,
        store: &Store,
        board: &Mutex<Board>,
    ) -> Done<Self> {
        let mut board = lock(board);
        let mut waiting = Waiting::All { from: i64::MIN, until: board.peek_seq() };
        let (mut done, mut roughly) = ((0, 0), false);
        if verb == Verb::Retry {
            board.hurry(sink.as_ref());
            (done.0, roughly) = (board.stored.count, board.stored.roughly);
            waiting = Waiting::These(VecDeque::new());
        }
        let until = dead_letters::last(&store.connection)?;
        let dead = Dead::All { after: i64::MIN, until };
        let uncounted = verb == Verb::Retry && sink.is_some();
        Ok(Sweep { sink, uncounted, done, roughly, ..Sweep::over(verb, waiting, dead) })
    }

    fn over(verb: Verb, waiting: Waiting, dead: Dead) -> Self {
        Sweep {
            verb,
            sink: None,
            waiting,
            dead,
            done: (0, 0),
            uncounted: false,
            roughly: false,
            in_flight: 0,
            hopeless: 0,
        }
    }

    /// These; nothing is done when one of them is not there.
    pub(in crate::queue) fn of(verb: Verb, ids: &[Id], store: &Store) -> Done<Self> {
        let (mut waiting, mut dead) = (VecDeque::new(), VecDeque::new());
        for id in ids {
            match *id {
                Id::Waiting(seq) => waiting.push_back(store.find(seq)?.ok_or_else(|| {
                    Refusal::Words(format!("there is no waiting delivery {seq}"))
                })?),
                Id::Dead(id) => {
                    let can_be_raised = store
                        .letters_shown(Some(id), 1)?
                        .pop()
                        .map(|stored| stored.letter.into_delivery().is_some())
                        .ok_or_else(|| Refusal::Words(format!("there is no dead letter d{id}")))?;
                    if verb == Verb::Retry && !can_be_raised {
                        return Err(Refusal::Words(format!(
                            "d{id} never became a delivery, or is damaged, so there is nothing to \
                             try again; drop it, or correct its source and publish it again"
                        )));
                    }
                    dead.push_back(id);
                }
            }
        }
        Ok(Sweep::over(verb, Waiting::These(waiting), Dead::These(dead)))
    }

    /// Adds what is to be written for the next piece; says whether there may be another one.
    pub(in crate::queue) fn piece(
        &mut self,
        store: &Store,
        board: &Mutex<Board>,
        changes: &mut Vec<Change>,
    ) -> rusqlite::Result<bool> {
        if let Some(rows) = self.next_rows(store)? {
            let mut board = lock(board);
            for (row, bytes) in rows {
                self.one_row(row, bytes, &mut board, changes);
            }
            return Ok(true);
        }
        let letters = self.next_letters(store)?;
        let more = !letters.is_empty();
        for stored in letters {
            self.one_letter(stored, board, changes);
        }
        Ok(more)
    }

    /// The next rows, which may be none; `None` when there are no more.
    fn next_rows(&mut self, store: &Store) -> rusqlite::Result<Option<Vec<(RowId, u64)>>> {
        let (from, until) = match &mut self.waiting {
            Waiting::These(rows) => {
                let piece: Vec<_> = rows.drain(..rows.len().min(ROWS)).collect();
                return Ok((!piece.is_empty()).then_some(piece));
            }
            Waiting::All { from, until } => (from, *until),
        };
        let mut piece = Vec::new();
        for _ in 0..LANES {
            let rows = store.sizes(*from, ROWS, BYTES)?;
            let Some(((first, _), (last, _))) = rows.first().zip(rows.last()) else {
                return Ok((!piece.is_empty()).then_some(piece));
            };
            let lane = first.lane;
            let is_wanted = match &self.sink {
                Some(sink) => store.lane(lane)?.is_some_and(|name| name.sink == *sink),
                None => true,
            };
            *from = if is_wanted { last.rowid() + 1 } else { first.lane_end() };
            for (row, bytes) in rows.into_iter().filter(|_| is_wanted) {
                if row.lane != lane || row.seq >= until {
                    // Another lane; or it came later, and so did all behind it in its own.
                    *from = if row.lane == lane { row.lane_end() } else { row.rowid() };
                    break;
                }
                piece.push((row, bytes));
            }
            if !piece.is_empty() {
                break;
            }
        }
        Ok(Some(piece))
    }

    fn one_row(&mut self, row: RowId, bytes: u64, board: &mut Board, changes: &mut Vec<Change>) {
        let free = match self.verb {
            Verb::Retry => board.hurry_one(row),
            Verb::Drop => board.withdraw(row, bytes),
        };
        if self.verb == Verb::Retry || free {
            self.done.0 += 1;
        } else {
            self.in_flight += 1;
        }
        if self.verb == Verb::Drop && free {
            changes.push(Change::Drop(row));
        }
    }

    fn next_letters(&mut self, store: &Store) -> rusqlite::Result<Vec<Stored>> {
        match &mut self.dead {
            Dead::All { after, until } => {
                let sink = self.sink.as_ref();
                let letters = store.letters_piece(sink, *after, *until, ROWS, BYTES)?;
                if let Some(last) = letters.last() {
                    *after = last.id;
                }
                Ok(letters)
            }
            Dead::These(ids) => {
                let Some(id) = ids.pop_front() else { return Ok(Vec::new()) };
                store.letters_shown(Some(id), 1)
            }
        }
    }

    fn one_letter(&mut self, stored: Stored, board: &Mutex<Board>, changes: &mut Vec<Change>) {
        let Stored { id, letter, .. } = stored;
        let unbury = Change::Unbury(id, letter.body.len() as u64);
        if self.verb == Verb::Retry {
            let Some(delivery) = letter.into_delivery() else {
                self.hopeless += 1;
                return;
            };
            let mut board = lock(board);
            board.expect(&delivery);
            board.insert(delivery, Storing::AtOnce, None, changes);
        }
        self.done.1 += 1;
        changes.push(unbury);
    }

    /// What to say of it when it is done.
    pub(in crate::queue) fn text(&self) -> String {
        let (waiting, dead) = self.done;
        let mut text = match self.verb {
            Verb::Retry => {
                let about = if self.roughly { "about " } else { "" };
                let waiting = match self.uncounted {
                    true => "all".to_owned(),
                    false => format!("{about}{waiting}"),
                };
                format!(
                    "{waiting} waiting deliveries are tried now, {dead} dead letters wait again"
                )
            }
            Verb::Drop => {
                log::warn!(
                    "queue: {waiting} deliveries and {dead} dead letters were dropped by hand"
                );
                format!("{waiting} waiting deliveries and {dead} dead letters dropped")
            }
        };
        if self.in_flight > 0 {
            let kept = self.in_flight;
            let _ = write!(text, "; {kept} are in flight at this moment and were left alone");
        }
        if self.hopeless > 0 {
            let left = self.hopeless;
            let _ = write!(text, "; {left} that are no deliveries were left alone");
        }
        text.push('\n');
        text
    }
}
