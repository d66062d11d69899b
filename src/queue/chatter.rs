//! Messages that can never become deliveries are logged once and then counted; a few are kept.
//!
//! On a plant's broker most messages below a wildcard are no events: `online`, `23.5`, images. Each
//! of them as a line in the log and a dead letter would wear out the flash and push out what
//! somebody could still save. So equal complaints about a topic are logged once and then counted,
//! with a line that sums them up while they go on, and only some examples become dead letters.

use crate::system::plain::plain;
use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The bounds below apply to a window of this length.
const WINDOW: Duration = Duration::from_secs(3_600);

/// Most messages that are kept for one complaint.
const EQUAL_KEPT_MAX: u32 = 5;

/// Most messages kept, and their bytes.
const KEPT_MAX: u32 = 60;
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Most different complaints that get a line each.
const COMPLAINTS_MAX: usize = 60;

/// Most characters remembered of a topic, and of a reason.
const CHARS_MAX: usize = 120;

/// Most topics that are named in a sum.
const NAMED_MAX: usize = 3;

/// When the first sum is logged; the wait doubles up to the window while it goes on.
const SUM_FIRST: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Chatter {
    /// By topic and reason.
    complaints: HashMap<(String, String), Complaint>,
    window_since: Instant,
    kept: u32,
    kept_bytes: usize,
    /// Complaints since the last sum that are in none of the others.
    others: u64,
    /// Messages that were not kept, since the start.
    unkept: u64,
    summed_at: Instant,
    /// How long to wait for the next sum.
    wait: Duration,
    due: Option<Instant>,
}

#[derive(Default)]
struct Complaint {
    kept: u32,
    /// Since the last sum.
    more: u64,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It becomes a dead letter.
    pub(super) keep: bool,
    /// It gets a line in the log.
    pub(super) tell: bool,
}

impl Chatter {
    pub(super) fn new(now: Instant) -> Self {
        Chatter {
            complaints: HashMap::new(),
            window_since: now,
            kept: 0,
            kept_bytes: 0,
            others: 0,
            unkept: 0,
            summed_at: now,
            wait: SUM_FIRST,
            due: None,
        }
    }

    /// Decides about a message of this size; `can_be_kept` says whether there is a database.
    pub(super) fn note(
        &mut self,
        topic: &str,
        reason: &str,
        bytes: usize,
        can_be_kept: bool,
        now: Instant,
    ) -> Verdict {
        if now.saturating_duration_since(self.window_since) >= WINDOW {
            (self.window_since, self.kept, self.kept_bytes) = (now, 0, 0);
            self.complaints.retain(|_, complaint| complaint.more > 0);
            self.complaints.values_mut().for_each(|complaint| complaint.kept = 0);
        }
        let short = |text: &str| text.chars().take(CHARS_MAX).collect::<String>();
        let key = (short(topic), short(reason));
        let is_known = self.complaints.contains_key(&key);
        let has_place = is_known || self.complaints.len() < COMPLAINTS_MAX;
        let fits = self.kept < KEPT_MAX && self.kept_bytes + bytes <= KEPT_BYTES_MAX;
        let mut keep = can_be_kept && has_place && fits;
        if has_place {
            let complaint = self.complaints.entry(key).or_default();
            keep &= complaint.kept < EQUAL_KEPT_MAX;
            complaint.kept += u32::from(keep);
            complaint.more += u64::from(is_known);
        } else {
            self.others += 1;
        }
        if keep {
            self.kept += 1;
            self.kept_bytes += bytes;
        } else {
            self.unkept += 1;
        }
        let tell = has_place && !is_known;
        if !tell && self.due.is_none() {
            // After a silence it begins again.
            if now.saturating_duration_since(self.summed_at) > 2 * self.wait {
                self.wait = SUM_FIRST;
            }
            self.due = Some(now + self.wait);
        }
        Verdict { keep, tell }
    }

    /// When the next sum is due, if there is something to sum up.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Messages that were not kept, since the start.
    pub(super) fn unkept(&self) -> u64 {
        self.unkept
    }

    /// What was counted since the last sum, in words, and begins to count again.
    pub(super) fn sum(&mut self, now: Instant) -> Option<String> {
        let due = self.due.take()?;
        let since = due.checked_sub(self.wait).unwrap_or(now);
        let seconds = now.saturating_duration_since(since).as_secs();
        self.summed_at = now;
        self.wait = (self.wait * 2).min(WINDOW);
        let mut counted: Vec<(u64, &(String, String))> = self
            .complaints
            .iter_mut()
            .filter(|(_, complaint)| complaint.more > 0)
            .map(|(key, complaint)| (std::mem::take(&mut complaint.more), key))
            .collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        let others = std::mem::take(&mut self.others);
        let total = others + counted.iter().map(|(more, _)| more).sum::<u64>();
        let mut words = format!("{total} more messages in {seconds} s are no deliveries: ");
        let mut named = 0;
        for (more, (topic, reason)) in counted.iter().take(NAMED_MAX) {
            let comma = if named > 0 { ", " } else { "" };
            let _ = write!(words, "{comma}{more} from {} ({})", plain(topic), plain(reason));
            named += more;
        }
        match total - named {
            0 => {}
            rest if named > 0 => drop(write!(words, ", {rest} from other topics")),
            rest => drop(write!(words, "{rest} from many topics")),
        }
        let _ = write!(words, "; since the start {} were not kept", self.unkept);
        Some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_A_SECOND: Duration = Duration::from_millis(500);

    #[test]
    fn equal_complaints_are_told_once_and_then_counted() {
        let start = Instant::now();
        let mut chatter = Chatter::new(start);
        let (mut kept, mut told, mut sums) = (0, 0, Vec::new());
        for n in 0..10_000_u32 {
            let now = start + n * HALF_A_SECOND;
            if chatter.due().is_some_and(|due| due <= now) {
                sums.extend(chatter.sum(now));
            }
            let verdict = chatter.note("house/lamp", "not JSON", 7, true, now);
            kept += u32::from(verdict.keep);
            told += u32::from(verdict.tell);
        }
        assert_eq!((kept, told), (2 * EQUAL_KEPT_MAX, 1), "in one hour and 23 minutes");
        assert_eq!(sums.len(), 6, "after 1, 3, 7, 15, 31 and 63 minutes: {sums:?}");
        assert!(
            sums[0].starts_with("120 more messages in 60 s are no deliveries: 120 from house/lamp"),
            "{sums:?}"
        );
        assert_eq!(chatter.unkept(), 10_000 - u64::from(kept));
    }

    #[test]
    fn what_is_kept_and_told_is_bounded_however_many_topics_there_are() {
        let start = Instant::now();
        let mut chatter = Chatter::new(start);
        let (mut kept, mut told) = (0, 0);
        for n in 0..5_000 {
            let reason = format!("`{n}` is not an event type");
            let verdict = chatter.note(&format!("t/{n}"), &reason, 1, true, start);
            kept += usize::from(verdict.keep);
            told += usize::from(verdict.tell);
        }
        assert_eq!((kept, told), (KEPT_MAX as usize, COMPLAINTS_MAX));
        assert_eq!(chatter.complaints.len(), COMPLAINTS_MAX);
        let sum = chatter.sum(start + SUM_FIRST).unwrap();
        assert!(sum.contains("4940 from many topics"), "{sum}");
        assert_eq!(chatter.due(), None, "nothing more, so nobody wakes up");
        assert!(!chatter.note("a", "b", KEPT_BYTES_MAX + 1, true, start + WINDOW).keep);
        assert!(!chatter.note("c", "d", 1, false, start + WINDOW).keep, "no database");
    }
}
