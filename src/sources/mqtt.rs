//! Messages from an MQTT broker.

use crate::config::Broker;
use crate::intake::{Intake, Plan};
use crate::message::Desk;
use crate::mqtt::accept::{Accept, Arrival, Refused};
use crate::mqtt::session::{self, Timing};
use crate::queue::{self, Push, Store};
use crate::system::health::Health;
use crate::system::stop::Stop;
use crate::system::threads::Failures;
use std::mem;
use std::sync::Arc;

pub use crate::mqtt::session::Running;

/// A session that is ready to start: certificates are loaded, filters are valid.
pub struct Session(session::Session);

/// Checks all that can be checked before a connection, and reports the session to `health`.
///
/// # Errors
///
/// Says in words which file cannot be used, and why.
pub fn prepare(broker: &Broker, intake: Intake, health: &Health) -> Result<Session, String> {
    let plan = plan(broker);
    let hand = Hand { intake, plan, kept: Vec::new() };
    session::prepare(broker, Timing::default(), Box::new(hand), health).map(Session)
}

impl Session {
    /// Connects in the background, for ever, until told to stop; see [`Running`] for the end.
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
    let store = if broker.buffer { Store::Durable } else { Store::Transit };
    Plan {
        rules: broker.rules.clone(),
        routing: broker.routing,
        store,
        packet_bytes_max: broker.packet_bytes_max,
    }
}

/// Passes what a session brings to intake.
struct Hand {
    intake: Intake,
    plan: Plan,
    /// What the queue refused, until there is room.
    kept: Vec<Push>,
}

impl Accept for Hand {
    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let taken = self.intake.accept(&self.plan, arrivals, desk);
        self.keep(taken)
    }

    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let batch = mem::take(&mut self.kept);
        let taken = self.intake.push(batch, desk);
        self.keep(taken)
    }
}

impl Hand {
    /// Keeps what was refused.
    fn keep(&mut self, taken: Result<(), queue::Error>) -> Result<(), Refused> {
        let (batch, refused) = match taken {
            Ok(()) => return Ok(()),
            Err(queue::Error::Full(batch)) => (batch, Refused::Full),
            Err(queue::Error::Unwritable(batch)) => (batch, Refused::Unwritable),
            Err(queue::Error::Closed) => return Err(Refused::Closed),
        };
        self.kept = batch;
        Err(refused)
    }
}
