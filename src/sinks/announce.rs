//! What a broker's status topic says: that we are there, and how the queue and the sinks do.
//!
//! It goes to the broker like any publication, on the same connection, but from memory: when a
//! connection begins, and in JSON also when counts have changed, at most once in [`PACE`]. That we
//! are gone is said by the last will, or by the session itself at an orderly end.

use crate::config::{StatusFormat, StatusTopic};
use crate::message::{Delivery, Errand, Keep, LaneName, Outcome, Qos, SinkName};
use crate::mqtt::supply::{Offer, Supply};
use crate::system::health::Health;
use crate::system::plain;
use log::warn;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Between two reports of counts.
const PACE: Duration = Duration::from_secs(60);

/// The ticket of what is announced; no row of the queue has this number.
const TICKET: u64 = u64::MAX;

/// Publications of the queue, with ours between them.
pub(super) struct Announced {
    queue: Box<dyn Supply>,
    format: StatusFormat,
    health: Health,
    delivery: Delivery,
    /// It is with the session.
    is_out: bool,
    /// It goes out even if it says nothing new.
    is_fresh: bool,
    /// When it is looked at next; never again if the broker does not want it.
    due: Option<Instant>,
    is_refused: bool,
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
    pub(super) fn new(
        queue: Box<dyn Supply>,
        status: &StatusTopic,
        sink: SinkName,
        health: Health,
    ) -> Self {
        let topic = status.topic.clone();
        Announced {
            queue,
            format: status.format,
            health,
            delivery: Delivery {
                lane: LaneName { sink, key: String::new() },
                order_key: None,
                errand: Errand::Publish { topic, qos: Qos::AtLeastOnce, retain: true },
                keep: Keep::UntilDelivered,
                body: Vec::new(),
                origin: "status".to_owned(),
            },
            is_out: false,
            is_fresh: false,
            due: None,
            is_refused: false,
        }
    }

    /// Whether there is something to say now.
    fn has_news(&mut self, now: Instant) -> bool {
        if self.is_out || self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.due = (self.format == StatusFormat::Json).then(|| now + PACE);
        let body = match self.format {
            StatusFormat::Text => "online".to_owned(),
            StatusFormat::Json => report(&self.health),
        };
        let is_news = std::mem::take(&mut self.is_fresh) || body.as_bytes() != self.delivery.body;
        self.delivery.body = body.into_bytes();
        is_news
    }

    fn ended(&mut self, outcome: &Outcome) {
        self.is_out = false;
        if let Outcome::Never { why, .. } = outcome {
            let (sink, topic) = (&self.delivery.lane.sink, self.delivery.errand.target());
            warn!("sink {sink}: the status topic {} is refused: {why}", plain::plain(topic));
            (self.is_refused, self.due) = (true, None);
        }
    }
}

impl Supply for Announced {
    fn next(&mut self, now: Instant) -> Offer {
        if self.has_news(now) {
            self.is_out = true;
            return Offer::This(TICKET);
        }
        match self.queue.next(now) {
            Offer::Nothing(at) => {
                let due = self.due.filter(|_| !self.is_out);
                Offer::Nothing(at.into_iter().chain(due).min())
            }
            offer @ Offer::This(_) => offer,
        }
    }

    fn delivery(&self, ticket: u64) -> &Delivery {
        if ticket == TICKET { &self.delivery } else { self.queue.delivery(ticket) }
    }

    fn settle(&mut self, verdicts: &mut Vec<(u64, Outcome)>) {
        if let Some(at) = verdicts.iter().position(|(ticket, _)| *ticket == TICKET) {
            let (_, outcome) = verdicts.remove(at);
            self.ended(&outcome);
        }
        self.queue.settle(verdicts);
    }

    fn connected(&mut self) {
        if !self.is_refused {
            (self.is_fresh, self.due) = (true, Some(Instant::now()));
        }
        self.queue.connected();
    }

    fn lost(&mut self, why: &str) {
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
        let status = StatusTopic { topic: "site/agent".to_owned(), format };
        let queue = Box::new(One(None, Vec::new()));
        (Announced::new(queue, &status, SinkName::from("mqtt plant"), health.clone()), health)
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
    fn a_refusal_is_final() {
        let (mut text, _) = announced(StatusFormat::Text);
        text.connected();
        text.next(Instant::now());
        text.settle(&mut vec![(TICKET, Outcome::never("not authorised"))]);
        text.connected();
        assert_eq!(text.next(Instant::now()), Offer::Nothing(None));
    }
}
