//! Requests to the queue thread.

use crate::message::Record;
use crate::queue::admin::Command;
use crate::queue::push::{Push, Upstream, UpstreamRow};
use crossbeam_channel::Sender;

/// One request; all that wait go into one commit.
pub(super) enum Request {
    /// Store a batch and sign its receipts.
    Store(Vec<Push>),
    /// Answer a person.
    Admin(Command, Sender<Result<String, String>>),
    /// Read what upstream left behind.
    Upstream(Upstream, Sender<Vec<UpstreamRow>>),
    /// Store the deliveries made of it, in place of its rows.
    Replace(Upstream, Vec<String>, Vec<Push>),
    /// Read the record under a key of a scope. The answer has the type of [`Request::Records`],
    /// because each type of channel costs code.
    Record(String, String, Sender<Vec<(String, String)>>),
    /// Read all records of a scope: keys and values.
    Records(String, Sender<Vec<(String, String)>>),
    /// Store or delete a record.
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
