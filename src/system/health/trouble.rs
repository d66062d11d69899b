//! What is wrong with the agent, by what its parts report.

use super::{Queue, Session, Sinks, Sources, Tally};
use crate::system::plain;
use std::fmt;
use std::time::{Duration, Instant};

/// An attempt that should have ended this long ago is stuck. Every attempt has a limit, so this is
/// slack for slow machines.
const ATTEMPT_MARGIN: Duration = Duration::from_secs(10);

/// A copy of the board at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The agent is stopping.
    pub stopping: bool,
    /// What each source brought.
    pub sources: Sources,
    /// Each session by name.
    pub sessions: Vec<(String, Session)>,
    /// The queue.
    pub queue: Queue,
    /// Each sink by name.
    pub sinks: Sinks,
    /// What has not passed rules, by their names.
    pub rules: Vec<Tally>,
}

/// When the agent stops being healthy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The oldest delivery may be this old.
    pub age_max: Duration,
}

/// The first thing found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The agent is stopping.
    Stopping,
    /// A session is not connected or lacks a subscription.
    Session(String, Session),
    /// The queue cannot be written, is full, or its oldest delivery is too old.
    Queue(String),
    /// A worker of a sink is stuck.
    Sink(String, String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Stopping => f.write_str("the agent is stopping"),
            Trouble::Session(name, session) => {
                let connected = session.connected;
                let what = if connected { "not everything is subscribed" } else { "not connected" };
                let comma = if session.error.is_empty() { "" } else { ", " };
                let (part, name) = (session.component.as_str(), plain::plain(name));
                write!(f, "{part} {name}: {what}{comma}{}", session.error)
            }
            Trouble::Queue(what) => write!(f, "queue: {what}"),
            Trouble::Sink(name, what) => write!(f, "sink {}: {what}", plain::plain(name)),
        }
    }
}

impl Snapshot {
    /// The first thing that is wrong, in the order in which a person would look; `None` means
    /// that the agent does its whole job.
    #[must_use]
    pub fn trouble(&self, now: Instant, limits: Limits) -> Option<Trouble> {
        if self.stopping {
            return Some(Trouble::Stopping);
        }
        let down =
            |(_, session): &&(String, Session)| !(session.connected && session.subscriptions_ready);
        if let Some((name, session)) = self.sessions.iter().find(down) {
            return Some(Trouble::Session(name.clone(), session.clone()));
        }
        if let Some(what) = self.queue_trouble(now, limits) {
            return Some(Trouble::Queue(what));
        }
        self.stuck(now)
    }

    /// An attempt that should have ended.
    #[must_use]
    pub fn stuck(&self, now: Instant) -> Option<Trouble> {
        let mut sinks = self.sinks.iter().filter(|(_, sink)| !sink.is_journal);
        sinks.find_map(|(name, sink)| {
            let overdue = now.saturating_duration_since(sink.attempts_end?) > ATTEMPT_MARGIN;
            let running = now.saturating_duration_since(sink.oldest_attempt?).as_secs();
            let what = format!("an attempt has been running for {running} s");
            overdue.then(|| Trouble::Sink(name.clone(), what))
        })
    }

    fn queue_trouble(&self, now: Instant, limits: Limits) -> Option<String> {
        if !self.queue.error.is_empty() {
            return Some(self.queue.error.clone());
        }
        if self.queue.full {
            return Some(format!("full, with {} deliveries waiting", self.queue.waiting));
        }
        let age = now.saturating_duration_since(self.queue.oldest_since?);
        (age > limits.age_max)
            .then(|| format!("the oldest delivery has been waiting for {} s", age.as_secs()))
    }
}
