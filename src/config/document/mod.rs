//! Documents before dialects: what a file says, before anybody asks what it means. TOML and JSON
//! end in one tree of values, each with its place; `fields` reads it key by key.

pub(crate) mod fields;
pub mod json;
pub mod toml;

use crate::config::Place;

/// The text of a document, and what it is called in faults.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name: a path, as a rule.
    pub name: &'a str,
    /// All of it.
    pub text: &'a str,
}

impl Source<'_> {
    /// The place of a byte.
    #[must_use]
    pub fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        Place::File {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
            way: String::new(),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The byte of the file at which it begins.
    pub at: usize,
    /// What it is.
    pub value: Value,
}

/// The values that all syntaxes share.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number as written, because a fault shows it like that.
    Number(String),
    /// `true` or `false`.
    Truth(bool),
    /// Values in order.
    List(Vec<Node>),
    /// Keys and their values, in the order of the file.
    Table(Vec<Entry>),
    /// Something else, by its name: a date, say.
    Other(&'static str),
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as written.
    pub key: String,
    /// The byte of the file at which the key begins.
    pub at: usize,
    /// The value.
    pub node: Node,
}

impl Value {
    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Truth(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

impl Node {
    /// The way to what begins at a byte, as people write it: `mqtt[0].url`. Empty for the root.
    pub fn path_to(&self, at: usize) -> Option<String> {
        if self.at == at {
            return Some(String::new());
        }
        match &self.value {
            Value::Table(entries) => entries.iter().find_map(|entry| {
                let here = (entry.at == at).then(String::new);
                Some(joined(&entry.key, &here.or_else(|| entry.node.path_to(at))?))
            }),
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .find_map(|(index, node)| Some(joined(&format!("[{index}]"), &node.path_to(at)?))),
            Value::Text(_) | Value::Number(_) | Value::Truth(_) | Value::Other(_) => None,
        }
    }
}

fn joined(step: &str, rest: &str) -> String {
    let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{step}{dot}{rest}")
}

/// What is wrong with the syntax, and the byte where it is.
pub type SyntaxError = (usize, String);
