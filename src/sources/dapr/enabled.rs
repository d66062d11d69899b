//! Builds a sidecar from a configuration, starts it and stops it.

mod metadata;
mod path;
mod publish;
mod refusal;
mod routes;
mod standing;

use crate::config::{Config, Http};
use crate::queue::Queue;
use crate::sources::Inside;
use crate::sources::http::Listener;
use crate::system::http::Routes;
use crate::system::services::Services;
use crate::system::signals;
use routes::{Api, Elsewhere, Sidecar};
use standing::Standing;
use std::sync::Arc;

/// What is ready to start.
pub struct Dapr {
    sidecar: Arc<Sidecar>,
}

/// Gets it ready, if the configuration asks for it.
#[must_use]
pub fn prepare(config: &Config, inside: &Inside<'_>) -> Option<Dapr> {
    let settings = config.dapr.clone()?;
    let queue: Queue = inside.queue.clone();
    let standing = Arc::new(Standing::default());
    standing.show(settings.subscriptions.clone());
    let sidecar = Sidecar {
        settings,
        take: Box::new(move |batch| queue.push_whole(batch)),
        standing,
        end: signals::end,
    };
    Some(Dapr { sidecar: Arc::new(sidecar) })
}

impl Dapr {
    /// A listener for its clients, which also answers `status`.
    #[must_use]
    pub fn listener(&self, settings: &Http, status: &Arc<dyn Routes>) -> Listener {
        let api = Api::new(Arc::clone(&self.sidecar), settings);
        let routes: Vec<Arc<dyn Routes>> =
            vec![Arc::new(api), Arc::clone(status), Arc::new(Elsewhere)];
        Listener::new(settings, routes).with_heads(self.sidecar.settings.head_bytes_max)
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Says what cannot be started.
    pub fn start(self, _services: &Services) -> Result<Running, String> {
        // Without an application there is nothing to wait for.
        self.sidecar.standing.ready(true);
        Ok(Running {})
    }
}

/// A sidecar at work.
pub struct Running {}

impl Running {
    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {}

    /// Waits for its end.
    pub fn join(self) {}
}
