//! What a Kapacitor does: tasks that make alerts of points.

use super::{Precision, defaults};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a Kapacitor does, beside its listener and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kapacitor {
    /// What it calls the machine in templates.
    pub hostname: String,
    /// The retention policy of points that name none.
    pub default_retention_policy: String,
    /// Whether a point that lacks a field of an alert ends it, as there.
    pub missing_fields_recover: bool,
    /// How long an alert may wait in memory before it is stored, if somebody waits until it is safe.
    pub hold: Duration,
    /// The broker that handlers publish to if they name none.
    pub default_broker: Option<String>,
    /// The folder of tasks and handlers that are read at the start.
    pub load: Option<PathBuf>,
    /// Listeners for points in datagrams.
    pub udp: Vec<Udp>,
}

impl Default for Kapacitor {
    fn default() -> Self {
        Kapacitor {
            hostname: "localhost".to_owned(),
            default_retention_policy: String::new(),
            missing_fields_recover: false,
            hold: defaults::HOLD,
            default_broker: None,
            load: None,
            udp: Vec::new(),
        }
    }
}

/// A listener for points in datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Address to bind.
    pub bind: IpAddr,
    /// Port to bind.
    pub port: u16,
    /// The database of its points.
    pub database: String,
    /// Their retention policy.
    pub retention_policy: String,
    /// What their times are counted in.
    pub precision: Precision,
}
