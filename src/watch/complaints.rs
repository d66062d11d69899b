//! What goes wrong with a point goes wrong with the next one, too: each place of a script, and each
//! handler, gets a line in the log once a minute.

use crate::alerts::{Complaint, Named};
use log::warn;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a place is silent after a line.
const SILENCE: Duration = Duration::from_secs(60);
/// Most places that are known; lines of others are not logged while these are silent.
const PLACES_MAX: usize = 1_000;

/// The places of which something was logged, by their names.
#[derive(Debug, Default)]
pub(super) struct Complaints(Named<Told>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How often it has been so since.
    more: u32,
}

impl Complaints {
    /// Logs what has not been logged for a while.
    pub(super) fn log(&mut self, complaints: Vec<Complaint>, now: Instant) {
        for Complaint { task, node, place, words, times } in complaints {
            self.tell(format!("{task} {node}, {place}"), &words, times, now);
        }
    }

    /// Logs what is wrong at a place, if that has not been logged for a while.
    pub(super) fn tell(&mut self, place: String, words: &dyn Display, times: u32, now: Instant) {
        if let Some(line) = self.line(place, words, times, now) {
            warn!("alerts: {line}");
        }
    }

    fn line(
        &mut self,
        key: String,
        words: &dyn Display,
        times: u32,
        now: Instant,
    ) -> Option<String> {
        let line = format!("{key}: {words}");
        let is_silent = |told: &Told| now.duration_since(told.at) < SILENCE;
        if let Some(told) = self.0.get_mut(&key).filter(|told| is_silent(told)) {
            told.more = told.more.saturating_add(times);
            return None;
        }
        if self.0.len() >= PLACES_MAX && !self.0.contains_key(&key) {
            self.0.retain(|_, told| is_silent(told));
        }
        if self.0.len() >= PLACES_MAX && !self.0.contains_key(&key) {
            return None;
        }
        let before =
            self.0.insert(key, Box::new(Told { at: now, more: 0 })).map_or(0, |told| told.more);
        Some(match before.saturating_add(times) {
            1 => line,
            times => format!("{line} ({times} times)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(task: &str, line: u32) -> String {
        format!("{task} alert2, line {line} char 2")
    }

    #[test]
    fn each_place_gets_a_line_a_minute() {
        let mut complaints = Complaints::default();
        let begin = Instant::now();
        for (second, task, line, times, wanted) in [
            (0, "cpu", 3, 1, Some("cpu alert2, line 3 char 2: no field")),
            (0, "cpu", 4, 7, Some("cpu alert2, line 4 char 2: no field (7 times)")),
            (1, "cpu", 3, 1, None),
            (59, "cpu", 3, 5, None),
            (59, "mem", 3, 1, Some("mem alert2, line 3 char 2: no field")),
            (60, "cpu", 3, 1, Some("cpu alert2, line 3 char 2: no field (7 times)")),
            (61, "cpu", 3, 1, None),
            (500, "cpu", 3, 1, Some("cpu alert2, line 3 char 2: no field (2 times)")),
        ] {
            let now = begin + Duration::from_secs(second);
            let found = complaints.line(place(task, line), &"no field", times, now);
            assert_eq!(found.as_deref(), wanted, "{second} {task} {line}");
        }
    }

    #[test]
    fn places_are_forgotten_when_they_are_too_many() {
        let mut complaints = Complaints::default();
        let now = Instant::now();
        let most = u32::try_from(PLACES_MAX).unwrap();
        let lines = |complaints: &mut Complaints, now| {
            let line = |line| complaints.line(place("cpu", line), &"no field", 1, now);
            (0..2 * most).filter_map(line).count()
        };
        assert_eq!(lines(&mut complaints, now), PLACES_MAX);
        assert_eq!(lines(&mut complaints, now + Duration::from_secs(30)), 0);
        assert!(lines(&mut complaints, now + SILENCE) >= PLACES_MAX);
        assert!(complaints.0.len() <= PLACES_MAX);
    }
}
