//! Where deliveries go.

use super::{Secret, defaults};
use std::time::Duration;

/// ilert's API and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ilert {
    /// Scheme, host and port of the API, without a slash at the end.
    pub api: String,
    /// The same for heartbeat pings.
    pub beat: String,
    /// API key, for policy updates only.
    pub api_key: Option<Secret>,
    /// Heartbeat monitor that is pinged while the agent is healthy.
    pub heartbeat: Option<Secret>,
    /// Attempts before a delivery becomes a dead letter; `None` never gives up.
    pub attempts_max: Option<u32>,
    /// Most requests under way at a time.
    pub in_flight_max: usize,
    /// Longest time one request may take.
    pub timeout: Duration,
}

impl Default for Ilert {
    fn default() -> Self {
        Ilert {
            api: defaults::API.to_owned(),
            beat: defaults::BEAT.to_owned(),
            api_key: None,
            heartbeat: None,
            attempts_max: Some(defaults::ATTEMPTS_MAX),
            in_flight_max: defaults::IN_FLIGHT_MAX,
            timeout: defaults::TIMEOUT,
        }
    }
}
