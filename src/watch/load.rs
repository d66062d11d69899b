//! The load directory: files that define tasks and handlers, read at the start and at a SIGHUP.
//!
//! The files are the truth. What they define replaces what the API defined under the same name, and
//! what they do not define any more goes. A task whose file has not changed goes on.

use super::Definitions;
use super::brokers::Brokers;
use super::definitions::handlers::{self, read};
use super::definitions::{Handler, Known, tasks};
use super::now;
use super::task::{Reads, Task};
use crate::alerts::Named;
use crate::alerts::handlers::HandlerSpec;
use crate::config::Config;
use crate::config::document::Source;
use crate::config::document::untyped;
use crate::message::Record;
use crate::queue::Push;
use crate::system::threads::lock;
use log::info;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Largest file of a definition, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Most files in one folder.
const FILES_MAX: usize = 1_000;

/// What the files define.
#[derive(Default)]
struct Loaded {
    tasks: Named<Task>,
    templates: Named<Task>,
    /// By [`handlers::place`].
    handlers: Named<(HandlerSpec, Handler)>,
}

impl Definitions {
    /// Reads the load directory, if there is one.
    ///
    /// # Errors
    ///
    /// All that is wrong, one line each; then nothing has changed.
    pub fn load(&self) -> Result<(), Vec<String>> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let loaded = Loaded::read(folder, &self.brokers)?;
        let mut known = lock(&self.known);
        let mut records = Vec::new();
        self.load_templates(loaded.templates, &mut known, &mut records)?;
        let (tasks, handlers) = (loaded.tasks.len(), loaded.handlers.len());
        let gone: Vec<String> = known
            .tasks
            .values()
            .filter(|task| task.loaded && !loaded.tasks.contains_key(&task.id))
            .map(|task| task.id.clone())
            .collect();
        for (id, mut task) in loaded.tasks {
            let before = known.tasks.get(&id);
            if before.is_some_and(|before| before.is_same(&task)) {
                continue;
            }
            task.created = before.map_or_else(now, |before| before.created);
            (task.modified, task.last_enabled) = (now(), now());
            records.push(tasks::record(&task));
            self.start(&mut task);
            known.tasks.insert(id, task);
        }
        let gone_handlers: Vec<String> = known
            .handlers
            .iter()
            .filter(|(place, handler)| handler.loaded && !loaded.handlers.contains_key(*place))
            .map(|(place, _)| place.clone())
            .collect();
        for (place, both) in loaded.handlers {
            let (spec, handler) = *both;
            if known.handlers.get(&place).is_some_and(|known| **known == handler) {
                continue;
            }
            records.push(handlers::record(&spec.topic, &spec.id, &handler));
            lock(&self.watch.state).deliver.topics.put(spec);
            known.handlers.insert(place, Box::new(handler));
        }
        drop(known);
        let batch = records.into_iter().map(|record| Push::Record { record, receipt: None });
        let store = |batch: Vec<Push>| {
            // What cannot be stored now is read again at the next start.
            let _ = self.queue().push_whole(batch);
            Ok(())
        };
        let _ = store(batch.collect());
        for id in gone {
            let _ = self.delete_task(&id, &store);
        }
        for (topic, id) in gone_handlers.iter().filter_map(|place| place.split_once('\n')) {
            let _ = self.delete_handler(topic, id, &store);
        }
        info!("alerts: {tasks} tasks and {handlers} handlers are defined in {}", folder.display());
        Ok(())
    }
}

impl Definitions {
    /// Takes the templates, and changes the tasks that the API made from them.
    fn load_templates(
        &self,
        templates: Named<Task>,
        known: &mut Known,
        records: &mut Vec<Record>,
    ) -> Result<(), Vec<String>> {
        let mut changed = Named::new();
        for template in templates.values() {
            let before = known.templates.get(&template.id);
            if before.is_none_or(|before| before.script != template.script) {
                changed.extend(self.made_again(known, template).map_err(|why| vec![why])?);
            }
        }
        for (id, mut task) in changed {
            records.push(tasks::record(&task));
            if task.enabled {
                self.start(&mut task);
            }
            known.tasks.insert(id, task);
        }
        known.templates.retain(|_, template| !template.loaded);
        for (id, mut template) in templates {
            let before = known.templates.get(&id);
            if before.is_some() {
                records.push(tasks::forgotten(&template));
            }
            template.created = before.map_or_else(now, |before| before.created);
            template.modified = now();
            known.templates.insert(id, template);
        }
        Ok(())
    }
}

impl Loaded {
    fn read(folder: &Path, brokers: &Brokers) -> Result<Self, Vec<String>> {
        let (mut loaded, mut wrong) = (Loaded::default(), Vec::new());
        for (path, text) in files(&folder.join("templates"), &["tick"], &mut wrong) {
            let (enabled, is_template) = (false, true);
            let mut template = Task { enabled, is_template, ..new_task(stem(&path)) };
            match template.set_script(&text).and_then(|()| template.check(brokers)) {
                Ok(()) => drop(loaded.templates.insert(stem(&path), Box::new(template))),
                Err(what) => wrong.push(format!("{}: {what}", path.display())),
            }
        }
        for (path, text) in files(&folder.join("tasks"), &["tick"], &mut wrong) {
            let mut task = new_task(stem(&path));
            let done = task.set_script(&text).and_then(|()| task.check(brokers));
            loaded.take(task, &path, done, &mut wrong);
        }
        for (path, text) in files(&folder.join("tasks"), &DOCUMENTS, &mut wrong) {
            let mut task = new_task(stem(&path));
            let read = document(&path, &text);
            let done = read.and_then(|body| instance(&mut task, &body, &loaded.templates, brokers));
            loaded.take(task, &path, done, &mut wrong);
        }
        for (path, text) in files(&folder.join("handlers"), &DOCUMENTS, &mut wrong) {
            let handler = document(&path, &text).and_then(|body| {
                let topic = body.get("topic").and_then(Value::as_str).unwrap_or_default();
                let read = read(topic, &body).map_err(|refusal| refusal.words)?;
                brokers.check(&read.1)?;
                Ok((topic.to_owned(), read))
            });
            match handler {
                Ok((topic, (id, spec, mut handler))) => {
                    handler.loaded = true;
                    let place = handlers::place(&topic, &id);
                    if loaded.handlers.insert(place, Box::new((spec, handler))).is_some() {
                        let what = "another file defines a handler of this topic and id";
                        wrong.push(format!("{}: {what}", path.display()));
                    }
                }
                Err(what) => wrong.push(format!("{}: {what}", path.display())),
            }
        }
        if wrong.is_empty() { Ok(loaded) } else { Err(wrong) }
    }

    fn take(&mut self, task: Task, path: &Path, done: Result<(), String>, wrong: &mut Vec<String>) {
        match done {
            Err(what) => wrong.push(format!("{}: {what}", path.display())),
            Ok(()) if self.tasks.contains_key(&task.id) => {
                let what = format!("another file defines the task {}", task.id);
                wrong.push(format!("{}: {what}", path.display()));
            }
            Ok(()) => drop(self.tasks.insert(task.id.clone(), Box::new(task))),
        }
    }
}

/// Names of files that hold YAML or JSON.
const DOCUMENTS: [&str; 3] = ["yaml", "yml", "json"];

fn new_task(id: String) -> Task {
    Task { id, enabled: true, loaded: true, ..Task::default() }
}

/// A task that is made from a template.
fn instance(
    task: &mut Task,
    body: &Value,
    templates: &Named<Task>,
    brokers: &Brokers,
) -> Result<(), String> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let template = text("template-id");
    let known = templates.get(template);
    task.set_template(known.ok_or_else(|| format!("there is no file templates/{template}.tick"))?);
    if !text("id").is_empty() {
        text("id").clone_into(&mut task.id);
    }
    task.vars = body.get("vars").cloned().unwrap_or_default();
    for dbrp in body.get("dbrps").and_then(Value::as_array).into_iter().flatten() {
        let word = |key: &str| dbrp.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        task.dbrps.push(Reads { db: word("db"), rp: word("rp") });
    }
    task.check(brokers)
}

fn document(path: &Path, text: &str) -> Result<Value, String> {
    let name = path.display().to_string();
    untyped::read(&name, text)
        .map_err(|(at, what)| format!("{}: {what}", Source { name: "", text }.place(at)))
}

/// The files of a folder with one of these endings, in the order of their names.
fn files(folder: &Path, endings: &[&str], wrong: &mut Vec<String>) -> Vec<(PathBuf, String)> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            wrong.push(format!("cannot read {}: {error}", folder.display()));
            return Vec::new();
        }
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let has_ending = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    let mut paths: Vec<PathBuf> = paths.filter(has_ending).collect();
    paths.sort_unstable();
    if paths.len() > FILES_MAX {
        wrong.push(format!("{} has more than {FILES_MAX} files", folder.display()));
        paths.truncate(FILES_MAX);
    }
    let mut read = Vec::new();
    for path in paths {
        let size = path.metadata().map(|file| file.len());
        match size.and_then(|size| match size {
            0..=FILE_BYTES_MAX => fs::read_to_string(&path),
            _ => Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))),
        }) {
            Ok(text) => read.push((path, text)),
            Err(error) => wrong.push(format!("cannot read {}: {error}", path.display())),
        }
    }
    read
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Looks whether the files of a load directory can be used.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(folder: &Path, config: &Config) -> Result<(), Vec<String>> {
    Loaded::read(folder, &Brokers::of(config)).map(drop)
}
