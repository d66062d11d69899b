//! Whether an application says that it is well, if it is asked.

use crate::config::AppHealth;
use crate::system::stop::Stop;
use crate::system::web::{Call, Client};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is known of an application that is asked.
pub(super) struct Wellness {
    settings: AppHealth,
    url: String,
    client: Client,
    is_well: AtomicBool,
}

/// What the answers so far say. Pure.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    is_well: bool,
    failures: u32,
}

impl Record {
    /// One good answer is enough to be well; it takes several failures in a row to be not.
    fn note(&mut self, good: bool, failures_max: u32) {
        self.failures = if good { 0 } else { self.failures.saturating_add(1) };
        self.is_well = good || (self.is_well && self.failures < failures_max);
    }
}

impl Wellness {
    /// Not known to be well yet.
    pub(super) fn new(settings: AppHealth, url: &str, client: Client) -> Self {
        let slash = if settings.path.starts_with('/') { "" } else { "/" };
        let url = [url, slash, &settings.path].concat();
        Wellness { settings, url, client, is_well: AtomicBool::new(false) }
    }

    /// Whether anything may be delivered, or when to look again.
    pub(super) fn is_well(&self) -> Result<(), Duration> {
        if self.is_well.load(Ordering::Acquire) { Ok(()) } else { Err(self.settings.interval) }
    }

    /// Asks until the stop, and says what changes.
    pub(super) fn watch(&self, stop: &Stop, changed: &dyn Fn(bool)) {
        let mut record = Record::default();
        loop {
            let before = record.is_well;
            record.note(self.ask(), self.settings.failures);
            if record.is_well != before {
                self.is_well.store(record.is_well, Ordering::Release);
                changed(record.is_well);
            }
            if stop.is_set_within(self.settings.interval) {
                return;
            }
        }
    }

    fn ask(&self) -> bool {
        let limit = self.settings.timeout;
        let call = Call { method: "GET", url: &self.url, headers: &[], body: None, limit };
        self.client.call(&call).is_ok_and(|reply| (200..300).contains(&reply.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_one_good_answer_to_be_well_and_several_failures_not_to_be() {
        let mut record = Record::default();
        let answers =
            [false, true, false, false, true, false, false, false, false, true].map(|good| {
                record.note(good, 3);
                record.is_well
            });
        let wanted = [false, true, true, true, true, true, true, false, false, true];
        assert_eq!(answers, wanted);
    }
}
