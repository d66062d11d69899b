//! How a connection ended.

use crate::mqtt::packet::Malformed;
use std::io;

/// Why the connection is over.
#[derive(Debug)]
pub(super) enum End {
    /// The stop has come, or the queue is closed.
    Stopped,
    /// Connect again at once, for this reason.
    Again(String),
    /// It failed, for this reason. Connect again after a wait.
    Lost(String),
    /// The broker ended it, with this reason if it gave one. Connect again after a wait.
    Closed(Option<String>),
    /// The system can no longer wait for sockets.
    Broken(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Broken(error)
    }
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        End::Lost(malformed.to_string())
    }
}
