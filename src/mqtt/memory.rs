//! The seam towards the queue's database: what a session knows over restarts.

/// What outlives the process. A session keeps a few short texts of its own under fixed names.
pub trait Memory: Send {
    /// What was remembered under this name. It may block: it is asked at the start.
    fn recall(&self, name: &str) -> Option<String>;

    /// Remembers a text in place of the former one. It does not block, and may fail: then the
    /// session does at its next start what it does at its first.
    fn remember(&self, name: &str, text: String);
}

/// Nothing outlives the process.
#[derive(Clone, Copy, Debug)]
pub struct Forgetful;

impl Memory for Forgetful {
    fn recall(&self, _name: &str) -> Option<String> {
        None
    }

    fn remember(&self, _name: &str, _text: String) {}
}
