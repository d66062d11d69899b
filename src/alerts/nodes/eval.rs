//! `|eval(lambda, …)`: fields, or tags, made of others.

use super::each::{Becomes, each};
use super::graph::{Cx, Out, Run, Site};
use super::group::Group;
use super::item::Item;
use super::memory::Memory;
use super::view::View;
use crate::alerts::lambda::{Error, OfPoint, State, Value};
use crate::alerts::pipeline::{self, Keep};
use crate::alerts::point::{Field, Fields, Name};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) struct Eval {
    site: Site,
    settings: pipeline::Eval,
    /// The lambdas, in the order of the results.
    memories: Vec<Memory>,
}

impl Eval {
    pub(super) fn new(
        site: Site,
        settings: pipeline::Eval,
        remembered: &mut HashMap<String, String>,
    ) -> Self {
        let numbered = settings.results.iter().enumerate();
        let memories = numbered
            .map(|(at, (_, lambda))| Memory::new(lambda.clone(), &at.to_string(), remembered))
            .collect();
        Eval { site, settings, memories }
    }

    fn becomes(&mut self, view: View<'_>, group: &Group, cx: &mut Cx<'_>) -> Becomes {
        let Eval { site, settings, memories } = self;
        let results = results(settings, memories, group, cx.sight(view));
        for memory in memories.iter_mut().filter(|memory| memory.lambda.remembers()) {
            memory.record(group, site, cx);
        }
        let results = match results {
            Ok(results) => results,
            Err(error) => {
                if !settings.quiet {
                    cx.complain_of(&self.site, &error);
                }
                return Becomes::Nothing;
            }
        };
        match made(settings, view, results) {
            Ok(becomes) => becomes,
            Err(words) => {
                if !settings.quiet {
                    cx.complain(&self.site, || words);
                }
                Becomes::Nothing
            }
        }
    }
}

/// The results, in the order of the lambdas; each sees the ones before.
fn results(
    settings: &pipeline::Eval,
    memories: &mut [Memory],
    group: &Group,
    sight: OfPoint<'_>,
) -> Result<Vec<(Name, Field)>, Error> {
    let mut results: Vec<(Name, Field)> = Vec::with_capacity(settings.results.len());
    for ((name, lambda), memory) in settings.results.iter().zip(memories) {
        let sight = OfPoint { earlier: &results, ..sight };
        let mut nothing = State::default();
        let state = if lambda.remembers() { memory.of(group) } else { &mut nothing };
        let field = field(lambda.evaluate(state, &sight)?);
        results.push((name.clone(), field));
    }
    Ok(results)
}

/// What becomes of the point, or why nothing does.
fn made(
    settings: &pipeline::Eval,
    view: View<'_>,
    results: Vec<(Name, Field)>,
) -> Result<Becomes, String> {
    let fields = kept(settings, view, &results)?;
    if settings.tags.is_empty() {
        return Ok(Becomes::Changed(fields));
    }
    let mut tags = view.tags.clone();
    for (name, field) in results {
        if settings.tags.contains(&name) {
            let Field::Text(text) = field else {
                return Err(format!("the tag \"{name}\" must be a string: string() makes one"));
            };
            tags.set(name, text);
        }
    }
    Ok(Becomes::Moved(tags, fields))
}

fn kept(
    settings: &pipeline::Eval,
    view: View<'_>,
    results: &[(Name, Field)],
) -> Result<Fields, String> {
    let last = |name: &Name| results.iter().rev().find(|(known, _)| known == name);
    match &settings.keep {
        Keep::Only(names) => names
            .iter()
            .map(|name| {
                let value = last(name).map(|(_, value)| value).or_else(|| view.fields.get(name));
                let lacking = || format!("there is no field \"{name}\" to keep");
                value.map(|value| (name.clone(), value.clone())).ok_or_else(lacking)
            })
            .collect(),
        Keep::All | Keep::Results => {
            let mut fields = match settings.keep {
                Keep::All => view.fields.clone(),
                Keep::Results | Keep::Only(_) => Fields::default(),
            };
            for (name, value) in results {
                if !settings.tags.contains(name) {
                    fields.set(name.clone(), value.clone());
                }
            }
            Ok(fields)
        }
    }
}

/// A value as a field. A field has no durations and no times: they become nanoseconds.
fn field(value: Value<'_>) -> Field {
    match value {
        Value::Float(value) => Field::Float(value),
        Value::Int(value) | Value::Duration(value) | Value::Time(value) => Field::Int(value),
        Value::Bool(value) => Field::Bool(value),
        Value::Text(text) => Field::Text(text.into()),
        Value::Regex(pattern) => Field::Text(pattern.as_str().into()),
    }
}

impl Run for Eval {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        each(item, group, cx, out, &mut |view, cx| self.becomes(view, group, cx));
    }

    fn leave(&mut self, group: usize, cx: &mut Cx<'_>) {
        let Eval { site, memories, .. } = self;
        memories.iter_mut().for_each(|memory| memory.forget(group, site, cx));
    }
}
