//! `ilagent queue …`: looks at what is stuck, and sets it free.
//!
//! A running agent is asked over its control socket; otherwise the file is opened.

use std::path::Path;

/// What to do. Ids are as `list` shows them: a number for a waiting delivery, `d` and a number
/// for a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All waiting deliveries and dead letters, oldest first, at most `limit` of each.
    List {
        /// Most lines of each kind.
        limit: usize,
        /// As JSON lines.
        json: bool,
    },
    /// One of them, with its body.
    Show {
        /// Which.
        id: String,
    },
    /// Waiting deliveries are tried now; dead letters go back to the queue.
    Retry(Chosen),
    /// They are deleted.
    Drop(Chosen),
}

/// Which ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// These.
    Ids(Vec<String>),
    /// All of them, waiting and dead.
    All,
}

/// Does it, and returns what to print.
///
/// # Errors
///
/// In words: no such file, no such id, or the daemon that does not answer.
pub fn run(_database: &Path, _command: &Command) -> Result<String, String> {
    todo!()
}
