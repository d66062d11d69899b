//! How a connection ended.

use crate::mqtt::packet::Malformed;
use std::io;

/// Why there is no connection any more.
#[derive(Debug)]
pub(super) enum End {
    /// The stop has come, or the queue is closed.
    Stopped,
    /// It is to be made again at once, for this reason.
    Again(String),
    /// It failed, for this reason, and is made again after a wait.
    Lost(String),
    /// The broker ended it, for this reason if it gave one, and it is made again after a wait.
    Closed(Option<String>),
    /// The system cannot wait for sockets.
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
