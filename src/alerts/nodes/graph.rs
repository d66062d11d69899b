//! The nodes of a task and what connects them.

use super::group::{Dimensions, GROUPS_MAX, Group, Groups};
use super::item::Item;
use super::view::View;
use super::{
    Inhibitors, aggregate, alert, change_detect, deadman, defaults, derivative, eval, from,
    group_by, http_out, log, sample, state, union, r#where, window,
};
use crate::alerts::effects::Effects;
use crate::alerts::engine::Settings;
use crate::alerts::lambda::{self, OfPoint};
use crate::alerts::pipeline::{self, Kind, Pipeline};
use crate::alerts::point::{Point, Tags};
use crate::alerts::script::Place;
use std::collections::HashMap;
use std::sync::Arc;

/// What a node of any kind does.
pub(super) trait Run: Send {
    /// Takes one item of a group. Only a union asks which of its inputs it comes from.
    fn take(
        &mut self,
        input: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    );

    /// When it has something to do without a point.
    fn wake_at(&self) -> Option<i64> {
        None
    }

    /// Does it, if it is time.
    fn wake(&mut self, _cx: &mut Cx<'_>, _out: &mut Out<'_>) {}

    /// Whether a group must not be forgotten.
    fn holds(&self, _group: usize) -> bool {
        false
    }

    /// Forgets a group.
    fn forget(&mut self, _group: usize) {}

    /// Forgets a group that has been silent for long, and its records.
    fn leave(&mut self, group: usize, _cx: &mut Cx<'_>) {
        self.forget(group);
    }

    /// What `|httpOut()` shows under this name.
    fn shown(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Which node it is: for what it complains of.
#[derive(Clone, Debug, Default)]
pub(in crate::alerts) struct Site {
    pub(super) node: String,
    pub(super) place: Place,
}

impl Site {
    pub(in crate::alerts) fn of(node: &pipeline::Node) -> Self {
        Site { node: node.name.clone(), place: node.place }
    }
}

/// What nodes work with while a task runs.
pub(in crate::alerts) struct Cx<'a> {
    pub(in crate::alerts) task: &'a str,
    /// The first node, for complaints about the whole task.
    pub(in crate::alerts) top: &'a Site,
    pub(in crate::alerts) now: i64,
    pub(in crate::alerts) settings: &'a Settings,
    pub(in crate::alerts) groups: &'a mut Groups,
    pub(in crate::alerts) inhibitors: &'a mut Inhibitors,
    pub(in crate::alerts) effects: &'a mut Effects,
}

impl Cx<'_> {
    /// Complains of something that a node met.
    pub(super) fn complain(&mut self, site: &Site, words: impl FnOnce() -> String) {
        self.effects.complain(self.task, &site.node, site.place, words);
    }

    /// Complains of an expression.
    pub(super) fn complain_of(&mut self, site: &Site, error: &lambda::Error) {
        self.effects.complain(self.task, &site.node, error.place, || error.why.to_string());
    }

    /// The group of a point that a node moves; `None`, with a complaint, if there are too many.
    pub(super) fn group(
        &mut self,
        dimensions: &Arc<Dimensions>,
        measurement: &str,
        tags: &Tags,
    ) -> Option<Arc<Group>> {
        let group = self.groups.of(dimensions, measurement, tags, self.now);
        if group.is_none() {
            self.complain(self.top, || {
                format!("there are {GROUPS_MAX} groups, points of new ones are left out")
            });
        }
        group
    }

    /// What an expression sees of a point.
    pub(super) fn sight<'a>(&'a self, view: View<'a>) -> OfPoint<'a> {
        let View { measurement, tags, fields, time } = view;
        let (now, zone) = (self.now, &self.settings.zone);
        OfPoint { measurement, tags, fields, time, now, zone, earlier: &[] }
    }
}

/// The nodes below the one that runs.
pub(super) struct Out<'a> {
    below: &'a mut [Box<dyn Run>],
    /// The number of the first one.
    first: usize,
    edges: &'a [Vec<Edge>],
    /// The number of the one that runs.
    node: usize,
}

/// Where the output of a node goes: which node, and which of its inputs.
#[derive(Clone, Copy, Debug)]
struct Edge {
    node: usize,
    input: usize,
}

impl Out<'_> {
    /// Hands an item on.
    pub(super) fn send(&mut self, item: Item<'_>, group: &Arc<Group>, cx: &mut Cx<'_>) {
        for edge in &self.edges[self.node] {
            let (above, below) = self.below.split_at_mut(edge.node + 1 - self.first);
            let Some(node) = above.last_mut() else { continue };
            let (first, edges) = (edge.node + 1, self.edges);
            let mut out = Out { below, first, edges, node: edge.node };
            node.take(edge.input, item, group, cx, &mut out);
        }
    }
}

/// The nodes of a task.
pub(in crate::alerts) struct Graph {
    nodes: Vec<Box<dyn Run>>,
    edges: Vec<Vec<Edge>>,
}

impl Graph {
    /// Nodes that have seen nothing yet. `remembered` has what a node remembers of each group.
    pub(in crate::alerts) fn new(
        pipeline: &Pipeline,
        remembered: &mut Remembered,
        groups: &mut Groups,
        now: i64,
    ) -> Self {
        let mut edges = vec![Vec::new(); pipeline.nodes.len()];
        for (node, settings) in pipeline.nodes.iter().enumerate() {
            for (input, &parent) in settings.parents.iter().enumerate() {
                edges[parent].push(Edge { node, input });
            }
        }
        let running = |node: &pipeline::Node| {
            let remembered = remembered.remove(&node.name).unwrap_or_default();
            running(node, remembered, groups, now)
        };
        let nodes = pipeline.nodes.iter().map(running).collect();
        Graph { nodes, edges }
    }

    /// Gives a node a point, as if it came from above.
    pub(in crate::alerts) fn feed(
        &mut self,
        node: usize,
        input: usize,
        point: &Point,
        cx: &mut Cx<'_>,
    ) {
        let group = Arc::clone(cx.groups.all());
        let (above, below) = self.nodes.split_at_mut(node + 1);
        let mut out = Out { below, first: node + 1, edges: &self.edges, node };
        if let Some(node) = above.last_mut() {
            node.take(input, Item::Point(point), &group, cx, &mut out);
        }
    }

    /// When a node has something to do without a point.
    pub(in crate::alerts) fn wake_at(&self) -> Option<i64> {
        self.nodes.iter().filter_map(|node| node.wake_at()).min()
    }

    /// Lets nodes do what they have to do by now.
    pub(in crate::alerts) fn wake(&mut self, cx: &mut Cx<'_>) {
        for node in 0..self.nodes.len() {
            let (above, below) = self.nodes.split_at_mut(node + 1);
            let mut out = Out { below, first: node + 1, edges: &self.edges, node };
            if let Some(node) = above.last_mut() {
                node.wake(cx, &mut out);
            }
        }
    }

    /// Forgets groups that have been silent for long, if it is time to look for them.
    pub(in crate::alerts) fn sweep(&mut self, cx: &mut Cx<'_>) {
        if !cx.groups.is_sweep_due(cx.now) {
            return;
        }
        let is_held = |group| self.nodes.iter().any(|node| node.holds(group));
        for group in cx.groups.sweep(cx.now, is_held) {
            self.nodes.iter_mut().for_each(|node| node.leave(group, cx));
        }
    }

    /// What `|httpOut()` shows under this name.
    pub(in crate::alerts) fn shown(&self, name: &str) -> Option<String> {
        self.nodes.iter().find_map(|node| node.shown(name))
    }
}

/// What nodes remember over a restart: by node, by group.
pub(in crate::alerts) type Remembered = HashMap<String, HashMap<String, String>>;

fn running(
    node: &pipeline::Node,
    mut remembered: HashMap<String, String>,
    groups: &mut Groups,
    now: i64,
) -> Box<dyn Run> {
    let site = Site::of(node);
    match node.kind.clone() {
        Kind::Stream | Kind::NoOp => Box::new(NoOp),
        Kind::From(settings) => Box::new(from::From::new(site, settings, &mut remembered)),
        Kind::Where(conditions) => Box::new(r#where::Where::new(site, conditions, &mut remembered)),
        Kind::GroupBy(by) => Box::new(group_by::GroupBy::new(by)),
        Kind::Window(settings) => Box::new(window::Window::new(site, settings)),
        Kind::Aggregate(settings) => aggregate::running(site, settings),
        Kind::Eval(settings) => Box::new(eval::Eval::new(site, settings, &mut remembered)),
        Kind::Default(settings) => Box::new(defaults::Defaults::new(settings)),
        Kind::Delete(settings) => Box::new(defaults::Delete::new(settings)),
        Kind::StateDuration(settings) => {
            Box::new(state::State::duration(site, settings, remembered))
        }
        Kind::StateCount(settings) => Box::new(state::State::count(site, settings, remembered)),
        Kind::ChangeDetect(fields) => {
            Box::new(change_detect::ChangeDetect::new(site, fields, remembered))
        }
        Kind::Sample(which) => Box::new(sample::Sample::new(which)),
        Kind::Derivative(settings) => Box::new(derivative::Derivative::new(site, settings)),
        Kind::Deadman(settings) => {
            let known = remembered.keys().filter_map(|key| groups.restored(key, now)).collect();
            Box::new(deadman::Deadman::new(site, settings, known, now))
        }
        Kind::Log(settings) => Box::new(log::Log::new(site, settings)),
        Kind::HttpOut(name) => Box::new(http_out::HttpOut::new(name)),
        Kind::Union => Box::new(union::Union::new(site, node.parents.len())),
        Kind::Alert(settings) => Box::new(alert::Alert::new(site, *settings, remembered)),
    }
}

/// Hands on what it gets.
struct NoOp;

impl Run for NoOp {
    fn take(
        &mut self,
        _: usize,
        item: Item<'_>,
        group: &Arc<Group>,
        cx: &mut Cx<'_>,
        out: &mut Out<'_>,
    ) {
        out.send(item, group, cx);
    }
}
