//! A build without a Kafka consumer.

use crate::config::Cluster;
use crate::intake::Intake;
use crate::system::health::Health;
use crate::system::pulse::Pulse;
use crate::system::stop::{Stop, Stopper};
use crate::system::threads::Failures;
use std::convert::Infallible;
use std::io;
use std::time::Instant;

/// Whether this build can consume from Kafka. Configurations that ask for it are refused before
/// anything else here is called.
pub const BUILT_IN: bool = false;

const WORDS: &str = "this build of ilagent has no Kafka consumer";

/// A consumer that is ready to start, which there is not.
pub struct Consumer(Infallible);

/// A consumer that runs, which there is not.
pub struct Running(Infallible);

/// Checks what can be checked without a connection.
///
/// # Errors
///
/// There is no consumer in this build.
pub fn check(_cluster: &Cluster) -> Result<(), String> {
    Err(WORDS.to_owned())
}

/// Makes a consumer that is ready to start.
///
/// # Errors
///
/// There is none in this build.
pub fn prepare(_cluster: &Cluster, _intake: Intake, _health: &Health) -> Result<Consumer, String> {
    Err(WORDS.to_owned())
}

impl Consumer {
    /// Starts its thread, which holds `here` to its end.
    ///
    /// # Errors
    ///
    /// Never: there is no consumer to start.
    pub fn start(self, _stop: &Stop, _failures: &Failures, _here: Stopper) -> io::Result<Running> {
        match self.0 {}
    }
}

impl Running {
    /// The name of its thread.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.0 {}
    }

    /// Where its thread gives signs of life, and what wakes it for that.
    pub fn pulse(&self) -> (Pulse, fn()) {
        match self.0 {}
    }

    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {
        match self.0 {}
    }

    /// Waits for the end of its thread, until `deadline` at most; says whether it has ended.
    #[must_use]
    pub fn join(self, _deadline: Instant) -> bool {
        match self.0 {}
    }
}
