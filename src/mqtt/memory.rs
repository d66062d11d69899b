//! The seam towards the queue's database: what a session remembers over restarts.

/// What outlives the process: a few short texts under fixed names.
pub trait Memory: Send {
    /// What was remembered under this name. Called at the start only, so it may block.
    fn recall(&self, name: &str) -> Option<String>;

    /// Remembers a text in place of the former one. It does not block, and it may fail: then the
    /// next start is like the first.
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
