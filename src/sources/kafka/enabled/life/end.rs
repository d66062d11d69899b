//! How a consumer ends: by giving up, or in order.

use super::{GIVE_UP, Life};
use crate::sources::kafka::enabled::context::offsets;
use crate::system::threads::Failures;
use log::{info, warn};
use rdkafka::consumer::{CommitMode, Consumer};
use std::time::{Duration, Instant};

/// At the stop: how long to wait for receipts that are still out.
const LAST_SIGNATURES: Duration = Duration::from_millis(250);

impl Life {
    /// Ends the agent when messages wait and a sink that they may be for takes nothing: its
    /// supervisor sees that something is wrong, and Kafka keeps what was not committed.
    pub(super) fn judge(&mut self, now: Instant, failures: &Failures) {
        let waiting = self.waiting(now);
        if self.gave_up || waiting.is_none_or(|waiting| waiting < GIVE_UP) {
            return;
        }
        let sinks = self.health.snapshot().sinks;
        let rules = &self.cluster.rules;
        let mut sinks = sinks
            .iter()
            .filter(|(name, _)| rules.iter().any(|rule| rule.to.sink_name() == name.as_str()));
        let failing = sinks.find_map(|(name, sink)| {
            let failing = now.saturating_duration_since(sink.failing_since?);
            (GIVE_UP <= failing).then_some((name, &sink.error))
        });
        if let Some((sink, error)) = failing {
            let count = self.consumer.context().heard().ledger.unsigned();
            // A full channel means that another failure is already ending the agent.
            let _ = failures.0.try_send(format!(
                "kafka {}: {sink} took nothing for {} s, and the offsets of {count} messages are \
                 not committed: {error}",
                self.cluster.name,
                GIVE_UP.as_secs()
            ));
            self.gave_up = true;
        }
    }

    /// How long the oldest message that is only in our hands has been waiting.
    pub(super) fn waiting(&self, now: Instant) -> Option<Duration> {
        if self.cluster.buffer {
            return None;
        }
        let oldest = self.consumer.context().heard().ledger.oldest()?;
        Some(now.saturating_duration_since(oldest))
    }

    /// The orderly end: commits what is finished, and leaves the group.
    pub(super) fn leave(self) {
        let signatures = Instant::now() + LAST_SIGNATURES;
        while self.consumer.context().heard().ledger.unsigned() > 0 {
            let now = Instant::now();
            if signatures <= now {
                break;
            }
            self.bell.wait(signatures.saturating_duration_since(now));
            self.consumer.context().collect();
        }
        let name = self.cluster.name.clone();
        let mut heard = self.consumer.context().heard();
        // Waiting for a commit again while the group is left would take twice as long.
        heard.closing = true;
        let (open, done) = (heard.ledger.unsigned(), heard.ledger.finished());
        drop(heard);
        // Without a coordinator a commit could take any time.
        let mode = if self.standing.is_well() { CommitMode::Sync } else { CommitMode::Async };
        if !done.is_empty()
            && let Err(error) = self.consumer.commit(&offsets(&done), mode)
        {
            warn!("kafka {name}: the last offsets are not committed: {error}");
        }
        self.health.consumer(&name, |session| {
            session.connected = false;
            session.subscriptions_ready = false;
            "stopped".clone_into(&mut session.error);
        });
        drop(self.consumer);
        info!("kafka {name}: stopped; {open} messages in our hands come again");
    }
}
