//! Builds a sidecar from a configuration, starts it and stops it.

mod app;
mod metadata;
mod path;
mod publish;
mod refusal;
mod routes;
mod standing;

use crate::config::{Config, Http};
use crate::queue::{self, Push, Queue};
use crate::sources::Inside;
use crate::sources::http::Listener;
use crate::sources::http::waiter::Take;
use crate::system::http::Routes;
use crate::system::pulse::Part;
use crate::system::services::Services;
use crate::system::signals;
use app::App;
use routes::{Api, Elsewhere, Sidecar};
use standing::Standing;
use std::sync::Arc;

/// What messages of its clients are said to come from.
const SOURCE: &str = "dapr";

/// What is ready to start.
pub struct Dapr {
    sidecar: Arc<Sidecar>,
    app: Option<App>,
}

/// Gets it ready, if the configuration asks for it.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn prepare(config: &Config, inside: &Inside<'_>) -> Result<Option<Dapr>, Vec<String>> {
    let Some(settings) = config.dapr.clone() else { return Ok(None) };
    let queue = |push: fn(&Queue, Vec<Push>) -> Result<(), queue::Error>| -> Box<Take> {
        let queue = inside.queue.clone();
        Box::new(move |batch| {
            let count = batch.len();
            tell(&queue, &batch);
            push(&queue, batch)?;
            queue.came(SOURCE, count);
            Ok(())
        })
    };
    let standing = Arc::new(Standing::default());
    standing.show(settings.subscriptions.clone());
    let app = App::prepare(config, inside, &standing)?;
    let sidecar = Sidecar {
        settings,
        store: queue(Queue::push_whole),
        pass_on: queue(|queue, batch| queue.push(batch, None)),
        standing,
        end: signals::end,
    };
    Ok(Some(Dapr { sidecar: Arc::new(sidecar), app }))
}

/// Tells those who follow messages of these.
fn tell(queue: &Queue, batch: &[Push]) {
    if !queue.is_followed() {
        return;
    }
    for push in batch {
        if let Push::Delivery { delivery, .. } = push {
            let (topic, bytes) = (delivery.errand.target(), delivery.body.len());
            queue.tell(SOURCE, topic, bytes, std::slice::from_ref(push));
        }
    }
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
    pub fn start(self, services: &Services) -> Result<Running, String> {
        let (components, subscriptions) = (Arc::clone(&self.sidecar), Arc::clone(&self.sidecar));
        services.health.shows(move || components.components_shown());
        services.health.shows(move || subscriptions.subscriptions_shown());
        let app = self.app.map(|app| app.start(services)).transpose()?;
        if app.is_none() {
            // There is nothing to wait for.
            self.sidecar.standing.ready(true);
        }
        Ok(Running { app })
    }
}

/// A sidecar at work.
pub struct Running {
    app: Option<app::Running>,
}

impl Running {
    /// The thread whose loop must keep turning, if it has one.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        self.app.as_ref().map(app::Running::part)
    }

    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {
        self.app.iter().for_each(app::Running::wake);
    }

    /// Waits for its end.
    pub fn join(self) {
        self.app.into_iter().for_each(app::Running::join);
    }
}
