//! What waits and what was given up, as the page shows it. Only the queue's thread knows, so it is
//! asked now and then, however many people look.

use crate::system::threads::lock;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An answer is good for this long.
const FRESH: Duration = Duration::from_secs(2);

/// Most deliveries that are shown of those that wait.
const WAITING_MAX: usize = 5;

/// Asks the queue for the lines of `ilagent queue list --json`.
pub type Ask = dyn Fn() -> Result<String, String> + Send + Sync;

/// What the queue said.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// Those that wait longest.
    pub(super) waiting: Vec<Value>,
    /// Dead letters.
    pub(super) dead: Vec<Value>,
    /// Why it said nothing.
    pub(super) missing: Option<String>,
    /// The seconds of the wall clock, by which deliveries were stored.
    pub(super) wall_clock: i64,
}

impl Letters {
    /// Seconds of ten years: what is older was stored before the clock was set.
    pub(super) const AGE_MAX: u64 = 315_360_000;

    fn of(said: Result<String, String>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_clock = i64::try_from(since.as_secs()).unwrap_or(0);
        let (lines, missing) = match said {
            Ok(lines) => (lines, None),
            Err(why) => (String::new(), Some(why)),
        };
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (dead, mut waiting): (Vec<_>, Vec<_>) = lines.partition(|line| line["state"] == "dead");
        waiting.truncate(WAITING_MAX);
        Letters { waiting, dead, missing, wall_clock }
    }
}

/// Keeps the last answer for a moment.
pub(super) struct Shelf {
    ask: Box<Ask>,
    seen: Mutex<Option<(Instant, Arc<Letters>)>>,
}

impl Shelf {
    pub(super) fn new(ask: Box<Ask>) -> Self {
        Shelf { ask, seen: Mutex::new(None) }
    }

    /// Whoever comes while the queue is asked waits for the same answer.
    pub(super) fn letters(&self, now: Instant) -> Arc<Letters> {
        let mut seen = lock(&self.seen);
        match &*seen {
            Some((at, letters)) if now.saturating_duration_since(*at) < FRESH => {
                Arc::clone(letters)
            }
            _ => {
                let letters = Arc::new(Letters::of((self.ask)()));
                *seen = Some((Instant::now(), Arc::clone(&letters)));
                letters
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_queue_is_asked_once_for_all_who_look() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let shelf = Shelf::new(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok("{\"state\":\"waiting\"}\n".repeat(9) + "{\"state\":\"dead\"}\nnonsense\n")
        }));
        let now = Instant::now();
        for _ in 0..5 {
            let letters = shelf.letters(now);
            assert_eq!((letters.waiting.len(), letters.dead.len()), (WAITING_MAX, 1));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let _ = shelf.letters(Instant::now() + FRESH);
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
