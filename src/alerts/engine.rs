//! Runs tasks: points in, effects out.
//!
//! Which nodes a point is for is looked up by its measurement before anything else, so one that no
//! task wants costs a look-up.

use super::effects::Effects;
use super::nodes::{Cx, Graph, Groups, Inhibitors, Remembered, Site};
use super::pipeline::{Kind, Pipeline};
use super::point::{Name, Point};
use super::template::Server;
use super::wanted::takes;
use super::zone::Zone;
use std::collections::{BTreeMap, HashMap};

/// What is the same for all tasks.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What templates know of this machine, `{{ .ServerInfo.Hostname }}`.
    pub server: Server,
    /// Whether an expression that fails is false and nothing else, as in Kapacitor: then a point
    /// that lacks a field ends an alert. Otherwise such a point says nothing about it.
    pub failed_is_false: bool,
    /// What local time is.
    pub zone: Zone,
}

/// The tasks that are enabled, and what they know.
#[derive(Default)]
pub struct Engine {
    settings: Settings,
    tasks: Vec<Task>,
    routes: Routes,
    inhibitors: Inhibitors,
    /// The records of all nodes, also of tasks that are not enabled.
    memory: BTreeMap<String, String>,
    wake_at: Option<i64>,
}

struct Task {
    id: String,
    pipeline: Pipeline,
    graph: Graph,
    groups: Groups,
    /// Its first node, for complaints about the whole task.
    top: Site,
}

impl Engine {
    /// Without tasks. `memory` has the records that were stored, by their keys.
    #[must_use]
    pub fn new(settings: Settings, memory: impl IntoIterator<Item = (String, String)>) -> Self {
        Engine { settings, memory: memory.into_iter().collect(), ..Engine::default() }
    }

    /// Begins to run a task, or begins again; it goes on with what its nodes remember.
    pub fn enable(&mut self, id: &str, pipeline: Pipeline, now: i64) -> Effects {
        self.disable(id);
        let (mut remembered, effects) = self.remembered(id, &pipeline);
        let window = |node: &super::pipeline::Node| match &node.kind {
            Kind::Window(window) => window.period,
            _ => 0,
        };
        let longest = pipeline.nodes.iter().map(window).max().unwrap_or(0);
        let mut groups = Groups::new(longest);
        let graph = Graph::new(&pipeline, &mut remembered, &mut groups, now);
        let top = pipeline.nodes.first().map(Site::of).unwrap_or_default();
        let id = id.to_owned();
        self.tasks.push(Task { id, pipeline, graph, groups, top });
        self.tasks.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        self.settle();
        effects
    }

    /// Ends a task. What its nodes remember stays, in case it is enabled again.
    pub fn disable(&mut self, id: &str) {
        self.tasks.retain(|task| task.id != id);
        self.inhibitors.forget(id);
        self.settle();
    }

    /// Ends a task and forgets what its nodes remember.
    pub fn delete(&mut self, id: &str) -> Effects {
        self.disable(id);
        let mut effects = Effects::default();
        for (node, groups) in self.records(id) {
            groups.into_keys().for_each(|group| effects.remember(id, &node, &group, None));
        }
        self.keep(&effects);
        effects
    }

    /// The tasks that are enabled.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &Pipeline)> {
        self.tasks.iter().map(|task| (task.id.as_str(), &task.pipeline))
    }

    /// How many groups a task has, that of all points aside.
    #[must_use]
    pub fn groups(&self, id: &str) -> Option<usize> {
        Some(self.task(id)?.groups.len())
    }

    /// What `|httpOut('name')` of a task shows: JSON.
    #[must_use]
    pub fn shown(&self, id: &str, name: &str) -> Option<String> {
        self.task(id)?.graph.shown(name)
    }

    /// Takes points, and time that has passed; `now` is what clocks show, in nanoseconds since 1970.
    pub fn feed(&mut self, points: &[Point], now: i64) -> Effects {
        let mut effects = Effects::default();
        self.pass_time(now, &mut effects);
        for point in points {
            for entry in self.routes.of_measurement(&point.measurement) {
                let Task { id, pipeline, graph, groups, top } = &mut self.tasks[entry.task];
                if !takes(&pipeline.dbrps, &point.database, &point.retention_policy) {
                    continue;
                }
                let mut cx = Cx {
                    task: id,
                    top,
                    now,
                    settings: &self.settings,
                    groups,
                    inhibitors: &mut self.inhibitors,
                    effects: &mut effects,
                };
                graph.feed(entry.node, entry.input, point, &mut cx);
            }
        }
        self.keep(&effects);
        effects
    }

    /// When [`Engine::wake`] is to be called, if no points come before.
    #[must_use]
    pub fn wake_at(&self) -> Option<i64> {
        self.wake_at
    }

    /// Takes time that has passed.
    pub fn wake(&mut self, now: i64) -> Effects {
        let mut effects = Effects::default();
        self.pass_time(now, &mut effects);
        self.keep(&effects);
        effects
    }

    fn pass_time(&mut self, now: i64, effects: &mut Effects) {
        if self.wake_at.is_some() {
            for Task { id, graph, groups, top, .. } in &mut self.tasks {
                let settings = &self.settings;
                let inhibitors = &mut self.inhibitors;
                let mut cx = Cx { task: id, top, now, settings, groups, inhibitors, effects };
                graph.wake(&mut cx);
            }
            self.wake_at = self.tasks.iter().filter_map(|task| task.graph.wake_at()).min();
        }
        for Task { id, graph, groups, top, .. } in &mut self.tasks {
            let settings = &self.settings;
            let inhibitors = &mut self.inhibitors;
            graph.sweep(&mut Cx { task: id, top, now, settings, groups, inhibitors, effects });
        }
    }

    /// After tasks came or went.
    fn settle(&mut self) {
        self.routes = Routes::of(&self.tasks);
        self.wake_at = self.tasks.iter().filter_map(|task| task.graph.wake_at()).min();
    }

    /// Keeps in memory what is remembered.
    fn keep(&mut self, effects: &Effects) {
        for record in &effects.records {
            match &record.value {
                Some(value) => self.memory.insert(record.key.clone(), value.clone()),
                None => self.memory.remove(&record.key),
            };
        }
    }

    /// What the nodes of a task remember. What belongs to a node that is no more is forgotten.
    fn remembered(&mut self, id: &str, pipeline: &Pipeline) -> (Remembered, Effects) {
        let mut remembered = self.records(id);
        let mut effects = Effects::default();
        remembered.retain(|node, groups| {
            let is_there = pipeline.nodes.iter().any(|there| there.name == *node);
            if !is_there {
                groups.keys().for_each(|group| effects.remember(id, node, group, None));
            }
            is_there
        });
        self.keep(&effects);
        (remembered, effects)
    }

    fn records(&self, id: &str) -> Remembered {
        let mut records = Remembered::new();
        let begin = format!("{id} ");
        for (key, value) in self.memory.range(begin.clone()..) {
            let Some(rest) = key.strip_prefix(&begin) else { break };
            let (node, group) = rest.split_once(' ').unwrap_or((rest, ""));
            records.entry(node.into()).or_default().insert(group.into(), value.clone());
        }
        records
    }

    fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

/// Which nodes want the points of a measurement.
#[derive(Default)]
struct Routes {
    named: HashMap<Name, Vec<Entry>>,
    /// For all other measurements.
    others: Vec<Entry>,
}

/// A node that gets points from outside.
#[derive(Clone, Copy)]
struct Entry {
    task: usize,
    node: usize,
    input: usize,
}

impl Routes {
    fn of(tasks: &[Task]) -> Self {
        let mut entries = Vec::new();
        for (task, running) in tasks.iter().enumerate() {
            let nodes = &running.pipeline.nodes;
            for (node, settings) in nodes.iter().enumerate() {
                let measurement = match &settings.kind {
                    Kind::From(from) => from.measurement.clone(),
                    _ => None,
                };
                for (input, &parent) in settings.parents.iter().enumerate() {
                    if matches!(nodes[parent].kind, Kind::Stream) {
                        entries.push((measurement.clone(), Entry { task, node, input }));
                    }
                }
            }
        }
        let of = |measurement: Option<&Name>| {
            let wants = |wanted: &Option<Name>| wanted.is_none() || wanted.as_ref() == measurement;
            let wanting = entries.iter().filter(|(wanted, _)| wants(wanted));
            wanting.map(|(_, entry)| *entry).collect::<Vec<_>>()
        };
        let names = entries.iter().filter_map(|(measurement, _)| measurement.as_ref());
        let named = names.map(|name| (name.clone(), of(Some(name)))).collect();
        Routes { named, others: of(None) }
    }

    fn of_measurement(&self, measurement: &str) -> &[Entry] {
        self.named.get(measurement).unwrap_or(&self.others)
    }
}
