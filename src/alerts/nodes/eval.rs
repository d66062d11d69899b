//! `|eval(lambda, …)`: fields, or tags, made of others.

use super::each::{Becomes, each};
use super::graph::{Cx, Out, Run, Site};
use super::group::{Group, Slots};
use super::item::Item;
use super::view::View;
use crate::alerts::lambda::{Error, OfPoint, State, Value};
use crate::alerts::pipeline::{self, Keep};
use crate::alerts::point::{Field, Fields, Name};
use std::sync::Arc;

pub(super) struct Eval {
    site: Site,
    settings: pipeline::Eval,
    /// What each lambda remembers, in the order of the results.
    groups: Slots<Vec<State>>,
    remembers: bool,
}

impl Eval {
    pub(super) fn new(site: Site, settings: pipeline::Eval) -> Self {
        let remembers = settings.results.iter().any(|(_, lambda)| lambda.remembers());
        Eval { site, settings, groups: Slots::default(), remembers }
    }

    fn becomes(&mut self, view: View<'_>, group: &Group, cx: &mut Cx<'_>) -> Becomes {
        let settings = &self.settings;
        let fresh = || settings.results.iter().map(|(_, lambda)| lambda.state()).collect();
        let mut nothing = Vec::new();
        let states: &mut Vec<State> =
            if self.remembers { self.groups.get(group, fresh) } else { &mut nothing };
        let results = match results(settings, states, cx.sight(view)) {
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
    states: &mut [State],
    sight: OfPoint<'_>,
) -> Result<Vec<(Name, Field)>, Error> {
    let mut results: Vec<(Name, Field)> = Vec::with_capacity(settings.results.len());
    for (index, (name, lambda)) in settings.results.iter().enumerate() {
        let sight = OfPoint { earlier: &results, ..sight };
        let mut nothing = State::default();
        let state = states.get_mut(index).unwrap_or(&mut nothing);
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

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }
}
