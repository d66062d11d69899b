//! Pings ilert's heartbeat monitor on a beat, only while the agent is healthy.

use crate::ilert::Client;
use crate::system::health::{Health, Limits};
use crate::system::stop::Stop;

/// Pings `key` at once and then every 30 s until told to stop, skipping beats while the agent is
/// not healthy.
pub fn run(_client: &Client, _key: &str, _health: &Health, _limits: Limits, _stop: &Stop) {
    todo!()
}
