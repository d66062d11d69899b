//! Events and heartbeats over HTTP: `/api/events`, `/api/heartbeats/{key}`.

use crate::config;
use crate::ilert::Client;
use crate::queue::Queue;
use crate::system::http::{Request, Response};

/// The routes below `/api/`.
pub struct Api;

impl Api {
    /// Accepted events go to `queue`; heartbeats are passed on through `client` at once.
    #[must_use]
    pub fn new(_settings: &config::Http, _queue: Queue, _client: Client) -> Self {
        todo!()
    }

    /// Answers a request, or `None` when the path is not below `/api/`.
    #[must_use]
    pub fn answer(&self, _request: &Request) -> Option<Response> {
        todo!()
    }
}
