//! Signs of life: how others learn that the loop of a thread still turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A question and its answer. Cloning it is cheap; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU32,
    answered: AtomicU32,
}

impl Pulse {
    /// Asks for a sign of life. The thread has to be woken as well.
    pub fn ask(&self) {
        self.0.asked.fetch_add(1, Ordering::AcqRel);
    }

    /// Gives it; called by the thread each time it goes round its loop.
    pub fn answer(&self) {
        self.0.answered.store(self.0.asked.load(Ordering::Acquire), Ordering::Release);
    }

    /// Whether the last question was answered.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.0.answered.load(Ordering::Acquire) == self.0.asked.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_needs_an_answer_of_its_own() {
        let pulse = Pulse::default();
        assert!(pulse.is_answered(), "nobody has asked");
        pulse.ask();
        assert!(!pulse.is_answered());
        pulse.answer();
        assert!(pulse.is_answered());
        pulse.ask();
        assert!(!pulse.is_answered(), "the old answer does not count");
    }
}
