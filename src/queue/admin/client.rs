//! The side of `ilagent queue`: it asks a running agent, or opens the file itself.

use super::answer::{Answer, carry_out};
use super::command::Command;
use super::control;
use crate::config;
use crate::queue::board::Board;
use crate::queue::database::file::{DatabaseFile, LOCK_LOOK, LOCK_PATIENCE};
use crate::queue::database::store::Store;
use crate::queue::database::write::write_all;
use crate::queue::tail::Wanted;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// How the agent is that has this database: the document of `/status`.
///
/// # Errors
///
/// In words: there is no such agent, or it does not answer.
pub fn status(database: &Path) -> Result<String, String> {
    let file = DatabaseFile::at(database)?;
    control::ask_status(file.path())
        .unwrap_or_else(|| Err(format!("{}, or ask its HTTP listener: GET /status", nobody(&file))))
}

fn nobody(file: &DatabaseFile) -> String {
    format!(
        "no agent answers beside {}; name the database of the one you mean with `-f`",
        file.path().display()
    )
}

/// Hands each line of what passes in the agent that has this database to `show`, until that says
/// `false`.
///
/// # Errors
///
/// In words: there is no such agent, or it has ended.
pub fn follow(
    database: &Path,
    wanted: &Wanted,
    show: &mut dyn FnMut(&str) -> bool,
) -> Result<(), String> {
    let file = DatabaseFile::at(database)?;
    let followed = control::follow(file.path(), wanted, show);
    followed.unwrap_or_else(|| Err(nobody(&file)))
}

/// Does it, and returns what to print.
///
/// # Errors
///
/// In words: no such file, no such id, or the daemon that does not answer.
pub fn run(database: &Path, command: &Command) -> Result<String, String> {
    let file = DatabaseFile::at(database)?;
    let command = &command.clone().with_whole_path()?;
    let database = file.path();
    let give_up = Instant::now() + LOCK_PATIENCE;
    let changes = command.changes_something();
    let _lock = loop {
        if let Some(answer) = control::ask(database, command) {
            return answer;
        }
        if !file.is_there() {
            return Err(format!("{}: there is no such file", database.display()));
        }
        // An agent that is just starting has the lock before it listens.
        let held = match changes {
            true => file.try_lock()?.map(Some),
            // To look needs no lock, and leaves none behind.
            false => (!file.is_in_use()).then_some(None),
        };
        match held {
            Some(lock) => break lock,
            None if give_up <= Instant::now() => return Err(file.in_use()),
            None => thread::sleep(LOCK_LOOK),
        }
    };
    let settings = config::Queue {
        path: database.to_owned(),
        dead_letters_max: u64::MAX,
        ..config::Queue::default()
    };
    let mut store = if changes { Store::open(&settings)? } else { Store::look(database)? };
    let trouble = |error: rusqlite::Error| format!("{}: {error}", database.display());
    let mut board = Board::new();
    let (lanes, amount) = (store.lanes().map_err(trouble)?, store.amount().map_err(trouble)?);
    let of_sinks = store.counts(&lanes, amount).map_err(trouble)?;
    board.restore(lanes);
    board.was_counted(amount, of_sinks);
    let board = Mutex::new(board);
    let mut work = match carry_out(&store, &board, command)? {
        Answer::Text(text) => return Ok(text),
        Answer::Work(work) => work,
    };
    let mut changes = Vec::new();
    while work.piece(&store, &board, &mut changes)? {
        write_all(&mut store, &changes).map_err(trouble)?;
        changes.clear();
    }
    Ok(work.text())
}
