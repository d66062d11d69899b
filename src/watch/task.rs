//! A task as people define it: what is kept of it, and what the API says of it.

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
}

impl Task {
    /// What the engine runs, and what the task reads, or what is wrong with the script.
    pub(super) fn compiled(&self) -> Result<Pipeline, String> {
        let parsed = script::parse(&self.script).map_err(|fault| invalid(&fault))?;
        let vars = match &self.vars {
            Value::Null => Vars::default(),
            given => Vars::read(given)?,
        };
        let built = script::build(&parsed, &vars);
        let mut pipeline =
            built.map_err(|faults| invalid(&self.placed(&vars).unwrap_or(faults)))?;
        if pipeline.dbrps.is_empty() {
            pipeline.dbrps = self.dbrps.iter().map(Reads::dbrp).collect();
        } else if !self.dbrps.is_empty() {
            return Err("cannot specify dbrp in both implicitly and explicitly".to_owned());
        }
        Ok(pipeline)
    }

    /// The faults with the places of the text that a person wrote.
    fn placed(&self, vars: &Vars) -> Option<Faults> {
        script::build(&script::parse(&self.given).ok()?, vars).err()
    }

    /// Whether the engine can run it.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.compiled()?;
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

    /// Where it is.
    pub(super) fn link(&self, base: &str) -> Value {
        json!({ "rel": "self", "href": format!("{base}/tasks/{}", super::definitions::escaped(&self.id)) })
    }

    /// What the API says of it: all, or what is asked for.
    pub(super) fn object(&self, base: &str, fields: &[&str]) -> Value {
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
            "link": self.link(base),
            "id": self.id,
            "template-id": self.template,
            "type": "stream",
            "dbrps": dbrps,
            "script": self.script,
            "vars": if self.vars.is_null() { json!({}) } else { self.vars.clone() },
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
