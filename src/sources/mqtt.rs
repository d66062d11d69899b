//! Messages from an MQTT broker.

use crate::config::Broker;
use crate::intake::{Intake, Plan};
use crate::message::Accept;
use crate::mqtt::memory::{Forgetful, Memory};
use crate::mqtt::session::{self, Timing};
use crate::queue::{Queue, Storing};
use crate::sources::hand::Hand;
use crate::sources::kapacitor::Kapacitor;
use crate::sources::{Inside, origin};
use crate::system::health::Health;
use crate::system::stop::Stop;
use crate::system::threads::Failures;

pub use crate::mqtt::session::{Running, check};

/// A session that is ready to start: certificates are loaded, filters are valid.
pub struct Session(session::Session);

/// Checks all that can be checked before a connection, and reports the session to `health`.
///
/// # Errors
///
/// Says which file cannot be used, and why.
pub fn prepare(
    broker: &Broker,
    inside: &Inside<'_>,
    kapacitor: Option<&Kapacitor>,
    health: &Health,
) -> Result<Session, String> {
    let hand = hand(broker, inside.intake);
    let hand = match kapacitor {
        Some(kapacitor) => kapacitor.gauge(broker, hand),
        None => hand,
    };
    prepare_with(broker, hand, inside.queue, health)
}

/// What passes the messages of a broker to intake.
pub(super) fn hand(broker: &Broker, intake: &Intake) -> Box<dyn Accept> {
    Box::new(Hand::new(intake.clone(), plan(broker)).with_window(broker.window))
}

/// The same for a session that hands what it brings to somebody else.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_with(
    broker: &Broker,
    hand: Box<dyn Accept>,
    queue: &Queue,
    health: &Health,
) -> Result<Session, String> {
    let session = format!("{}@{}:{}", broker.client_id, broker.host, broker.port);
    // Of a session that ends with its connection nothing is left at the broker either, and its
    // client id may be another one each time.
    let memory: Box<dyn Memory> = match broker.clean {
        true => Box::new(Forgetful),
        false => Box::new(Records { queue: queue.clone(), session }),
    };
    session::prepare(broker, Timing::default(), hand, memory, health).map(Session)
}

/// What a session remembers, in the database of the queue.
struct Records {
    queue: Queue,
    /// The client id and the address of the broker, which together name a session.
    session: String,
}

impl Records {
    const SCOPE: &str = "mqtt";

    fn key(&self, name: &str) -> String {
        format!("{} {name}", self.session)
    }
}

impl Memory for Records {
    fn recall(&self, name: &str) -> Option<String> {
        self.queue.record(Self::SCOPE, &self.key(name))
    }

    fn remember(&self, name: &str, text: String) {
        self.queue.remember(Self::SCOPE, &self.key(name), Some(text));
    }
}

impl Session {
    /// Connects in the background, without end, until the stop; see [`Running`] for the end.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started.
    pub fn start(self, stop: &Stop, failures: &Failures) -> std::io::Result<Running> {
        self.0.start(stop, failures)
    }
}

/// Delivers what upstream's agent left in its own queue of messages, by the rules of the first
/// buffered broker: upstream knows only one.
pub fn take_over(brokers: &[Broker], intake: &Intake) {
    if let Some(broker) = brokers.iter().find(|broker| broker.buffer).or(brokers.first()) {
        intake.take_over(&plan(broker));
    }
}

fn plan(broker: &Broker) -> Plan {
    let mut sinks = broker.rules.iter().map(|rule| rule.to.sink_name());
    let first = sinks.next();
    let storing = match broker.buffer {
        true => Storing::within(broker.hold),
        false if sinks.any(|sink| Some(sink) != first) => Storing::IfAway,
        false => Storing::IfRefused,
    };
    Plan {
        name: format!("mqtt {}", broker.name),
        source: origin("mqtt", &broker.name),
        rules: broker.rules.clone(),
        routing: broker.routing,
        storing,
        bytes_max: broker.packet_bytes_max,
    }
}
