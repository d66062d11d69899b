//! MQTT brokers that are published to. A session claims for itself: a publication takes as long as
//! the broker's answer, and hundreds may be under way, so a thread for each would cost a router its
//! memory.
//!
//! The session is the only one that claims in its lane, takes deliveries in their order and keeps
//! them over reconnects, so that what was not answered is published again in the same order. While
//! the broker is away everything waits in the queue, and no other sink waits with it.

use crate::config::{self, Broker, StatusTopic};
use crate::message::{Delivery, Outcome, SinkName};
use crate::mqtt::session::{self, Timing};
use crate::mqtt::supply::{Offer, Supply};
use crate::queue::{Claim, Claims, Next, Queue, Terms};
use crate::sinks::announce::Announced;
use crate::sinks::file::Journal;
use crate::system::health::Health;
use crate::system::pulse::Part;
use crate::system::services::Services;
use crate::system::stop::{self, Stop, Stopper};
use log::{Level, debug, log, warn};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A broker that cannot be reached for this long is away: sources that have other sinks do not wait
/// for it any more.
const AWAY_AFTER: Duration = Duration::from_secs(1);

/// A refusal that is tried again is no warning for this long after another one.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// A broker that is published to, and is ready to start.
pub struct Publisher {
    terms: Terms,
    session: session::Publisher,
    status: Option<StatusTopic>,
}

/// Looks at what a start would need.
///
/// # Errors
///
/// Says which setting or file cannot be used.
pub fn check(broker: &Broker) -> Result<(), String> {
    prepare(broker).map(|_| ())
}

/// Makes everything ready; connects nowhere.
///
/// # Errors
///
/// As [`check`].
pub fn prepare(broker: &Broker) -> Result<Publisher, String> {
    let session = session::prepare_publisher(broker, Timing::default());
    let session = session.map_err(|what| format!("mqtt {}: {what}", broker.name))?;
    let terms = Terms {
        sink: broker.sink_name().into(),
        in_flight_max: session::UNDER_WAY_MAX,
        backoff: config::defaults::BACKOFF,
        attempts_max: Some(config::defaults::ATTEMPTS_MAX),
        in_order: true,
        by_policy: false,
    };
    Ok(Publisher { terms, session, status: broker.status.clone() })
}

impl Publisher {
    /// Connects in the background, and publishes what is due.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started, or the system has no poll left.
    pub fn start(
        self,
        queue: &Queue,
        services: &Services,
        journals: &Arc<[Journal]>,
    ) -> Result<Running, String> {
        let Publisher { terms, session, status } = self;
        let name = terms.sink.clone();
        let (stopper, stop) = stop::pair();
        let (ending, ended) = stop::pair();
        let mut claims = None;
        let running = session.start(&stop, &services.failures, &services.health, &mut |ring| {
            let taken = queue.claims(terms.clone(), Some(Arc::clone(&ring)));
            claims = Some(taken.clone());
            let claimed = Claimed {
                name: name.clone(),
                claims: taken,
                under_way: HashMap::new(),
                journals: Arc::clone(journals),
                health: services.health.clone(),
                lost_at: None,
                warned: None,
                _here: (services.here.clone(), ending.clone()),
            };
            claimed
                .health
                .sink(name.as_str(), |sink| "not connected yet".clone_into(&mut sink.error));
            let claimed: Box<dyn Supply> = Box::new(claimed);
            match &status {
                None => claimed,
                Some(status) => {
                    let health = services.health.clone();
                    Box::new(Announced::new(claimed, status, &name, health, ring))
                }
            }
        });
        let running = running.map_err(|error| format!("sink {name}: {error}"))?;
        Ok(Running { claims, stopper: Some(stopper), ended, session: running })
    }
}

/// A publisher that runs.
pub struct Running {
    claims: Option<Claims>,
    stopper: Option<Stopper>,
    ended: Stop,
    session: session::Running,
}

impl Running {
    /// The thread whose loop must keep turning.
    #[must_use]
    pub fn part(&self) -> Part {
        Part::new(&format!("sink {}", self.session.name()), self.session.pulse())
    }

    /// Takes no more deliveries. What is under way may still be answered for a moment; the rest
    /// stays in the queue.
    pub fn stop(&mut self) {
        if let Some(claims) = self.claims.take() {
            claims.stop();
        }
        self.stopper = None;
        self.session.wake();
    }

    /// Waits until it has ended, or `deadline` has passed; says whether it has.
    #[must_use]
    pub fn join(&self, deadline: Instant) -> bool {
        self.ended.is_set_within(deadline.saturating_duration_since(Instant::now()))
    }
}

/// What a session has claimed.
struct Claimed {
    name: SinkName,
    claims: Claims,
    under_way: HashMap<u64, Claim>,
    journals: Arc<[Journal]>,
    health: Health,
    /// When it was noticed that there is no connection.
    lost_at: Option<Instant>,
    /// When a refusal was a warning last.
    warned: Option<Instant>,
    /// Held to the end of the thread.
    _here: (Stopper, Stopper),
}

impl Supply for Claimed {
    fn next(&mut self, now: Instant) -> Offer {
        loop {
            match self.claims.next(now) {
                Next::Claim(claim) if claim.delivery.keep.is_over(SystemTime::now()) => {
                    self.end(vec![(claim, Outcome::never("expired"))], now);
                }
                Next::Claim(claim) => {
                    let ticket = claim.id;
                    self.under_way.insert(ticket, claim);
                    return Offer::This(ticket);
                }
                Next::Nothing(at) => return Offer::Nothing(at),
                Next::Over => return Offer::Nothing(None),
            }
        }
    }

    fn delivery(&self, ticket: u64) -> &Delivery {
        &self.under_way.get(&ticket).expect("what was offered is kept until it is settled").delivery
    }

    fn settle(&mut self, verdicts: &mut Vec<(u64, Outcome)>) {
        if verdicts.is_empty() {
            return;
        }
        let mut ended = Vec::with_capacity(verdicts.len());
        for (ticket, outcome) in verdicts.drain(..) {
            let Some(claim) = self.under_way.remove(&ticket) else { continue };
            ended.push((claim, outcome));
        }
        self.end(ended, Instant::now());
    }

    fn connected(&mut self) {
        if self.lost_at.take().is_some() {
            self.claims.comes_back();
        }
        self.health.sink(self.name.as_str(), |sink| {
            sink.failing_since = None;
            sink.error.clear();
        });
    }

    fn lost(&mut self, why: &str) {
        let now = Instant::now();
        if now.duration_since(*self.lost_at.get_or_insert(now)) >= AWAY_AFTER {
            self.claims.goes_away(&mut self.under_way.values_mut());
        }
        self.health.sink(self.name.as_str(), |sink| {
            sink.failing_since.get_or_insert(now);
            why.clone_into(&mut sink.error);
        });
    }
}

impl Claimed {
    /// Gives claims back with what became of them.
    fn end(&mut self, ended: Vec<(Claim, Outcome)>, now: Instant) {
        ended.iter().for_each(|(claim, outcome)| self.say(claim, outcome, now));
        self.show(&ended, now);
        self.claims.settle_all(ended);
    }

    fn show(&self, ended: &[(Claim, Outcome)], now: Instant) {
        self.health.sink(self.name.as_str(), |sink| {
            for (_, outcome) in ended {
                match outcome {
                    Outcome::Delivered => {
                        sink.delivered = sink.delivered.wrapping_add(1);
                        sink.last_delivered = Some(now);
                    }
                    Outcome::Never { .. } => sink.given_up = sink.given_up.wrapping_add(1),
                    Outcome::Later { why, .. } => {
                        sink.failed_attempts = sink.failed_attempts.wrapping_add(1);
                        sink.error.clone_from(why);
                    }
                }
            }
            if let Some((_, Outcome::Delivered)) = ended.last()
                && sink.failing_since.is_none()
            {
                sink.error.clear();
            }
        });
    }

    /// Logs an outcome. What a broker refuses it may refuse a thousand times a second.
    fn say(&mut self, claim: &Claim, outcome: &Outcome, now: Instant) {
        let Claim { id, attempt, delivery, .. } = claim;
        let (name, errand) = (&self.name, &delivery.errand);
        match outcome {
            Outcome::Delivered => {
                debug!(
                    "sink {name}: delivered {id} to {}, attempt {attempt}",
                    errand.masked_target()
                );
                self.journals.iter().for_each(|journal| journal.note(name, delivery));
            }
            Outcome::Never { why, .. } => {
                warn!("sink {name}: {id} to {} was refused: {why}", errand.masked_target());
            }
            Outcome::Later { why, .. } => {
                let is_due = self.warned.is_none_or(|at| now.duration_since(at) >= WARN_AGAIN);
                let level = if is_due { Level::Warn } else { Level::Debug };
                self.warned = if is_due { Some(now) } else { self.warned };
                log!(
                    level,
                    "sink {name}: attempt {attempt} of {id} to {} failed, will try again: {why}",
                    errand.masked_target()
                );
            }
        }
    }
}
