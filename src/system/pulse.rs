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

/// A thread whose loop must keep turning.
pub struct Part {
    /// The name of the thread.
    pub name: String,
    /// Where it answers.
    pub pulse: Pulse,
    /// Wakes it, so that it can answer.
    pub wake: Box<dyn Fn() + Send>,
}

impl Part {
    /// The thread `name`, which answers at a pulse when something wakes it.
    #[must_use]
    pub fn new(name: &str, (pulse, wake): (Pulse, impl Fn() + Send + 'static)) -> Self {
        Part { name: name.to_owned(), pulse, wake: Box::new(wake) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_needs_a_new_answer() {
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
