//! ilert's API as a sink.

use crate::ilert::Client;
use crate::message::{Delivery, Outcome};

/// The name of this sink in lanes, log and `/status`.
pub const NAME: &str = "ilert";

/// Tries once to hand `delivery` over.
#[must_use]
pub fn attempt(_client: &Client, _delivery: &Delivery) -> Outcome {
    todo!()
}
