//! Which events a handler wants: its `match`.

use super::HandlerSpec;
use crate::alerts::event::Event;
use crate::alerts::lambda::{Found, Outer, Scope, Value};
use crate::alerts::zone::Zone;

impl HandlerSpec {
    /// Whether it wants an event.
    ///
    /// # Errors
    ///
    /// Says why its `match` has no answer, such as a tag that is missing; then it does not get the
    /// event.
    pub fn wants(&self, event: &Event, zone: Option<&Zone>) -> Result<bool, String> {
        let Some(matches) = &self.matches else { return Ok(true) };
        let scope = OfEvent { event, zone };
        matches.holds(&mut matches.state(), &scope).map_err(|error| format!("match: {error}"))
    }
}

/// An event, as an expression sees it: names in double quotes are tags.
struct OfEvent<'a> {
    event: &'a Event,
    zone: Option<&'a Zone>,
}

impl Scope for OfEvent<'_> {
    fn reference(&self, name: &str) -> Found<'_> {
        self.event.tags.get(name).map_or(Found::Nothing, |tag| Found::One(Value::text(tag)))
    }

    fn time(&self) -> i64 {
        self.event.time
    }

    fn offset(&self, time: i64) -> i64 {
        self.zone.map_or(0, |zone| zone.offset(time))
    }

    fn outer(&self, what: Outer) -> Value<'_> {
        let event = self.event;
        match what {
            Outer::Level => Value::Int(event.level as i64),
            Outer::Changed => Value::Bool(event.level != event.previous_level),
            Outer::Name => Value::text(&event.name),
            Outer::TaskName => Value::text(&event.task),
            Outer::AlertDuration => Value::Duration(event.duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::event::Level;
    use serde_json::json;

    fn wants(matches: &str) -> Result<bool, String> {
        let spec = json!({
            "id": "h", "topic": "t", "kind": "publish", "match": matches,
            "options": {"topics": ["u"]},
        });
        let event = Event {
            level: Level::Warning,
            previous_level: Level::Ok,
            name: "cpu".into(),
            task: "cpu_alert".into(),
            duration: 30_000_000_000,
            tags: [("host".into(), "a".into())].into_iter().collect(),
            fields: [("value".into(), 1.5.into())].into_iter().collect(),
            ..Event::default()
        };
        HandlerSpec::read(&spec)?.wants(&event, None)
    }

    #[test]
    fn a_handler_wants_what_matches() {
        for (matches, wanted) in [
            ("", true),
            ("changed() == TRUE", true),
            ("changed()", true),
            ("level() >= WARNING AND \"host\" == 'a'", true),
            ("level() == CRITICAL", false),
            ("alertDuration() < 1m", true),
            ("name() == 'cpu' AND taskName() =~ /^cpu_/", true),
        ] {
            assert_eq!(wants(matches), Ok(wanted), "{matches}");
        }
    }

    #[test]
    fn what_has_no_answer_says_why() {
        for (matches, word) in [("\"rack\" == 'a'", "rack"), ("\"value\" > 1.0", "value")] {
            let error = wants(matches).expect_err(matches);
            assert!(error.starts_with("match: ") && error.contains(word), "{error}");
        }
        for matches in ["nope()", "level() +", "1 + 1"] {
            let error = wants(matches).expect_err(matches);
            assert!(error.starts_with("match, line 1 char "), "{error}");
        }
    }
}
