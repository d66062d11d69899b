//! What a broker's status topic says: that we are there, how the queue and the sinks do, and how the
//! resources of a service of Connectware are.
//!
//! It goes to the broker like any publication, on the same connection, but from memory: when a
//! connection begins, in JSON also when counts have changed, at most once in [`PACE`], and of a
//! resource when its state has. That we are gone is said by the last will, or by the session itself
//! at an orderly end.

use crate::commissioned;
use crate::config::{StatusFormat, StatusTopic};
use crate::message::{Delivery, Errand, Keep, LaneName, Outcome, Qos, SinkName};
use crate::mqtt::supply::{Offer, Ring, Supply};
use crate::system::health::Health;
use crate::system::plain;
use log::warn;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two reports of counts.
const PACE: Duration = Duration::from_secs(60);

/// The ticket of the first topic, from which the others count down; no row of the queue has these
/// numbers.
const TICKET: u64 = u64::MAX;

/// Publications of the queue, with ours between them.
pub(super) struct Announced {
    queue: Box<dyn Supply>,
    status: StatusTopic,
    health: Health,
    /// The status topic, and behind it those of the resources, in their order.
    topics: Vec<Topic>,
    /// When counts are looked at next.
    due: Option<Instant>,
    is_connected: bool,
    /// Something has come or gone, and resources may be in another state.
    has_changed: Arc<AtomicBool>,
    /// A refusal has been logged.
    is_told: bool,
}

/// What is said on one topic.
struct Topic {
    delivery: Delivery,
    /// It is with the session.
    is_out: bool,
    /// It is to go out.
    is_due: bool,
    /// It goes out even if it says nothing new.
    is_fresh: bool,
    /// The broker does not want it.
    is_refused: bool,
    /// The state of the resource, and why it is not the one expected.
    state: (&'static str, String),
}

impl Topic {
    fn new(topic: String, sink: &SinkName) -> Self {
        Topic {
            delivery: Delivery {
                lane: LaneName { sink: sink.clone(), key: String::new() },
                order_key: None,
                errand: Errand::Publish { topic, qos: Qos::AtLeastOnce, retain: true },
                keep: Keep::UntilDelivered,
                body: Vec::new(),
                origin: "status".to_owned(),
            },
            is_out: false,
            is_due: false,
            is_fresh: false,
            is_refused: false,
            state: ("", String::new()),
        }
    }

    fn say(&mut self, body: String, is_news: bool) {
        self.is_due |= std::mem::take(&mut self.is_fresh) || is_news;
        self.delivery.body = body.into_bytes();
    }
}

/// The JSON of a status topic.
#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    version: &'static str,
    sessions: Vec<SessionReport<'a>>,
    waiting: u64,
    dead_letters: u64,
    sinks: Vec<SinkReport<'a>>,
}

#[derive(Serialize)]
struct SessionReport<'a> {
    name: &'a str,
    connected: bool,
}

#[derive(Serialize)]
struct SinkReport<'a> {
    name: &'a str,
    delivered: u64,
    failed_attempts: u64,
    given_up: u64,
}

impl Announced {
    /// `ring` wakes the session when there may be something new.
    pub(super) fn new(
        queue: Box<dyn Supply>,
        status: &StatusTopic,
        sink: &SinkName,
        health: Health,
        ring: Ring,
    ) -> Self {
        let mut topics = vec![Topic::new(status.topic.clone(), sink)];
        let has_changed = Arc::<AtomicBool>::default();
        if let Some(service) = &status.service {
            let topic = |id: &str| Topic::new(format!("{}/{id}", status.topic), sink);
            topics.extend(service.resources.iter().map(|it| topic(&it.id)));
            let note = Arc::clone(&has_changed);
            health.on_change(move || {
                note.store(true, Ordering::Release);
                ring();
            });
        }
        let (due, is_connected, is_told) = (None, false, false);
        let status = status.clone();
        Announced { queue, status, health, topics, due, is_connected, has_changed, is_told }
    }

    /// Looks at what may have changed. What is with the session is looked at when it comes back.
    fn look(&mut self, now: Instant) {
        let first = &mut self.topics[0];
        if !first.is_out && self.due.is_some_and(|due| due <= now) {
            self.due = (self.status.format == StatusFormat::Json).then(|| now + PACE);
            let body = match self.status.format {
                StatusFormat::Text => "online".to_owned(),
                StatusFormat::Json => report(&self.health),
            };
            let is_news = body.as_bytes() != first.delivery.body;
            first.say(body, is_news);
        }
        let Some(service) = &self.status.service else { return };
        if !self.has_changed.swap(false, Ordering::AcqRel) {
            return;
        }
        let found = commissioned::resources(service, &self.health.snapshot(), now);
        for (topic, found) in self.topics[1..].iter_mut().zip(found) {
            let is_news = topic.state.0 != found.actual || topic.state.1 != found.reason;
            if !topic.is_out && (is_news || topic.is_fresh) {
                let body = serde_json::to_string(&found).unwrap_or_default();
                topic.say(plain::json(&body).into_owned(), is_news);
                topic.state = (found.actual, found.reason);
            }
        }
    }

    /// What is to go out now.
    fn offer(&mut self, now: Instant) -> Option<u64> {
        if !self.is_connected {
            return None;
        }
        self.look(now);
        let is_next = |it: &Topic| it.is_due && !it.is_out && !it.is_refused;
        let at = self.topics.iter().position(is_next)?;
        let topic = &mut self.topics[at];
        (topic.is_out, topic.is_due) = (true, false);
        Some(TICKET - at as u64)
    }

    /// Which of our topics has this ticket.
    fn at(&self, ticket: u64) -> Option<usize> {
        usize::try_from(TICKET - ticket).ok().filter(|at| *at < self.topics.len())
    }

    fn ended(&mut self, at: usize, outcome: &Outcome) {
        let topic = &mut self.topics[at];
        topic.is_out = false;
        self.has_changed.store(true, Ordering::Release);
        if let Outcome::Never { why, .. } = outcome {
            topic.is_refused = true;
            if at == 0 {
                self.due = None;
            }
            if !std::mem::replace(&mut self.is_told, true) {
                let (sink, topic) = (&topic.delivery.lane.sink, topic.delivery.errand.target());
                warn!("sink {sink}: the status topic {} is refused: {why}", plain::plain(topic));
            }
        }
    }
}

impl Supply for Announced {
    fn next(&mut self, now: Instant) -> Offer {
        if let Some(ticket) = self.offer(now) {
            return Offer::This(ticket);
        }
        match self.queue.next(now) {
            Offer::Nothing(at) => {
                let due = self.due.filter(|_| !self.topics[0].is_out);
                Offer::Nothing(at.into_iter().chain(due).min())
            }
            offer @ Offer::This(_) => offer,
        }
    }

    fn delivery(&self, ticket: u64) -> &Delivery {
        match self.at(ticket) {
            Some(at) => &self.topics[at].delivery,
            None => self.queue.delivery(ticket),
        }
    }

    fn settle(&mut self, verdicts: &mut Vec<(u64, Outcome)>) {
        let mut index = 0;
        while let Some((ticket, _)) = verdicts.get(index) {
            match self.at(*ticket) {
                Some(at) => {
                    let (_, outcome) = verdicts.remove(index);
                    self.ended(at, &outcome);
                }
                None => index += 1,
            }
        }
        self.queue.settle(verdicts);
    }

    fn connected(&mut self) {
        self.topics.iter_mut().for_each(|topic| topic.is_fresh = true);
        self.due = Some(Instant::now()).filter(|_| !self.topics[0].is_refused);
        self.is_connected = true;
        self.has_changed.store(true, Ordering::Release);
        self.queue.connected();
    }

    fn lost(&mut self, why: &str) {
        self.is_connected = false;
        self.queue.lost(why);
    }
}

/// The counts of `/status`. How long something has lasted is not among them: it would be news each
/// time.
fn report(health: &Health) -> String {
    let snapshot = health.snapshot();
    let sessions = snapshot.sessions.iter();
    let sinks = snapshot.sinks.iter();
    let report = Report {
        status: "online",
        version: env!("CARGO_PKG_VERSION"),
        sessions: sessions
            .map(|(name, session)| SessionReport { name, connected: session.connected })
            .collect(),
        waiting: snapshot.queue.waiting,
        dead_letters: snapshot.queue.dead_letters,
        sinks: sinks
            .map(|(name, sink)| SinkReport {
                name,
                delivered: sink.delivered,
                failed_attempts: sink.failed_attempts,
                given_up: sink.given_up,
            })
            .collect(),
    };
    let text = serde_json::to_string(&report).unwrap_or_default();
    plain::json(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Commissioned, Resource, ResourceKind};
    use crate::system::health;

    /// A queue with one publication.
    struct One(Option<Delivery>, Vec<(u64, Outcome)>);

    impl Supply for One {
        fn next(&mut self, _now: Instant) -> Offer {
            Offer::Nothing(None)
        }
        fn delivery(&self, _ticket: u64) -> &Delivery {
            self.0.as_ref().unwrap()
        }
        fn settle(&mut self, verdicts: &mut Vec<(u64, Outcome)>) {
            self.1.append(verdicts);
        }
        fn connected(&mut self) {}
        fn lost(&mut self, _why: &str) {}
    }

    fn announced(format: StatusFormat) -> (Announced, Health) {
        let health = Health::default();
        (announced_of(format, None, &health), health)
    }

    fn announced_of(
        format: StatusFormat,
        service: Option<Commissioned>,
        health: &Health,
    ) -> Announced {
        let status = StatusTopic { topic: "site/agent".to_owned(), format, service };
        let queue = Box::new(One(None, Vec::new()));
        let sink = SinkName::from("mqtt plant");
        Announced::new(queue, &status, &sink, health.clone(), Arc::new(|| ()))
    }

    fn body(announced: &Announced) -> &str {
        str::from_utf8(&announced.delivery(TICKET).body).unwrap()
    }

    #[test]
    fn each_connection_begins_with_it_and_text_says_no_more() {
        let (mut text, _) = announced(StatusFormat::Text);
        assert_eq!(text.next(Instant::now()), Offer::Nothing(None), "there is no connection");
        for _ in 0..2 {
            text.connected();
            assert_eq!(text.next(Instant::now()), Offer::This(TICKET));
            assert_eq!(body(&text), "online");
            assert_eq!(text.next(Instant::now() + 2 * PACE), Offer::Nothing(None), "it is out");
            text.settle(&mut vec![(TICKET, Outcome::Delivered)]);
            assert_eq!(text.next(Instant::now() + 2 * PACE), Offer::Nothing(None));
        }
    }

    #[test]
    fn counts_go_out_when_they_change_but_not_often() {
        let (mut json, health) = announced(StatusFormat::Json);
        health.sink("ilert", |sink| sink.delivered = 7);
        json.connected();
        let start = Instant::now();
        assert_eq!(json.next(start), Offer::This(TICKET));
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            body(&json),
            format!(
                "{{\"status\":\"online\",\"version\":\"{version}\",\"sessions\":[],\"waiting\":0,\
                 \"dead_letters\":0,\"sinks\":[{{\"name\":\"ilert\",\"delivered\":7,\
                 \"failed_attempts\":0,\"given_up\":0}}]}}"
            )
        );
        json.settle(&mut vec![(TICKET, Outcome::Delivered)]);
        health.sink("ilert", |sink| sink.delivered = 8);
        assert_eq!(json.next(start + PACE / 2), Offer::Nothing(Some(start + PACE)));
        assert_eq!(json.next(start + PACE), Offer::This(TICKET));
        json.settle(&mut vec![(TICKET, Outcome::Delivered)]);
        let later = start + 2 * PACE;
        assert_eq!(json.next(later), Offer::Nothing(Some(later + PACE)), "nothing is new");
    }

    #[test]
    fn each_resource_has_a_topic_that_says_when_its_state_changes() {
        let resource = |id: &str, reads: &str| Resource {
            id: id.to_owned(),
            kind: ResourceKind::Endpoint,
            is_wanted: true,
            trouble: String::new(),
            reads: vec![reads.to_owned()],
            writes: Vec::new(),
            routes: Vec::new(),
        };
        let (id, file) = ("s".to_owned(), String::new());
        let resources = vec![resource("s-a", "one"), resource("s-b", "other")];
        let service = Commissioned { id, file, resources };
        let health = Health::default();
        let come = |name: &str, is_up| {
            let change = |it: &mut health::Session| {
                (it.connected, it.subscriptions_ready) = (is_up, is_up);
            };
            health.session(name, change);
        };
        come("one", true);
        let mut announced = announced_of(StatusFormat::Text, Some(service), &health);
        announced.connected();
        let said = |announced: &mut Announced| {
            let mut said = Vec::new();
            while let Offer::This(ticket) = announced.next(Instant::now()) {
                let Delivery { errand, body, .. } = announced.delivery(ticket);
                let body = String::from_utf8_lossy(body).into_owned();
                said.push((errand.target().to_owned(), body));
                announced.settle(&mut vec![(ticket, Outcome::Delivered)]);
            }
            said
        };
        let first = said(&mut announced);
        let topics: Vec<&str> = first.iter().map(|(topic, _)| topic.as_str()).collect();
        assert_eq!(topics, ["site/agent", "site/agent/s-a", "site/agent/s-b"]);
        let begins = r#"{"id":"s-a","type":"endpoint","expected":"enabled","actual":"enabled","#;
        assert!(first[1].1.starts_with(begins), "{}", first[1].1);
        assert_eq!(said(&mut announced), [], "nothing is new");
        come("other", true);
        assert_eq!(said(&mut announced), [], "it was not known to be away");
        come("one", false);
        let changed = said(&mut announced);
        assert_eq!(changed.len(), 1);
        assert!(changed[0].1.contains(r#""actual":"disabled""#), "{}", changed[0].1);
        // Nobody hears it meanwhile; the next connection begins with everything.
        announced.lost("gone");
        come("one", true);
        assert_eq!(said(&mut announced), []);
        announced.connected();
        assert_eq!(said(&mut announced).len(), 3);
    }

    #[test]
    fn a_refusal_is_final() {
        let (mut text, _) = announced(StatusFormat::Text);
        text.connected();
        text.next(Instant::now());
        text.settle(&mut vec![(TICKET, Outcome::never("not authorised"))]);
        text.connected();
        assert_eq!(text.next(Instant::now()), Offer::Nothing(None));
    }
}
