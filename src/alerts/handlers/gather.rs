//! Many events as one: what a handler of the kind `aggregate` has gathered.

use super::HandlerKind;
use crate::alerts::event::{Event, Series};
use crate::alerts::template::{Data, Template};
use std::fmt::Write;

/// How many events one is made of at most; the oldest are then only counted.
const EVENTS_MAX: usize = 1_000;

/// What has been gathered since the last time.
#[derive(Clone, Debug, Default)]
pub struct Gathering {
    /// In the order in which they came; [`EVENTS_MAX`] at most.
    events: Vec<Event>,
    /// Those that were too many.
    uncounted: usize,
    /// When the interval ends in which the first one came.
    due: Option<i64>,
}

impl Gathering {
    /// Adds an event. The interval begins with the first one.
    pub fn add(&mut self, kind: &HandlerKind, event: Event, now: i64) {
        let HandlerKind::Aggregate { interval, .. } = kind else { return };
        self.due.get_or_insert(now.saturating_add(*interval));
        if self.events.len() == EVENTS_MAX {
            self.events.remove(0);
            self.uncounted += 1;
        }
        self.events.push(event);
    }

    /// When [`Gathering::take`] has something to give, on the clock that `add` was given.
    #[must_use]
    pub fn wake_at(&self) -> Option<i64> {
        self.due
    }

    /// The one event that all of them make, once their interval is over.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the template of the message; the event is as if there were none.
    pub fn take(&mut self, kind: &HandlerKind, now: i64) -> Option<(Event, Result<(), String>)> {
        let HandlerKind::Aggregate { id, interval, topic, message } = kind else { return None };
        self.due.filter(|due| *due <= now)?;
        let Gathering { events, uncounted, .. } = std::mem::take(self);
        let count = events.len() + uncounted;
        let mut one = joined(&events);
        one.topic = topic.as_str().into();
        one.id.clone_from(id);
        let said = say(&mut one, message.as_ref(), count, *interval);
        Some((one, said))
    }
}

/// The worst level, the latest time, the longest duration, and all that they say.
fn joined(events: &[Event]) -> Event {
    let last = events.last().cloned().unwrap_or_default();
    let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
    let series: Vec<Series> = events.iter().flat_map(|event| event.series.clone()).collect();
    Event {
        details: messages.join("\n"),
        time: events.iter().map(|event| event.time).max().unwrap_or_default(),
        duration: events.iter().map(|event| event.duration).max().unwrap_or_default(),
        level: events.iter().map(|event| event.level).max().unwrap_or_default(),
        recoverable: false,
        series,
        ..last
    }
}

fn say(
    one: &mut Event,
    template: Option<&Template>,
    count: usize,
    interval: i64,
) -> Result<(), String> {
    let mut said = String::new();
    let data = Data::of_event(one).gathered(count, interval);
    let result = template.map_or(Ok(()), |template| template.render(&data, &mut said));
    if template.is_none() || result.is_err() {
        let interval = data.interval_text();
        write!(said, "Received {count} events in the last {interval}.").unwrap_or_default();
    }
    one.message = said;
    result.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::event::Level;

    const MILLISECOND: i64 = 1_000_000;

    fn kind(message: Option<&str>) -> HandlerKind {
        HandlerKind::Aggregate {
            id: "all".to_owned(),
            interval: 100 * MILLISECOND,
            topic: "together".to_owned(),
            message: message.map(|text| Template::parse(text).unwrap()),
        }
    }

    fn gathered(kind: &HandlerKind, count: i64) -> Gathering {
        let mut gathering = Gathering::default();
        for index in 0..count {
            let event = Event {
                message: format!("value {index}"),
                time: index * MILLISECOND,
                duration: index * MILLISECOND,
                level: if index == 1 { Level::Critical } else { Level::Warning },
                recoverable: true,
                series: vec![Series::default()],
                ..Event::default()
            };
            gathering.add(kind, event, index);
        }
        gathering
    }

    #[test]
    fn many_events_become_one() {
        let kind = kind(None);
        let mut gathering = gathered(&kind, 3);
        assert_eq!(gathering.wake_at(), Some(100 * MILLISECOND));
        assert!(gathering.take(&kind, 100 * MILLISECOND - 1).is_none());
        let (one, said) = gathering.take(&kind, 100 * MILLISECOND).unwrap();
        assert_eq!(said, Ok(()));
        assert_eq!(one.message, "Received 3 events in the last 100ms.");
        assert_eq!(one.details, "value 0\nvalue 1\nvalue 2");
        assert_eq!((one.time, one.duration), (2 * MILLISECOND, 2 * MILLISECOND));
        assert_eq!((one.level, one.recoverable), (Level::Critical, false));
        assert_eq!((&*one.topic, &*one.id, one.series.len()), ("together", "all", 3));
        assert_eq!(gathering.wake_at(), None);
    }

    #[test]
    fn its_message_may_be_a_template() {
        for (message, wanted, is_right) in [
            ("{{ .Count }} in {{ .Interval }}: {{ .Level }}", "2 in 100ms: CRITICAL", true),
            ("{{ .Nope }}", "Received 2 events in the last 100ms.", false),
        ] {
            let kind = kind(Some(message));
            let (one, said) = gathered(&kind, 2).take(&kind, i64::MAX).unwrap();
            assert_eq!((one.message.as_str(), said.is_ok()), (wanted, is_right));
        }
    }

    #[test]
    fn too_many_are_only_counted() {
        let kind = kind(None);
        let (one, _) = gathered(&kind, 1_002).take(&kind, i64::MAX).unwrap();
        assert_eq!(one.message, "Received 1002 events in the last 100ms.");
        assert_eq!(one.series.len(), EVENTS_MAX);
        assert!(one.details.starts_with("value 2\n"));
    }
}
