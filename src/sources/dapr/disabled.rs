//! A build that does nothing of what a Dapr sidecar does. Configurations that ask for it are refused
//! before anything here is called.

use crate::config::{Config, Http};
use crate::sources::Inside;
use crate::sources::http::Listener;
use crate::system::http::Routes;
use crate::system::pulse::Part;
use crate::system::services::Services;
use std::convert::Infallible;
use std::sync::Arc;

/// What is ready to start, which nothing is.
pub struct Dapr(Infallible);

/// What runs, which nothing does.
pub struct Running(Infallible);

/// There is nothing to prepare.
///
/// # Errors
///
/// Never.
pub fn prepare(_config: &Config, _inside: &Inside<'_>) -> Result<Option<Dapr>, Vec<String>> {
    Ok(None)
}

impl Dapr {
    /// A listener for its clients.
    #[must_use]
    pub fn listener(&self, _settings: &Http, _status: &Arc<dyn Routes>) -> Listener {
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
    pub fn part(&self) -> Option<Part> {
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
