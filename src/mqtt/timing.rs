//! How patient a session is, and how much it takes in hand.

use crate::retry::Backoff;
use std::time::Duration;

/// How many messages may be in our hands, not safe or not acknowledged; then reading stops.
pub const IN_HAND_MAX: usize = 4_096;

/// How patient a session is.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For look-up, TCP, TLS and CONNACK together.
    pub connect: Duration,
    /// A broker that reads nothing for this long is given up.
    pub stall: Duration,
    /// Between two looks at the TLS files.
    pub files: Duration,
    /// Between two attempts to connect.
    pub reconnect: Backoff,
    /// A connection that lasted this long resets the back-off.
    pub good: Duration,
    /// Between two attempts to subscribe to what was refused.
    pub subscribe: Backoff,
    /// Before a subscription that makes the broker close the connection is tried again.
    pub left_out: Duration,
    /// Before news about retained messages is written down.
    pub remember: Duration,
    /// While somebody asks for our state: the silence after which the broker is pinged.
    pub watch: Duration,
    /// Before a ping without an answer is reported.
    pub worry: Duration,
    /// At the stop, for receipts that are not signed yet.
    pub farewell: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Timing {
            connect: secs(10),
            stall: secs(10),
            files: secs(30),
            reconnect: Backoff { first: Duration::from_millis(100), longest: secs(30) },
            good: secs(30),
            subscribe: Backoff { first: secs(15), longest: secs(30) },
            left_out: secs(300),
            remember: secs(2),
            watch: secs(15),
            worry: secs(10),
            farewell: Duration::from_millis(1_500),
        }
    }
}
