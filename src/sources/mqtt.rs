//! Messages from an MQTT broker.

use crate::config::Broker;
use crate::intake::Intake;
use crate::system::health::Health;
use crate::system::stop::Stop;
use crate::system::threads::Failures;

/// A session that is ready to start: certificates are loaded, filters are valid.
pub struct Session;

/// Checks all that can be checked before a connection, and reports the session to `health`.
///
/// # Errors
///
/// Says in words which file cannot be used, and why.
pub fn prepare(_broker: &Broker, _intake: Intake, _health: &Health) -> Result<Session, String> {
    todo!()
}

impl Session {
    /// Connects in the background, for ever, until told to stop.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started.
    pub fn start(self, _stop: &Stop, _failures: &Failures) -> std::io::Result<Running> {
        todo!()
    }
}

/// A session that runs.
pub struct Running;
impl Running {
    /// .
    pub fn wake(&self) {}
    /// .
    pub fn join(self) {}
}

/// .
pub fn take_over(_brokers: &[Broker], _intake: &Intake) {}
