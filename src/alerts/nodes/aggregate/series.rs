//! Functions that make a value of each point and the ones before it.

use super::numbers::mean;
use crate::alerts::nodes::each::{Becomes, each};
use crate::alerts::nodes::graph::{Cx, Out, Run, Site};
use crate::alerts::nodes::group::{Group, Slots};
use crate::alerts::nodes::item::Item;
use crate::alerts::nodes::view::{View, kind, number};
use crate::alerts::pipeline::{self, Function};
use crate::alerts::point::{Field, Fields};
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) struct Series {
    site: Site,
    settings: pipeline::Aggregate,
    groups: Slots<Past>,
}

/// What came before.
#[derive(Default)]
struct Past {
    last: Option<(Field, i64)>,
    sum: Option<Field>,
    numbers: VecDeque<f64>,
}

impl Series {
    pub(super) fn new(site: Site, settings: pipeline::Aggregate) -> Self {
        Series { site, settings, groups: Slots::default() }
    }

    fn becomes(&mut self, view: View<'_>, group: &Arc<Group>, cx: &mut Cx<'_>) -> Becomes {
        let settings = &self.settings;
        let Some(value) = view.fields.get(&settings.field) else {
            cx.complain(&self.site, || format!("the point has no field \"{}\"", settings.field));
            return Becomes::Nothing;
        };
        let is_elapsed = matches!(settings.function, Function::Elapsed(_));
        if !is_elapsed && number(value).is_none() {
            let (name, kind) = (settings.function.name(), kind(value));
            cx.complain(&self.site, || format!("{name} needs numbers, the field is {kind}"));
            return Becomes::Nothing;
        }
        let past = self.groups.get(group, Past::default);
        match past.next(&settings.function, value, view.time) {
            Some(result) => {
                let fields = Fields::from_iter([(settings.name.clone(), result)]);
                Becomes::Moved(group.tags.clone(), fields)
            }
            None => Becomes::Nothing,
        }
    }
}

impl Past {
    fn next(&mut self, function: &Function, value: &Field, time: i64) -> Option<Field> {
        match function {
            Function::CumulativeSum => {
                let sum = match &self.sum {
                    Some(sum) => combined(sum, value, i64::wrapping_add, |a, b| a + b),
                    None => value.clone(),
                };
                self.sum = Some(sum.clone());
                Some(sum)
            }
            Function::MovingAverage(last) => {
                self.numbers.push_back(number(value)?);
                if self.numbers.len() > *last {
                    self.numbers.pop_front();
                }
                let is_full = self.numbers.len() == *last;
                is_full.then(|| Field::Float(mean(self.numbers.make_contiguous())))
            }
            Function::Elapsed(unit) => {
                let (_, then) = self.last.replace((value.clone(), time))?;
                Some(Field::Int(time.saturating_sub(then) / (*unit).max(1)))
            }
            _ => {
                let (before, _) = self.last.replace((value.clone(), time))?;
                Some(combined(value, &before, i64::wrapping_sub, |a, b| a - b))
            }
        }
    }
}

/// Whole, if both are.
fn combined(
    one: &Field,
    other: &Field,
    whole: fn(i64, i64) -> i64,
    real: fn(f64, f64) -> f64,
) -> Field {
    match (one, other) {
        (Field::Int(one), Field::Int(other)) => Field::Int(whole(*one, *other)),
        _ => {
            let (one, other) = (number(one).unwrap_or(0.0), number(other).unwrap_or(0.0));
            Field::Float(real(one, other))
        }
    }
}

impl Run for Series {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        if matches!(item, Item::Batch(_)) {
            self.forget(group.number);
        }
        each(item, group, cx, out, &mut |view, cx| self.becomes(view, group, cx));
    }

    fn forget(&mut self, group: usize) {
        self.groups.forget(group);
    }
}
