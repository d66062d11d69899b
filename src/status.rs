//! What the agent says of itself: `/`, `/health`, `/ready`, `/status`, `/metrics`.

use crate::system::health::{Health, Limits};
use crate::system::http::{Request, Response};

/// The routes that are not below `/api/`.
pub struct Status;

impl Status {
    /// Tells what `health` shows.
    #[must_use]
    pub fn new(_health: Health, _limits: Limits) -> Self {
        todo!()
    }

    /// Answers a request, or `None` when the path is not one of these.
    #[must_use]
    pub fn answer(&self, _request: &Request) -> Option<Response> {
        todo!()
    }
}
