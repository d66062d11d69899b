//! `kapacitor replay`: what a script would publish for a file of points, in an instant.
//!
//! There is no broker, no database and no clock: the time is that of the points, so the same files
//! always say the same.

use super::{Failure, Options, option};
use crate::alerts::handlers::{HandlerKind, HandlerSpec};
use crate::alerts::line::{Lines, Shelf};
use crate::alerts::pipeline::{Kind, Pipeline};
use crate::alerts::script::{self, Vars};
use crate::alerts::template::Data;
use crate::alerts::topics::Topics;
use crate::alerts::zone::Zone;
use crate::alerts::{Effects, Engine, Event, Name, Point, Settings, own_topic, rfc3339};
use crate::config::document::untyped;
use crate::config::{Precision, Surroundings};
use crate::system::{plain, zone};
use crate::topic::check_topic;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

/// The largest file of points, in bytes.
const POINTS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How many times an event may be passed on from topic to topic.
const HOPS_MAX: usize = 10;

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    tick: String,
    points: String,
    vars: Option<String>,
    dbrp: Option<(String, String)>,
    precision: Precision,
    /// How long time goes on behind the last point, in nanoseconds.
    after: i64,
    json: bool,
    recover: bool,
}

/// Runs a script over a file of points; gives back what it would publish.
///
/// # Errors
///
/// Says what is wrong with the words, or with one of the files.
pub(super) fn run(words: &[&str], around: &Surroundings<'_>) -> Result<String, Failure> {
    let asked =
        read(words).map_err(|what| Failure::arguments(format!("kapacitor replay: {what}")))?;
    let pipeline = pipeline(&asked)?;
    let points = points(&asked, &pipeline)?;
    let zone = local_time(around)?;
    let id = Path::new(&asked.tick).file_stem().unwrap_or_default().to_string_lossy();
    // A deadman counts from here.
    let begin = points.first().map_or(0, |point| point.time);
    let settings = Settings { failed_is_false: asked.recover, zone, ..Settings::default() };
    let replay = Replay::new(&id, pipeline, settings, begin, asked.json);
    Ok(replay.run(&points, asked.after))
}

fn read(words: &[&str]) -> Result<Asked, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut given = Options::new(&words);
    let mut asked = Asked::default();
    while let Some(word) = given.next() {
        let Some((name, value)) = option(&word) else {
            return Err(format!("`{word}` is one word too many; values belong to an option"));
        };
        match name {
            "json" => asked.json = true,
            "recover" => asked.recover = true,
            _ => {
                let value = value.map(str::to_owned).or_else(|| given.next());
                let value = value.ok_or_else(|| format!("`-{name}` needs a value"))?;
                asked.take(name, value)?;
            }
        }
    }
    match (asked.tick.as_str(), asked.points.as_str()) {
        ("", _) => Err("`-tick` is missing: the file with the script".to_owned()),
        (_, "") => Err("`-points` is missing: a file with points in line protocol".to_owned()),
        _ => Ok(asked),
    }
}

impl Asked {
    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "tick" => self.tick = value,
            "points" => self.points = value,
            "vars" => self.vars = Some(value),
            "dbrp" => {
                let pair = value.split_once('.').ok_or("`-dbrp` is written \"db\".\"rp\"")?;
                let bare = |name: &str| name.trim_matches('"').to_owned();
                self.dbrp = Some((bare(pair.0), bare(pair.1)));
            }
            "precision" => self.precision = Precision::of(&value)?,
            "after" => {
                let duration = script::nanoseconds(&value)
                    .ok_or_else(|| format!("`{value}` is not a duration such as 90s, 10m or 1h"))?;
                self.after = duration;
            }
            "recording" | "task" | "replay-id" | "rec-time" | "real-clock" => {
                return Err("recordings are not supported; give -tick FILE -points FILE".to_owned());
            }
            _ => return Err(format!("there is no option `-{name}`")),
        }
        Ok(())
    }
}

/// The text of a file.
fn text(file: &str, bytes_max: u64) -> Result<String, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::command(format!("{file}: {why}"));
    let open = fs::File::open(file).map_err(|error| wrong(&error))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(open, bytes_max + 1), &mut bytes)
        .map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(wrong(&format_args!("it is larger than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| wrong(&"it is not UTF-8"))
}

fn pipeline(asked: &Asked) -> Result<Pipeline, Failure> {
    let text = text(&asked.tick, script::SCRIPT_BYTES_MAX as u64)?;
    let vars = match &asked.vars {
        Some(file) => {
            let json = document(file)?;
            Vars::read(&json).map_err(|what| Failure::command(format!("{file}: {what}")))?
        }
        None => Vars::default(),
    };
    let built = script::parse(&text)
        .map_err(script::Faults::from)
        .and_then(|script| script::build(&script, &vars));
    built.map_err(|faults| {
        let faults: Vec<String> =
            faults.0.iter().map(|fault| fault.of_file(&asked.tick).to_string()).collect();
        Failure::command(faults.join("\n"))
    })
}

/// A file in JSON or YAML.
fn document(file: &str) -> Result<Value, Failure> {
    const BYTES_MAX: u64 = 1024 * 1024;
    let text = text(file, BYTES_MAX)?;
    untyped::read(file, &text).map_err(|(at, what)| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        Failure::command(format!("{file}:{line}: {what}"))
    })
}

fn points(asked: &Asked, pipeline: &Pipeline) -> Result<Vec<Point>, Failure> {
    let text = text(&asked.points, POINTS_BYTES_MAX)?;
    let wrong = |fault| Failure::command(format!("{}: {fault}", asked.points));
    let (database, policy): (Name, Name) = match (&asked.dbrp, pipeline.dbrps.first()) {
        (Some((database, policy)), _) => (database.as_str().into(), policy.as_str().into()),
        (None, Some(dbrp)) => ((*dbrp.database).into(), (*dbrp.retention_policy).into()),
        (None, None) => ("".into(), "".into()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut lines = Lines::new(text.as_bytes(), asked.precision).map_err(wrong)?;
    let (mut shelf, mut points) = (Shelf::default(), Vec::new());
    while let Some(line) = lines.next() {
        points.push(line.map_err(wrong)?.point((&database, &policy), now, &mut shelf));
    }
    Ok(points)
}

/// What the script calls local time: the same as in the daemon.
fn local_time(around: &Surroundings<'_>) -> Result<Zone, Failure> {
    let Some(rule) = zone::rule_with((around.env)("TZ").as_deref()) else { return Ok(Zone::UTC) };
    Zone::read(&rule).ok_or_else(|| {
        Failure::command(format!(
            "the local time `{rule}` is neither a name such as Europe/Berlin nor a rule such as \
             CET-1CEST,M3.5.0,M10.5.0/3; `TZ=UTC` goes without"
        ))
    })
}

/// A task that runs, and what has come of it.
struct Replay {
    engine: Engine,
    topics: Topics,
    out: String,
    json: bool,
    events: usize,
    /// What was complained about already.
    complaints: BTreeSet<(String, String)>,
}

impl Replay {
    fn new(id: &str, pipeline: Pipeline, settings: Settings, begin: i64, json: bool) -> Self {
        let mut topics = Topics::default();
        for node in &pipeline.nodes {
            if let Kind::Alert(alert) = &node.kind
                && !alert.handlers.is_empty()
            {
                topics.show(&own_topic(id, &node.name), alert.handlers.clone());
            }
        }
        let mut engine = Engine::new(settings, Vec::new());
        engine.enable(id, pipeline, begin);
        let (out, complaints) = (String::new(), BTreeSet::new());
        Replay { engine, topics, out, json, events: 0, complaints }
    }

    fn run(mut self, points: &[Point], after: i64) -> String {
        let mut clock = points.first().map_or(0, |point| point.time);
        for point in points {
            clock = clock.max(point.time);
            self.pass_time(clock);
            let effects = self.engine.feed(std::slice::from_ref(point), clock);
            self.print(effects, clock);
        }
        self.pass_time(clock.saturating_add(after));
        if !self.json {
            let plural = |count: usize| if count == 1 { "" } else { "s" };
            let (points, events) = (points.len(), self.events);
            let (some, many) = (plural(points), plural(events));
            let _ = writeln!(self.out, "{points} point{some}, {events} event{many}");
        }
        self.out
    }

    /// Lets time pass for what no point drives.
    fn pass_time(&mut self, until: i64) {
        while let Some(at) = self.engine.wake_at()
            && at <= until
        {
            let effects = self.engine.wake(at);
            self.print(effects, at);
        }
    }

    fn print(&mut self, effects: Effects, now: i64) {
        for complaint in effects.complaints {
            let words = format!("{}: {}: {}", complaint.node, complaint.place, complaint.words);
            if self.complaints.insert((complaint.node, format!("{}", complaint.place))) {
                self.line(now, "fault", &words);
            }
        }
        for line in effects.lines {
            self.line(now, "log", &format!("{}: {}", line.node, line.words));
        }
        for event in effects.events {
            self.events += 1;
            self.event(event, HOPS_MAX);
        }
    }

    fn event(&mut self, mut event: Event, hops: usize) {
        self.topics.take(&mut event, &mut Vec::new());
        let heard: Vec<HandlerSpec> = self.topics.listening(&event.topic).cloned().collect();
        if heard.is_empty() {
            self.publication(&event, &Way::nowhere(&event));
        }
        for handler in heard {
            self.hand_over(&event, &handler, hops);
        }
    }

    fn hand_over(&mut self, event: &Event, handler: &HandlerSpec, hops: usize) {
        if let HandlerKind::Publish { topics } = &handler.kind {
            for topic in topics.iter().filter(|_| hops > 0) {
                self.event(Event { topic: topic.as_str().into(), ..event.clone() }, hops - 1);
            }
            return;
        }
        match Way::of(event, &handler.kind) {
            Ok(way) => self.publication(event, &way),
            Err(words) => {
                self.line(event.time, "fault", &format!("handler {}: {words}", handler.id));
            }
        }
    }

    fn publication(&mut self, event: &Event, way: &Way) {
        if !self.json {
            let words = format!("{} {}: {}", event.level, way.words, way.payload);
            return self.line(event.time, "", &words);
        }
        let mut all = json!({
            "time": rfc3339(event.time),
            "task": &*event.task,
            "alertTopic": &*event.topic,
            "id": event.id,
            "level": event.level.name(),
            "previousLevel": event.previous_level.name(),
            "payload": way.payload,
        });
        if let (Value::Object(all), Value::Object(own)) = (&mut all, way.json.clone()) {
            all.extend(own);
        }
        let _ = writeln!(self.out, "{all}");
    }

    fn line(&mut self, time: i64, kind: &str, words: &str) {
        let time = rfc3339(time);
        if self.json {
            let _ = writeln!(self.out, "{}", json!({"time": time, kind: words}));
        } else {
            let gap = if kind.is_empty() { "" } else { " " };
            let _ = writeln!(self.out, "{}", plain::line(&format!("{time} {kind}{gap}{words}")));
        }
    }
}

/// Where an event goes, and what is sent there.
struct Way {
    words: String,
    json: Value,
    payload: String,
}

impl Way {
    /// A topic without a handler.
    fn nowhere(event: &Event) -> Self {
        let words = format!("topic {} (without a handler)", event.topic);
        Way { words, json: json!({"handler": null}), payload: event.message.clone() }
    }

    fn of(event: &Event, kind: &HandlerKind) -> Result<Self, String> {
        let mut whole = String::new();
        let (words, json) = match kind {
            HandlerKind::Mqtt { broker, topic, qos, retained } => {
                let mut to = String::new();
                topic.render(&Data::of_event(event), &mut to).map_err(|error| error.what)?;
                check_topic(&to)?;
                let at = broker.as_ref().map_or(String::new(), |name| format!(" at {name}"));
                let kept = if *retained { " retained" } else { "" };
                let qos = *qos as u8;
                let words = format!("mqtt {to}{at} qos {qos}{kept}");
                let json = json!({
                    "handler": "mqtt", "broker": broker, "topic": to, "qos": qos,
                    "retained": retained,
                });
                return Ok(Way { words, json, payload: event.message.clone() });
            }
            HandlerKind::Log { path, .. } => {
                (format!("log {path}"), json!({"handler": "log", "path": path}))
            }
            HandlerKind::Exec { program, arguments } => (
                format!("exec {program} {}", arguments.join(" ")).trim_end().to_owned(),
                json!({"handler": "exec", "program": program, "arguments": arguments}),
            ),
            HandlerKind::Tcp { address } => {
                (format!("tcp {address}"), json!({"handler": "tcp", "address": address}))
            }
            HandlerKind::Post { url, .. } => {
                (format!("post {url}"), json!({"handler": "post", "url": url}))
            }
            _ => {
                let words = format!("{kind:?}");
                (words.clone(), json!({"handler": words}))
            }
        };
        event
            .write_json(&mut whole)
            .map_err(|_| "a number that JSON has no word for".to_owned())?;
        Ok(Way { words, json, payload: whole })
    }
}
