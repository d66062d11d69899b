//! What every part of the agent gets at its start.

use crate::system::health::{Health, Limits};
use crate::system::stop::{Stop, Stopper};
use crate::system::threads::Failures;

/// A bag of handles; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Services {
    /// Where a part reports how it is.
    pub health: Health,
    /// When the agent stops being healthy.
    pub limits: Limits,
    /// Where a part reports that it failed for good.
    pub failures: Failures,
    /// Stops sources, and the parts that watch the agent.
    pub stop: Stop,
    /// Held to its end by whatever may outlive a stop.
    pub here: Stopper,
}

#[cfg(test)]
impl Services {
    /// Those of no agent: it is stopped, and failures go nowhere.
    pub fn for_a_test() -> Self {
        let age_max = std::time::Duration::from_secs(600);
        Services {
            health: Health::default(),
            limits: Limits { age_max },
            failures: Failures(crossbeam_channel::bounded(1).0),
            stop: crate::system::stop::pair().1,
            here: crate::system::stop::pair().0,
        }
    }
}
