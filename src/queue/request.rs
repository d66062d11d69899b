//! What the queue thread is asked for.

use crate::message::Record;
use crate::queue::admin::Command;
use crate::queue::push::{Push, Upstream, UpstreamRow};
use crossbeam_channel::Sender;

/// One request; those that wait go into one commit.
pub(super) enum Request {
    /// Store a batch and sign its receipts.
    Store(Vec<Push>),
    /// Answer a person.
    Admin(Command, Sender<Result<String, String>>),
    /// Tell what upstream left behind.
    Upstream(Upstream, Sender<Vec<UpstreamRow>>),
    /// Store what it became, in place of its rows.
    Replace(Upstream, Vec<String>, Vec<Push>),
    /// Tell what is remembered under a key of a scope, as [`Request::Records`]: one type of answer is
    /// one channel in the binary.
    Record(String, String, Sender<Vec<(String, String)>>),
    /// Tell all that is remembered in a scope: keys and values.
    Records(String, Sender<Vec<(String, String)>>),
    /// Remember a value, or forget it.
    Remember(Record),
    /// Store what is held and say when that is done.
    Flush(Sender<()>),
    /// Name the sinks that deliveries wait for and that nobody claims for.
    Unclaimed,
    /// Give a sign of life, and look into the board's outbox.
    Pulse,
    /// Commit and end.
    Close,
}
