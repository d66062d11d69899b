//! ilert's API as a sink.

use crate::ilert::Client;
use crate::message::{Delivery, Kind, Outcome};

/// The name of this sink in lanes, log and `/status`.
pub const NAME: &str = "ilert";

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
