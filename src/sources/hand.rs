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
            waits.count = 0;
            waits.open(&self.intake, &self.plan);
        }
    }

    /// What an endpoint that comes late brings is in the window as well.
    fn subscribed(&mut self) {
        if let Some(waits) = &mut self.waits
            && waits.is_open()
        {
            waits.open(&self.intake, &self.plan);
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
    /// Opens the window, or begins it anew.
    fn open(&mut self, intake: &Intake, plan: &Plan) {
        self.until = Some(Instant::now() + self.window.time);
        intake.hold_back(plan, Some(self.window.time));
    }

    fn is_open(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether this many more fill the place; after that nothing waits any more.
    fn is_full_with(&mut self, more: usize) -> bool {
        self.count += more;
        let is_full = self.count >= self.window.messages_max && self.is_open();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::queue::{Queue, Storing};
    use crate::system::health::Health;
    use crate::system::threads::Failures;
    use std::time::Duration;

    #[test]
    fn a_window_begins_anew_while_it_is_open() {
        let path = std::env::temp_dir().join(format!("ilagent-hand-{}", std::process::id()));
        let settings = config::Queue { path, ..config::Queue::default() };
        let failures = Failures(crossbeam_channel::bounded(1).0);
        let queue = Queue::open(&settings, false, &Health::default(), &failures).unwrap();
        let plan = Plan {
            name: String::new(),
            source: String::new(),
            rules: Vec::new(),
            routing: config::Routing::Every,
            storing: Storing::AtOnce,
            bytes_max: 1,
        };
        let window = Window { time: Duration::from_secs(30), messages_max: 2 };
        let intake = Intake::new(queue.clone(), [].iter());
        let mut hand = Hand::new(intake, plan).with_window(Some(window));
        let until = |hand: &Hand| hand.waits.as_ref().unwrap().until;
        hand.subscribed();
        assert_eq!(until(&hand), None, "there is no connection");
        hand.connected();
        let first = until(&hand);
        hand.subscribed();
        assert!(until(&hand) > first && first.is_some());
        assert!(hand.waits.as_mut().unwrap().is_full_with(2));
        hand.subscribed();
        assert_eq!(until(&hand), None, "it was full");
        queue.close();
        let _ = std::fs::remove_file(&settings.path);
    }
}
