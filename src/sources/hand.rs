//! Between a source and intake: what is refused is kept until there is room.

use crate::config::Window;
use crate::intake::{Intake, Plan};
use crate::message::{Accept, Arrival, Desk, Refused};
use crate::queue::{self, Push};
use std::mem;
use std::sync::Arc;
use std::time::Instant;

/// Passes what a session brings to intake.
pub(super) struct Hand {
    intake: Intake,
    plan: Plan,
    /// What the queue refused, until there is room.
    kept: Vec<Push>,
    waits: Option<Waits>,
}

/// What comes soon after a connection waits a little.
struct Waits {
    window: Window,
    /// Until when, while it is open.
    until: Option<Instant>,
    /// How many messages came since.
    count: usize,
}

impl Hand {
    /// Messages become deliveries by the rules of `plan`.
    pub(super) fn new(intake: Intake, plan: Plan) -> Self {
        Hand { intake, plan, kept: Vec::new(), waits: None }
    }

    /// What comes in a window after each connection goes out at its end.
    pub(super) fn with_window(mut self, window: Option<Window>) -> Self {
        self.waits = window.map(|window| Waits { window, until: None, count: 0 });
        self
    }
}

impl Accept for Hand {
    fn connected(&mut self) {
        if let Some(waits) = &mut self.waits {
            waits.until = Some(Instant::now() + waits.window.time);
            waits.count = 0;
            self.intake.hold_back(&self.plan, Some(waits.window.time));
        }
    }

    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let is_full = self.waits.as_mut().is_some_and(|waits| waits.is_full_with(arrivals.len()));
        let taken = self.intake.accept(&self.plan, arrivals, desk);
        if is_full {
            self.intake.hold_back(&self.plan, None);
        }
        self.keep(taken)
    }

    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let batch = mem::take(&mut self.kept);
        let taken = self.intake.push(batch, desk);
        self.keep(taken)
    }
}

impl Waits {
    /// Whether this many more fill the place; after that nothing waits any more.
    fn is_full_with(&mut self, more: usize) -> bool {
        self.count += more;
        let is_full = self.count >= self.window.messages_max
            && self.until.is_some_and(|until| Instant::now() < until);
        if is_full {
            self.until = None;
        }
        is_full
    }
}

impl Hand {
    /// Keeps what was refused.
    fn keep(&mut self, taken: Result<(), queue::Error>) -> Result<(), Refused> {
        let (batch, refused) = match taken {
            Ok(()) => return Ok(()),
            Err(queue::Error::Full(batch)) => (batch, Refused::Full),
            Err(queue::Error::Unwritable(batch)) => (batch, Refused::Unwritable),
            Err(queue::Error::Closed) => return Err(Refused::Closed),
        };
        self.kept = batch;
        Err(refused)
    }
}
