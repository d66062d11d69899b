//! Where deliveries wait.

use super::defaults;
use std::path::PathBuf;
use std::time::Duration;

/// Where deliveries wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The database file.
    pub path: PathBuf,
    /// Most bytes of waiting deliveries; beyond that sources are refused.
    pub bytes_max: u64,
    /// Most dead letters kept; beyond it messages that are no events are removed first, then the
    /// oldest.
    pub dead_letters_max: u64,
    /// When a commit counts as safe.
    pub sync: Safety,
    /// `/ready` and the heartbeat fail while the oldest delivery is older than this.
    pub age_max: Duration,
}

/// When a commit counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Once the disk has it: survives a power cut.
    Full,
    /// Once the kernel has it: survives a crash of the agent, and spares flash.
    Normal,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            path: PathBuf::from(defaults::DATABASE),
            bytes_max: defaults::QUEUE_BYTES_MAX,
            dead_letters_max: defaults::DEAD_LETTERS_MAX,
            sync: Safety::Full,
            age_max: defaults::AGE_MAX,
        }
    }
}
