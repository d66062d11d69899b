//! Runs a task over points, in their time, and notes what comes of it.

use crate::alerts::handlers::{Action, Gathering, HandlerKind, HandlerSpec};
use crate::alerts::pipeline::{Kind, Pipeline};
use crate::alerts::topics::Topics;
use crate::alerts::zone::Zone;
use crate::alerts::{Effects, Engine, Event, Named, Point, Settings, own_topic, rfc3339};
use crate::message::Errand;
use crate::system::plain;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many times an event may be passed on from topic to topic.
const HOPS_MAX: usize = 8;

/// A task that runs, and what has come of it.
pub(super) struct Replay {
    engine: Engine,
    zone: Zone,
    topics: Topics,
    /// What handlers have gathered, by topic and id.
    gathered: Named<(HandlerSpec, Gathering)>,
    /// What was complained about already.
    complaints: BTreeSet<(String, String)>,
    found: Found,
}

/// What came of a task.
#[derive(Default)]
pub(super) struct Found {
    points: usize,
    events: usize,
    lines: Vec<Line>,
}

/// One thing that happened.
struct Line {
    time: i64,
    words: String,
    json: Value,
}

impl Replay {
    pub(super) fn new(
        id: &str,
        pipeline: Pipeline,
        handlers: Vec<HandlerSpec>,
        settings: Settings,
        start: i64,
    ) -> Self {
        let mut topics = Topics::default();
        for node in &pipeline.nodes {
            if let Kind::Alert(alert) = &node.kind
                && !alert.handlers.is_empty()
            {
                topics.show(&own_topic(id, &node.name), alert.handlers.clone());
            }
        }
        handlers.into_iter().for_each(|handler| topics.put(handler));
        let zone = settings.zone.clone();
        let mut engine = Engine::new(settings, Vec::new());
        engine.enable(id, pipeline, start);
        let (gathered, complaints) = (Named::new(), BTreeSet::new());
        Replay { engine, zone, topics, gathered, complaints, found: Found::default() }
    }

    /// Takes all points, and goes on for some nanoseconds behind the last.
    pub(super) fn run(mut self, points: &[Point], start: i64, after: i64) -> Found {
        let mut clock = start;
        for point in points {
            clock = clock.max(point.time);
            self.pass_time(clock);
            let effects = self.engine.feed(std::slice::from_ref(point), clock);
            self.take(effects, clock);
        }
        self.pass_time(clock.saturating_add(after));
        self.found.points = points.len();
        self.found
    }

    /// Lets time pass for what no point drives.
    fn pass_time(&mut self, until: i64) {
        loop {
            let gathered = self.gathered.values().filter_map(|it| it.1.wake_at()).min();
            let due = [self.engine.wake_at(), gathered].into_iter().flatten().min();
            let Some(at) = due.filter(|at| *at <= until) else { return };
            let effects = self.engine.wake(at);
            self.take(effects, at);
            self.give_gathered(at);
        }
    }

    /// What handlers have gathered goes on.
    fn give_gathered(&mut self, now: i64) {
        for (place, mut both) in std::mem::take(&mut self.gathered) {
            let (handler, gathering) = &mut *both;
            match gathering.take(&handler.kind, now) {
                Some((event, said)) => {
                    if let Err(words) = said {
                        self.fault(now, &format!("handler {}: {words}", handler.id));
                    }
                    self.event(event, now, HOPS_MAX);
                }
                None => drop(self.gathered.insert(place, both)),
            }
        }
    }

    fn take(&mut self, effects: Effects, now: i64) {
        for complaint in effects.complaints {
            let words = format!("{}: {}: {}", complaint.node, complaint.place, complaint.words);
            if self.complaints.insert((complaint.node, complaint.place.to_string())) {
                self.fault(now, &words);
            }
        }
        for line in effects.lines {
            let words = format!("{}: {}", line.node, line.words);
            self.line(now, format!("log {words}"), json!({"log": words}));
        }
        for event in effects.events {
            self.found.events += 1;
            self.event(event, now, HOPS_MAX);
        }
    }

    fn event(&mut self, mut event: Event, now: i64, hops: usize) {
        self.topics.take(&mut event, &mut Vec::new());
        let heard: Vec<HandlerSpec> = self.topics.listening(&event.topic).cloned().collect();
        if heard.is_empty() {
            let words = format!("topic {} (without a handler): {}", event.topic, event.message);
            let json = json!({"handler": null, "payload": event.message});
            self.publication(&event, &words, json);
        }
        for handler in heard {
            let handed = handler.wants(&event, Some(&self.zone)).and_then(|wants| {
                if wants { self.hand_over(&event, &handler, now, hops) } else { Ok(()) }
            });
            if let Err(words) = handed {
                self.fault(now, &format!("handler {}: {words}", handler.id));
            }
        }
    }

    fn hand_over(
        &mut self,
        event: &Event,
        handler: &HandlerSpec,
        now: i64,
        hops: usize,
    ) -> Result<(), String> {
        // The broker that is the default has no name here.
        let (words, json) = match handler.action(event, Some(""), Some(&self.zone))? {
            Action::Publish(_) if hops == 0 => {
                return Err(format!("topics pass an event on more than {HOPS_MAX} times"));
            }
            Action::Publish(topics) => {
                for topic in topics {
                    let event = Event { topic: topic.as_str().into(), ..event.clone() };
                    self.event(event, now, hops - 1);
                }
                return Ok(());
            }
            Action::Gather => {
                let place = format!("{}\n{}", handler.topic, handler.id);
                let known = self.gathered.entry(place);
                let fresh = || Box::new((handler.clone(), Gathering::default()));
                let (handler, gathering) = &mut **known.or_insert_with(fresh);
                gathering.add(&handler.kind, event.clone(), now);
                return Ok(());
            }
            Action::Dead { why, .. } => return Err(why),
            Action::Deliver(delivery) => match delivery.errand {
                Errand::Publish { topic, qos, retain } => {
                    let broker = match &handler.kind {
                        HandlerKind::Mqtt { broker, .. } => broker.as_deref(),
                        _ => None,
                    };
                    let at = broker.map_or(String::new(), |name| format!(" at {name}"));
                    let kept = if retain { " retained" } else { "" };
                    let qos = qos as u8;
                    let words = format!("mqtt {topic}{at} qos {qos}{kept}: {}", event.message);
                    let json = json!({
                        "handler": "mqtt", "broker": broker, "topic": topic, "qos": qos,
                        "retained": retain, "payload": event.message,
                    });
                    (words, json)
                }
                // Its body has the key in it.
                _ => {
                    let words = format!("ilert {}: {}", event.id, event.message);
                    (words, json!({"handler": "ilert", "payload": event.message}))
                }
            },
            Action::Log { path, line, .. } => whole("log", path, &line),
            Action::Exec { program, arguments, input } => {
                whole("exec", &[&[program.to_owned()], arguments].concat().join(" "), &input)
            }
            Action::Tcp { address, line } => whole("tcp", address, &line),
            Action::Post { url, body, .. } => whole("post", url, &body),
        };
        self.publication(event, &words, json);
        Ok(())
    }

    fn publication(&mut self, event: &Event, words: &str, own: Value) {
        let mut json = json!({
            "task": &*event.task,
            "alertTopic": &*event.topic,
            "id": event.id,
            "level": event.level.name(),
            "previousLevel": event.previous_level.name(),
        });
        if let (Value::Object(all), Value::Object(own)) = (&mut json, own) {
            all.extend(own);
        }
        self.line(event.time, format!("{} {words}", event.level), json);
    }

    fn fault(&mut self, time: i64, words: &str) {
        self.line(time, format!("fault {words}"), json!({"fault": words}));
    }

    fn line(&mut self, time: i64, words: String, json: Value) {
        self.found.lines.push(Line { time, words, json });
    }
}

/// A handler that gets the whole event as JSON.
fn whole(handler: &str, to: &str, event: &str) -> (String, Value) {
    let event = event.trim_end();
    (format!("{handler} {to}: {event}"), json!({"handler": handler, "to": to, "payload": event}))
}

impl Found {
    /// A line for each thing that happened, for people or for programs.
    pub(super) fn printed(&self, as_json: bool) -> String {
        let mut out = String::new();
        for Line { time, words, json } in &self.lines {
            let line = if as_json {
                let mut json = json.clone();
                json["time"] = rfc3339(*time).into();
                json.to_string()
            } else {
                plain::line(&format!("{} {words}", rfc3339(*time))).into_owned()
            };
            out += &line;
            out.push('\n');
        }
        if !as_json {
            let many = |count: usize, what: &str| {
                format!("{count} {what}{}", if count == 1 { "" } else { "s" })
            };
            out += &format!("{}, {}\n", many(self.points, "point"), many(self.events, "event"));
        }
        out
    }
}
