//! What a part of the agent remembers over restarts.

use std::borrow::Cow;

/// A short text under a name, or that there is none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub scope: Cow<'static, str>,
    /// Its name there.
    pub key: String,
    /// The text; `None` forgets it.
    pub value: Option<String>,
}
