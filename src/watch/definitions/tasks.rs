//! Tasks: defined, enabled, changed, deleted.

use super::{
    Definitions, Known, Refusal, Safe, TASKS, TASKS_MAX, TEMPLATES, fits, is_id, store, stored,
};
use crate::alerts::Named;
use crate::alerts::pipeline::{Kind, Pipeline};
use crate::alerts::{Effects, Engine, own_topic};
use crate::message::Record;
use crate::system::threads::lock;
use crate::watch::task::{Reads, Task, Which};
use crate::watch::{Deliver, now};
use serde_json::{Value, json};

impl Definitions {
    /// A page of the tasks that fit a pattern: from which number on, and how many.
    pub fn tasks(
        &self,
        which: Which,
        pattern: &str,
        fields: &[&str],
        (offset, limit): (usize, usize),
    ) -> Value {
        let known = lock(&self.known);
        let tasks = known.all(which).values().filter(|task| fits(pattern, &task.id));
        let tasks = tasks.skip(offset).take(limit).map(|task| task.object(fields));
        json!({ which.words(): tasks.collect::<Vec<_>>() })
    }

    /// One task.
    pub fn task(&self, which: Which, id: &str, fields: &[&str]) -> Result<Value, Refusal> {
        let known = lock(&self.known);
        let task = known.all(which).get(id);
        let task = task.ok_or_else(|| Refusal::new(404, format!("no {} exists", which.word())))?;
        Ok(task.object(fields))
    }

    /// What `|httpOut('name')` of a task shows.
    pub fn output(&self, id: &str, name: &str) -> Result<Value, Refusal> {
        let shown = self.watch.look(|engine, _| engine.shown(id, name));
        let shown = shown.and_then(|text| serde_json::from_str(&text).ok());
        shown.ok_or_else(|| Refusal::new(404, "Not Found"))
    }

    /// A new task.
    pub fn create_task(
        &self,
        which: Which,
        body: &Value,
        safe: &Safe<'_>,
    ) -> Result<Value, Refusal> {
        let id = text(body, "id").unwrap_or_default();
        let (word, words) = (which.word(), which.words());
        let refused = |words: String| Refusal::new(400, words);
        let mut known = lock(&self.known);
        if !is_id(id, &['-', '.', '_']) {
            return Err(refused(format!(
                "{word} ID must contain only letters, numbers, '-', '.' and '_'. {id}"
            )));
        }
        if known.all(which).contains_key(id) {
            return Err(refused(format!("{word} {id} already exists")));
        }
        if known.all(which).len() >= TASKS_MAX {
            return Err(refused(format!("there are {TASKS_MAX} {words}, which is the most")));
        }
        let is_template = which == Which::Templates;
        let mut task = Task { id: id.to_owned(), created: now(), is_template, ..Task::default() };
        self.change(&mut task, body, &known.templates).map_err(refused)?;
        store(vec![record(&task)], safe)?;
        if task.enabled {
            self.start(&mut task);
        }
        let object = task.object(&[]);
        known.all_mut(which).insert(id.to_owned(), Box::new(task));
        Ok(object)
    }

    /// A change of a task: of its script, or whether it is enabled. A task that runs goes on with
    /// its old script until it is enabled again.
    pub fn change_task(&self, id: &str, body: &Value, safe: &Safe<'_>) -> Result<Value, Refusal> {
        let mut known = lock(&self.known);
        let Known { tasks, templates, .. } = &mut *known;
        let task = tasks.get_mut(id).ok_or_else(|| no_such(Which::Tasks))?;
        let mut changed = task.clone();
        let refused = |words: String| Refusal::new(400, words);
        self.change(&mut changed, body, templates).map_err(refused)?;
        let (was, is) = (task.enabled, changed.enabled);
        store(vec![record(&changed)], safe)?;
        match (was, is) {
            (false, true) => self.start(&mut changed),
            (true, false) => self.end(&mut changed),
            _ => (),
        }
        *task = changed;
        Ok(task.object(&[]))
    }

    /// A change of a template, and of the tasks that are made from it: all of them, or, if one
    /// cannot be, none.
    pub fn change_template(
        &self,
        id: &str,
        body: &Value,
        safe: &Safe<'_>,
    ) -> Result<Value, Refusal> {
        let mut known = lock(&self.known);
        let template = known.templates.get(id).ok_or_else(|| no_such(Which::Templates))?;
        let mut template = template.clone();
        let none = Named::new();
        let refused = |words: String| Refusal::new(400, words);
        self.change(&mut template, body, &none).map_err(refused)?;
        let changed = self.made_again(&known, &template).map_err(refused)?;
        let records = changed.values().map(|task| record(task)).chain([record(&template)]);
        store(records.collect(), safe)?;
        for (id, mut task) in changed {
            if task.enabled {
                self.start(&mut task);
            }
            known.tasks.insert(id, task);
        }
        let object = template.object(&[]);
        known.templates.insert(id.to_owned(), template);
        Ok(object)
    }

    /// The end of a template. Tasks that were made from it go on.
    pub fn delete_template(&self, id: &str, safe: &Safe<'_>) -> Result<(), Refusal> {
        let mut known = lock(&self.known);
        let Some(template) = known.templates.get(id) else { return Ok(()) };
        store(vec![forgotten(template)], safe)?;
        known.templates.remove(id);
        Ok(())
    }

    /// The end of a task and of all it knows. One that is not there is no fault.
    pub fn delete_task(&self, id: &str, safe: &Safe<'_>) -> Result<(), Refusal> {
        let mut known = lock(&self.known);
        if !known.tasks.contains_key(id) {
            return Ok(());
        }
        let mut records = vec![super::forgotten(TASKS, id.to_owned())];
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

    /// The tasks that are made from a template, with its new script.
    pub(in crate::watch) fn made_again(
        &self,
        known: &Known,
        template: &Task,
    ) -> Result<Named<Task>, String> {
        let tasks =
            known.tasks.values().filter(|task| task.template == template.id && !task.loaded);
        let made = tasks.map(|task| {
            let mut task = task.clone();
            task.set_template(template);
            task.check(&self.brokers).map_err(|why| format!("the task {}: {why}", task.id))?;
            Ok((task.id.clone(), task))
        });
        made.collect()
    }

    /// Changes a task as a body of the API says.
    fn change(&self, task: &mut Task, body: &Value, templates: &Named<Task>) -> Result<(), String> {
        if !body.is_object() {
            return Err("a task is an object".to_owned());
        }
        match (text(body, "template-id").filter(|id| !id.is_empty()), text(body, "script")) {
            (Some(id), None | Some("")) => {
                let template = templates.get(id);
                task.set_template(template.ok_or_else(|| format!("unknown template {id:?}"))?);
            }
            (Some(_), Some(_)) => {
                return Err("a task has a script or a template, not both".to_owned());
            }
            (None, Some(script)) => {
                task.set_script(script)?;
                task.template.clear();
            }
            (None, None) if task.script.is_empty() => {
                return Err("must provide TICKscript".to_owned());
            }
            (None, None) => (),
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
            // A template is never run.
            _ if task.is_template => (),
            Some("enabled") => task.enabled = true,
            Some("disabled") => task.enabled = false,
            Some(other) => return Err(format!("unknown task status {other:?}")),
        }
        if task.enabled && !was {
            task.last_enabled = now();
        }
        task.modified = now();
        // A task can be ended whatever has become of its broker.
        if was && !task.enabled && body.get("script").is_none() {
            return Ok(());
        }
        // What is wrong with the script shows at once, not when a point comes.
        task.check(&self.brokers)
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

fn no_such(which: Which) -> Refusal {
    Refusal::new(404, format!("{} does not exist, cannot update", which.word()))
}

pub(in crate::watch) fn record(task: &Task) -> Record {
    let text = serde_json::to_string(task).expect("texts and numbers are JSON");
    let scope = if task.is_template { TEMPLATES } else { TASKS };
    stored(scope, task.id.clone(), text)
}

pub(in crate::watch) fn forgotten(task: &Task) -> Record {
    Record { value: None, ..record(task) }
}

fn text<'v>(body: &'v Value, key: &str) -> Option<&'v str> {
    body.get(key).and_then(Value::as_str)
}
