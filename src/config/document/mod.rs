//! Documents: what a file says, before a dialect decides what it means. TOML, JSON and
//! YAML end in one tree of values, each with its place; `fields` reads it key by key.

pub(crate) mod fields;
pub mod json;
pub mod toml;
pub mod uci;
pub mod untyped;
pub mod yaml;

use crate::config::Place;

/// Deepest nesting accepted; a configuration needs five levels.
const DEPTH_MAX: usize = 32;

/// The text of a document, and its name in faults.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name, usually a path.
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

    /// Where the text of a node begins: after its quotes, or in a block of lines. Shift it to get a
    /// place in the text; that is exact unless the lines before were escaped, folded or joined.
    #[must_use]
    pub fn inside(&self, node: &Node) -> Place {
        let rest = self.text.get(node.at..).unwrap_or_default();
        let Value::Text(text) = &node.value else { return self.place(node.at) };
        let filled = text.trim_start_matches('\n');
        // In a block, leading empty lines belong to the text.
        if rest.starts_with(filled.lines().next().unwrap_or_default()) {
            let above = text.len() - filled.len();
            return match self.place(node.at) {
                Place::File { file, line, column, way } => {
                    Place::File { file, line: line.saturating_sub(above).max(1), column, way }
                }
                name @ Place::Name(_) => name,
            };
        }
        let quotes = ["\"\"\"", "\'\'\'", "\"", "\'"];
        let quote = quotes.into_iter().find(|quote| rest.starts_with(quote)).map_or(0, str::len);
        // TOML drops a line break right after three quotes.
        let line = if quote == 3 { rest[quote..].find('\n').filter(|end| *end < 2) } else { None };
        self.place(node.at + quote + line.map_or(0, |end| end + 1))
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
    /// A number, as written: faults show it that way.
    Number(String),
    /// `true` or `false`.
    Truth(bool),
    /// Values in order.
    List(Vec<Node>),
    /// Keys and their values, in the order of the file.
    Table(Vec<Entry>),
    /// The value that stands for none.
    Null,
    /// A value of YAML with a tag: `!ref name`.
    Tagged(Box<Tagged>),
    /// Something else, by its name: a date, say.
    Other(&'static str),
}

/// A tag, and the value behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagged {
    /// The tag, with its exclamation mark.
    pub tag: String,
    /// The value.
    pub node: Node,
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
            Value::Null => "null",
            Value::Tagged(_) => "a value with a tag",
            Value::Other(kind) => kind,
        }
    }
}

impl Node {
    /// The keys that lead to what begins at a byte: `mqtt[0].url`. Empty for the root.
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
            Value::Tagged(tagged) => tagged.node.path_to(at),
            Value::Text(_) | Value::Number(_) | Value::Truth(_) | Value::Null | Value::Other(_) => {
                None
            }
        }
    }
}

fn joined(step: &str, rest: &str) -> String {
    let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{step}{dot}{rest}")
}

/// What is wrong with the syntax, and the byte where it is.
pub type SyntaxError = (usize, String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_inside_a_text_is_one_of_the_file() {
        for (text, at, wanted) in [
            ("a = 'one'", (1, 2), "f:1:7"),
            ("a = \"one\"", (1, 1), "f:1:6"),
            ("a = \'\'\'\none\ntwo\'\'\'", (2, 2), "f:3:2"),
            ("a = \"\"\"\r\none\n\"\"\"", (1, 3), "f:2:3"),
            ("a = \"\"\"one\"\"\"", (1, 1), "f:1:8"),
            ("a = 7", (1, 1), "f:1:5"),
        ] {
            let Value::Table(entries) = toml::parse(text).unwrap().value else { panic!("a table") };
            let place = Source { name: "f", text }.inside(&entries[0].node);
            assert_eq!(place.shifted(at.0, at.1).to_string(), wanted, "{text}");
        }
        let json = json::parse("[\"one\"]").unwrap();
        let Value::List(nodes) = &json.value else { panic!("a list") };
        let source = Source { name: "f", text: "[\"one\"]" };
        assert_eq!(source.inside(&nodes[0]).to_string(), "f:1:3");
    }
}
