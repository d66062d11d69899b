//! `|union(node, …)`: several inputs as one, in the order of time.
//!
//! A point waits until every input has one that is not earlier, as in Kapacitor; but it does not
//! wait for ever when an input is silent: see [`WAITING_MAX`].

use super::graph::{Cx, Out, Run, Site};
use super::group::Group;
use super::item::{Batch, Item};
use crate::alerts::event::Row;
use crate::alerts::point::{Name, Point};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many points and batches wait for the other inputs.
const WAITING_MAX: usize = 10_000;

pub(super) struct Union {
    site: Site,
    inputs: Vec<Input>,
}

#[derive(Default)]
struct Input {
    waiting: VecDeque<(Owned, Arc<Group>)>,
    /// The time of the earliest one that waits, or of the last one that did.
    mark: Option<i64>,
}

enum Owned {
    Point(Point),
    Batch { measurement: Name, time: i64, rows: Vec<Row> },
}

impl Union {
    pub(super) fn new(site: Site, inputs: usize) -> Self {
        Union { site, inputs: (0..inputs).map(|_| Input::default()).collect() }
    }

    /// Up to which time everything can go on.
    fn ready_until(&mut self) -> Option<i64> {
        for input in &mut self.inputs {
            if let Some((first, _)) = input.waiting.front() {
                input.mark = Some(first.time());
            }
        }
        let marks: Option<Vec<i64>> = self.inputs.iter().map(|input| input.mark).collect();
        marks?.into_iter().min()
    }

    /// Hands on what is not later than this; tells whether there was any.
    fn release(&mut self, until: i64, cx: &mut Cx<'_>, out: &mut Out<'_>) -> bool {
        let mut any = false;
        for input in &mut self.inputs {
            while input.waiting.front().is_some_and(|(first, _)| first.time() <= until) {
                if let Some((owned, group)) = input.waiting.pop_front() {
                    owned.send(&group, cx, out);
                    any = true;
                }
            }
        }
        any
    }

    fn waiting(&self) -> usize {
        self.inputs.iter().map(|input| input.waiting.len()).sum()
    }

    fn earliest(&self) -> Option<i64> {
        let first = |input: &Input| input.waiting.front().map(|(first, _)| first.time());
        self.inputs.iter().filter_map(first).min()
    }
}

impl Run for Union {
    fn take(
        &mut self,
        input: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.waiting.push_back((Owned::of(item), Arc::clone(group)));
        }
        while let Some(until) = self.ready_until() {
            if !self.release(until, cx, out) {
                break;
            }
        }
        if self.waiting() > WAITING_MAX
            && let Some(until) = self.earliest()
        {
            cx.complain(&self.site, || {
                format!("an input is silent: {WAITING_MAX} points wait, the earliest go on")
            });
            self.release(until, cx, out);
        }
    }

    fn holds(&self, group: usize) -> bool {
        let mut waiting = self.inputs.iter().flat_map(|input| &input.waiting);
        waiting.any(|(_, waiting)| waiting.number == group)
    }
}

impl Owned {
    fn of(item: Item<'_>) -> Self {
        match item {
            Item::Point(point) => Owned::Point(point.clone()),
            Item::Batch(Batch { measurement, time, rows }) => Owned::Batch {
                measurement: Name::clone(measurement),
                time: *time,
                rows: rows.to_vec(),
            },
        }
    }

    fn time(&self) -> i64 {
        match self {
            Owned::Point(point) => point.time,
            Owned::Batch { time, .. } => *time,
        }
    }

    fn send(&self, group: &Arc<Group>, cx: &mut Cx<'_>, out: &mut Out<'_>) {
        match self {
            Owned::Point(point) => out.send(Item::Point(point), group, cx),
            Owned::Batch { measurement, time, rows } => {
                out.send(Item::Batch(&Batch { measurement, time: *time, rows }), group, cx);
            }
        }
    }
}
