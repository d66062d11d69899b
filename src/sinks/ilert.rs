//! ilert's API as a sink.

use crate::ilert::Client;
use crate::message::{Delivery, Kind, Outcome};

/// The name of this sink in lanes, log and `/status`.
pub const NAME: &str = "ilert";

/// Tries once to hand `delivery` over.
#[must_use]
pub fn attempt(client: &Client, delivery: &Delivery) -> Outcome {
    match delivery.kind {
        Kind::Event => client.event(&delivery.target, &delivery.body),
        Kind::Heartbeat => client.heartbeat(&delivery.target),
        Kind::Policy => client.policy(&delivery.body),
    }
}
