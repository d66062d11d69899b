//! Events to handlers: what becomes of an alert.
//!
//! What goes to a broker or to ilert becomes a delivery, which is stored with the records of the same
//! points. What goes to a file, a program or a socket is done by a thread, once.

use super::actions::{Actions, Deed};
use super::brokers::Brokers;
use super::complaints::Complaints;
use super::definitions::handlers::place;
use crate::alerts::handlers::{Action, Gathering, HandlerSpec};
use crate::alerts::topics::Topics;
use crate::alerts::zone::Zone;
use crate::alerts::{Effects, Event, Named};
use crate::config::{Config, PublishRule};
use crate::message::{Delivery, ILERT, Record};
use crate::queue::{DeadLetter, Push, Storing};
use std::time::{Duration, Instant};

/// How long the records of events that have only happened again may be behind, in nanoseconds.
const BEHIND_MAX: i64 = 60_000_000_000;

/// How many topics an event may be passed on to, one after the other.
const HOPS_MAX: usize = 8;

/// What knows where alerts go.
#[derive(Default)]
pub struct Deliver {
    pub(super) topics: Topics,
    pub(super) brokers: Brokers,
    hold: Duration,
    /// When the records of topics that are behind are written.
    catch_up_at: Option<i64>,
    zone: Zone,
    actions: Actions,
    /// What handlers gather, by [`place`].
    gatherings: Named<(HandlerSpec, Gathering)>,
    /// What handlers could not do, which is logged once a minute each.
    complaints: Complaints,
}

/// What has to be stored.
#[derive(Default)]
struct Stored {
    records: Vec<Record>,
    pushes: Vec<Push>,
}

impl Deliver {
    /// To the brokers of a configuration; `topics` are as they were remembered.
    #[must_use]
    pub fn new(config: &Config, topics: Topics, zone: Zone, actions: Actions) -> Self {
        Deliver {
            topics,
            brokers: Brokers::of(config),
            hold: config.kapacitor.as_ref().map(|it| it.hold).unwrap_or_default(),
            catch_up_at: None,
            zone,
            actions,
            gatherings: Named::new(),
            complaints: Complaints::default(),
        }
    }

    /// What has to be stored of what follows from points: records, deliveries, dead letters.
    pub(super) fn pushes(&mut self, effects: Effects, now: i64) -> Vec<Push> {
        let mut stored = Stored { records: effects.records, pushes: Vec::new() };
        for event in effects.events {
            self.take(event, HOPS_MAX, now, &mut stored);
        }
        for event in self.gathered(now) {
            self.take(event, HOPS_MAX, now, &mut stored);
        }
        let Stored { mut records, mut pushes } = stored;
        self.catch_up(now, &mut records);
        pushes.extend(records.into_iter().map(of_record));
        pushes
    }

    /// Writes what is behind, if it has been for long enough.
    fn catch_up(&mut self, now: i64, records: &mut Vec<Record>) {
        if self.catch_up_at.is_some_and(|due| due <= now) {
            self.topics.catch_up(records);
        }
        let latest = now.saturating_add(BEHIND_MAX);
        let is_behind = self.topics.are_behind();
        // The clock may have been put back.
        self.catch_up_at = is_behind.then(|| self.catch_up_at.unwrap_or(latest).min(latest));
    }

    /// What is behind, to be stored before the end.
    pub(super) fn last(&mut self) -> Vec<Push> {
        let mut records = Vec::new();
        self.topics.catch_up(&mut records);
        self.catch_up_at = None;
        records.into_iter().map(of_record).collect()
    }

    /// When something is due that was gathered, or is behind.
    pub(super) fn wake_at(&self) -> Option<i64> {
        let gathered = self.gatherings.values().filter_map(|gathering| gathering.1.wake_at());
        gathered.chain(self.catch_up_at).min()
    }

    fn gathered(&mut self, now: i64) -> Vec<Event> {
        let mut due = Vec::new();
        for both in self.gatherings.values_mut() {
            let (handler, gathering) = &mut **both;
            if let Some((event, said)) = gathering.take(&handler.kind, now) {
                if let Err(why) = said {
                    let place = format!("{}: the message of {}", handler.topic, handler.id);
                    self.complaints.tell(place, &why, 1, Instant::now());
                }
                due.push(event);
            }
        }
        self.gatherings.retain(|_, gathering| gathering.1.wake_at().is_some());
        due
    }

    fn take(&mut self, mut event: Event, hops: usize, now: i64, stored: &mut Stored) {
        self.topics.take(&mut event, &mut stored.records);
        let (mut onward, mut gathering, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for handler in self.topics.listening(&event.topic) {
            let wants = handler.wants(&event, Some(&self.zone));
            let action = wants.and_then(|wants| match wants {
                true => {
                    let broker = self.brokers.default.as_deref();
                    handler.action(&event, broker, Some(&self.zone)).map(Some)
                }
                false => Ok(None),
            });
            match action {
                Ok(None) => (),
                Ok(Some(Action::Publish(topics))) => onward.extend(topics.iter().cloned()),
                Ok(Some(Action::Gather)) => gathering.push(handler.clone()),
                Ok(Some(action)) => stored.pushes.extend(self.push(action)),
                Err(why) => wrong.push((format!("{}: {}", event.topic, handler.id), why)),
            }
        }
        for (place, why) in wrong {
            self.complaints.tell(place, &why, 1, Instant::now());
        }
        for handler in gathering {
            let known = self.gatherings.entry(place(&event.topic, &handler.id));
            let (handler, gathering) =
                &mut **known.or_insert_with(|| Box::new((handler, Gathering::default())));
            gathering.add(&handler.kind, event.clone(), now);
        }
        for topic in onward {
            match hops {
                0 => {
                    let words = "passed on too often, from topic to topic";
                    self.complaints.tell(event.topic.to_string(), &words, 1, Instant::now());
                }
                _ => {
                    let event = Event { topic: topic.as_str().into(), ..event.clone() };
                    self.take(event, hops - 1, now, stored);
                }
            }
        }
    }

    /// What an action has to be stored as, if it has to.
    fn push(&self, action: Action<'_>) -> Option<Push> {
        match action {
            Action::Deliver(delivery) => Some(self.delivery(delivery)),
            Action::Dead { delivery, why } => Some(dead(delivery, why)),
            action => {
                if let Some(deed) = Deed::of(action) {
                    self.actions.send(deed);
                }
                None
            }
        }
    }

    /// A delivery to a sink that is there, or a dead letter.
    fn delivery(&self, delivery: Delivery) -> Push {
        let sink = delivery.lane.sink.as_str();
        let to = sink.strip_prefix(&PublishRule::sink_name("")).unwrap_or(sink);
        if delivery.lane.sink != ILERT
            && let Err(why) = self.brokers.has(to)
        {
            return dead(delivery, why);
        }
        Push::Delivery { delivery, storing: Storing::within(self.hold), receipt: None }
    }

    /// A publication that tests whether a broker can be published to.
    pub(super) fn test(&self, handler: &HandlerSpec, event: &Event) -> Result<Push, String> {
        let action = handler.action(event, self.brokers.default.as_deref(), None)?;
        match self.push(action) {
            Some(Push::DeadLetter { letter, .. }) => Err(letter.reason),
            Some(push) => Ok(push),
            None => Err("there is nothing to publish".to_owned()),
        }
    }
}

fn of_record(record: Record) -> Push {
    Push::Record { record, receipt: None }
}

fn dead(delivery: Delivery, reason: String) -> Push {
    let letter = DeadLetter {
        reason,
        lane: Some(delivery.lane),
        order_key: delivery.order_key,
        errand: Some(delivery.errand),
        origin: delivery.origin,
        body: delivery.body,
    };
    Push::DeadLetter { letter, receipt: None }
}
