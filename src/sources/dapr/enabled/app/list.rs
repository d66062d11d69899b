//! What an application answers when it is asked what it subscribes to.

use crate::cel::Expression;
use crate::config::values::dapr::{self, app_path, dead_letter_topic, raw, subscription_filter};
use crate::config::{Bulk, Raw, Route, Subscription};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most entries of a list.
const ENTRIES_MAX: usize = 1_000;

/// An entry, or what is wrong with it.
pub(super) type Entry = Result<Subscription, String>;

/// Reads a list. An entry that is wrong stands for itself.
pub(super) fn read(body: &[u8]) -> Result<Vec<Entry>, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let read: Result<Vec<Value>, _> = serde_json::from_slice(body);
    let entries = read.map_err(|why| format!("its list of subscriptions cannot be read: {why}"))?;
    if entries.len() > ENTRIES_MAX {
        return Err(format!("it lists {} subscriptions; at most {ENTRIES_MAX}", entries.len()));
    }
    let named = |(place, value): (usize, &Value)| {
        entry(value).map_err(|why| {
            let member = |name: &str| value[name].as_str().unwrap_or_default();
            let (pubsub, topic) = (member("pubsubname"), member("topic"));
            format!("subscription {} ({pubsub}, `{topic}`): {why}", place + 1)
        })
    };
    Ok(entries.iter().enumerate().map(named).collect())
}

/// What counts of what stood in the folder and of what was asked for: for each topic of a component
/// the last that was asked for, or else what stood there.
pub(super) fn joined(declared: &[Subscription], asked: Vec<Subscription>) -> Vec<Subscription> {
    let mut all: Vec<Subscription> = Vec::new();
    let declared = declared.iter().cloned();
    for new in declared.chain(asked) {
        let same = |old: &&mut Subscription| old.pubsub == new.pubsub && old.topic == new.topic;
        match all.iter_mut().find(same) {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    all
}

fn entry(value: &Value) -> Entry {
    let Value::Object(members) = value else { return Err("it is no object".to_owned()) };
    let pubsub = filled(members, "pubsubname")?.ok_or("it lacks `pubsubname`")?;
    let topic = filled(members, "topic")?.ok_or("it lacks `topic`")?;
    subscription_filter(topic)?;
    let (rules, default) = routes(members)?;
    let dead_letter = filled(members, "deadLetterTopic")?;
    dead_letter
        .map_or(Ok(()), |dead_letter| dead_letter_topic(dead_letter, topic))
        .map_err(|why| format!("`deadLetterTopic`: {why}"))?;
    let bulk = bulk(members.get("bulkSubscribe").unwrap_or(&Value::Null))?;
    let metadata = metadata(members)?;
    let raw = metadata.get("rawPayload").map_or(Ok(Raw::No), |text| raw(text));
    Ok(Subscription {
        pubsub: pubsub.to_owned(),
        topic: topic.to_owned(),
        rules,
        default,
        dead_letter_topic: dead_letter.map(str::to_owned),
        raw: raw.map_err(|why| format!("`rawPayload`: {why}"))?,
        bulk,
        metadata,
        is_declared: false,
    })
}

/// How events go together, if that is enabled.
fn bulk(given: &Value) -> Result<Option<Bulk>, String> {
    let number = |name: &str| match &given[name] {
        Value::Null => Ok(None),
        value => match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            None => Err(format!("`bulkSubscribe.{name}` is no whole number")),
            number => Ok(number),
        },
    };
    match &given["enabled"] {
        Value::Bool(true) => {
            Ok(Some(dapr::bulk(number("maxMessagesCount")?, number("maxAwaitDurationMs")?)))
        }
        Value::Bool(false) | Value::Null => Ok(None),
        _ => Err("`bulkSubscribe.enabled` is neither true nor false".to_owned()),
    }
}

/// A text that says something.
fn filled<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{name}` is no text")),
    }
}

/// The rules, and where what none of them wants goes.
fn routes(members: &Map<String, Value>) -> Result<(Vec<Route>, Option<String>), String> {
    let empty = Map::new();
    let routes = match members.get("routes") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(routes)) => routes,
        Some(_) => return Err("`routes` is no object".to_owned()),
    };
    let given = match routes.get("rules") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(rules)) => rules.as_slice(),
        Some(_) => return Err("`routes.rules` is no array".to_owned()),
    };
    let rules = given
        .iter()
        .enumerate()
        .map(|(place, given)| route(given).map_err(|why| format!("rule {}: {why}", place + 1)));
    let rules: Vec<Route> = rules.collect::<Result<_, String>>()?;
    let default = match filled(routes, "default")? {
        Some(default) => Some(default),
        None => filled(members, "route")?,
    };
    if rules.is_empty() && default.is_none() {
        return Err("it lacks a route".to_owned());
    }
    Ok((rules, default.map(app_path)))
}

fn route(given: &Value) -> Result<Route, String> {
    let Value::Object(members) = given else { return Err("it is no object".to_owned()) };
    let matches = filled(members, "match")?.filter(|text| !text.trim().is_empty());
    if let Some(text) = matches {
        Expression::parse(text).map_err(|fault| fault.to_string())?;
    }
    let path = filled(members, "path")?.ok_or("it lacks `path`")?;
    Ok(Route { matches: matches.map(str::to_owned), path: app_path(path) })
}

fn metadata(members: &Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    let given = match members.get("metadata") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err("`metadata` is no object".to_owned()),
    };
    let text = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => unquoted(text),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return Err(format!("`metadata.{name}` is no text")),
        };
        Ok((name.clone(), text))
    };
    given.iter().map(text).collect()
}

/// The JS SDK quotes a text that was one already.
fn unquoted(text: &str) -> String {
    let inner = serde_json::from_str(text).ok().filter(|_| text.starts_with('"'));
    inner.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The topic of each entry with its routes, or what is wrong.
    fn shown(body: &str) -> Vec<String> {
        let entries = read(body.as_bytes()).unwrap();
        let words = |entry: Entry| match entry {
            Ok(entry) => {
                let rules = entry.rules.iter().map(|rule| {
                    let matches = rule.matches.as_deref().unwrap_or_default();
                    format!(" [{matches}] {}", rule.path)
                });
                let rules: String = rules.collect();
                format!("{}{rules} {}", entry.topic, entry.default.unwrap_or_default())
            }
            Err(why) => why,
        };
        entries.into_iter().map(words).collect()
    }

    #[test]
    fn an_entry_says_where_its_events_go() {
        for (given, wanted) in [
            (r#""route":"done""#, "a /done"),
            (r#""route":"/x","routes":{"default":"/y"}"#, "a /y"),
            (r#""route":"/x","routes":null,"deadLetterTopic":"d","metadata":{}"#, "a /x"),
            (
                r#""routes":{"rules":[{"match":"event.n == 1","path":"one"},{"match":" ","path":"/all"}]}"#,
                "a [event.n == 1] /one [] /all ",
            ),
            ("", "subscription 1 (p, `a`): it lacks a route"),
            (r#""route":7"#, "subscription 1 (p, `a`): `route` is no text"),
            (
                r#""routes":{"rules":[{"path":"/"},{"match":"event.n = 1","path":"/"}]}"#,
                "subscription 1 (p, `a`): rule 2: column 9: `=` is no operator; write `==`",
            ),
            (r#""routes":{"rules":[{}]}"#, "subscription 1 (p, `a`): rule 1: it lacks `path`"),
            (
                r#""route":"/","bulkSubscribe":{"enabled":1}"#,
                "subscription 1 (p, `a`): `bulkSubscribe.enabled` is neither true nor false",
            ),
            (
                r#""route":"/","bulkSubscribe":{"enabled":true,"maxMessagesCount":"9"}"#,
                "subscription 1 (p, `a`): `bulkSubscribe.maxMessagesCount` is no whole number",
            ),
            (
                r#""route":"/","metadata":{"rawPayload":"maybe"}"#,
                "subscription 1 (p, `a`): `rawPayload`: `maybe` is none of true, false and auto",
            ),
        ] {
            let comma = if given.is_empty() { "" } else { "," };
            let body = format!(r#"[{{"pubsubname":"p","topic":"a"{comma}{given}}}]"#);
            assert_eq!(shown(&body), [wanted], "{given}");
        }
    }

    #[test]
    fn a_list_may_be_empty_but_must_be_one() {
        assert!(shown("").is_empty() && shown(" [] ").is_empty());
        assert!(read(b"{}").is_err() && read(b"<html>").is_err() && read(b"null").is_err());
        let long = format!("[{}1]", "1,".repeat(ENTRIES_MAX));
        assert_eq!(read(long.as_bytes()).unwrap_err(), "it lists 1001 subscriptions; at most 1000");
        let wrong =
            shown(r#"[7,{"topic":"a"},{"pubsubname":"p"},{"pubsubname":"p","topic":"a/#/b"}]"#);
        assert_eq!(wrong[0], "subscription 1 (, ``): it is no object");
        assert_eq!(wrong[1], "subscription 2 (, `a`): it lacks `pubsubname`");
        assert_eq!(wrong[2], "subscription 3 (p, ``): it lacks `topic`");
        assert!(wrong[3].contains("is not a topic filter"), "{}", wrong[3]);
    }

    #[test]
    fn metadata_may_be_texts_booleans_and_numbers_and_texts_in_quotes() {
        for (given, wanted, raw) in [
            (r#""true""#, "true", Raw::Yes),
            (r#""\"true\"""#, "true", Raw::Yes),
            ("true", "true", Raw::Yes),
            ("0", "0", Raw::No),
            (r#""auto""#, "auto", Raw::Auto),
        ] {
            let body = format!(
                r#"[{{"pubsubname":"p","topic":"a","route":"/","metadata":{{"rawPayload":{given}}}}}]"#
            );
            let entry = read(body.as_bytes()).unwrap().remove(0).unwrap();
            assert_eq!(
                (entry.metadata["rawPayload"].as_str(), entry.raw),
                (wanted, raw),
                "{given}"
            );
        }
    }

    #[test]
    fn events_go_together_if_that_is_asked_for() {
        for (given, wanted) in [
            ("null", None),
            ("{}", None),
            (r#"{"enabled":false,"maxMessagesCount":7}"#, None),
            (r#"{"enabled":true}"#, Some("100 1000")),
            (
                r#"{"enabled":true,"maxMessagesCount":0,"maxAwaitDurationMs":null}"#,
                Some("100 1000"),
            ),
            (r#"{"enabled":true,"maxMessagesCount":7,"maxAwaitDurationMs":50}"#, Some("7 50")),
        ] {
            let body = format!(
                r#"[{{"pubsubname":"p","topic":"a","route":"/","bulkSubscribe":{given}}}]"#
            );
            let entry = read(body.as_bytes()).unwrap().remove(0).unwrap();
            assert_eq!(entry.bulk.map(|bulk| bulk.note()).as_deref(), wanted, "{given}");
        }
    }

    #[test]
    fn what_was_asked_for_last_counts() {
        let read = |body: &str| -> Vec<Subscription> {
            super::read(body.as_bytes()).unwrap().into_iter().flatten().collect()
        };
        let entry = |pubsub: &str, topic: &str, route: &str| {
            format!(r#"{{"pubsubname":"{pubsub}","topic":"{topic}","route":"{route}"}}"#)
        };
        let declared = read(&format!("[{},{}]", entry("p", "a", "1"), entry("p", "b", "2")));
        let asked = [entry("p", "a", "3"), entry("q", "a", "4"), entry("p", "a", "5")].join(",");
        let all = joined(&declared, read(&format!("[{asked}]")));
        let shown: Vec<String> = all
            .iter()
            .map(|it| format!("{} {} {}", it.pubsub, it.topic, it.default.as_deref().unwrap()))
            .collect();
        assert_eq!(shown, ["p a /5", "p b /2", "q a /4"]);
    }
}
