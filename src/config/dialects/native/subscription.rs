//! `[[mqtt.subscription]]`, `[[kafka.subscription]]`: what is subscribed to, and what becomes of
//! it.

use super::enrichment;
use crate::config::document::Node;
use crate::config::document::fields::{Fields, text};
use crate::config::{
    Enrichment, EventRule, PayloadFilter, PolicyRule, Qos, Rule, Secret, Target,
    values::{self, put},
};

/// What the rest of the file says that rules need to know.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    /// What is added to every event.
    pub(super) enrichment: &'a Enrichment,
    /// Whether there is an API key, which policy updates need.
    pub(super) has_api_key: bool,
}

/// What becomes of a message.
enum Kind {
    Event,
    Heartbeat,
    Policy,
}

impl Kind {
    fn of(text: &str) -> Result<Self, String> {
        match text {
            "event" => Ok(Kind::Event),
            "heartbeat" => Ok(Kind::Heartbeat),
            "policy" => Ok(Kind::Policy),
            _ => Err(format!("the kind is `event`, `heartbeat` or `policy`, not `{text}`")),
        }
    }
}

/// One rule for each topic, which `topic` reads. The caller ends the table.
pub(super) fn rules(
    fields: &Fields<'_>,
    qos: Qos,
    topic: &dyn Fn(&str) -> Result<String, String>,
    rest: Rest<'_>,
) -> Vec<Rule> {
    let mut kind = (!fields.has(&["kind"])).then_some(Kind::Event);
    fields.text("kind", &mut |text| put(&mut kind, Kind::of(text)));
    let to = match kind {
        Some(Kind::Heartbeat) => Target::Heartbeat,
        Some(Kind::Policy) => Target::Policy(Box::new(policy(fields, rest.has_api_key))),
        Some(Kind::Event) => Target::Event(Box::new(event(fields, rest.enrichment))),
        None => {
            // Without a kind nobody can tell which keys belong here, so all of them may.
            fields.skip();
            return Vec::new();
        }
    };
    let mut rules = Vec::new();
    for node in fields.list("topic") {
        let filter = text(&node.value).and_then(topic);
        if let Some(filter) = fields.file.keep(node.at, filter) {
            rules.push(Rule { filter, qos, to: to.clone() });
        }
    }
    if fields.list("topic").is_empty() {
        fields.file.add(fields.place("topic"), format!("{} needs a `topic`", fields.what));
    }
    rules
}

/// Gives the key of the unit, if it has one, to every event subscription that says none.
pub(super) fn default_key<'a>(
    rules: impl Iterator<Item = &'a mut Rule>,
    key: impl FnOnce() -> Option<Secret>,
) {
    let without = rules.filter_map(|rule| match &mut rule.to {
        Target::Event(rule) if rule.event_key.is_none() => Some(rule),
        Target::Event(_) | Target::Heartbeat | Target::Policy(_) => None,
    });
    let mut without = without.peekable();
    // Nobody looks for it where nobody wants it.
    if without.peek().is_some()
        && let Some(key) = key()
    {
        without.for_each(|rule| rule.event_key = Some(key.clone()));
    }
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

fn policy(fields: &Fields<'_>, has_api_key: bool) -> PolicyRule {
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
    if !has_api_key {
        let what = "a policy subscription needs an `api-key` in [ilert] or in ILERT_API_KEY";
        fields.file.add(fields.place("kind"), what);
    }
    rule
}
