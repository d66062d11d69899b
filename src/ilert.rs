//! ilert's HTTP API: requests out, replies judged.

use crate::config;
use crate::message::Outcome;

/// A client of ilert's API. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Client;

impl Client {
    /// Builds the client; connects nowhere.
    ///
    /// # Errors
    ///
    /// Says in words what is wrong with the settings or the environment (a bad proxy, say).
    pub fn new(_settings: &config::Ilert) -> Result<Self, String> {
        todo!()
    }

    /// Posts one event. `path` is below the host: `/api/events`.
    #[must_use]
    pub fn event(&self, _path: &str, _body: &[u8]) -> Outcome {
        todo!()
    }

    /// Pings one heartbeat monitor.
    #[must_use]
    pub fn heartbeat(&self, _key: &str) -> Outcome {
        todo!()
    }

    /// Updates an escalation policy from the document that `mapping::policy` made.
    #[must_use]
    pub fn policy(&self, _body: &[u8]) -> Outcome {
        todo!()
    }
}
