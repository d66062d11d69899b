//! What every part of the agent is given at its start, whatever it does.

use crate::system::health::{Health, Limits};
use crate::system::stop::{Stop, Stopper};
use crate::system::threads::Failures;

/// A bag of handles; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Services {
    /// Where a part says how it is.
    pub health: Health,
    /// When the agent stops calling itself healthy.
    pub limits: Limits,
    /// Where a part says that it failed for good.
    pub failures: Failures,
    /// Ends sources, and what looks after the agent.
    pub stop: Stop,
    /// Held by whatever may outlive a stop, to its end.
    pub here: Stopper,
}

#[cfg(test)]
impl Services {
    /// Of an agent that is not there: nobody hears of failures, and it is stopped.
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
