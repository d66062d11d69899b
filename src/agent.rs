//! Builds everything from a [`Config`], starts it, waits, stops it in order.

use crate::config::Config;

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// Says in words what could not be opened, bound or loaded, or which part failed for good.
pub fn run(_config: Config) -> Result<(), String> {
    todo!()
}

/// Opens nothing for good and starts nothing, but loads every file a start would need.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(_config: &Config) -> Result<(), Vec<String>> {
    todo!()
}
