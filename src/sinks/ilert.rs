//! ilert's API as a sink.

use crate::config;
use crate::ilert::Client;
use crate::message::{Delivery, Kind, Outcome, SinkName};
use crate::queue::Terms;
use crate::retry::Backoff;
use std::time::Duration;

/// The name of this sink in lanes, log and `/status`.
pub const NAME: SinkName = SinkName::fixed("ilert");

/// Waits of a delivery after failures of its own.
pub const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };

/// What the queue is told of this sink.
#[must_use]
pub fn terms(settings: &config::Ilert) -> Terms {
    Terms {
        sink: NAME,
        in_flight_max: settings.in_flight_max,
        backoff: BACKOFF,
        attempts_max: settings.attempts_max,
    }
}

/// Tries once to hand `delivery` over, which has the number `id` in the log.
#[must_use]
pub fn attempt(client: &Client, id: u64, delivery: &Delivery) -> Outcome {
    match delivery.kind {
        Kind::Event => {
            let name = format!("delivery {id}");
            client.event(&name, &delivery.lane.key, &delivery.target, &delivery.body)
        }
        Kind::Heartbeat => client.heartbeat(&delivery.target),
        Kind::Policy => client.policy(&delivery.body),
    }
}
