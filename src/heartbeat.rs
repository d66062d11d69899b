//! Pings a heartbeat monitor on a beat, only while the agent is healthy.
//!
//! The monitor raises the alarm when pings stop, so a ping says that messages get through. An agent
//! that cannot do its work must not send one.

use crate::message::{Outcome, Ping};
use crate::system::services::Services;
use log::{info, warn};
use std::time::{Duration, Instant};

/// The time between two pings.
const BEAT: Duration = Duration::from_secs(30);

/// How often an agent that is not healthy checks whether it is again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Pings `key` at once, within 30 s again, and then every 30 s until the stop, skipping beats while the agent is not
/// healthy.
pub fn run(ping: &Ping, key: &str, services: &Services) {
    let Services { health, limits, stop, .. } = services;
    let mut paused = false;
    // Boxes that got their power back together do not ping together ever after.
    let mut beat = BEAT.mul_f64(fastrand::f64());
    loop {
        health.ask();
        let trouble = health.snapshot().trouble(Instant::now(), *limits);
        match (&trouble, paused) {
            (Some(trouble), false) => warn!("heartbeat: paused: {trouble}"),
            (None, true) => info!("heartbeat: resumed"),
            _ => {}
        }
        paused = trouble.is_some();
        let began = Instant::now();
        if !paused && let Outcome::Later { why, .. } | Outcome::Never { why, .. } = ping(key) {
            warn!("heartbeat: the ping failed: {why}");
        }
        let pause = if paused { LOOK_AGAIN } else { beat.saturating_sub(began.elapsed()) };
        if !paused {
            beat = BEAT;
        }
        if stop.is_set_within(pause) {
            return;
        }
    }
}
