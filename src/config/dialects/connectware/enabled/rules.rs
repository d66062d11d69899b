//! `rules`: what becomes of a message on its way.

use super::read;
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Entry, Node, Value};
use crate::config::{Burst, Change, Step, suggest};
use crate::jsonata::{self, Scope};
use crate::system::plain::plain;
use std::time::Duration;

const NAMES: [&str; 8] =
    ["parse", "transform", "filter", "setContextVars", "cov", "burst", "collect", "stash"];

/// Longest time that a batch is collected, in milliseconds.
const INTERVAL_MAX: u64 = 86_400_000;

/// Most messages of a batch.
const SIZE_MAX: u64 = 10_000;

/// Reads the rules, if there are any; nothing if one of them is a fault. `captures` are the names
/// that topics give to what they match, if that is known.
pub(super) fn steps(fields: &Fields<'_>, captures: Option<Vec<String>>) -> Option<Vec<Step>> {
    let Some(node) = read::node(fields, "rules") else {
        return (!fields.has(&["rules"])).then(Vec::new);
    };
    let Value::List(nodes) = &node.value else {
        fields.file.add(node.at, format!("rules must be a list, not {}", read::kind(&node.value)));
        return None;
    };
    let (mut vars, mut steps) = (captures, Vec::new());
    for node in nodes {
        let step = step(fields.file, node, vars.as_deref());
        match (&step, &mut vars) {
            (Some(Step::SetVars(new)), Some(vars)) => {
                vars.extend(new.iter().map(|(name, _)| name.clone()));
            }
            // It may be one that sets variables.
            (None, _) => vars = None,
            _ => (),
        }
        steps.push(step);
    }
    steps.into_iter().collect()
}

/// The names of the variables that steps set.
pub(super) fn variables(steps: &[Step]) -> Vec<String> {
    let named = steps.iter().filter_map(|step| match step {
        Step::SetVars(vars) => Some(vars.iter().map(|(name, _)| name.clone())),
        _ => None,
    });
    named.flatten().collect()
}

/// Whether a message may end there, so that it does not go round for ever.
pub(super) fn may_stop(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Filter(_) | Step::Change(_)))
}

/// One rule, which may use these variables.
fn step(file: &File<'_>, node: &Node, vars: Option<&[String]>) -> Option<Step> {
    let entry = match &node.value {
        Value::Table(entries) => match entries.as_slice() {
            [entry] => entry,
            _ => {
                file.add(node.at, "a rule is a map with one key, such as `filter`");
                return None;
            }
        },
        other => {
            let what = format!(
                "a rule is a map with one key, such as `filter`, not {}",
                read::kind(other)
            );
            file.add(node.at, what);
            return None;
        }
    };
    let keys = |what| Fields::new(file, &entry.node, what);
    match entry.key.as_str() {
        "parse" => parse(&keys("`parse`")),
        "transform" => expression(&keys("`transform`"), vars).map(Step::Transform),
        "filter" => expression(&keys("`filter`"), vars).map(Step::Filter),
        "setContextVars" => variables_of(&keys("`setContextVars`"), vars),
        "cov" => change(&keys("`cov`")),
        "burst" => burst(&keys("`burst`")),
        "collect" => {
            if entry.node.value != Value::Null {
                keys("`collect`").end();
            }
            Some(Step::Collect)
        }
        "stash" => stash(&keys("`stash`")),
        other => {
            let hint = match suggest::nearest(other, NAMES) {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => format!("; there are {}", NAMES.join(", ")),
            };
            file.add(entry.at, format!("there is no rule `{}`{hint}", plain(other)));
            None
        }
    }
}

fn parse(fields: &Fields<'_>) -> Option<Step> {
    let found = read::text(fields, "format");
    lacks(fields, "format");
    fields.end();
    let (text, at) = found?;
    let format = crate::config::Reading::of(text).ok_or_else(|| {
        let names = crate::config::Reading::ALL.map(|(name, _)| name);
        let hint = match suggest::nearest(text, names) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => format!("; there are {}", names.join(", ")),
        };
        format!("there is no format `{}`{hint}", plain(text))
    });
    fields.file.keep(at, format).map(Step::Parse)
}

fn expression(fields: &Fields<'_>, vars: Option<&[String]>) -> Option<String> {
    lacks(fields, "expression");
    let node = read::node(fields, "expression");
    fields.end();
    checked(fields.file, node?, "expression", vars)
}

/// An expression without a fault; a lone number or truth is one, too.
fn checked(file: &File<'_>, node: &Node, what: &str, vars: Option<&[String]>) -> Option<String> {
    let text = match &node.value {
        Value::Text(text) | Value::Number(text) => text.clone(),
        Value::Truth(truth) => truth.to_string(),
        other => {
            file.add(node.at, format!("{what} must be a text, not {}", read::kind(other)));
            return None;
        }
    };
    match jsonata::check(&text, &Scope { vars }) {
        Ok(()) => Some(text),
        Err(fault) => {
            file.add_inside(node, &text, fault.offset, fault.words);
            None
        }
    }
}

fn variables_of(fields: &Fields<'_>, vars: Option<&[String]>) -> Option<Step> {
    lacks(fields, "vars");
    let node = read::node(fields, "vars");
    fields.end();
    let node = node?;
    let Value::Table(entries) = &node.value else {
        fields.file.add(node.at, format!("vars must be a map, not {}", read::kind(&node.value)));
        return None;
    };
    let variable = |entry: &Entry| {
        let text = checked(fields.file, &entry.node, "a variable", vars);
        if entry.key.is_empty()
            || !entry.key.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
        {
            let what = "the name of a variable has letters, digits and `_`";
            fields.file.add(entry.at, what);
            return None;
        }
        Some((entry.key.clone(), text?))
    };
    let all: Vec<_> = entries.iter().map(variable).collect();
    all.into_iter().collect::<Option<_>>().map(Step::SetVars)
}

fn change(fields: &Fields<'_>) -> Option<Step> {
    let key = read::text(fields, "key");
    lacks(fields, "key");
    let deadband = read::node(fields, "deadband").and_then(|node| {
        let found = match &node.value {
            Value::Number(text) => text.parse::<f64>().ok().filter(|it| *it >= 0.0),
            _ => None,
        };
        let words = || "deadband must be a number that is not below 0".to_owned();
        fields.file.keep(node.at, found.ok_or_else(words))
    });
    let mode = read::choice(fields, "deadbandMode", ["absolute", "relative"]);
    fields.end();
    let (key, _) = key?;
    let is_relative = mode == Some("relative");
    Some(Step::Change(Change { key: key.to_owned(), deadband, is_relative }))
}

fn burst(fields: &Fields<'_>) -> Option<Step> {
    let size = read::whole(fields, "maxSize", 1..=SIZE_MAX);
    let interval = read::whole(fields, "interval", 1..=INTERVAL_MAX);
    fields.end();
    let size = size.and_then(|size| usize::try_from(size).ok());
    Some(Step::Burst(Burst { size, interval: interval.map(Duration::from_millis) }))
}

fn stash(fields: &Fields<'_>) -> Option<Step> {
    let label = read::text(fields, "label");
    lacks(fields, "label");
    fields.end();
    label.map(|(label, _)| Step::Stash(label.to_owned()))
}

fn lacks(fields: &Fields<'_>, key: &'static str) {
    if !fields.has(&[key]) {
        fields.file.add(fields.at, format!("{} needs `{key}`", fields.what));
    }
}
