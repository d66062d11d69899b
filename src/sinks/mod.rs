//! Where deliveries go: one attempt, one verdict. A `crew` of threads claims for a sink that blocks;
//! a session with a broker claims for itself.

mod announce;
pub mod app;
pub mod crew;
pub mod file;
pub mod ilert;
pub mod mqtt;
pub mod webhook;

use crate::config::{self, Config};
use crate::message::{Delivery, Outcome, Ping};
use crate::queue::{Claim, Queue, Terms};
use crate::system::pulse::Part;
use crate::system::services::Services;
use crew::Crew;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A sink that blocks, and is ready to start.
pub enum Sink {
    /// ilert's API.
    Ilert(Box<ilert::Ilert>),
    /// A webhook.
    Webhook(Box<webhook::Webhook>),
    /// The application of a Dapr sidecar.
    App(Box<app::App>),
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

/// Looks at what [`Prepared::new`] would need.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(config: &Config) -> Result<(), Vec<String>> {
    let checked = config.sinks().map(|sink| match sink {
        config::Sink::Ilert(settings) => ilert::check(settings),
        config::Sink::Webhook(settings) => webhook::check(settings),
        config::Sink::File(settings) => file::check(settings),
        config::Sink::Mqtt(broker) => mqtt::check(broker),
        config::Sink::App(settings) => app::check(settings),
    });
    let wrong: Vec<String> = checked.filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

impl Sink {
    /// What the queue needs to know of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        match self {
            Sink::Ilert(ilert) => ilert.terms(),
            Sink::Webhook(webhook) => webhook.terms(),
            Sink::App(app) => app.terms(),
            Sink::File(file) => file.terms(),
            #[cfg(test)]
            Sink::Test(scripted) => &scripted.terms,
        }
    }

    /// Tries once to hand over what was claimed, which is several only for an application. Says
    /// what becomes of each.
    #[must_use]
    pub fn attempt(&self, claims: &[Claim]) -> Vec<Outcome> {
        let Claim { id, delivery, .. } = &claims[0];
        vec![match self {
            Sink::App(app) => return app.attempt(claims),
            Sink::Ilert(ilert) => ilert.attempt(*id, delivery),
            Sink::Webhook(webhook) => webhook.attempt(delivery),
            Sink::File(file) => file.attempt(delivery),
            #[cfg(test)]
            Sink::Test(scripted) => (scripted.attempt)(delivery),
        }]
    }

    /// The longest time an attempt at `delivery` can take.
    #[must_use]
    pub fn attempt_max(&self, delivery: &Delivery) -> Duration {
        match self {
            Sink::Ilert(ilert) => ilert.attempt_max(delivery),
            Sink::Webhook(webhook) => webhook.attempt_max(delivery),
            Sink::App(app) => app.attempt_max(delivery),
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
            Sink::Webhook(_) | Sink::App(_) | Sink::File(_) => None,
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
            Sink::Webhook(_) | Sink::App(_) | Sink::File(_) => None,
            #[cfg(test)]
            Sink::Test(_) => None,
        }
    }

    /// Ends all attempts under way, and lets no other begin.
    pub fn cut(&self) {
        match self {
            Sink::Ilert(ilert) => ilert.cut(),
            Sink::Webhook(webhook) => webhook.cut(),
            Sink::App(app) => app.cut(),
            Sink::File(_) => (),
            #[cfg(test)]
            Sink::Test(_) => (),
        }
    }

    /// What the others note their deliveries in, if this is a journal.
    fn journal(&self, queue: &Queue) -> Option<file::Journal> {
        match self {
            Sink::File(file) => Some(file.journal(queue)),
            Sink::Ilert(_) | Sink::Webhook(_) | Sink::App(_) => None,
            #[cfg(test)]
            Sink::Test(_) => None,
        }
    }

    fn is_journal(&self) -> bool {
        matches!(self, Sink::File(_))
    }

    /// Whether a line of the log for each delivery would be too much: a journal's stand in its file,
    /// and an application may take thousands a second.
    fn is_talkative(&self) -> bool {
        matches!(self, Sink::File(_) | Sink::App(_))
    }

    /// Whether a journal has nothing more to write.
    fn is_done(&self) -> bool {
        match self {
            Sink::File(file) => file.is_done(),
            Sink::Ilert(_) | Sink::Webhook(_) | Sink::App(_) => true,
            #[cfg(test)]
            Sink::Test(_) => true,
        }
    }
}

/// All sinks of a configuration, ready to start.
pub struct Prepared {
    blocking: Vec<Sink>,
    publishers: Vec<mqtt::Publisher>,
}

impl Prepared {
    /// Prepares them; connects nowhere.
    ///
    /// # Errors
    ///
    /// Says what cannot be prepared.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut all = Prepared { blocking: Vec::new(), publishers: Vec::new() };
        for sink in config.sinks() {
            all.blocking.push(match sink {
                config::Sink::Ilert(settings) => {
                    Sink::Ilert(Box::new(ilert::Ilert::prepare(settings)?))
                }
                config::Sink::Webhook(settings) => {
                    Sink::Webhook(Box::new(webhook::Webhook::prepare(settings)?))
                }
                config::Sink::App(settings) => Sink::App(Box::new(app::App::prepare(settings)?)),
                config::Sink::File(settings) => Sink::File(file::File::prepare(settings)?),
                config::Sink::Mqtt(broker) => {
                    all.publishers.push(mqtt::prepare(broker)?);
                    continue;
                }
            });
        }
        Ok(all)
    }

    /// What passes heartbeats on: the first sink that can.
    #[must_use]
    pub fn ping(&self) -> Arc<Ping> {
        let ping = self.blocking.iter().find_map(Sink::ping);
        ping.unwrap_or_else(|| Arc::new(|_| Outcome::never("no sink takes heartbeats")))
    }

    /// The monitors that are pinged while the agent is healthy.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<Heartbeat> {
        self.blocking.iter().filter_map(Sink::heartbeat).collect()
    }

    /// Starts to hand over what is due.
    ///
    /// # Errors
    ///
    /// Says which sink cannot be started, and why; those that were started are in `running`.
    pub fn start(
        self,
        queue: &Queue,
        services: &Services,
        running: &mut Vec<Running>,
    ) -> Result<(), String> {
        let journals: Arc<[file::Journal]> =
            self.blocking.iter().filter_map(|sink| sink.journal(queue)).collect();
        for sink in self.blocking {
            if let Sink::App(app) = &sink {
                app.watch(queue, services)?;
            }
            let name = sink.terms().sink.clone();
            let crew = Crew::start(sink, queue, services, &journals);
            running.push(Running::Crew(crew.map_err(|error| format!("sink {name}: {error}"))?));
        }
        for publisher in self.publishers {
            let started = publisher.start(queue, services, &journals)?;
            running.push(Running::Publisher(started));
        }
        Ok(())
    }
}

/// A sink that runs.
pub enum Running {
    /// Threads that block.
    Crew(Crew),
    /// A session with a broker.
    Publisher(mqtt::Running),
}

impl Running {
    /// Whether it only notes what the others deliver, and so ends after them.
    #[must_use]
    pub fn is_journal(&self) -> bool {
        matches!(self, Running::Crew(crew) if crew.is_journal())
    }

    /// The thread whose loop must keep turning, if there is one: a crew shows its attempts.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        match self {
            Running::Crew(_) => None,
            Running::Publisher(publisher) => Some(publisher.part()),
        }
    }

    /// Takes no more deliveries.
    pub fn stop(&mut self) {
        match self {
            Running::Crew(crew) => crew.stop(),
            Running::Publisher(publisher) => publisher.stop(),
        }
    }

    /// Waits until a journal has noted everything, or `deadline` has passed.
    pub fn finish(&self, deadline: Instant) {
        if let Running::Crew(crew) = self {
            crew.finish(deadline);
        }
    }

    /// Waits until it has ended, or `deadline` has passed; says whether it has.
    #[must_use]
    pub fn join(&self, deadline: Instant) -> bool {
        match self {
            Running::Crew(crew) => crew.join(deadline),
            Running::Publisher(publisher) => publisher.join(deadline),
        }
    }

    /// Ends all attempts under way, and lets no other begin.
    pub fn cut(&self) {
        if let Running::Crew(crew) = self {
            crew.cut();
        }
    }
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
