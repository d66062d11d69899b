//! Where deliveries go: one attempt, one verdict. A `crew` of threads claims for a
//! sink that blocks.

pub mod crew;
pub mod file;
pub mod ilert;

use crate::config::{self, Config};
use crate::message::{Delivery, Outcome, Ping};
use crate::queue::{Queue, Terms};
use crate::system::services::Services;
use crew::Crew;
use std::sync::Arc;
use std::time::Duration;

/// A sink that is ready to start.
pub enum Sink {
    /// ilert's API.
    Ilert(Box<ilert::Ilert>),
    /// A journal of what the others took.
    File(file::File),
    /// What a test wants it to be.
    #[cfg(test)]
    Test(test::Scripted),
}

/// A monitor of the agent itself, and what pings it.
pub struct Heartbeat {
    /// Its key.
    pub key: config::Secret,
    /// Where it is pinged.
    pub ping: Arc<Ping>,
}

/// Looks at what [`Sink::prepare`] would need.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(config: &Config) -> Result<(), Vec<String>> {
    let checked = config.sinks().map(|sink| match sink {
        config::Sink::Ilert(settings) => ilert::check(settings),
        config::Sink::File(settings) => file::check(settings),
    });
    let wrong: Vec<String> = checked.filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

impl Sink {
    /// All sinks of `config`; connects nowhere.
    ///
    /// # Errors
    ///
    /// Says what cannot be prepared.
    pub fn prepare(config: &Config) -> Result<Vec<Self>, String> {
        let prepared = config.sinks().map(|sink| match sink {
            config::Sink::Ilert(settings) => {
                ilert::Ilert::prepare(settings).map(Box::new).map(Sink::Ilert)
            }
            config::Sink::File(settings) => file::File::prepare(settings).map(Sink::File),
        });
        prepared.collect()
    }

    /// What the queue needs to know of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        match self {
            Sink::Ilert(ilert) => ilert.terms(),
            Sink::File(file) => file.terms(),
            #[cfg(test)]
            Sink::Test(scripted) => &scripted.terms,
        }
    }

    /// Tries once to hand `delivery` over, which has the number `id` in the log.
    #[must_use]
    pub fn attempt(&self, id: u64, delivery: &Delivery) -> Outcome {
        match self {
            Sink::Ilert(ilert) => ilert.attempt(id, delivery),
            Sink::File(file) => file.attempt(delivery),
            #[cfg(test)]
            Sink::Test(scripted) => (scripted.attempt)(delivery),
        }
    }

    /// The longest time an attempt at `delivery` can take.
    #[must_use]
    pub fn attempt_max(&self, delivery: &Delivery) -> Duration {
        match self {
            Sink::Ilert(ilert) => ilert.attempt_max(delivery),
            Sink::File(file) => file.attempt_max(),
            #[cfg(test)]
            Sink::Test(scripted) => (scripted.attempt_max)(delivery),
        }
    }

    /// What passes heartbeats on, if this sink does.
    #[must_use]
    pub fn ping(&self) -> Option<Arc<Ping>> {
        match self {
            Sink::Ilert(ilert) => Some(ilert.ping()),
            Sink::File(_) => None,
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
            Sink::File(_) => None,
            #[cfg(test)]
            Sink::Test(_) => None,
        }
    }

    /// Ends all attempts under way, and lets no other begin.
    pub fn cut(&self) {
        match self {
            Sink::Ilert(ilert) => ilert.cut(),
            Sink::File(_) => (),
            #[cfg(test)]
            Sink::Test(_) => (),
        }
    }

    /// What the others note their deliveries in, if this is a journal.
    fn journal(&self, queue: &Queue) -> Option<file::Journal> {
        match self {
            Sink::File(file) => Some(file.journal(queue)),
            Sink::Ilert(_) => None,
            #[cfg(test)]
            Sink::Test(_) => None,
        }
    }

    fn is_journal(&self) -> bool {
        matches!(self, Sink::File(_))
    }

    /// Whether a journal has nothing more to write.
    fn is_done(&self) -> bool {
        match self {
            Sink::File(file) => file.is_done(),
            Sink::Ilert(_) => true,
            #[cfg(test)]
            Sink::Test(_) => true,
        }
    }
}

/// Starts to hand over what is due.
///
/// # Errors
///
/// Says which sink cannot be started, and why; those that were started are in `crews`.
pub fn start(
    sinks: Vec<Sink>,
    queue: &Queue,
    services: &Services,
    crews: &mut Vec<Crew>,
) -> Result<(), String> {
    let journals: Arc<[file::Journal]> =
        sinks.iter().filter_map(|sink| sink.journal(queue)).collect();
    for sink in sinks {
        let name = sink.terms().sink.clone();
        let crew = Crew::start(sink, queue, services, &journals);
        crews.push(crew.map_err(|error| format!("sink {name}: {error}"))?);
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod test {
    use super::{Delivery, Duration, Outcome, Terms};

    /// A sink that does what a test wants.
    pub struct Scripted {
        pub terms: Terms,
        pub attempt: Box<dyn Fn(&Delivery) -> Outcome + Send + Sync>,
        pub attempt_max: fn(&Delivery) -> Duration,
    }
}
