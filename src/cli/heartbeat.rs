//! `ilagent heartbeat`: one ping.

use crate::cli::event::{outcome, settings};
use crate::config::Surroundings;
use crate::ilert::Client;
use argh::{ArgsInfo, FromArgs};

/// Ping one heartbeat monitor.
#[derive(ArgsInfo, Clone, Debug, FromArgs, PartialEq, Eq)]
pub struct Heartbeat {
    /// key of the monitor; without it, ILERT_INTEGRATION_KEY or ILERT_HEARTBEAT_KEY
    #[argh(option, short = 'k', arg_name = "KEY")]
    pub integration_key: Option<String>,
}

/// Pings once.
///
/// # Errors
///
/// Says in words why ilert does not have it.
pub fn run(asked: &Heartbeat, around: &Surroundings<'_>) -> Result<(), String> {
    let client = Client::new(&settings(around)?)?;
    outcome(client.heartbeat(&key(asked, around)?))
}

fn key(asked: &Heartbeat, around: &Surroundings<'_>) -> Result<String, String> {
    let variable = |name| around.variable(name);
    asked
        .integration_key
        .clone()
        .filter(|key| !key.is_empty())
        .or_else(|| variable("ILERT_INTEGRATION_KEY"))
        .or_else(|| variable("ILERT_HEARTBEAT_KEY"))
        .ok_or_else(|| "heartbeat: give a key with -k or in ILERT_INTEGRATION_KEY".to_owned())
}
