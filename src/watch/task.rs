//! A task as people define it: what is kept of it, and what the API says of it.

use super::brokers::Brokers;
use super::definitions::BASE;
use crate::alerts::pipeline::Pipeline;
use crate::alerts::script::ast::Dbrp;
use crate::alerts::script::{self, Faults, Vars};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write;

/// A database and a retention policy that a task reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reads {
    pub(super) db: String,
    pub(super) rp: String,
}

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Task {
    pub(super) id: String,
    /// As the canonical form has it.
    pub(super) script: String,
    /// As a person wrote it, until it is known to be right.
    #[serde(skip)]
    pub(super) given: String,
    /// What it reads, if the script does not say.
    pub(super) dbrps: Vec<Reads>,
    pub(super) vars: Value,
    /// The template it was made from.
    pub(super) template: String,
    pub(super) enabled: bool,
    /// Why it does not run though it is enabled.
    pub(super) error: String,
    /// Nanoseconds since 1970; 0 is never.
    pub(super) created: i64,
    pub(super) modified: i64,
    pub(super) last_enabled: i64,
    /// Whether a file in the load directory defines it.
    pub(super) loaded: bool,
    /// It is a template, which other tasks are made from.
    pub(super) is_template: bool,
}

impl Task {
    /// What the engine runs, and what the task reads, or what is wrong with the script.
    pub(super) fn compiled(&self) -> Result<Pipeline, String> {
        let parsed = script::parse(&self.script).map_err(|fault| invalid(&fault))?;
        let vars = self.values()?;
        let built = script::build(&parsed, &vars);
        let mut pipeline = built.map_err(|faults| {
            invalid(&self.as_given(&vars).and_then(Result::err).unwrap_or(faults))
        })?;
        if pipeline.dbrps.is_empty() {
            pipeline.dbrps = self.dbrps.iter().map(Reads::dbrp).collect();
        } else if !self.dbrps.is_empty() {
            return Err("cannot specify dbrp in both implicitly and explicitly".to_owned());
        }
        Ok(pipeline)
    }

    fn values(&self) -> Result<Vars, String> {
        match &self.vars {
            _ if self.is_template => Ok(Vars::open()),
            Value::Null => Ok(Vars::default()),
            given => Vars::read(given),
        }
    }

    /// What the text that a person wrote means, with the places in it.
    fn as_given(&self, vars: &Vars) -> Option<Result<Pipeline, Faults>> {
        Some(script::build(&script::parse(&self.given).ok()?, vars))
    }

    /// Whether the engine can run it, and its alerts can be published.
    pub(super) fn check(&mut self, brokers: &Brokers) -> Result<(), String> {
        let pipeline = self.compiled()?;
        let given = self.as_given(&self.values()?).and_then(Result::ok);
        let checked = brokers.check_all(given.as_ref().unwrap_or(&pipeline));
        checked.map_err(|why| invalid(&why))?;
        self.given = String::new();
        Ok(())
    }

    /// Takes a script, and keeps it in its canonical form.
    pub(super) fn set_script(&mut self, text: &str) -> Result<(), String> {
        if text.trim().is_empty() {
            return Err("must provide TICKscript".to_owned());
        }
        let parsed = script::parse(text).map_err(|fault| invalid(&fault))?;
        self.script = script::format(&parsed);
        text.clone_into(&mut self.given);
        Ok(())
    }

    /// Whether a file that is read again says the same.
    pub(super) fn is_same(&self, other: &Task) -> bool {
        let said = |task: &Task| {
            let Task { script, dbrps, vars, template, enabled, loaded, .. } = task.clone();
            (script, dbrps, vars, template, enabled, loaded)
        };
        said(self) == said(other)
    }

    /// Whether points get to it.
    pub(super) fn is_executing(&self) -> bool {
        self.enabled && self.error.is_empty()
    }

    /// Takes the script of a template.
    pub(super) fn set_template(&mut self, template: &Task) {
        self.template.clone_from(&template.id);
        self.script.clone_from(&template.script);
        self.given.clone_from(&template.script);
    }

    /// Where it is.
    fn link(&self) -> Value {
        let id = super::definitions::escaped(&self.id);
        let all = Which::of(self).words();
        json!({ "rel": "self", "href": format!("{BASE}/{all}/{id}") })
    }

    /// The variables that it has been given, or that a template is to be given.
    fn variables(&self) -> Value {
        if !self.is_template {
            return if self.vars.is_null() { json!({}) } else { self.vars.clone() };
        }
        let parsed = script::parse(&self.script).ok();
        let variables = parsed.iter().flat_map(|script| script.variables());
        let object = variables.map(|(name, kind, value)| {
            (name.to_owned(), json!({ "type": kind, "value": value, "description": "" }))
        });
        Value::Object(object.collect())
    }

    /// What the API says of it: all, or what is asked for.
    pub(super) fn object(&self, fields: &[&str]) -> Value {
        let compiled = self.compiled().ok();
        let dbrps: Vec<Value> = match &compiled {
            Some(pipeline) => pipeline
                .dbrps
                .iter()
                .map(|it| json!({ "db": &*it.database, "rp": &*it.retention_policy }))
                .collect(),
            None => self.dbrps.iter().map(|it| json!({ "db": it.db, "rp": it.rp })).collect(),
        };
        let dot = compiled.map(|pipeline| dot(&self.id, &pipeline)).unwrap_or_default();
        let all = json!({
            "link": self.link(),
            "id": self.id,
            "template-id": self.template,
            "type": "stream",
            "dbrps": dbrps,
            "script": self.script,
            "vars": self.variables(),
            "dot": dot,
            "status": if self.enabled { "enabled" } else { "disabled" },
            "executing": self.is_executing(),
            "error": self.error,
            "stats": { "task-stats": {}, "node-stats": {} },
            "created": super::rfc_3339(self.created),
            "modified": super::rfc_3339(self.modified),
            "last-enabled": super::rfc_3339(self.last_enabled),
        });
        let Value::Object(all) = all else { return all };
        let is_wanted =
            |key: &str| fields.is_empty() || ["link", "id"].contains(&key) || fields.contains(&key);
        Value::Object(all.into_iter().filter(|(key, _)| is_wanted(key)).collect())
    }
}

/// Tasks, or what they are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Tasks.
    Tasks,
    /// Templates of tasks.
    Templates,
}

impl Which {
    fn of(task: &Task) -> Self {
        if task.is_template { Which::Templates } else { Which::Tasks }
    }

    /// All of them, and one.
    pub(super) fn words(self) -> &'static str {
        match self {
            Which::Tasks => "tasks",
            Which::Templates => "templates",
        }
    }

    pub(super) fn word(self) -> &'static str {
        self.words().trim_end_matches('s')
    }
}

impl Reads {
    fn dbrp(&self) -> Dbrp {
        Dbrp { database: self.db.as_str().into(), retention_policy: self.rp.as_str().into() }
    }
}

fn invalid(what: &dyn std::fmt::Display) -> String {
    format!("invalid TICKscript: {what}")
}

/// The graph of a task in the language of Graphviz.
fn dot(id: &str, pipeline: &Pipeline) -> String {
    let mut out = format!("digraph {id} {{\n");
    for node in &pipeline.nodes {
        for parent in &node.parents {
            let _ = writeln!(out, "{} -> {};", pipeline.nodes[*parent].name, node.name);
        }
    }
    out.push('}');
    out
}
