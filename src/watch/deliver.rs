//! What follows from an evaluation, as the queue takes it.

use crate::alerts::Effects;
use crate::queue::Push;

/// Makes pushes of effects.
#[derive(Debug, Default)]
pub struct Deliver;

impl Deliver {
    /// Deliveries and records, in the order of their causes.
    pub(super) fn pushes(&mut self, effects: Effects) -> Vec<Push> {
        let record = |record| Push::Record { record, receipt: None };
        effects.records.into_iter().map(record).collect()
    }
}
