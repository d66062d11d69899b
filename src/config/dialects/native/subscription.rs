//! `[[mqtt.subscription]]`, `[[kafka.subscription]]`: what is subscribed to, and what becomes of
//! it.

use super::enrichment;
use crate::config::document::Node;
use crate::config::document::fields::{Fields, text};
use crate::config::values::{self, put};
use crate::config::whole::Needs;
use crate::config::{Enrichment, EventRule, PayloadFilter, PolicyRule, Qos, Rule, Target};

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

/// One rule for each topic, which `topic` reads; `needs` gets what they need. The caller ends the
/// table.
pub(super) fn rules(
    fields: &Fields<'_>,
    qos: Qos,
    topic: &dyn Fn(&str) -> Result<String, String>,
    enrichment: &Enrichment,
    needs: &mut Vec<Needs>,
) -> Vec<Rule> {
    let Some(to) = target(fields, enrichment, needs) else {
        // Without a kind we cannot tell which keys belong here, so accept them all.
        fields.skip();
        return Vec::new();
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

/// `None` if the kind cannot be read.
fn target(fields: &Fields<'_>, enrichment: &Enrichment, needs: &mut Vec<Needs>) -> Option<Target> {
    let mut kind = (!fields.has(&["kind"])).then_some(Kind::Event);
    fields.text("kind", &mut |text| put(&mut kind, Kind::of(text)));
    Some(match kind? {
        Kind::Heartbeat => Target::Heartbeat,
        Kind::Policy => {
            needs.push(Needs::ApiKey(fields.file.place(fields.place("kind"))));
            Target::Policy(Box::new(policy(fields)))
        }
        Kind::Event => Target::Event(Box::new(event(fields, enrichment))),
    })
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
