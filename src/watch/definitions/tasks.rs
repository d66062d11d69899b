//! Tasks: defined, enabled, changed, deleted.

use super::{
    BASE, Definitions, Refusal, Safe, TASKS, TASKS_MAX, fits, forgotten, is_id, store, stored,
};
use crate::alerts::pipeline::{Kind, Pipeline};
use crate::alerts::{Effects, Engine, own_topic};
use crate::message::Record;
use crate::system::threads::lock;
use crate::watch::task::{Reads, Task};
use crate::watch::{Deliver, now};
use serde_json::{Value, json};

impl Definitions {
    /// A page of the tasks that fit a pattern: from which number on, and how many.
    pub fn tasks(
        &self,
        pattern: &str,
        fields: &[&str],
        (offset, limit): (usize, usize),
    ) -> Result<Value, Refusal> {
        let known = lock(&self.known);
        let tasks = known.tasks.values().filter(|task| fits(pattern, &task.id));
        let tasks: Vec<Value> =
            tasks.skip(offset).take(limit).map(|task| task.object(BASE, fields)).collect();
        Ok(json!({ "tasks": tasks }))
    }

    /// One task.
    pub fn task(&self, id: &str, fields: &[&str]) -> Result<Value, Refusal> {
        let known = lock(&self.known);
        let task = known.tasks.get(id).ok_or_else(|| Refusal::new(404, "no task exists"))?;
        Ok(task.object(BASE, fields))
    }

    /// What `|httpOut('name')` of a task shows.
    pub fn output(&self, id: &str, name: &str) -> Result<Value, Refusal> {
        let shown = self.watch.look(|engine, _| engine.shown(id, name));
        let shown = shown.and_then(|text| serde_json::from_str(&text).ok());
        shown.ok_or_else(|| Refusal::new(404, "Not Found"))
    }

    /// A new task.
    pub fn create_task(&self, body: &Value, safe: &Safe<'_>) -> Result<Value, Refusal> {
        let id = text(body, "id").unwrap_or_default();
        let mut known = lock(&self.known);
        if !is_id(id, &['-', '.', '_']) {
            return Err(Refusal::new(
                400,
                format!("task ID must contain only letters, numbers, '-', '.' and '_'. {id}"),
            ));
        }
        if known.tasks.contains_key(id) {
            return Err(Refusal::new(400, format!("task {id} already exists")));
        }
        if known.tasks.len() >= TASKS_MAX {
            return Err(Refusal::new(
                400,
                format!("there are {TASKS_MAX} tasks, which is the most"),
            ));
        }
        let now = now();
        let mut task = Task { id: id.to_owned(), created: now, ..Task::default() };
        change(&mut task, body, now).map_err(|words| Refusal::new(400, words))?;
        store(vec![record(&task)], safe)?;
        if task.enabled {
            self.start(&mut task);
        }
        let object = task.object(BASE, &[]);
        known.tasks.insert(id.to_owned(), Box::new(task));
        Ok(object)
    }

    /// A change of a task: of its script, or whether it is enabled. A task that runs goes on with
    /// its old script until it is enabled again.
    pub fn change_task(&self, id: &str, body: &Value, safe: &Safe<'_>) -> Result<Value, Refusal> {
        let mut known = lock(&self.known);
        let task = known
            .tasks
            .get_mut(id)
            .ok_or_else(|| Refusal::new(404, "task does not exist, cannot update"))?;
        let mut changed = task.clone();
        change(&mut changed, body, now()).map_err(|words| Refusal::new(400, words))?;
        let (was, is) = (task.enabled, changed.enabled);
        if is && !was {
            changed.compiled().map_err(|words| Refusal::new(400, words))?;
        }
        store(vec![record(&changed)], safe)?;
        match (was, is) {
            (false, true) => self.start(&mut changed),
            (true, false) => self.end(&mut changed),
            _ => (),
        }
        *task = changed;
        Ok(task.object(BASE, &[]))
    }

    /// The end of a task and of all it knows. One that is not there is no fault.
    pub fn delete_task(&self, id: &str, safe: &Safe<'_>) -> Result<(), Refusal> {
        let mut known = lock(&self.known);
        if !known.tasks.contains_key(id) {
            return Ok(());
        }
        let mut records = vec![forgotten(TASKS, id.to_owned())];
        let ended = self.watch.change(
            |engine, deliver| {
                deliver.topics.forget_task(id, &mut records);
                ((), engine.delete(id))
            },
            None,
        );
        ended.map_err(|refused| Refusal::new(503, refused.error.to_string()))?;
        known.tasks.remove(id);
        store(records, safe)
    }

    /// Runs a task, or notes why it cannot.
    pub(in crate::watch) fn start(&self, task: &mut Task) {
        let started = task.compiled().and_then(|pipeline| self.run(&task.id, pipeline));
        task.error = started.err().unwrap_or_default();
    }

    fn run(&self, id: &str, pipeline: Pipeline) -> Result<(), String> {
        let enable = |engine: &mut Engine, deliver: &mut Deliver| {
            deliver.topics.hide(id);
            for node in &pipeline.nodes {
                if let Kind::Alert(alert) = &node.kind
                    && !alert.handlers.is_empty()
                {
                    deliver.topics.show(&own_topic(id, &node.name), alert.handlers.clone());
                }
            }
            ((), engine.enable(id, pipeline, now()))
        };
        match self.watch.change(enable, None) {
            // What was evaluated is kept.
            Err(refused) if !refused.is_evaluated => Err(refused.error.to_string()),
            _ => Ok(()),
        }
    }

    /// Ends a task that runs; what it knows stays.
    fn end(&self, task: &mut Task) {
        task.error.clear();
        let disable = |engine: &mut Engine, deliver: &mut Deliver| {
            engine.disable(&task.id);
            deliver.topics.hide(&task.id);
            ((), Effects::default())
        };
        if let Err(refused) = self.watch.change(disable, None)
            && !refused.is_evaluated
        {
            log::warn!("alerts: {} goes on until the queue has room: {}", task.id, refused.error);
        }
    }
}

pub(in crate::watch) fn record(task: &Task) -> Record {
    let text = serde_json::to_string(task).expect("texts and numbers are JSON");
    stored(TASKS, task.id.clone(), text)
}

/// Changes a task as a body of the API says.
pub(in crate::watch) fn change(task: &mut Task, body: &Value, now: i64) -> Result<(), String> {
    if !body.is_object() {
        return Err("a task is an object".to_owned());
    }
    match text(body, "script") {
        Some(script) => task.set_script(script)?,
        None if task.script.is_empty() => return Err("must provide TICKscript".to_owned()),
        None => (),
    }
    if let Some(template) = text(body, "template-id").filter(|id| !id.is_empty()) {
        return Err(format!("there is no template `{template}`"));
    }
    if let Some(dbrps) = body.get("dbrps").and_then(Value::as_array) {
        let reads = |it: &Value| {
            let word = |key| text(it, key).unwrap_or_default().to_owned();
            Reads { db: word("db"), rp: word("rp") }
        };
        task.dbrps = dbrps.iter().map(reads).collect();
    }
    if let Some(vars) = body.get("vars").filter(|vars| vars.is_object()) {
        task.vars = vars.clone();
    }
    let was = task.enabled;
    match text(body, "status") {
        None | Some("") => (),
        Some("enabled") => task.enabled = true,
        Some("disabled") => task.enabled = false,
        Some(other) => return Err(format!("unknown task status {other:?}")),
    }
    if task.enabled && !was {
        task.last_enabled = now;
    }
    task.modified = now;
    // What is wrong with the script shows at once, not when a point comes.
    task.check()
}

fn text<'v>(body: &'v Value, key: &str) -> Option<&'v str> {
    body.get(key).and_then(Value::as_str)
}
