//! Where messages come from; each source owes intake a message and a receipt.

pub mod dapr;
#[cfg(feature = "kapacitor")]
pub mod gauge;
mod hand;
pub mod http;
pub mod kafka;
pub mod kapacitor;
pub mod mqtt;
#[cfg(feature = "kapacitor")]
pub mod udp;

pub use http::Sockets;

use crate::config::{Broker, Clients, Config, Http};
use crate::intake::Intake;
use crate::message::{Ping, path_segment};
use crate::queue::Queue;
use crate::system::health::Health;
use crate::system::http::Routes;
use crate::system::plain::line;
use crate::system::pulse::Part;
use crate::system::services::Services;
use http::direct::Direct;
use http::door::Door;
use http::ilert::Api;
use http::person::Person;
use log::warn;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a consumer may take to commit its last offsets and to leave its group.
const CONSUMER_END: Duration = Duration::from_millis(1_600);

/// A source that is ready to start: what it needs is loaded and checked.
pub enum Source {
    /// A session with an MQTT broker.
    Mqtt(Box<mqtt::Session>),
    /// A consumer of a Kafka cluster.
    Kafka(Box<kafka::Consumer>),
    /// An HTTP listener.
    Http(http::Listener),
    /// What a Kapacitor does.
    Kapacitor(Box<kapacitor::Kapacitor>),
    /// What a Dapr sidecar does.
    Dapr(Box<dapr::Dapr>),
}

/// What sources hand messages to, and what they answer with.
pub struct Inside<'a> {
    /// The one way in.
    pub intake: &'a Intake,
    /// Where deliveries wait.
    pub queue: &'a Queue,
    /// Passes heartbeats on.
    pub ping: Arc<Ping>,
    /// What a listener answers about the agent.
    pub status: &'a dyn Fn(&Http) -> Arc<dyn Routes>,
}

/// Looks at what [`Source::prepare`] would need.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(config: &Config) -> Result<(), Vec<String>> {
    let brokers = read_from(config).map(|broker| named("mqtt", &broker.name, mqtt::check(broker)));
    let clusters =
        config.clusters.iter().map(|cluster| named("kafka", &cluster.name, kafka::check(cluster)));
    let kapacitor = kapacitor::check(config).map_err(|wrong| wrong.join("\n"));
    all_or_faults(brokers.chain(clusters).chain([kapacitor])).map(|_| ())
}

impl Source {
    /// All sources of `config`, in the order of their start; those with sessions are reported to
    /// `health`.
    ///
    /// # Errors
    ///
    /// All that is wrong, one line each.
    pub fn prepare(
        config: &Config,
        inside: &Inside<'_>,
        health: &Health,
    ) -> Result<Vec<Source>, Vec<String>> {
        let kapacitor = kapacitor::prepare(config, inside.queue)?;
        let dapr = dapr::prepare(config, inside)?;
        let listener =
            |settings| inside.listener(config, settings, kapacitor.as_ref(), dapr.as_ref());
        let listeners: Vec<_> = config.http.iter().map(listener).map(Source::Http).collect();
        let listeners = listeners.into_iter().map(Ok);
        let session = |broker: &Broker| {
            let session = mqtt::prepare(broker, inside, kapacitor.as_ref(), health);
            named("mqtt", &broker.name, session.map(Box::new).map(Source::Mqtt))
        };
        let sessions: Vec<_> = read_from(config).map(session).collect();
        let kapacitor = kapacitor.map(Box::new).map(Source::Kapacitor).map(Ok);
        let dapr = dapr.map(Box::new).map(Source::Dapr).map(Ok);
        let consumers = config.clusters.iter().map(|cluster| {
            let consumer = kafka::prepare(cluster, inside.intake.clone(), health);
            named("kafka", &cluster.name, consumer.map(Box::new).map(Source::Kafka))
        });
        all_or_faults(listeners.chain(kapacitor).chain(dapr).chain(sessions).chain(consumers))
    }

    /// Starts it in the background. A listener takes its socket out of `sockets`.
    ///
    /// # Errors
    ///
    /// Says which source cannot be started, and why.
    pub fn start(self, services: &Services, sockets: &mut Sockets) -> Result<Running, String> {
        let Services { stop, failures, here, .. } = services;
        match self {
            Source::Mqtt(session) => {
                let running = session.start(stop, failures);
                running.map(Running::Mqtt).map_err(|error| format!("mqtt: {error}"))
            }
            Source::Kafka(consumer) => {
                let running = consumer.start(stop, failures, here.clone());
                running.map(Running::Kafka).map_err(|error| format!("kafka: {error}"))
            }
            Source::Http(listener) => listener.start(services, sockets).map(Running::Http),
            Source::Kapacitor(kapacitor) => {
                kapacitor.start(services).map(Box::new).map(Running::Kapacitor)
            }
            Source::Dapr(dapr) => dapr.start(services).map(Box::new).map(Running::Dapr),
        }
    }
}

impl Inside<'_> {
    /// A listener with the routes that its clients expect.
    fn listener(
        &self,
        config: &Config,
        settings: &Http,
        kapacitor: Option<&kapacitor::Kapacitor>,
        dapr: Option<&dapr::Dapr>,
    ) -> http::Listener {
        if let Some(dapr) = dapr.filter(|_| settings.clients == Clients::Dapr) {
            return dapr.listener(settings, &(self.status)(settings));
        }
        if let Some(kapacitor) = kapacitor.filter(|_| settings.clients == Clients::Kapacitor) {
            let mut routes = kapacitor.routes(settings);
            routes.push((self.status)(settings));
            return http::Listener::new(settings, routes);
        }
        let door = Arc::new(Door::new(settings, self.queue.clone()));
        let direct = Direct::new(config, Arc::clone(&door));
        let queue = self.queue.clone();
        let person =
            Person::new(Arc::clone(&door), Box::new(move |ask, wait| queue.ask(ask, wait)));
        let api = Api::new(settings, door, Arc::clone(&self.ping));
        let routes: Vec<Arc<dyn Routes>> =
            vec![Arc::new(direct), Arc::new(person), Arc::new(api), (self.status)(settings)];
        http::Listener::new(settings, routes)
    }
}

/// A source that runs.
pub enum Running {
    /// A session with an MQTT broker.
    Mqtt(mqtt::Running),
    /// A consumer of a Kafka cluster.
    Kafka(kafka::Running),
    /// An HTTP listener.
    Http(http::Running),
    /// What a Kapacitor does.
    Kapacitor(Box<kapacitor::Running>),
    /// What a Dapr sidecar does.
    Dapr(Box<dapr::Running>),
}

impl Running {
    /// The thread whose loop must keep turning for the source to be alive, if it has one.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        match self {
            Running::Mqtt(session) => Some(Part::new(session.name(), session.pulse())),
            Running::Kafka(consumer) => Some(Part::new(consumer.name(), consumer.pulse())),
            Running::Kapacitor(kapacitor) => Some(kapacitor.part()),
            Running::Dapr(dapr) => dapr.part(),
            Running::Http(_) => None,
        }
    }

    /// Reads again what it reads beside the configuration.
    pub fn look_again(&self) {
        if let Running::Kapacitor(kapacitor) = self {
            kapacitor.look_again();
        }
    }

    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {
        match self {
            Running::Mqtt(session) => session.wake(),
            Running::Kafka(consumer) => consumer.wake(),
            Running::Kapacitor(kapacitor) => kapacitor.wake(),
            Running::Dapr(dapr) => dapr.wake(),
            Running::Http(_) => (),
        }
    }

    /// Waits for its end. It was woken at `woken`; a listener gives its socket to `sockets`.
    pub fn join(self, woken: Instant, is_reload: bool, sockets: &mut Sockets) {
        match self {
            Running::Mqtt(session) => session.join(),
            Running::Kafka(consumer) => {
                if !consumer.join(woken + CONSUMER_END) {
                    warn!("agent: a Kafka cluster is slow to let go; it will notice by itself");
                }
            }
            Running::Http(listener) => listener.join(is_reload, sockets),
            Running::Kapacitor(kapacitor) => kapacitor.join(),
            Running::Dapr(dapr) => dapr.join(),
        }
    }
}

/// Maps what upstream's agent left in its own queue of messages. Only MQTT brought it any.
pub fn take_over(config: &Config, intake: &Intake) {
    intake.take_over_events();
    mqtt::take_over(&config.brokers, intake);
}

/// The brokers that messages come from; others are only published to.
fn read_from(config: &Config) -> impl Iterator<Item = &Broker> {
    config.brokers.iter().filter(|broker| !broker.rules.is_empty())
}

/// What CloudEvents of a source are said to come from.
fn origin(kind: &str, name: &str) -> String {
    format!("/{kind}/{}", path_segment(name).unwrap_or_default())
}

fn named<T>(kind: &str, name: &str, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|what| format!("{kind} {name}: {what}"))
}

/// All of them, or all that is wrong, one line each.
fn all_or_faults<T>(
    prepared: impl Iterator<Item = Result<T, String>>,
) -> Result<Vec<T>, Vec<String>> {
    let (ready, wrong): (Vec<_>, Vec<_>) = prepared.partition(Result::is_ok);
    let wrong = wrong.into_iter().filter_map(Result::err);
    let wrong: Vec<String> = wrong.map(|what| line(&what).into_owned()).collect();
    if wrong.is_empty() { Ok(ready.into_iter().flatten().collect()) } else { Err(wrong) }
}
