//! A crew of blocking threads for one sink: claim, attempt, settle.

use crate::message::{Holds, Outcome, SinkName};
use crate::queue::{Claim, Claims, Queue};
use crate::sinks::Sink;
use crate::sinks::file::Journal;
use crate::system::health::Health;
use crate::system::plain::plain;
use crate::system::services::Services;
use crate::system::stop::Stopper;
use crate::system::threads::{self, lock};
use log::{Level, debug, info, log, warn};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An extra worker that is idle for this long ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// A refusal by policy is no warning for this long after another one.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// How often it is looked whether everything is noted while the agent ends.
const END_LOOK: Duration = Duration::from_millis(5);

/// The workers of one sink. They hand over what is due until [`Queue::stop_claims`].
pub struct Crew(Arc<Roster>);

impl Crew {
    /// Starts the first worker. There is always one idle worker, up to the number that may be in
    /// flight; surplus ones end after a while.
    ///
    /// # Errors
    ///
    /// Fails when the first thread cannot be started.
    pub fn start(
        sink: Sink,
        queue: &Queue,
        services: &Services,
        journals: &Arc<[Journal]>,
    ) -> io::Result<Self> {
        let terms = sink.terms().clone();
        let is_journal = sink.is_journal();
        services.health.sink(terms.sink.as_str(), |shown| shown.is_journal = is_journal);
        let roster = Arc::new(Roster {
            sink,
            journals: Arc::clone(journals),
            claims: queue.claims(terms, None),
            health: services.health.clone(),
            counts: Mutex::default(),
            ended: Condvar::new(),
            running: Mutex::default(),
            warned: Mutex::default(),
            _here: services.here.clone(),
        });
        Roster::add(&roster, None)?;
        Ok(Crew(roster))
    }

    /// Whether it only notes what the others deliver, and so ends after them.
    #[must_use]
    pub fn is_journal(&self) -> bool {
        self.0.sink.is_journal()
    }

    /// Takes no more deliveries.
    pub fn stop(&self) {
        self.0.claims.stop();
    }

    /// Waits until everything is noted, or `deadline` has passed.
    pub fn finish(&self, deadline: Instant) {
        while !self.0.sink.is_done() && Instant::now() < deadline {
            std::thread::sleep(END_LOOK);
        }
    }

    /// Waits until all of them have ended, or `deadline` has passed; says whether all have.
    #[must_use]
    pub fn join(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let counts = self.0.counts();
        let waited = self.0.ended.wait_timeout_while(counts, left, |counts| counts.alive > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.alive == 0
    }

    /// Ends all attempts under way, and lets no other begin.
    pub fn cut(&self) {
        self.0.sink.cut();
    }
}

struct Roster {
    sink: Sink,
    /// Where it is noted what was delivered.
    journals: Arc<[Journal]>,
    claims: Claims,
    health: Health,
    counts: Mutex<Counts>,
    /// The last worker has ended.
    ended: Condvar,
    /// Attempts under way, in the order of their beginning.
    running: Mutex<Vec<UnderWay>>,
    /// When a refusal was a warning last, of a sink whose refusals say nothing about it.
    warned: Mutex<Option<Instant>>,
    _here: Stopper,
}

/// A worker claims and attempts in turn. The last one that claims calls for another before it
/// attempts, so that somebody always claims, up to the number that may be alive.
#[derive(Default)]
struct Counts {
    alive: usize,
    claiming: usize,
}

/// What an outcome changed on the health board.
struct Shown {
    /// Since when the sink had failed, if it did.
    works_again: Option<Instant>,
    is_first_failure: bool,
}

struct UnderWay {
    /// The number of its delivery.
    id: u64,
    began: Instant,
    /// When it must have ended.
    ends: Instant,
}

impl Roster {
    /// Starts one more worker. `patience` is how long it stays with nothing to do.
    fn add(roster: &Arc<Self>, patience: Option<Duration>) -> io::Result<JoinHandle<()>> {
        let number = roster.count(|counts| {
            counts.alive += 1;
            counts.claiming += 1;
            counts.alive
        });
        let own = Arc::clone(roster);
        let started = threads::spawn(&format!("sink {} {number}", roster.name()), move || {
            Roster::work(&own, patience);
            own.leaves();
        });
        if started.is_err() {
            roster.count(|counts| counts.claiming -= 1);
            roster.leaves();
        }
        started
    }

    fn leaves(&self) {
        let mut counts = self.counts();
        counts.alive -= 1;
        if counts.alive == 0 {
            self.ended.notify_all();
        }
    }

    fn work(roster: &Arc<Self>, patience: Option<Duration>) {
        let max = roster.sink.terms().in_flight_max;
        loop {
            let claim = roster.claims.wait(patience);
            let is_help_wanted = roster.count(|counts| {
                counts.claiming -= 1;
                counts.claiming == 0 && counts.alive < max
            });
            let Some(claim) = claim else { return };
            if is_help_wanted {
                Roster::call_for_help(roster);
            }
            roster.hand_over_all(claim);
            roster.count(|counts| counts.claiming += 1);
        }
    }

    /// Starts another worker, as no other is looking for work: this attempt may take as long as a
    /// timeout, and what comes or falls due meanwhile must not wait for it.
    fn call_for_help(roster: &Arc<Self>) {
        if let Err(error) = Roster::add(roster, Some(PATIENCE)) {
            debug!("sink {}: no thread for another worker: {error}", roster.name());
        }
    }

    fn count<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was claimed, and what goes together with it: one request for each target.
    fn hand_over_all(&self, claim: Claim) {
        let Some(bulk) = claim.delivery.errand.bulk() else { return self.hand_over(vec![claim]) };
        let mut claims = self.claims.fill(claim, bulk);
        while let Some(first) = claims.first() {
            let target = first.delivery.errand.target().to_owned();
            let is_next = |claim: &Claim| claim.delivery.errand.target() == target;
            let (next, later) = claims.into_iter().partition(is_next);
            self.hand_over(next);
            claims = later;
        }
    }

    /// One attempt at all of these.
    fn hand_over(&self, claims: Vec<Claim>) {
        let started = Instant::now();
        self.begins(&claims[0], started);
        for claim in &claims {
            debug!("sink {}: attempt {} of delivery {}", self.name(), claim.attempt, claim.id);
        }
        let outcomes = self.sink.attempt(&claims);
        self.ends(claims[0].id);
        let ended: Vec<(Claim, Outcome)> = claims.into_iter().zip(outcomes).collect();
        for (claim, outcome) in &ended {
            self.report(claim, outcome, started);
            if *outcome == Outcome::Delivered && !self.sink.is_journal() {
                self.journals.iter().for_each(|journal| journal.note(self.name(), &claim.delivery));
            }
        }
        self.claims.settle_all(ended);
    }

    fn begins(&self, claim: &Claim, began: Instant) {
        let ends = began + self.sink.attempt_max(&claim.delivery);
        let mut running = self.running();
        running.push(UnderWay { id: claim.id, began, ends });
        self.show(&running);
    }

    fn ends(&self, id: u64) {
        let mut running = self.running();
        running.retain(|attempt| attempt.id != id);
        self.show(&running);
    }

    fn show(&self, running: &[UnderWay]) {
        self.health.sink(self.name().as_str(), |sink| {
            sink.oldest_attempt = running.first().map(|attempt| attempt.began);
            sink.attempts_end = running.iter().map(|attempt| attempt.ends).min();
        });
    }

    fn report(&self, claim: &Claim, outcome: &Outcome, started: Instant) {
        let Shown { works_again, is_first_failure } = self.show_outcome(outcome, started);
        if let Some(since) = works_again {
            info!("sink {}: works again, after {} s", self.name(), since.elapsed().as_secs());
        }
        self.say(claim, outcome, is_first_failure);
    }

    fn show_outcome(&self, outcome: &Outcome, started: Instant) -> Shown {
        let mut shown = Shown { works_again: None, is_first_failure: false };
        // By policy it is the delivery that waits, and not the sink that fails.
        let is_own = self.sink.terms().by_policy
            && matches!(outcome, Outcome::Later { holds: Holds::Delivery, .. });
        self.health.sink(self.name().as_str(), |sink| {
            match outcome {
                Outcome::Later { why, .. } if is_own => {
                    sink.failed_attempts = sink.failed_attempts.wrapping_add(1);
                    shown.is_first_failure = self.warns_again(started);
                    shown.works_again = sink.failing_since.take();
                    sink.error.clone_from(why);
                    return;
                }
                Outcome::Later { why, .. } => {
                    sink.failed_attempts = sink.failed_attempts.wrapping_add(1);
                    shown.is_first_failure = sink.failing_since.is_none();
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
            shown.works_again = sink.failing_since.take();
            sink.error.clear();
        });
        shown
    }

    /// Whether a refusal is a warning: the others after it, for a while, are not.
    fn warns_again(&self, now: Instant) -> bool {
        let mut warned = lock(&self.warned);
        let is_due = warned.is_none_or(|at| now.duration_since(at) >= WARN_AGAIN);
        if is_due {
            *warned = Some(now);
        }
        is_due
    }

    /// Logs the outcome. In an outage only the first failure is a warning, because the others say
    /// nothing new.
    fn say(&self, claim: &Claim, outcome: &Outcome, is_first_failure: bool) {
        let Claim { id, attempt, delivery, .. } = claim;
        let (name, lane) = (self.name(), &delivery.lane);
        match outcome {
            Outcome::Delivered => {
                let origin = plain(&delivery.origin);
                let level = if self.sink.is_talkative() { Level::Debug } else { Level::Info };
                log!(
                    level,
                    "sink {name}: delivered {id}, {delivery}, from {origin}, attempt {attempt}"
                );
            }
            Outcome::Never { why, heir: None } => {
                warn!("sink {name}: {id} ({lane}) was refused: {why}");
            }
            Outcome::Never { why, heir: Some(heir) } => {
                warn!("sink {name}: {id} ({lane}) was refused, a {heir} takes its place: {why}");
            }
            Outcome::Later { why, .. } => {
                let level = if is_first_failure { Level::Warn } else { Level::Debug };
                log!(
                    level,
                    "sink {name}: attempt {attempt} of {id} ({lane}) failed, will try again: {why}"
                );
            }
        }
    }

    fn name(&self) -> &SinkName {
        &self.sink.terms().sink
    }

    fn running(&self) -> MutexGuard<'_, Vec<UnderWay>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::message::{Delivery, Errand, Keep, LaneName};
    use crate::queue::{Push, Storing, Terms};
    use crate::retry::Backoff;
    use crate::sinks::test::Scripted;
    use crossbeam_channel::bounded;

    /// What the health board shows while an attempt at a delivery is under way.
    #[test]
    fn an_attempt_is_late_by_its_own_measure() {
        let services = Services::for_a_test();
        let health = &services.health;
        let settings = config::Queue {
            path: std::env::temp_dir().join(format!("ilagent-crew-{}", std::process::id())),
            ..config::Queue::default()
        };
        let queue = Queue::open(&settings, false, health, &services.failures).unwrap();
        let (began, begun) = bounded(3);
        let (end, ended) = bounded::<()>(3);
        let second = Duration::from_secs(1);
        let sink = Scripted {
            terms: Terms {
                sink: "plant".into(),
                in_flight_max: 2,
                backoff: Backoff { first: second, longest: second },
                attempts_max: None,
                in_order: false,
                by_policy: false,
            },
            attempt: Box::new(move |delivery| {
                began.send(delivery.errand.clone()).unwrap();
                ended.recv().unwrap();
                Outcome::Delivered
            }),
            attempt_max: |delivery| Duration::from_secs(delivery.body.len() as u64),
        };
        let crew = Crew::start(Sink::Test(sink), &queue, &services, &Arc::from([])).unwrap();
        let push = |kind: &str, seconds: usize| {
            let errand = Errand::of(kind, "x".to_owned(), None).unwrap();
            let delivery = Delivery {
                lane: LaneName { sink: "plant".into(), key: kind.to_owned() },
                order_key: None,
                errand: errand.clone(),
                keep: Keep::UntilDelivered,
                body: vec![b'x'; seconds],
                origin: "here".to_owned(),
            };
            let push = Push::Delivery { delivery, storing: Storing::IfRefused, receipt: None };
            assert!(queue.push(vec![push], None).is_ok());
            assert_eq!(begun.recv(), Ok(errand));
        };
        push("policy", 75);
        let stuck = |after: u64| {
            health.snapshot().stuck(Instant::now() + Duration::from_secs(after)).is_some()
        };
        assert!(!stuck(72), "three requests of 24 s are no reason to end the agent");
        assert!(stuck(90));
        push("event", 25);
        assert!(stuck(72), "the event should have ended long before");
        assert!(!stuck(26));
        end.send(()).unwrap();
        end.send(()).unwrap();
        queue.stop_claims();
        assert!(crew.join(Instant::now() + Duration::from_secs(60)));
        assert_eq!(health.snapshot().sinks[0].1.attempts_end, None);
        queue.close();
    }
}
