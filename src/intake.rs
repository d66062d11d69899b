//! The one way in: rule, map, push.

mod workshop;

use crate::config::{PublishRule, Routing, Rule, Target};
use crate::mapping::cloudevent::Stamp;
use crate::mapping::shape::Shapes;
use crate::mapping::{Mapped, app, call, event, heartbeat, policy, publish, routing};
use crate::message::{Arrival, Desk, Message, Origin, Qos, Receipt, SinkName};
use crate::queue::{self, DeadLetter, Push, Queue, Storing, Upstream, UpstreamRow};
use crate::system::health::Tally;
use crate::system::plain::{line, plain};
use crate::system::stop::Stop;
use crate::topic;
use log::{Level, debug, info, log, warn};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use workshop::{Bench, Workshop};

/// Most topics that are logged because no rule wants their messages.
const UNWANTED_MAX: usize = 64;

/// How long the answer to a request with several deliveries is waited for before they are stored.
const ANSWER: Duration = Duration::from_secs(1);

/// What becomes of the messages of one source.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What people call the source, as in the log: `mqtt plant`.
    pub name: String,
    /// What CloudEvents are said to come from, a reference to a URI: `/mqtt/plant`.
    pub source: String,
    /// In order of precedence.
    pub rules: Vec<Rule>,
    /// Whether a message is for the first rule that matches or for every one.
    pub routing: Routing,
    /// When deliveries are stored; what is perishable waits in memory in any case.
    pub storing: Storing,
    /// The largest message its source takes in, in bytes.
    pub bytes_max: usize,
}

/// A handle; clones share the queue.
#[derive(Clone)]
pub struct Intake {
    queue: Queue,
    /// Topics of messages that matched no rule.
    unwanted: Arc<Mutex<HashSet<String>>>,
    /// Where messages change on their way, if any do.
    workshop: Option<Arc<Workshop>>,
}

impl Intake {
    /// Everything taken in goes to `queue`; what changes on its way does so by `rules`.
    #[must_use]
    pub fn new<'r>(queue: Queue, rules: impl Iterator<Item = &'r Rule>) -> Self {
        let workshop = Workshop::new(rules, queue.clone()).map(Arc::new);
        Intake { queue, unwanted: Arc::default(), workshop }
    }

    /// Pushes what waited for others when the process was killed. Called once, before there are
    /// messages.
    pub fn restore(&self) {
        if let Some(workshop) = &self.workshop {
            workshop.restore();
        }
    }

    /// What lets go, until the stop, what messages wait for others; nothing if none do.
    #[must_use]
    pub fn timer(&self) -> Option<impl FnOnce(&Stop) + Send + 'static> {
        let workshop = Arc::clone(self.workshop.as_ref()?);
        Some(move |stop: &Stop| workshop.run(stop))
    }

    /// Pushes what waits for others. Nothing waits from now on.
    pub fn end(&self) {
        if let Some(workshop) = &self.workshop {
            workshop.end();
        }
    }

    /// Takes over what rules remembered by a former configuration, if they are as they were.
    pub fn inherit(&self, former: Shapes) {
        if let Some(workshop) = &self.workshop {
            workshop.inherit(former);
        }
    }

    /// What rules remember, at the end of all that brings messages.
    #[must_use]
    pub fn remains(&self) -> Shapes {
        self.workshop.as_ref().map(|workshop| workshop.remains()).unwrap_or_default()
    }

    /// What has not passed each rule.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        self.workshop.as_ref().map(|workshop| workshop.tallies()).unwrap_or_default()
    }

    /// What the rules of a plan make of messages does not go out before this time has passed; with
    /// none, it may go at once.
    pub fn hold_back(&self, plan: &Plan, time: Option<Duration>) {
        let mut sinks: Vec<_> = plan.rules.iter().map(|rule| rule.to.sink_name()).collect();
        sinks.sort_unstable();
        sinks.dedup();
        for sink in sinks {
            let sink = SinkName::from(sink.into_owned());
            match time {
                Some(time) => self.queue.hold_back(&sink, time),
                None => self.queue.hurry(&sink),
            }
        }
    }

    /// Takes charge of a batch of messages, all or none.
    ///
    /// `desk` hears of each ticket when its message is safe: at once for a message that no rule
    /// wants, otherwise when all its deliveries are. A source acknowledges then and only then.
    ///
    /// # Errors
    ///
    /// Gives the mapped batch back when the queue cannot take it now. The source stops reading
    /// until [`Desk::room`], and then calls [`Intake::push`].
    pub fn accept(
        &self,
        plan: &Plan,
        arrivals: Vec<Arrival>,
        desk: &Arc<dyn Desk>,
    ) -> Result<(), queue::Error> {
        self.queue.came(&plan.name, arrivals.len());
        let is_followed = self.queue.is_followed();
        let mut batch = Vec::with_capacity(arrivals.len());
        // In nobody else's hands before all of it is pushed.
        let mut bench = None;
        for arrival in arrivals {
            let ticket = arrival.ticket();
            let seen =
                is_followed.then(|| arrival.shown()).map(|(it, bytes)| (it.to_owned(), bytes));
            if let (Arrival::Message { message, .. }, Some(workshop)) = (&arrival, &self.workshop)
                && plan.shapes(&message.topic)
            {
                let bench = bench.get_or_insert_with(|| workshop.open(&mut batch));
                let before = batch.len();
                plan.shape(
                    message,
                    &|signatures| Receipt::new(Arc::clone(desk), ticket, signatures),
                    bench,
                    &mut batch,
                );
                if let Some((topic, bytes)) = seen {
                    self.queue.tell(&plan.name, &topic, bytes, &batch[before..]);
                }
                continue;
            }
            let pushes = plan.pushes(arrival).unwrap_or_else(|topic| {
                self.nobody_wants(&topic);
                Vec::new()
            });
            if let Some((topic, bytes)) = seen {
                self.queue.tell(&plan.name, &topic, bytes, &pushes);
            }
            if pushes.is_empty() {
                desk.signed(ticket);
                continue;
            }
            let receipt = Receipt::new(Arc::clone(desk), ticket, pushes.len());
            batch.extend(pushes.into_iter().map(|push| push.with_receipt(receipt.clone())));
        }
        let taken = if batch.is_empty() { Ok(()) } else { self.queue.push(batch, Some(desk)) };
        if let (Some(bench), Err(_)) = (&mut bench, &taken) {
            bench.refused(desk);
        }
        taken
    }

    /// Logs, once for each topic, that messages match no rule: a rule is missing, or the broker still
    /// holds a subscription of an earlier configuration, which the session will end.
    fn nobody_wants(&self, topic: &str) {
        let mut unwanted = self.unwanted.lock().unwrap_or_else(PoisonError::into_inner);
        if unwanted.len() >= UNWANTED_MAX || !unwanted.insert(topic.to_owned()) {
            debug!("intake: {} dropped: no rule wants it", plain(topic));
            return;
        }
        let last =
            if unwanted.len() == UNWANTED_MAX { "; others are no longer logged" } else { "" };
        warn!("intake: no rule wants messages on {}; they are dropped{last}", plain(topic));
    }

    /// Pushes a batch that was refused before.
    ///
    /// # Errors
    ///
    /// As [`Intake::accept`].
    pub fn push(&self, batch: Vec<Push>, desk: &Arc<dyn Desk>) -> Result<(), queue::Error> {
        let taken = self.queue.push(batch, Some(desk));
        if let (Some(workshop), Ok(())) = (&self.workshop, &taken) {
            workshop.taken(desk);
        }
        taken
    }

    /// Stores the events that upstream's agent left in its database in their place.
    pub fn take_over_events(&self) {
        self.take_over_rows(Upstream::Events, &mut |row| match event::from_upstream(&|name| {
            row.column(name)
        }) {
            Ok(delivery) => {
                vec![Push::Delivery { delivery, storing: Storing::AtOnce, receipt: None }]
            }
            Err(reason) => {
                let text = |bytes: &Option<Vec<u8>>| {
                    bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                };
                let columns = row.columns.iter().map(|(name, bytes)| (*name, text(bytes)));
                let body: HashMap<&str, Option<String>> = columns.collect();
                let body = serde_json::to_vec(&body).expect("texts are JSON");
                vec![dead(reason, "upstream".to_owned(), body)]
            }
        });
    }

    /// Maps the messages that upstream's agent left in its database by the rules of `plan`, and
    /// stores what becomes of them in their place.
    pub fn take_over(&self, plan: &Plan) {
        let durable = Plan { storing: Storing::AtOnce, ..plan.clone() };
        self.take_over_rows(Upstream::Messages, &mut |row| {
            let bytes = |name: &str| row.column(name).unwrap_or_default();
            let message = Message {
                topic: String::from_utf8_lossy(bytes("topic")).into_owned(),
                payload: bytes("payload").to_vec(),
                origin: Origin::Mqtt,
                qos: Qos::AtLeastOnce,
                retain: false,
                retained: false,
            };
            durable.pushes(Arrival::Message { message, ticket: 0 }).unwrap_or_else(|topic| {
                self.nobody_wants(&topic);
                Vec::new()
            })
        });
    }

    fn take_over_rows(&self, table: Upstream, map: &mut dyn FnMut(&UpstreamRow) -> Vec<Push>) {
        loop {
            let rows = self.queue.upstream(table);
            if rows.is_empty() {
                return;
            }
            info!("intake: taking over {} rows that iLert's agent had queued", rows.len());
            let pushes = rows.iter().flat_map(&mut *map).collect();
            let rows = rows.into_iter().map(|row| row.row).collect();
            self.queue.replace_upstream(table, rows, pushes);
        }
    }
}

impl Plan {
    /// What becomes of a message: a delivery or dead letter for each rule that wants it. If none
    /// does, its topic.
    fn pushes(&self, arrival: Arrival) -> Result<Vec<Push>, String> {
        let message = match arrival {
            Arrival::Message { message, .. } => message,
            Arrival::Oversized { topic, bytes, .. } => {
                let reason = format!("a message of {bytes} bytes; the limit is {}", self.bytes_max);
                return Ok(vec![dead(reason, topic, Vec::new())]);
            }
            Arrival::Unreadable { topic, reason, payload, .. } => {
                return Ok(vec![dead(reason.into_owned(), topic, payload)]);
            }
        };
        let (mut pushes, mut wanted) = (Vec::new(), false);
        for rule in routing::route(&self.rules, self.routing, &message.topic) {
            wanted = true;
            pushes.extend(self.push(rule, &message));
        }
        if wanted { Ok(pushes) } else { Err(message.topic) }
    }

    /// Whether a rule changes messages on this topic.
    fn shapes(&self, topic: &str) -> bool {
        let mut rules = routing::route(&self.rules, self.routing, topic);
        rules.any(|rule| shaping(rule).is_some())
    }

    /// Adds to a batch what follows from a message that a rule changes.
    fn shape(
        &self,
        message: &Message,
        receipt: &dyn Fn(usize) -> Receipt,
        bench: &mut Bench<'_>,
        batch: &mut Vec<Push>,
    ) {
        let rules: Vec<&Rule> = routing::route(&self.rules, self.routing, &message.topic).collect();
        let receipt = receipt(rules.len());
        for rule in rules {
            match shaping(rule) {
                Some(to) => {
                    bench.shape(rule, to, message, receipt.clone(), self.storing, batch);
                }
                None => match self.push(rule, message) {
                    Some(push) => batch.push(push.with_receipt(receipt.clone())),
                    None => receipt.clone().sign(),
                },
            }
        }
    }

    /// What a rule makes of a message, unless it drops it.
    fn push(&self, rule: &Rule, message: &Message) -> Option<Push> {
        let topic = plain(&message.topic);
        match self.map(rule, message) {
            Mapped::Deliver(delivery) => {
                // Nobody wants to read, message by message, what a bridge or a sidecar passes on.
                let is_passed_on = matches!(rule.to, Target::Publish(_) | Target::App(_));
                let level = if is_passed_on { Level::Debug } else { Level::Info };
                log!(level, "intake: {topic} → {delivery}");
                let storing = match (delivery.errand.bulk(), self.storing) {
                    // A broker sends few before it wants answers (mosquitto 20), so it is not
                    // waited for much longer than for a request to fill.
                    (Some(bulk), Storing::IfRefused | Storing::IfAway) => {
                        Storing::Within(bulk.wait + ANSWER)
                    }
                    (_, storing) => storing,
                };
                Some(Push::Delivery { delivery, storing, receipt: None })
            }
            Mapped::Diverted(delivery, why) => {
                let to = delivery.errand.masked_target();
                info!("intake: {topic} → {delivery}, copied to {to}: {}", line(&why));
                Some(Push::Delivery { delivery, storing: self.storing, receipt: None })
            }
            Mapped::Dropped(why) => {
                debug!("intake: {topic} dropped: {why}");
                None
            }
            Mapped::Dead(why) => {
                let Message { topic, payload, .. } = message.clone();
                Some(dead(why, topic, payload))
            }
        }
    }

    fn map(&self, rule: &Rule, message: &Message) -> Mapped {
        match &rule.to {
            Target::Event(rule) => event::from_message(rule, message),
            Target::Heartbeat => heartbeat::from_message(message),
            Target::Policy(rule) => policy::from_message(rule, message),
            // What is taken over from another agent goes past the workshop.
            Target::Publish(to) if to.shape.is_some() => {
                Mapped::Dead("a message of iLert's agent, which no rule can change".to_owned())
            }
            Target::Publish(to) => {
                publish::from_message(to, topic::unshared(&rule.filter), message)
            }
            // Whoever has them evaluated has taken them out.
            Target::Point(_) => Mapped::Dropped("it is read as points".to_owned()),
            Target::App(to) => app::from_message(to, message, &stamp),
            Target::Call(to) => call::from_message(to, &rule.filter, message, &self.source, &stamp),
        }
    }
}

/// How a rule publishes what it changes, if it does.
fn shaping(rule: &Rule) -> Option<&PublishRule> {
    match &rule.to {
        Target::Publish(to) if to.shape.is_some() => Some(to),
        _ => None,
    }
}

/// A random UUID, version 4, and the time.
#[must_use]
pub fn stamp() -> Stamp {
    // Each of these has random keys of its own.
    let half = || u128::from(RandomState::new().hash_one(Instant::now()));
    let bits = half() << 64 | half();
    let bits = bits & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let part = |from: u32, digits: u32| bits >> from & ((1 << (4 * digits)) - 1);
    let id = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    );
    Stamp { id, time: SystemTime::now() }
}

fn dead(reason: String, origin: String, body: Vec<u8>) -> Push {
    Push::DeadLetter {
        letter: DeadLetter {
            reason,
            // It never became anything.
            lane: None,
            order_key: None,
            errand: None,
            origin,
            body,
        },
        receipt: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stamp_is_another_uuid() {
        let ids: HashSet<String> = (0..1_000).map(|_| stamp().id).collect();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            let is_random = id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]);
            assert!(is_random, "{id} is of version 4");
        }
    }
}
