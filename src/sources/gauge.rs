//! Between a session and intake: has the messages that are points evaluated, and passes on the
//! rest.
//!
//! A message may be for rules of both kinds. Then it is safe when both are done with it.

use crate::alerts::Point;
use crate::alerts::line::Shelf;
use crate::config::{Routing, Rule, Target};
use crate::mapping::routing::route;
use crate::message::{Accept, Arrival, Desk, Message, Receipt, Refused};
use crate::queue;
use crate::system::threads::lock;
use crate::watch::{Follows, Reading, Watch, now};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Takes out what is for rules of points.
pub struct Gauge {
    /// Where all else goes.
    others: Box<dyn Accept>,
    watch: Arc<Watch>,
    rules: Vec<Rule>,
    routing: Routing,
    shelf: Shelf,
    /// What is left of a batch that was refused.
    left: Left,
}

#[derive(Default)]
struct Left {
    /// The others have refused something.
    others: bool,
    /// Whose desk waits for these to be evaluated.
    points: Option<(Vec<Point>, Arc<Tickets>)>,
    /// What follows from points has not been pushed.
    effects: bool,
}

/// What becomes of a batch.
#[derive(Default)]
struct Sorted {
    others: Vec<Arrival>,
    points: Vec<Point>,
    /// Of the messages with points.
    tickets: Vec<u64>,
    /// How many parts have to be done with a message, if it is more than one.
    parts: HashMap<u64, usize>,
}

impl Accept for Gauge {
    fn connected(&mut self) {
        self.others.connected();
    }

    fn subscribed(&mut self) {
        self.others.subscribed();
    }

    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let sorted = self.sort(arrivals);
        let desk = shared(sorted.parts, desk);
        let passed = match sorted.others.is_empty() {
            true => Ok(()),
            false => self.others.accept(sorted.others, &desk),
        };
        self.left.others = passed.is_err();
        if !sorted.tickets.is_empty() {
            let tickets = Tickets { desk: Arc::clone(&desk), tickets: sorted.tickets };
            self.left.points = Some((sorted.points, Arc::new(tickets)));
        }
        passed.and(self.feed(&desk))
    }

    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        if self.left.others {
            self.others.again(desk)?;
            self.left.others = false;
        }
        if self.left.effects {
            self.watch.again(desk).map_err(|error| refused(&error))?;
            self.left.effects = false;
        }
        self.feed(desk)
    }
}

impl Gauge {
    /// Has points evaluated by `watch`, and passes all else to `others`.
    #[must_use]
    pub fn new(
        others: Box<dyn Accept>,
        watch: Arc<Watch>,
        rules: Vec<Rule>,
        routing: Routing,
    ) -> Self {
        let (shelf, left) = (Shelf::default(), Left::default());
        Gauge { others, watch, rules, routing, shelf, left }
    }

    fn sort(&mut self, arrivals: Vec<Arrival>) -> Sorted {
        let mut sorted = Sorted::default();
        for arrival in arrivals {
            match arrival {
                Arrival::Message { message, ticket } => self.sort_one(message, ticket, &mut sorted),
                Arrival::Oversized { .. } | Arrival::Unreadable { .. } => {
                    sorted.others.push(arrival);
                }
            }
        }
        sorted
    }

    fn sort_one(&mut self, message: Message, ticket: u64, sorted: &mut Sorted) {
        let wanted = self.watch.wanted();
        let (mut parts, mut is_point, mut is_other, mut wrong) = (0, false, false, None);
        for rule in route(&self.rules, self.routing, &message.topic) {
            let Target::Point(to) = &rule.to else {
                is_other = true;
                continue;
            };
            let reading = Reading { rule: to, filter: &rule.filter, wanted: &wanted, now: now() };
            match reading.read(&message, &mut self.shelf, &mut sorted.points) {
                Ok(()) => is_point = true,
                Err(why) => wrong = Some(why),
            }
        }
        if is_point {
            sorted.tickets.push(ticket);
            parts += 1;
        }
        if let Some(why) = wrong {
            let (topic, payload) = (message.topic.clone(), message.payload.clone());
            let reason = why.into();
            sorted.others.push(Arrival::Unreadable { topic, reason, payload, ticket });
            parts += 1;
        }
        // What no rule wants is for intake to say.
        if is_other || parts == 0 {
            sorted.others.push(Arrival::Message { message, ticket });
            parts += 1;
        }
        if parts > 1 {
            sorted.parts.insert(ticket, parts);
        }
    }

    /// Has the points evaluated that are left, if there are any.
    fn feed(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let Some((points, tickets)) = self.left.points.take() else { return Ok(()) };
        let receipts =
            |signatures| Receipt::new(Arc::clone(&tickets) as Arc<dyn Desk>, 0, signatures);
        // What no task wants has nothing to wait for.
        let fed = match points.is_empty() {
            true => Ok(Follows::Nothing),
            false => self.watch.feed(&points, Some(&receipts), Some(desk)),
        };
        match fed {
            Ok(Follows::Something) => Ok(()),
            Ok(Follows::Nothing) => {
                tickets.signed(0);
                Ok(())
            }
            Err(why) => {
                self.left.effects = why.is_evaluated;
                if !why.is_evaluated {
                    self.left.points = Some((points, tickets));
                }
                Err(refused(&why.error))
            }
        }
    }
}

fn refused(error: &queue::Error) -> Refused {
    match error {
        queue::Error::Full(_) => Refused::Full,
        queue::Error::Unwritable(_) => Refused::Unwritable,
        queue::Error::Closed => Refused::Closed,
    }
}

/// The messages whose points are evaluated together: what follows from some follows from all.
struct Tickets {
    desk: Arc<dyn Desk>,
    tickets: Vec<u64>,
}

impl Desk for Tickets {
    fn signed(&self, _: u64) {
        self.tickets.iter().for_each(|ticket| self.desk.signed(*ticket));
    }

    fn room(&self) {
        self.desk.room();
    }
}

/// The desk of messages that several parts have to be done with.
struct Shared {
    desk: Arc<dyn Desk>,
    receipts: Mutex<HashMap<u64, Receipt>>,
}

/// `desk`, or one in front of it if there are such messages.
fn shared(parts: HashMap<u64, usize>, desk: &Arc<dyn Desk>) -> Arc<dyn Desk> {
    if parts.is_empty() {
        return Arc::clone(desk);
    }
    let receipt = |(ticket, parts)| (ticket, Receipt::new(Arc::clone(desk), ticket, parts));
    let receipts = Mutex::new(parts.into_iter().map(receipt).collect());
    Arc::new(Shared { desk: Arc::clone(desk), receipts })
}

impl Desk for Shared {
    fn signed(&self, ticket: u64) {
        let receipt = lock(&self.receipts).get(&ticket).cloned();
        match receipt {
            Some(receipt) => receipt.sign(),
            None => self.desk.signed(ticket),
        }
    }

    fn partly_signed(&self, ticket: u64) {
        self.desk.partly_signed(ticket);
    }

    fn room(&self) {
        self.desk.room();
    }

    fn is_withdrawn(&self, ticket: u64) -> bool {
        self.desk.is_withdrawn(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PointRule, Precision, Qos, Written};
    use crate::message::Origin;
    use crate::watch::testing::Rig;

    /// What has been signed, and what the others got, in this order.
    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    impl Log {
        fn add(&self, word: String) {
            lock(&self.0).push(word);
        }
    }

    impl Desk for Log {
        fn signed(&self, ticket: u64) {
            self.add(format!("signed {ticket}"));
        }
        fn partly_signed(&self, ticket: u64) {
            self.add(format!("part {ticket}"));
        }
        fn room(&self) {}
    }

    /// The others: they note what comes, and sign it.
    struct Others(Arc<Log>);

    impl Accept for Others {
        fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
            for arrival in arrivals {
                let ticket = arrival.ticket();
                self.0.add(match arrival {
                    Arrival::Message { message, .. } => format!("passed {}", message.topic),
                    Arrival::Unreadable { topic, reason, .. } => format!("bad {topic}: {reason}"),
                    Arrival::Oversized { topic, .. } => format!("large {topic}"),
                });
                desk.signed(ticket);
            }
            Ok(())
        }
        fn again(&mut self, _: &Arc<dyn Desk>) -> Result<(), Refused> {
            Ok(())
        }
    }

    fn rule(filter: &str, is_point: bool) -> Rule {
        let point = PointRule {
            database: "telegraf".to_owned(),
            retention_policy: String::new(),
            precision: Precision::Seconds,
            written: Written::Lines,
        };
        let to = if is_point { Target::Point(Box::new(point)) } else { Target::Heartbeat };
        Rule { filter: filter.to_owned(), qos: Qos::AtLeastOnce, to }
    }

    #[track_caller]
    fn check(routing: Routing, topic: &str, payload: &str, wanted: &[&str]) -> String {
        let name = format!("gauge-{routing:?}-{}", topic.replace('/', "-"));
        let (rig, log) = (Rig::new(&name, "cpu"), Arc::new(Log::default()));
        let rules = vec![rule("points/#", true), rule("both/#", true), rule("both/#", false)];
        let others = Box::new(Others(Arc::clone(&log)));
        let mut gauge = Gauge::new(others, Arc::clone(&rig.watch), rules, routing);
        let message = Message {
            topic: topic.to_owned(),
            payload: payload.into(),
            origin: Origin::Mqtt,
            qos: Qos::AtLeastOnce,
            retain: false,
            retained: false,
        };
        let desk = Arc::clone(&log) as Arc<dyn Desk>;
        gauge.accept(vec![Arrival::Message { message, ticket: 5 }], &desk).unwrap();
        assert_eq!(*lock(&log.0), wanted, "{topic}");
        rig.last()
    }

    #[test]
    fn points_are_evaluated_and_all_else_is_passed_on() {
        for (routing, topic, payload, wanted, is_point) in [
            (Routing::Every, "points/1", "cpu v=17 1", &["signed 5"][..], true),
            (Routing::Every, "points/2", "mem v=17 1", &["signed 5"], false),
            (
                Routing::Every,
                "both/1",
                "cpu v=17 1",
                &["passed both/1", "part 5", "signed 5"],
                true,
            ),
            (Routing::First, "both/1", "cpu v=17 1", &["signed 5"], true),
            (Routing::Every, "none", "cpu v=17 1", &["passed none", "signed 5"], false),
            (
                Routing::Every,
                "points/3",
                "cpu",
                &["bad points/3: unable to parse 'cpu': missing fields", "signed 5"],
                false,
            ),
            (
                Routing::Every,
                "both/2",
                "cpu",
                &[
                    "bad both/2: unable to parse 'cpu': missing fields",
                    "part 5",
                    "passed both/2",
                    "signed 5",
                ],
                false,
            ),
        ] {
            let last = check(routing, topic, payload, wanted);
            assert_eq!(last.contains("17"), is_point, "{topic}: {last}");
        }
    }
}
