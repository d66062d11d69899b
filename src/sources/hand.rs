//! Between a source and intake: what is refused is kept until there is room.

use crate::intake::{Intake, Plan};
use crate::message::{Accept, Arrival, Desk, Refused};
use crate::queue::{self, Push};
use std::mem;
use std::sync::Arc;

/// Passes what a session brings to intake.
pub(super) struct Hand {
    intake: Intake,
    plan: Plan,
    /// What the queue refused, until there is room.
    kept: Vec<Push>,
}

impl Hand {
    /// Messages become deliveries by the rules of `plan`.
    pub(super) fn new(intake: Intake, plan: Plan) -> Self {
        Hand { intake, plan, kept: Vec::new() }
    }
}

impl Accept for Hand {
    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let taken = self.intake.accept(&self.plan, arrivals, desk);
        self.keep(taken)
    }

    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let batch = mem::take(&mut self.kept);
        let taken = self.intake.push(batch, desk);
        self.keep(taken)
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
