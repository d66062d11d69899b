//! A build that does nothing of what a Dapr sidecar does.

use super::PROGRAM;
use crate::cli::{Invocation, NAME, Usage};

/// Refuses the command line.
///
/// # Errors
///
/// Always.
pub fn read(_words: &[String], _verbosity: u32) -> Result<Invocation, Usage> {
    let what = format!(
        "this build of ilagent is no {PROGRAM}; one that is is built with the cargo feature `dapr`"
    );
    Err(Usage::Wrong { what, command: NAME.to_owned() })
}
