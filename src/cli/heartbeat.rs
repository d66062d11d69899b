//! `ilagent heartbeat`: one ping.

use crate::cli::event::{Ready, outcome};
use crate::ilert::Client;
use argh::{ArgsInfo, FromArgs};

/// Ping one heartbeat monitor.
#[derive(ArgsInfo, Clone, FromArgs, PartialEq, Eq)]
pub struct Heartbeat {
    /// key of the monitor; without it, ILERT_INTEGRATION_KEY or ILERT_HEARTBEAT_KEY
    #[argh(option, short = 'k', arg_name = "KEY")]
    pub integration_key: Option<String>,
}

/// Variables that hold the key of a monitor if there is no flag.
pub const VARIABLES: [&str; 2] = ["ILERT_INTEGRATION_KEY", "ILERT_HEARTBEAT_KEY"];

/// Pings once.
///
/// # Errors
///
/// Says why ilert does not have it.
pub fn run(ready: &Ready) -> Result<(), String> {
    outcome(Client::new(&ready.ilert)?.heartbeat(&ready.key))
}
