//! ilert's API as a sink.

use crate::config;
use crate::ilert::Client;
use crate::message::{Delivery, Errand, ILERT, Outcome, Ping};
use crate::queue::Terms;
use crate::retry::Backoff;
use crate::system::web::Way;
use log::{Level, log};
use std::sync::Arc;
use std::time::Duration;

/// How long a delivery waits after its own failures.
pub const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

/// ilert's API.
pub struct Ilert {
    client: Client,
    terms: Terms,
    heartbeat: Option<config::Secret>,
}

/// Looks at what a start would need.
///
/// # Errors
///
/// Says what is wrong with the settings or the environment.
pub fn check(settings: &config::Ilert) -> Result<(), String> {
    client(settings).map(|_| ())
}

fn client(settings: &config::Ilert) -> Result<Client, String> {
    Client::new(settings).map_err(|what| format!("ilert: {what}"))
}

impl Ilert {
    /// Makes the client; connects nowhere.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub fn prepare(settings: &config::Ilert) -> Result<Self, String> {
        let client = client(settings)?;
        // Only a proxy is news, and nothing may be for ilert at all.
        let level = if *client.way() == Way::Direct { Level::Debug } else { Level::Info };
        log!(level, "ilert: {} is reached {}", settings.api, client.way());
        let terms = Terms {
            sink: ILERT,
            in_flight_max: settings.in_flight_max,
            backoff: BACKOFF,
            attempts_max: settings.attempts_max,
            in_order: false,
            by_policy: false,
        };
        Ok(Ilert { client, terms, heartbeat: settings.heartbeat.clone() })
    }

    /// What the queue needs to know of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Tries once to hand `delivery` over, which has the number `id` in the log.
    #[must_use]
    pub fn attempt(&self, id: u64, delivery: &Delivery) -> Outcome {
        match &delivery.errand {
            Errand::Event { path } => {
                let name = format!("delivery {id}");
                self.client.event(&name, &delivery.lane.key, path, &delivery.body)
            }
            Errand::Ping { key } => self.client.heartbeat(key),
            Errand::Policy { .. } => self.client.policy(&delivery.body),
            Errand::Publish { .. } | Errand::Call { .. } => {
                Outcome::never("ilert takes no such deliveries")
            }
        }
    }

    /// The longest time an attempt at `delivery` can take.
    #[must_use]
    pub fn attempt_max(&self, delivery: &Delivery) -> Duration {
        self.client.attempt_max(&delivery.errand, delivery.body.len())
    }

    /// Passes heartbeats on at once.
    #[must_use]
    pub fn ping(&self) -> Arc<Ping> {
        let client = self.client.clone();
        Arc::new(move |key| client.heartbeat(key))
    }

    /// The monitor that is pinged while the agent is healthy.
    #[must_use]
    pub fn heartbeat(&self) -> Option<&config::Secret> {
        self.heartbeat.as_ref()
    }

    /// Ends all requests under way, and lets no other begin.
    pub fn cut(&self) {
        self.client.cut();
    }
}
