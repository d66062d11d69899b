//! `[[mqtt.subscription]]`, `[[kafka.subscription]]`: what is subscribed to, and what becomes of
//! it.

use super::enrichment;
use super::point::Point;
use super::route::Route;
use crate::config::document::Node;
use crate::config::document::fields::{Fields, text};
use crate::config::values::{self, put};
use crate::config::whole::Needs;
use crate::config::{Enrichment, EventRule, PayloadFilter, PolicyRule, Qos, Routing, Rule, Target};
use crate::topic::{Pattern, check_filter};

/// How the subscriptions of one source are read.
pub(super) struct Reading<'r> {
    /// The QoS of all.
    pub(super) qos: Qos,
    /// Reads a topic.
    pub(super) topic: fn(&str) -> Result<Pattern, String>,
    /// Whether a message goes to the first rule that matches or to every one.
    pub(super) routing: Routing,
    /// What is added to every event.
    pub(super) enrichment: &'r Enrichment,
    /// Whether messages of this source can be points.
    pub(super) has_points: bool,
}

/// What becomes of a message.
enum Kind {
    Event,
    Heartbeat,
    Policy,
    Publish,
    Call,
    Point,
}

impl Kind {
    fn of(text: &str) -> Result<Self, String> {
        match text {
            "event" => Ok(Kind::Event),
            "heartbeat" => Ok(Kind::Heartbeat),
            "policy" => Ok(Kind::Policy),
            "publish" => Ok(Kind::Publish),
            "call" => Ok(Kind::Call),
            "point" => Ok(Kind::Point),
            _ => Err(format!(
                "the kind is `event`, `heartbeat`, `policy`, `publish`, `call` or `point`, not `{text}`"
            )),
        }
    }
}

/// What becomes of a message, as far as it is the same for every topic.
enum Made<'f> {
    Target(Target),
    Route(Route<'f>),
    Point(Point<'f>),
}

/// Adds one rule for each topic and sink; `needs` gets what they need. The caller ends the table.
pub(super) fn add(
    fields: &Fields<'_>,
    reading: &Reading<'_>,
    rules: &mut Vec<Rule>,
    needs: &mut Vec<Needs>,
) {
    let Some(made) = made(fields, reading.enrichment, needs) else {
        // Without a kind we cannot tell which keys belong here, so accept them all.
        return fields.skip();
    };
    if matches!(made, Made::Point(_)) && !reading.has_points {
        fields
            .file
            .add(fields.place("kind"), "points come from MQTT, HTTP and UDP, not from Kafka");
    }
    if fields.list("topic").is_empty() {
        fields.file.add(fields.place("topic"), format!("{} needs a `topic`", fields.what));
    }
    for node in fields.list("topic") {
        let topic = text(&node.value).and_then(|text| topic(text, reading, &made));
        let Some(pattern) = fields.file.keep(node.at, topic) else { continue };
        let targets = match &made {
            Made::Target(to) => vec![to.clone()],
            Made::Route(route) => route.targets(&pattern),
            Made::Point(point) => {
                let rule = point.rule(&pattern);
                rule.map(|rule| Target::Point(Box::new(rule))).into_iter().collect()
            }
        };
        if let Made::Route(Route { sinks, .. }) = &made {
            let numbers = rules.len()..rules.len() + targets.len();
            let places = sinks.iter().map(|(_, at)| fields.file.place(*at));
            needs.extend(numbers.zip(places).map(|(rule, place)| Needs::Sink { rule, place }));
        }
        let rule = |to| Rule { filter: pattern.filter.clone(), qos: reading.qos, to };
        rules.extend(targets.into_iter().map(rule));
    }
    if let (Made::Route(Route { sinks, .. }), Routing::First) = (&made, reading.routing)
        && let [_, (_, second), ..] = sinks.as_slice()
    {
        let what = "only the first of these would get the messages: with several, \
                    `routing = \"every\"` is needed";
        fields.file.add(*second, what);
    }
}

/// Reads a topic; only a route can use the names of wildcards.
fn topic(text: &str, reading: &Reading<'_>, made: &Made<'_>) -> Result<Pattern, String> {
    let pattern = (reading.topic)(text)?;
    if matches!(made, Made::Target(_)) {
        check_filter(text)?;
    }
    Ok(pattern)
}

/// `None` if the kind cannot be read.
fn made<'f>(
    fields: &'f Fields<'f>,
    enrichment: &Enrichment,
    needs: &mut Vec<Needs>,
) -> Option<Made<'f>> {
    let mut kind = (!fields.has(&["kind"])).then_some(Kind::Event);
    fields.text("kind", &mut |text| put(&mut kind, Kind::of(text)));
    Some(Made::Target(match kind? {
        Kind::Heartbeat => Target::Heartbeat,
        Kind::Policy => {
            needs.push(Needs::ApiKey(fields.file.place(fields.place("kind"))));
            Target::Policy(Box::new(policy(fields)))
        }
        Kind::Event => Target::Event(Box::new(event(fields, enrichment))),
        Kind::Publish => return Some(Made::Route(Route::publish(fields))),
        Kind::Call => return Some(Made::Route(Route::call(fields))),
        Kind::Point => {
            needs.push(Needs::Tasks(fields.file.place(fields.place("kind"))));
            return Some(Made::Point(Point::read(fields)));
        }
    }))
}

fn filter(fields: &Fields<'_>) -> Option<PayloadFilter> {
    let table = Fields::new(fields.file, fields.node("filter")?, "`filter`");
    let (mut key, value) = (None, table.words("value"));
    table.text("key", &mut |text| put(&mut key, values::filled(text)));
    if !table.has(&["key"]) {
        table.file.add(table.at, "`filter` needs a `key`");
    }
    table.end();
    Some(PayloadFilter { key: key?, value })
}

fn event(fields: &Fields<'_>, defaults: &Enrichment) -> EventRule {
    let mut rule = EventRule {
        filter: filter(fields),
        event_key: fields.secret("integration-key", "integration-key-file"),
        forward_payload: fields.truth("forward-payload").unwrap_or(false),
        enrichment: defaults.clone(),
        ..EventRule::default()
    };
    let own = enrichment(fields, false);
    rule.enrichment.labels.extend(own.labels);
    rule.enrichment.severity = own.severity.or(rule.enrichment.severity);
    if !own.services.is_empty() {
        rule.enrichment.services = own.services;
    }
    if let Some(node) = fields.node("map") {
        map(&Fields::new(fields.file, node, "`map`"), &mut rule);
    }
    rule
}

fn map(fields: &Fields<'_>, rule: &mut EventRule) {
    for (key, path) in [
        ("event-type", &mut rule.event_type.path),
        ("alert-key", &mut rule.alert_key),
        ("summary", &mut rule.summary),
        ("severity", &mut rule.severity),
        ("routing-key", &mut rule.routing_key),
    ] {
        fields.text(key, &mut |text| put(path, values::path(text)));
    }
    rule.event_type.alert = fields.words("alert-when");
    rule.event_type.accept = fields.words("accept-when");
    rule.event_type.resolve = fields.words("resolve-when");
    fields.pairs("labels", &mut |name, text| {
        rule.labels.insert(name.to_owned(), values::path(text)?);
        Ok(())
    });
    for key in ["alert-when", "accept-when", "resolve-when"] {
        if fields.has(&[key]) && !fields.has(&["event-type"]) {
            fields.file.add(fields.place(key), "this has no effect without `event-type`");
        }
    }
    fields.end();
}

fn policy(fields: &Fields<'_>) -> PolicyRule {
    let name = |node: &Node| fields.file.keep(node.at, text(&node.value).and_then(values::filled));
    let mut rule = PolicyRule {
        filter: filter(fields),
        routing_keys: fields.list("routing-keys").iter().filter_map(name).collect(),
        ..PolicyRule::default()
    };
    fields.text("email", &mut |text| put(&mut rule.email, values::path(text)));
    fields.text("shift", &mut |text| put(&mut rule.shift, values::path(text)));
    fields.number("shift-offset", &mut |text| put(&mut rule.shift_offset, values::offset(text)));
    if fields.list("routing-keys").is_empty() {
        let what = "a policy subscription needs `routing-keys`: the members that make the key";
        fields.file.add(fields.place("kind"), what);
    }
    rule
}
