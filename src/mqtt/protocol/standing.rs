//! What a session reports of itself.

use super::Protocol;

/// How things stand on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Standing {
    /// The broker is there, and answers.
    pub connected: bool,
    /// Everything that was asked for is granted.
    pub ready: bool,
    /// How many subscriptions are.
    pub granted: usize,
    /// What is wrong, or empty.
    pub trouble: String,
}

impl Protocol {
    /// How things stand.
    pub(in crate::mqtt) fn standing(&self) -> Standing {
        let ready = self.subscriptions.are_ready();
        let granted = self.subscriptions.granted();
        if self.pace.is_worried() {
            let secs = self.timing.worry.as_secs();
            let trouble = format!(
                "the broker has not answered a ping for {secs} s, though its connection is open"
            );
            return Standing { connected: false, ready, granted, trouble };
        }
        Standing { connected: true, ready, granted, trouble: self.subscriptions.trouble() }
    }
}
