//! The loop every sink shares: claim, attempt, settle.

use crate::message::{Delivery, Outcome};
use crate::queue::{Claim, Queue};
use crate::system::health::Health;
use crate::system::plain::plain;
use crate::system::threads;
use log::{debug, info, warn};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A worker beyond the first that finds nothing to do for this long goes home.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the end of the workers is looked for while the agent ends.
const END_LOOK: Duration = Duration::from_millis(5);

/// One attempt at one delivery, whose number is given for the log.
pub type Attempt = dyn Fn(u64, &Delivery) -> Outcome + Send + Sync;

/// Hands over what is due for a sink, until [`Queue::stop_claims`].
///
/// One worker more than has something to do waits for deliveries, up to `in_flight_max`; those that
/// have waited for long in vain go again, except the first.
///
/// # Errors
///
/// Fails when the first thread cannot be started.
pub fn start(
    name: &'static str,
    attempt: Arc<Attempt>,
    in_flight_max: usize,
    queue: &Queue,
    health: &Health,
) -> io::Result<Workers> {
    health.sink(name, |_| ());
    let crew = Arc::new(Crew {
        name,
        attempt,
        in_flight_max,
        queue: queue.clone(),
        health: health.clone(),
        alive: AtomicUsize::new(0),
        claiming: AtomicUsize::new(0),
        running: Mutex::default(),
    });
    Crew::add(&crew, None)?;
    Ok(Workers { crew })
}

/// The workers of one sink.
pub struct Workers {
    crew: Arc<Crew>,
}

impl Workers {
    /// Waits until all of them have ended, or `deadline` has passed; says whether all have.
    #[must_use]
    pub fn join(self, deadline: Instant) -> bool {
        while self.crew.alive.load(Ordering::Acquire) > 0 {
            if deadline <= Instant::now() {
                return false;
            }
            std::thread::sleep(END_LOOK);
        }
        true
    }
}

struct Crew {
    name: &'static str,
    attempt: Arc<Attempt>,
    in_flight_max: usize,
    queue: Queue,
    health: Health,
    alive: AtomicUsize,
    /// Workers that are looking for something to do.
    claiming: AtomicUsize,
    /// When each attempt under way was started, by the number of its delivery.
    running: Mutex<Vec<(u64, Instant)>>,
}

impl Crew {
    /// Starts one more worker. `patience` is how long it stays with nothing to do.
    fn add(crew: &Arc<Self>, patience: Option<Duration>) -> io::Result<JoinHandle<()>> {
        let number = crew.alive.fetch_add(1, Ordering::AcqRel) + 1;
        crew.claiming.fetch_add(1, Ordering::AcqRel);
        let own = Arc::clone(crew);
        let started = threads::spawn(&format!("sink {} {number}", crew.name), move || {
            Crew::work(&own, patience);
            own.alive.fetch_sub(1, Ordering::AcqRel);
        });
        if started.is_err() {
            crew.alive.fetch_sub(1, Ordering::AcqRel);
            crew.claiming.fetch_sub(1, Ordering::AcqRel);
        }
        started
    }

    fn work(crew: &Arc<Self>, patience: Option<Duration>) {
        loop {
            let claim = crew.queue.claim(crew.name, patience);
            let others = crew.claiming.fetch_sub(1, Ordering::AcqRel) - 1;
            let Some(claim) = claim else { return };
            if others == 0 {
                Crew::call_for_help(crew);
            }
            crew.hand_over(claim);
            crew.claiming.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Nobody else is looking for something to do, so somebody should: this attempt may take as
    /// long as a timeout, and what comes or falls due meanwhile is not to wait for it.
    fn call_for_help(crew: &Arc<Self>) {
        if crew.alive.load(Ordering::Acquire) < crew.in_flight_max
            && let Err(error) = Crew::add(crew, Some(PATIENCE))
        {
            debug!("sink {}: no thread for another worker: {error}", crew.name);
        }
    }

    fn hand_over(&self, claim: Claim) {
        let started = Instant::now();
        self.begins(claim.id, started);
        debug!("sink {}: attempt {} of delivery {}", self.name, claim.attempt, claim.id);
        let outcome = (self.attempt)(claim.id, &claim.delivery);
        self.report(&claim, &outcome, started);
        self.queue.settle(claim, outcome);
    }

    fn begins(&self, id: u64, started: Instant) {
        let mut running = self.running();
        running.push((id, started));
        if running.len() == 1 {
            self.health.sink(self.name, |sink| sink.oldest_attempt = Some(started));
        }
    }

    /// Puts the outcome on the health board and into the log. In an outage only the first failure
    /// is a warning: the others say nothing new.
    fn report(&self, claim: &Claim, outcome: &Outcome, started: Instant) {
        let oldest = {
            let mut running = self.running();
            running.retain(|(id, _)| *id != claim.id);
            running.first().map(|(_, started)| *started)
        };
        let Claim { id, attempt, delivery, .. } = claim;
        let (name, lane) = (self.name, &delivery.lane);
        let (mut works_again, mut first_failure) = (None, false);
        self.health.sink(name, |sink| {
            sink.oldest_attempt = oldest;
            match outcome {
                Outcome::Later { why, .. } => {
                    sink.failed_attempts = sink.failed_attempts.wrapping_add(1);
                    first_failure = sink.failing_since.is_none();
                    sink.failing_since.get_or_insert(started);
                    sink.error.clone_from(why);
                    return;
                }
                Outcome::Delivered => {
                    sink.delivered = sink.delivered.wrapping_add(1);
                    sink.last_delivered = Some(started);
                }
                Outcome::Never { .. } => sink.given_up = sink.given_up.wrapping_add(1),
            }
            works_again = sink.failing_since.take();
            sink.error.clear();
        });
        if let Some(since) = works_again {
            info!("sink {name}: works again, after {} s", since.elapsed().as_secs());
        }
        match outcome {
            Outcome::Delivered => {
                let origin = plain(&delivery.origin);
                info!("sink {name}: delivered {id}, {delivery}, from {origin}, attempt {attempt}");
            }
            Outcome::Never { why } => warn!("sink {name}: {id} ({lane}) was refused: {why}"),
            Outcome::Later { why, .. } if first_failure => {
                warn!("sink {name}: attempt {attempt} of {id} ({lane}) failed, later again: {why}");
            }
            Outcome::Later { why, .. } => {
                debug!(
                    "sink {name}: attempt {attempt} of {id} ({lane}) failed, later again: {why}"
                );
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, Vec<(u64, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
