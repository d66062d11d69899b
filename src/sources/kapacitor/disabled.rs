//! A build that does nothing of what a Kapacitor does. Configurations that ask for it are refused
//! before anything here is called.

use crate::config::{Broker, Config, Http};
use crate::message::Accept;
use crate::queue::Queue;
use crate::system::http::Routes;
use crate::system::pulse::Part;
use crate::system::services::Services;
use std::convert::Infallible;
use std::sync::Arc;

/// What is ready to start, which nothing is.
pub struct Kapacitor(Infallible);

/// What runs, which nothing does.
pub struct Running(Infallible);

/// There is nothing to check.
///
/// # Errors
///
/// Never.
pub fn check(_config: &Config) -> Result<(), Vec<String>> {
    Ok(())
}

/// There is nothing to prepare.
///
/// # Errors
///
/// Never.
pub fn prepare(_config: &Config, _queue: &Queue) -> Result<Option<Kapacitor>, Vec<String>> {
    Ok(None)
}

impl Kapacitor {
    /// What its listener answers.
    #[must_use]
    pub fn routes(&self, _settings: &Http) -> Vec<Arc<dyn Routes>> {
        match self.0 {}
    }

    /// Messages go on as they are.
    #[must_use]
    pub fn gauge(&self, _broker: &Broker, _others: Box<dyn Accept>) -> Box<dyn Accept> {
        match self.0 {}
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Never: there is nothing to start.
    pub fn start(self, _services: &Services) -> Result<Running, String> {
        match self.0 {}
    }
}

impl Running {
    /// The thread whose loop must keep turning.
    #[must_use]
    pub fn part(&self) -> Part {
        match self.0 {}
    }

    /// Reads its definitions again.
    pub fn look_again(&self) {
        match self.0 {}
    }

    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {
        match self.0 {}
    }

    /// Waits for its end.
    pub fn join(self) {
        match self.0 {}
    }
}
