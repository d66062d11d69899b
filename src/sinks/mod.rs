//! Where deliveries go: one attempt, one verdict. A `crew` of threads claims for a
//! sink that blocks.

pub mod crew;
pub mod ilert;

use crate::config::Config;
use crate::message::{Delivery, Outcome, Ping};
use crate::queue::{Queue, Terms};
use crate::system::services::Services;
use crew::Crew;
use std::sync::Arc;
use std::time::Duration;

/// A sink that is ready to start.
pub enum Sink {
    /// ilert's API.
    Ilert(ilert::Ilert),
    /// What a test wants it to be.
    #[cfg(test)]
    Test(test::Scripted),
}

/// A monitor of the agent itself, and what pings it.
pub struct Heartbeat {
    /// Its key.
    pub key: crate::config::Secret,
    /// Where it is pinged.
    pub ping: Arc<Ping>,
}

/// Looks at what [`Sink::prepare`] would need.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(config: &Config) -> Result<(), Vec<String>> {
    ilert::check(&config.ilert).map_err(|what| vec![what])
}

impl Sink {
    /// All sinks of `config`. Nothing is connected to.
    ///
    /// # Errors
    ///
    /// Says in words what cannot be had.
    pub fn prepare(config: &Config) -> Result<Vec<Self>, String> {
        Ok(vec![Sink::Ilert(ilert::Ilert::prepare(&config.ilert)?)])
    }

    /// What the queue is told of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        match self {
            Sink::Ilert(ilert) => ilert.terms(),
            #[cfg(test)]
            Sink::Test(scripted) => &scripted.terms,
        }
    }

    /// Tries once to hand `delivery` over, which has the number `id` in the log.
    #[must_use]
    pub fn attempt(&self, id: u64, delivery: &Delivery) -> Outcome {
        match self {
            Sink::Ilert(ilert) => ilert.attempt(id, delivery),
            #[cfg(test)]
            Sink::Test(scripted) => (scripted.attempt)(delivery),
        }
    }

    /// The longest time an attempt at `delivery` can take.
    #[must_use]
    pub fn attempt_max(&self, delivery: &Delivery) -> Duration {
        match self {
            Sink::Ilert(ilert) => ilert.attempt_max(delivery),
            #[cfg(test)]
            Sink::Test(scripted) => (scripted.attempt_max)(delivery),
        }
    }

    /// What passes heartbeats on, if this sink does.
    #[must_use]
    pub fn ping(&self) -> Option<Arc<Ping>> {
        match self {
            Sink::Ilert(ilert) => Some(ilert.ping()),
            #[cfg(test)]
            Sink::Test(_) => None,
        }
    }

    /// The monitor that is pinged here while the agent is healthy.
    #[must_use]
    pub fn heartbeat(&self) -> Option<Heartbeat> {
        match self {
            Sink::Ilert(ilert) => {
                let key = ilert.heartbeat()?.clone();
                Some(Heartbeat { key, ping: ilert.ping() })
            }
            #[cfg(test)]
            Sink::Test(_) => None,
        }
    }

    /// Ends all attempts under way, and lets no other begin.
    pub fn cut(&self) {
        match self {
            Sink::Ilert(ilert) => ilert.cut(),
            #[cfg(test)]
            Sink::Test(_) => (),
        }
    }

    /// Starts to hand over what is due.
    ///
    /// # Errors
    ///
    /// Says which sink cannot be started, and why.
    pub fn start(self, queue: &Queue, services: &Services) -> Result<Crew, String> {
        let name = self.terms().sink.clone();
        Crew::start(self, queue, services).map_err(|error| format!("sink {name}: {error}"))
    }
}

#[cfg(test)]
pub(crate) mod test {
    use super::{Delivery, Duration, Outcome, Terms};

    /// A sink that does what a test says.
    pub struct Scripted {
        pub terms: Terms,
        pub attempt: Box<dyn Fn(&Delivery) -> Outcome + Send + Sync>,
        pub attempt_max: fn(&Delivery) -> Duration,
    }
}
