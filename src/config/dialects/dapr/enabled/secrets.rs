//! Secret stores: a file, or the environment.

use super::items::Values;
use crate::config::document::{Node, Source, Value, json};
use crate::config::{Surroundings, suggest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What stands between the names on the way to a nested secret.
const SEPARATOR: &str = ":";

/// Most names that a fault lists.
const LISTED_MAX: usize = 8;

/// A store in a file.
pub(super) const FILE: &str = "secretstores.local.file";

/// A store in the environment.
pub(super) const ENVIRONMENT: &str = "secretstores.local.env";

/// The stores of a folder, by their names.
pub(super) struct Stores<'a> {
    pub(super) all: Vec<(String, Store)>,
    pub(super) around: &'a Surroundings<'a>,
}

/// Where secrets are.
pub(super) enum Store {
    /// Secrets by name, each with its members.
    File { secrets: Secrets, is_flat: bool },
    /// Variables whose names begin with this.
    Environment { prefix: String },
    /// A component of another type.
    Other(String),
    /// A store with faults, which are said already.
    Broken,
}

type Secrets = BTreeMap<String, BTreeMap<String, String>>;

impl Stores<'_> {
    /// A member of a secret, or what is wrong and where; no words if that is said already.
    pub(super) fn secret(
        &self,
        store: Option<&(String, usize)>,
        (name, name_at): (&str, usize),
        (key, key_at): (&str, usize),
    ) -> Result<String, (usize, String)> {
        let Some((store, store_at)) = store else {
            let what = "this needs an `auth: {secretStore: …}` that says where the secret is";
            return Err((name_at, what.to_owned()));
        };
        let Some((_, found)) = self.all.iter().find(|(known, _)| known == store) else {
            let hint = match suggest::nearest(store, self.all.iter().map(|(known, _)| &known[..])) {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => String::new(),
            };
            return Err((*store_at, format!("there is no secret store `{store}`{hint}")));
        };
        match found {
            Store::Broken => Err((name_at, String::new())),
            Store::Other(kind) => {
                Err((*store_at, format!("store type `{kind}` is not supported; use {FILE}")))
            }
            Store::Environment { .. } if key != name => {
                Err((key_at, format!("this secret has one member, `{name}`")))
            }
            Store::Environment { prefix } => {
                variable(&format!("{prefix}{name}"), self.around).map_err(|why| (name_at, why))
            }
            Store::File { secrets, is_flat } => {
                let Some(members) = secrets.get(name) else {
                    let names = listed(secrets.keys());
                    let kind = if *is_flat { "flattened names are" } else { "names are" };
                    return Err((name_at, format!("there is no secret `{name}`; {kind} {names}")));
                };
                members.get(key).cloned().ok_or_else(|| {
                    let names = listed(members.keys());
                    (key_at, format!("the secret `{name}` has no member `{key}`, but {names}"))
                })
            }
        }
    }
}

/// An environment variable that a file may ask for.
pub(super) fn variable(name: &str, around: &Surroundings<'_>) -> Result<String, String> {
    if name.is_empty() || name.contains(' ') || name == "APP_API_TOKEN" || name.starts_with("DAPR_")
    {
        return Err(format!(
            "`{name}` is not for components: the name is empty, has a blank, or is the sidecar's own"
        ));
    }
    (around.env)(name).ok_or_else(|| format!("the environment variable `{name}` is not set"))
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(LISTED_MAX);
    let mut words: Vec<String> = names.take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    match (words.is_empty(), more) {
        (true, _) => return "none".to_owned(),
        (_, 0) => (),
        (_, more) => words.push(format!("{more} more")),
    }
    words.join(", ")
}

/// What a component of type `kind` says, which stands at `at`.
pub(super) fn store(
    kind: &str,
    at: usize,
    values: &mut Values<'_>,
    around: &Surroundings<'_>,
) -> Store {
    let before = values.faults.0.len();
    let store = match kind {
        FILE => file(at, values, around),
        ENVIRONMENT => {
            let prefix = values.find("prefix").map(|found| found.text.clone());
            Some(Store::Environment { prefix: prefix.unwrap_or_default() })
        }
        other => return Store::Other(other.to_owned()),
    };
    values.end(&[]);
    store.filter(|_| values.faults.0.len() == before).unwrap_or(Store::Broken)
}

fn file(at: usize, values: &mut Values<'_>, around: &Surroundings<'_>) -> Option<Store> {
    let mut separator = SEPARATOR.to_owned();
    values.read("nestedSeparator", &mut |text| {
        text.clone_into(&mut separator);
        Ok(())
    });
    let mut is_multiple = false;
    values.read("multiValued", &mut |text| {
        is_multiple = super::broker::truth(text)?;
        Ok(())
    });
    let found = values.find("secretsFile").filter(|found| !found.text.is_empty());
    let Some((written, at)) = found.map(|found| (found.text.clone(), found.at)) else {
        let place = values.source.place(at);
        values.faults.add(place, "a store of this type needs a `secretsFile`");
        return None;
    };
    let (path, text) = match text(&written, values.source.name, around) {
        Ok(found) => found,
        Err(what) => {
            values.faults.add(values.source.place(at), what);
            return None;
        }
    };
    values.warnings.extend(around.warning(&path));
    let name = path.to_string_lossy();
    let source = Source { name: &name, text: &text };
    match json::parse(&text) {
        Ok(Node { value: Value::Table(entries), .. }) => {
            let mut secrets = Secrets::new();
            for entry in &entries {
                let mut members = BTreeMap::new();
                match &entry.node.value {
                    Value::Table(inside) if is_multiple => {
                        for inner in inside {
                            flatten(&inner.key, &inner.node, &separator, &mut members);
                        }
                    }
                    _ => flatten(&entry.key, &entry.node, &separator, &mut members),
                }
                if is_multiple {
                    secrets.insert(entry.key.clone(), members);
                } else {
                    let alone =
                        |(name, text): (String, String)| (name.clone(), [(name, text)].into());
                    secrets.extend(members.into_iter().map(alone));
                }
            }
            Some(Store::File { secrets, is_flat: !is_multiple })
        }
        Ok(node) => {
            let what = format!("a file of secrets is an object, not {}", node.value.kind());
            values.faults.add(source.place(node.at), what);
            None
        }
        Err((at, what)) => {
            values.faults.add(source.place(at), what);
            None
        }
    }
}

/// A file of secrets: where it is said to be, or beside the file that says so.
fn text(
    written: &str,
    beside: &str,
    around: &Surroundings<'_>,
) -> Result<(PathBuf, String), String> {
    let path = around.path(written)?;
    if let Some(text) = (around.read)(&path)? {
        return Ok((path, text));
    }
    let folder = Path::new(beside).parent().unwrap_or(Path::new(""));
    let other = folder.join(&path);
    match (around.read)(&other)? {
        Some(text) => Ok((other, text)),
        None => Err(format!("there is no file {written}, neither here nor beside this file")),
    }
}

/// Adds all leaves, each under the names that lead to it.
fn flatten(name: &str, node: &Node, separator: &str, members: &mut BTreeMap<String, String>) {
    let mut add = |text: &str| {
        members.insert(name.to_owned(), text.to_owned());
    };
    match &node.value {
        Value::Text(text) | Value::Number(text) => add(text),
        Value::Truth(truth) => add(if *truth { "true" } else { "false" }),
        Value::Table(entries) => {
            for entry in entries {
                let name = format!("{name}{separator}{}", entry.key);
                flatten(&name, &entry.node, separator, members);
            }
        }
        Value::List(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                flatten(&format!("{name}{separator}{index}"), node, separator, members);
            }
        }
        Value::Null | Value::Tagged(_) | Value::Other(_) => (),
    }
}
