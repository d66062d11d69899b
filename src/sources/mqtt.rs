//! Messages from an MQTT broker.

use crate::config::Broker;
use crate::intake::{self, Intake, Plan};
use crate::message::{Desk, Receipt};
use crate::mqtt::accept::{Accept, Arrival, Refused};
use crate::mqtt::session::{self, Timing};
use crate::queue::{self, DeadLetter, Push, Store};
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
    let hand = Hand { intake, plan, limit: broker.packet_bytes_max, kept: Vec::new() };
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
    Plan { rules: broker.rules.clone(), routing: broker.routing, store }
}

/// Passes what a session brings to intake.
struct Hand {
    intake: Intake,
    plan: Plan,
    /// The size that an oversized message broke, in bytes.
    limit: usize,
    /// What the queue refused, until there is room.
    kept: Vec<Push>,
}

impl Accept for Hand {
    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let mut messages = Vec::with_capacity(arrivals.len());
        let mut letters = Vec::new();
        for arrival in arrivals {
            match arrival {
                Arrival::Message { message, ticket } => {
                    messages.push(intake::Arrival::Message { message, ticket });
                }
                Arrival::Oversized { topic, bytes, ticket } => {
                    let limit = self.limit;
                    messages.push(intake::Arrival::Oversized { topic, bytes, limit, ticket });
                }
                Arrival::Unreadable { topic, reason, payload, ticket } => {
                    let receipt = Receipt::new(desk.clone(), ticket, 1);
                    letters.push(dead_letter(topic, reason, payload, receipt));
                }
            }
        }
        if !messages.is_empty() {
            let taken = self.intake.accept(&self.plan, messages, desk);
            if let Err(refused) = self.keep(taken) {
                self.kept.append(&mut letters);
                return Err(refused);
            }
        }
        self.push(letters, desk)
    }

    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let batch = mem::take(&mut self.kept);
        self.push(batch, desk)
    }
}

impl Hand {
    fn push(&mut self, batch: Vec<Push>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        if batch.is_empty() {
            return Ok(());
        }
        let taken = self.intake.push(batch, desk);
        self.keep(taken)
    }

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

/// A message that no rule can be asked about, kept for people.
fn dead_letter(origin: String, reason: &str, body: Vec<u8>, receipt: Receipt) -> Push {
    let letter = DeadLetter {
        reason: reason.to_owned(),
        kind: None,
        lane_key: String::new(),
        order_key: None,
        target: String::new(),
        origin,
        body,
    };
    Push::DeadLetter { letter, receipt: Some(receipt) }
}
