//! A build that does nothing of what a Kapacitor does.

use crate::cli::{Command, Usage};
use crate::config::Surroundings;
use std::convert::Infallible;
use std::fmt;

/// What the client was asked for, which it cannot be.
pub struct Ask(Infallible);

/// A command that failed, which none can.
pub struct Failure(Infallible);

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self.0 {}
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

/// Refuses the command line.
///
/// # Errors
///
/// Always.
pub fn read(program: &str, _words: &[String]) -> Result<Command, Usage> {
    let what = format!(
        "this build of ilagent is no {program}; one that is is built with the cargo feature \
         `kapacitor`"
    );
    Err(Usage::Wrong { what, command: crate::cli::NAME.to_owned() })
}

/// There is nothing to run.
///
/// # Errors
///
/// Never.
pub fn run(ask: &Ask, _around: &Surroundings<'_>) -> Result<String, Failure> {
    match ask.0 {}
}
