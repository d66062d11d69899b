//! A build without applications. Configurations that ask for one are refused before anything here
//! is called.

use crate::config::Dapr;
use crate::message::{Delivery, Outcome};
use crate::queue::{Claim, Queue, Terms};
use crate::system::services::Services;
use std::convert::Infallible;
use std::time::Duration;

/// What is handed over to, which is nothing.
pub struct App(Infallible);

/// There is nothing to check.
///
/// # Errors
///
/// Never.
pub fn check(_settings: &Dapr) -> Result<(), String> {
    Ok(())
}

impl App {
    /// There is nothing to prepare.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn prepare(_settings: &Dapr) -> Result<Self, String> {
        Err("this build has no `dapr`".to_owned())
    }

    /// What the queue needs to know of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        match self.0 {}
    }

    /// Watches over it.
    ///
    /// # Errors
    ///
    /// Never: there is nothing to watch.
    pub fn watch(&self, _queue: &Queue, _services: &Services) -> Result<(), String> {
        match self.0 {}
    }

    /// Tries once to hand deliveries over.
    #[must_use]
    pub fn attempt(&self, _claims: &[Claim]) -> Vec<Outcome> {
        match self.0 {}
    }

    /// The longest time an attempt at `delivery` can take.
    #[must_use]
    pub fn attempt_max(&self, _delivery: &Delivery) -> Duration {
        match self.0 {}
    }

    /// Ends all calls under way, and lets no other begin.
    pub fn cut(&self) {
        match self.0 {}
    }
}
