//! Declarative subscriptions.

use super::folder::{Document, Kind};
use super::items::written;
use crate::cel::Expression;
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Node, Source, Value};
use crate::config::values::dapr;
use crate::config::whole::Part;
use crate::config::{Bulk, Place, PubSub, Raw, Route, Subscription, Surroundings, suggest};
use crate::system::plain::plain;
use crate::topic;
use std::collections::BTreeMap;

/// A subscription, and where the file says what must fit the rest.
pub(super) struct Declared {
    it: Subscription,
    pubsub: Place,
    topic: Place,
    dead_letter: Place,
}

/// Reads one.
pub(super) fn read(
    document: &Document<'_>,
    around: &Surroundings<'_>,
    part: &mut Part,
) -> Option<Declared> {
    let source = document.source;
    let file = File::new(source, None, around);
    let top = document.fields(&file, "a Subscription");
    let spec = document.spec(&top, "the `spec` of a Subscription");
    let declared = spec.map(|spec| {
        let text = |key| {
            let node = spec.node(key)?;
            file.keep(node.at, written(source, node)).flatten().filter(|text| !text.is_empty())
        };
        let (pubsub, topic) = (text("pubsubname"), text("topic"));
        for (key, found) in [("pubsubname", &pubsub), ("topic", &topic)] {
            if found.is_none() {
                file.add(spec.place(key), format!("a Subscription needs a `{key}`"));
            }
        }
        if let Some(topic) = &topic {
            file.keep(spec.place("topic"), dapr::subscription_filter(topic));
        }
        let (rules, default) = match document.kind {
            Kind::SubscriptionV1 => (Vec::new(), route(source, &spec)),
            _ => routes(source, &spec),
        };
        let dead_letter_topic = text("deadLetterTopic");
        let (metadata, raw) = metadata(source, &spec);
        let bulk = bulk(source, &spec);
        spec.end();
        let it = Subscription {
            pubsub: pubsub.unwrap_or_default(),
            topic: topic.unwrap_or_default(),
            rules,
            default,
            dead_letter_topic,
            raw,
            bulk,
            metadata,
            is_declared: true,
        };
        let place = |key| file.place(spec.place(key));
        let (pubsub, topic) = (place("pubsubname"), place("topic"));
        Declared { it, pubsub, topic, dead_letter: place("deadLetterTopic") }
    });
    top.end();
    part.faults.0.extend(file.faults().0);
    declared
}

/// The one route of v1alpha1.
fn route(source: Source<'_>, spec: &Fields<'_>) -> Option<String> {
    let path = path(source, spec, "route");
    if path.is_none() && !spec.has(&["route"]) {
        spec.file
            .add(spec.at, "a Subscription of v1alpha1 needs a `route`, a path such as /orders");
    }
    path
}

/// The rules of v2alpha1.
fn routes(source: Source<'_>, spec: &Fields<'_>) -> (Vec<Route>, Option<String>) {
    let Some(node) = spec.node("routes") else {
        let what = "a Subscription of v2alpha1 needs `routes`, such as {default: /orders}";
        spec.file.add(spec.at, what);
        return (Vec::new(), None);
    };
    let routes = Fields::new(spec.file, node, "`routes`");
    let rules: Vec<Route> = routes
        .tables("rules", "a rule of `routes`")
        .iter()
        .filter_map(|fields| {
            let matches = expression(source, fields);
            let path = path(source, fields, "path");
            if path.is_none() && !fields.has(&["path"]) {
                fields.file.add(fields.at, "a rule needs a `path`");
            }
            fields.end();
            Some(Route { matches, path: path? })
        })
        .collect();
    let default = path(source, &routes, "default");
    routes.end();
    if !routes.has(&["rules"]) && !routes.has(&["default"]) && matches!(node.value, Value::Table(_))
    {
        spec.file.add(node.at, "`routes` needs `rules` or a `default`");
    }
    (rules, default)
}

fn path(source: Source<'_>, fields: &Fields<'_>, key: &'static str) -> Option<String> {
    let node = fields.node(key)?;
    match fields.file.keep(node.at, written(source, node))? {
        Some(text) if !text.trim().is_empty() => Some(dapr::app_path(&text)),
        _ => {
            fields.file.add(node.at, "this is a path such as /orders");
            None
        }
    }
}

/// The expression of a rule; none is always true.
fn expression(source: Source<'_>, fields: &Fields<'_>) -> Option<String> {
    let node = fields.node("match")?;
    let text = fields.file.keep(node.at, written(source, node)).flatten()?;
    if text.trim().is_empty() {
        return None;
    }
    if let Err(fault) = Expression::parse(&text) {
        let before = text.get(..fault.offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // The text of a block has lines, any other is on one.
        let inside = source.inside(&Node { at: node.at, value: Value::Text(text.clone()) });
        fields.file.fault(inside.shifted(line, column), fault.words);
    }
    Some(text)
}

/// What is listed of it, and what payloads are.
fn metadata(source: Source<'_>, spec: &Fields<'_>) -> (BTreeMap<String, String>, Raw) {
    let (mut metadata, mut raw) = (BTreeMap::new(), Raw::default());
    let Some(node) = spec.node("metadata") else { return (metadata, raw) };
    let Value::Table(entries) = &node.value else {
        if !matches!(node.value, Value::Null) {
            let kind = node.value.kind();
            spec.file.add(node.at, format!("`metadata` of a Subscription is a table, not {kind}"));
        }
        return (metadata, raw);
    };
    for entry in entries {
        let at = entry.node.at;
        let Some(Some(text)) = spec.file.keep(at, written(source, &entry.node)) else { continue };
        if entry.key == "rawPayload" {
            raw = spec.file.keep(at, dapr::raw(&text)).unwrap_or_default();
        }
        metadata.insert(entry.key.clone(), text);
    }
    (metadata, raw)
}

/// How events go together, if that is enabled.
fn bulk(source: Source<'_>, spec: &Fields<'_>) -> Option<Bulk> {
    let bulk = Fields::new(spec.file, spec.node("bulkSubscribe")?, "`bulkSubscribe`");
    let text = |key| {
        let node = bulk.node(key)?;
        Some((bulk.file.keep(node.at, written(source, node)).flatten()?, node.at))
    };
    let enabled = text("enabled")
        .and_then(|(text, at)| bulk.file.keep(at, super::broker::truth(&text)))
        .unwrap_or_default();
    let [most, wait] = ["maxMessagesCount", "maxAwaitDurationMs"].map(|key| {
        let (text, at) = text(key)?;
        let number = text.parse::<u32>().ok().filter(|number| *number > 0);
        if number.is_none() {
            bulk.file.add(at, format!("this is a whole number from 1 on, not `{text}`"));
        }
        number
    });
    bulk.end();
    enabled.then(|| dapr::bulk(most, wait))
}

/// Those that fit the components. `idle` are components of other types, with these.
pub(super) fn check(
    all: Vec<Declared>,
    components: &[PubSub],
    idle: &[(String, String)],
    part: &mut Part,
) -> Vec<Subscription> {
    for (number, declared) in all.iter().enumerate() {
        let Declared { it, pubsub, topic, dead_letter } = declared;
        if it.pubsub.is_empty() || it.topic.is_empty() {
            continue;
        }
        let is_same =
            |other: &&Declared| other.it.pubsub == it.pubsub && other.it.topic == it.topic;
        if let Some(first) = all[..number].iter().find(is_same) {
            let what = format!("this topic is subscribed to already, at {}", first.topic);
            part.faults.add(topic.clone(), what);
        }
        let Some(component) = components.iter().find(|component| component.name == it.pubsub)
        else {
            part.faults.add(pubsub.clone(), unknown(&it.pubsub, components, idle));
            continue;
        };
        if !component.scopes.allow_subscribing(&it.topic) {
            let what = "the scopes of the component keep the application from this topic";
            part.warnings.push(format!("config: {topic}: {what}; it is not subscribed to"));
        }
        let Some(dead) = &it.dead_letter_topic else { continue };
        if let Err(what) = dapr::dead_letter_topic(dead, &it.topic) {
            part.faults.add(dead_letter.clone(), what);
        } else if !component.scopes.allow_publishing(dead) {
            let what = "the scopes of the component keep the application from this topic";
            part.faults.add(dead_letter.clone(), what);
        } else if it.matches(dead) {
            let filter = plain(topic::unshared(&it.topic));
            part.warnings.push(format!(
                "config: {dead_letter}: what goes there comes back, as `{filter}` matches it"
            ));
        }
    }
    all.into_iter().map(|declared| declared.it).collect()
}

fn unknown(name: &str, components: &[PubSub], idle: &[(String, String)]) -> String {
    if let Some((_, kind)) = idle.iter().find(|(known, _)| known == name) {
        return format!("the component `{name}` is a {kind}, which is not offered; pubsub.mqtt is");
    }
    let hint = match suggest::nearest(name, components.iter().map(|it| it.name.as_str())) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    format!("there is no pub/sub component `{name}`{hint}")
}
