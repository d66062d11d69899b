//! What the environment says in place of the file: `KAPACITOR_MQTT_0_URL`.

use crate::config::document::{Entry, Node, Value};
use crate::config::{Faults, Surroundings};

/// How a variable is read.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Truth,
}

use Kind::{Text, Truth};

const TOP: &[(&str, Kind)] =
    &[("hostname", Text), ("data-dir", Text), ("default-retention-policy", Text)];

const TABLES: [(&str, &[(&str, Kind)]); 4] = [
    (
        "http",
        &[
            ("bind-address", Text),
            ("auth-enabled", Truth),
            ("https-enabled", Truth),
            ("username", Text),
            ("password", Text),
            ("password-file", Text),
        ],
    ),
    ("load", &[("enabled", Truth), ("dir", Text)]),
    (
        "alert",
        &[
            ("persist-topics", Truth),
            ("topic-buffer-length", Text),
            ("missing-fields-recover", Truth),
            ("hold", Text),
        ],
    ),
    ("logging", &[("file", Text), ("level", Text)]),
];

const LISTS: [(&str, &[(&str, Kind)]); 2] = [
    (
        "mqtt",
        &[
            ("enabled", Truth),
            ("name", Text),
            ("default", Truth),
            ("url", Text),
            ("ssl-ca", Text),
            ("ssl-cert", Text),
            ("ssl-key", Text),
            ("insecure-skip-verify", Truth),
            ("client-id", Text),
            ("username", Text),
            ("password", Text),
        ],
    ),
    (
        "udp",
        &[
            ("enabled", Truth),
            ("bind-address", Text),
            ("database", Text),
            ("retention-policy", Text),
        ],
    ),
];

/// Puts what the environment says in place of what the file says. Only what is there can be
/// changed, but without a broker there is one to be changed, which is switched off.
pub(super) fn apply(tree: &mut Node, around: &Surroundings<'_>, faults: &mut Faults) {
    let at = tree.at;
    let Value::Table(entries) = &mut tree.value else { return };
    let mut outside = Outside { around, faults };
    outside.put(entries, at, "KAPACITOR", TOP);
    for (table, keys) in TABLES {
        let mut said = Vec::new();
        let prefix = format!("KAPACITOR_{}", upper(table));
        match entries.iter_mut().find(|entry| entry.key == table) {
            Some(Entry { node: Node { at, value: Value::Table(inside) }, .. }) => {
                outside.put(inside, *at, &prefix, keys);
            }
            Some(_) => (),
            None => outside.put(&mut said, at, &prefix, keys),
        }
        if !said.is_empty() {
            let node = Node { at, value: Value::Table(said) };
            entries.push(Entry { key: table.to_owned(), at, node });
        }
    }
    if !entries.iter().any(|entry| entry.key == "mqtt") {
        let broker = Node { at, value: Value::Table(Vec::new()) };
        let node = Node { at, value: Value::List(vec![broker]) };
        entries.push(Entry { key: "mqtt".to_owned(), at, node });
    }
    for (list, keys) in LISTS {
        let found = entries.iter_mut().find(|entry| entry.key == list);
        let Some(Entry { node: Node { value: Value::List(nodes), .. }, .. }) = found else {
            continue;
        };
        for (index, node) in nodes.iter_mut().enumerate() {
            if let Node { at, value: Value::Table(inside) } = node {
                let prefix = format!("KAPACITOR_{}_{index}", upper(list));
                outside.put(inside, *at, &prefix, keys);
            }
        }
    }
}

struct Outside<'o> {
    around: &'o Surroundings<'o>,
    faults: &'o mut Faults,
}

impl Outside<'_> {
    fn put(&mut self, entries: &mut Vec<Entry>, at: usize, prefix: &str, keys: &[(&str, Kind)]) {
        for (key, kind) in keys {
            let name = format!("{prefix}_{}", upper(key));
            let Some(text) = self.around.variable(&name) else { continue };
            let value = match kind {
                Text => Value::Text(text),
                Truth => match truth(&text) {
                    Some(truth) => Value::Truth(truth),
                    None => {
                        self.faults.add(name, format!("this is true or false, not `{text}`"));
                        continue;
                    }
                },
            };
            let same = |entry: &&mut Entry| entry.key.replace('_', "-") == *key;
            match entries.iter_mut().find(same) {
                Some(entry) => entry.node.value = value,
                None => {
                    entries.push(Entry { key: (*key).to_owned(), at, node: Node { at, value } });
                }
            }
        }
    }
}

/// A truth as Go reads it.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn upper(key: &str) -> String {
    key.to_ascii_uppercase().replace('-', "_")
}
