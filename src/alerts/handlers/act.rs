//! What a handler does about an event.

use super::{HandlerKind, HandlerSpec};
use crate::alerts::event::{Event, Level};
use crate::alerts::template::{Data, Template};
use crate::alerts::zone::Zone;
use crate::config::PublishRule;
use crate::mapping::event::{Raised, from_alert};
use crate::message::{Delivery, Errand, Keep, LaneName, Qos};
use crate::topic::check_topic;

/// What is to be done about an event. A text with the event in it ends with the end of the line.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<'a> {
    /// Queue this.
    Deliver(Delivery),
    /// Keep this as a dead letter: it can never be delivered.
    Dead {
        /// What it would have been.
        delivery: Delivery,
        /// Why not, in words.
        why: String,
    },
    /// Append a line to a file.
    Log {
        /// The file.
        path: &'a str,
        /// Who may read a new one.
        mode: u32,
        /// The event.
        line: String,
    },
    /// Run a program.
    Exec {
        /// The program.
        program: &'a str,
        /// Its arguments.
        arguments: &'a [String],
        /// Its input: the event.
        input: String,
    },
    /// Send a line through a new connection.
    Tcp {
        /// `host:port`
        address: &'a str,
        /// The event.
        line: String,
    },
    /// Post a JSON document.
    Post {
        /// Where to.
        url: &'a str,
        /// What goes with it.
        headers: &'a [(String, String)],
        /// How long it may take, in nanoseconds.
        timeout: Option<i64>,
        /// The event.
        body: String,
    },
    /// Pass the event on to these topics.
    Publish(&'a [String]),
    /// Add the event to the handler's [`Gathering`](super::Gathering).
    Gather,
}

impl HandlerSpec {
    /// What it does about an event that it wants.
    ///
    /// # Errors
    ///
    /// Says why nothing can be done.
    pub fn action(
        &self,
        event: &Event,
        default_broker: Option<&str>,
        zone: Option<&Zone>,
    ) -> Result<Action<'_>, String> {
        Ok(match &self.kind {
            HandlerKind::Mqtt { broker, topic, qos, retained } => {
                let broker = broker.as_deref().or(default_broker).ok_or(
                    "there is no MQTT broker to publish to: name one with `broker-name`, or make \
                     one the default",
                )?;
                publication(event, zone, broker, topic, (*qos, *retained))
            }
            HandlerKind::Log { path, mode } => {
                Action::Log { path, mode: *mode, line: line(event)? }
            }
            HandlerKind::Exec { program, arguments } => {
                Action::Exec { program, arguments, input: line(event)? }
            }
            HandlerKind::Tcp { address } => Action::Tcp { address, line: line(event)? },
            HandlerKind::Post { url, headers, timeout } => {
                Action::Post { url, headers, timeout: *timeout, body: line(event)? }
            }
            HandlerKind::Publish { topics } => Action::Publish(topics),
            HandlerKind::Aggregate { .. } => Action::Gather,
            HandlerKind::Ilert { integration_key } => {
                Action::Deliver(raised(event, integration_key.expose()))
            }
        })
    }
}

/// A publication of the message; one that no broker would take is kept with its reason.
fn publication(
    event: &Event,
    zone: Option<&Zone>,
    broker: &str,
    template: &Template,
    (qos, retain): (Qos, bool),
) -> Action<'static> {
    let mut topic = String::new();
    let data = Data::of_event(event).local(zone);
    let rendered = template.render(&data, &mut topic).map_err(|error| error.to_string());
    let wrong = rendered.and_then(|()| check_topic(&topic)).err();
    if topic.is_empty() {
        topic = template.text().to_owned();
    }
    let delivery = Delivery {
        lane: LaneName { sink: PublishRule::sink_name(broker).into(), key: String::new() },
        order_key: None, // A broker gets what is for it in order in any case.
        errand: Errand::Publish { topic, qos, retain },
        keep: Keep::UntilDelivered,
        body: event.message.clone().into_bytes(),
        origin: event.topic.to_string(),
    };
    match wrong {
        None => Action::Deliver(delivery),
        Some(why) => {
            Action::Dead { delivery, why: format!("the topic of alert `{}`: {why}", event.id) }
        }
    }
}

/// The alert as an event of ilert's: its key is the id, so that `OK` resolves what was raised.
fn raised(event: &Event, integration_key: &str) -> Delivery {
    let (event_type, priority) = match event.level {
        Level::Ok => ("RESOLVE", None),
        Level::Info | Level::Warning => ("ALERT", Some("LOW")),
        Level::Critical => ("ALERT", Some("HIGH")),
    };
    from_alert(&Raised {
        integration_key,
        event_type,
        alert_key: &event.id,
        summary: &event.message,
        details: &event.details,
        priority,
        labels: event
            .tags
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        origin: &event.topic,
    })
}

fn line(event: &Event) -> Result<String, String> {
    let mut line = String::new();
    match event.write_json(&mut line) {
        Ok(()) => Ok(line + "\n"),
        Err(_) => Err("one of its values is no finite number, which JSON cannot say".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(kind: &str, options: &Value) -> HandlerSpec {
        let spec = json!({"id": "h", "topic": "t", "kind": kind, "options": options});
        HandlerSpec::read(&spec).expect("a handler")
    }

    fn event(level: Level) -> Event {
        Event {
            topic: "cpu".into(),
            id: "cpu:host=a".to_owned(),
            message: "message".to_owned(),
            level,
            task: "cpu_alert".into(),
            tags: [("host".into(), "a+b".into())].into_iter().collect(),
            ..Event::default()
        }
    }

    fn action<'a>(spec: &'a HandlerSpec, event: &Event) -> Action<'a> {
        spec.action(event, Some("localhost"), None).expect("something to do")
    }

    #[test]
    fn a_message_is_published_as_it_is() {
        let options = json!({"topic": "test/{{.TaskName}}", "qos": 2, "retained": true});
        let spec = spec("mqtt", &options);
        let Action::Deliver(delivery) = action(&spec, &event(Level::Ok)) else {
            panic!("a delivery")
        };
        let topic = "test/cpu_alert".to_owned();
        let wanted = Errand::Publish { topic, qos: Qos::ExactlyOnce, retain: true };
        assert_eq!(delivery.errand, wanted);
        assert_eq!(delivery.body, b"message");
        assert_eq!(delivery.lane.sink.as_str(), "mqtt localhost");
        assert!(spec.action(&event(Level::Ok), None, None).is_err(), "no broker is the default");
    }

    #[test]
    fn what_no_broker_takes_is_kept_with_its_reason() {
        for (topic, target, why) in [
            ("dev/{{ index .Tags \"host\" }}", "dev/a+b", "the wildcard `+`"),
            ("{{ .Tags.x }}{{ .Nope }}", "{{ .Tags.x }}{{ .Nope }}", "there is no `.Nope` here"),
            ("{{ index .Tags \"x\" }}", "{{ index .Tags \"x\" }}", "may not be empty"),
        ] {
            let spec = spec("mqtt", &json!({"topic": topic}));
            let Action::Dead { delivery, why: found } = action(&spec, &event(Level::Critical))
            else {
                panic!("{topic} can be published")
            };
            assert_eq!(delivery.errand.target(), target);
            assert!(found.starts_with("the topic of alert `cpu:host=a`: "), "{found}");
            assert!(found.contains(why), "{found}");
        }
    }

    #[test]
    fn an_alert_is_raised_at_ilert_and_resolved() {
        let spec = spec("ilert", &json!({"integration-key": "il1key"}));
        for (level, event_type, priority) in [
            (Level::Critical, "ALERT", json!("HIGH")),
            (Level::Warning, "ALERT", json!("LOW")),
            (Level::Info, "ALERT", json!("LOW")),
            (Level::Ok, "RESOLVE", Value::Null),
        ] {
            let Action::Deliver(delivery) = action(&spec, &event(level)) else {
                panic!("a delivery")
            };
            let body: Value = serde_json::from_slice(&delivery.body).expect("JSON");
            assert_eq!(body["eventType"], event_type);
            assert_eq!(body["priority"], priority);
            assert_eq!(body["alertKey"], "cpu:host=a");
            assert_eq!(body["summary"], "message");
            assert_eq!(body["labels"], json!({"host": "a+b"}));
            assert_eq!(body["integrationKey"], "il1key");
            assert_eq!(delivery.order_key.as_deref(), Some("cpu:host=a"));
            assert_eq!(delivery.lane.key, "il1key");
        }
    }

    #[test]
    fn others_get_the_event_as_a_line() {
        for (kind, options) in [
            ("log", json!({"path": "/tmp/alerts"})),
            ("exec", json!({"prog": "/bin/true", "args": ["a"]})),
            ("tcp", json!({"address": "localhost:1"})),
            ("post", json!({"url": "http://localhost/", "headers": {"a": "b"}})),
        ] {
            let spec = spec(kind, &options);
            let event = event(Level::Critical);
            let line = match action(&spec, &event) {
                Action::Log { line, .. } | Action::Tcp { line, .. } => line,
                Action::Exec { input, .. } => input,
                Action::Post { body, .. } => body,
                other => panic!("{other:?}"),
            };
            assert!(line.starts_with("{\"id\":\"cpu:host=a\"") && line.ends_with("}\n"), "{line}");
        }
        let publish = spec("publish", &json!({"topics": ["a", "b"]}));
        let topics = ["a".to_owned(), "b".to_owned()];
        assert_eq!(action(&publish, &event(Level::Ok)), Action::Publish(&topics));
    }
}
