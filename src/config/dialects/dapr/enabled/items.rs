//! The metadata of a component: names with values, which may be references.

use super::secrets::{self, Stores};
use super::settings::Settings;
use crate::config::document::fields::Fields;
use crate::config::document::{Node, Source, Value};
use crate::config::{Faults, Place, Surroundings, suggest};
use crate::system::plain::plain;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

/// One line of it, as written.
pub(super) struct Item {
    name: String,
    name_at: usize,
    at: usize,
    given: Given,
}

/// How a value is given.
enum Given {
    Nothing,
    Text(String),
    Variable(String),
    Secret { name: String, key: Option<(String, usize)> },
}

/// Reads the list `metadata` of a `spec`.
pub(super) fn read(source: Source<'_>, spec: &Fields<'_>, warnings: &mut Vec<String>) -> Vec<Item> {
    let list = match spec.node("metadata") {
        Some(Node { at, value: value @ Value::Table(_) }) => {
            spec.file.add(
                *at,
                format!("`metadata` is a list of names and values, not {}", value.kind()),
            );
            return Vec::new();
        }
        _ => spec.tables("metadata", "an item of `metadata`"),
    };
    list.iter().filter_map(|fields| item(source, fields, warnings)).collect()
}

fn item(source: Source<'_>, fields: &Fields<'_>, warnings: &mut Vec<String>) -> Option<Item> {
    let name = fields.node("name").map(|node| (written(source, node), node.at));
    let value = fields.node("value");
    let text = value.and_then(|node| fields.file.keep(node.at, written(source, node)).flatten());
    let variable = fields.node("envRef").and_then(|node| {
        Some((fields.file.keep(node.at, written(source, node)).flatten()?, node.at))
    });
    let secret = fields.node("secretKeyRef").map(|node| secret(source, fields, node));
    fields.end();
    let has_reference = variable.is_some() || secret.is_some();
    let (at, given) = match (text, variable, secret) {
        (Some(text), _, _) if !text.is_empty() || !has_reference => {
            let at = value.map_or(fields.at, |node| node.at);
            if has_reference {
                let place = source.place(at);
                warnings.push(format!("config: {place}: the reference beside this has no effect"));
            }
            (at, Given::Text(text))
        }
        (_, Some((name, at)), _) => (at, Given::Variable(name)),
        (_, None, Some(secret)) => secret?,
        (_, None, None) => (fields.at, Given::Nothing),
    };
    let (name, name_at) = match name {
        Some((Ok(Some(name)), at)) if !name.is_empty() => (name, at),
        Some((_, at)) => {
            fields.file.add(at, "this is a name, such as `url`");
            return None;
        }
        None => {
            fields.file.add(fields.at, "this item needs a `name`");
            return None;
        }
    };
    Some(Item { name, name_at, at, given })
}

/// `{name: …, key: …}`.
fn secret(source: Source<'_>, item: &Fields<'_>, node: &Node) -> Option<(usize, Given)> {
    let fields = Fields::new(item.file, node, "`secretKeyRef`");
    let text = |key| {
        let node = fields.node(key)?;
        Some((fields.file.keep(node.at, written(source, node)).flatten()?, node.at))
    };
    let (name, key) = (text("name"), text("key"));
    fields.end();
    let Some((name, at)) = name else {
        if matches!(node.value, Value::Table(_)) {
            item.file.add(node.at, "this needs the `name` of a secret");
        }
        return None;
    };
    Some((at, Given::Secret { name, key }))
}

/// A value as it is written: a password is not a number because it has digits. `None` is none.
pub(super) fn written(source: Source<'_>, node: &Node) -> Result<Option<String>, String> {
    let rest = source.text.get(node.at..).unwrap_or_default();
    let word = || {
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    match &node.value {
        Value::Text(text) => Ok(Some(text.clone())),
        // Of these the reader keeps what they mean.
        Value::Number(_) if rest.starts_with("0x") || rest.starts_with("0o") => Ok(Some(word())),
        Value::Number(written) => Ok(Some(written.clone())),
        Value::Truth(_) => Ok(Some(word())),
        Value::Null => Ok(None),
        other => Err(format!("this is a text, not {}", other.kind())),
    }
}

/// A value that was found.
pub(super) struct Found {
    pub(super) name: String,
    name_at: usize,
    pub(super) at: usize,
    pub(super) text: String,
    /// Whether it stands in the file itself.
    pub(super) is_written: bool,
    /// Whether it is another one at each start.
    pub(super) is_random: bool,
}

/// The values of a component, by their names in any case.
pub(super) struct Values<'a> {
    pub(super) source: Source<'a>,
    found: Vec<Found>,
    asked: Vec<&'static str>,
    /// Names whose values could not be found, in lower case.
    failed: Vec<String>,
    random: Random,
    /// Whether one of them names the namespace.
    pub(super) has_namespace: bool,
    pub(super) faults: Faults,
    pub(super) warnings: Vec<String>,
}

impl<'a> Values<'a> {
    /// Looks up what they refer to. `store` is the secret store that the component names.
    pub(super) fn resolve(
        (source, component): (Source<'a>, &str),
        items: &[Item],
        store: Option<&(String, usize)>,
        stores: &Stores<'_>,
        settings: &Settings,
    ) -> Self {
        let mut values = Values {
            source,
            found: Vec::new(),
            asked: Vec::new(),
            failed: Vec::new(),
            random: Random { component: component.to_owned(), drawn: 0 },
            has_namespace: false,
            faults: Faults::default(),
            warnings: Vec::new(),
        };
        for item in items {
            values.once(item);
            let is_written = matches!(item.given, Given::Text(_));
            let text = match &item.given {
                Given::Nothing => continue,
                Given::Text(text) => Ok(text.clone()),
                Given::Variable(name) => {
                    secrets::variable(name, stores.around).map_err(|why| (item.at, why))
                }
                Given::Secret { name, key } => {
                    let key = key.as_ref().map_or((&name[..], item.at), |(key, at)| (key, *at));
                    stores.secret(store, (name, item.at), key)
                }
            };
            let is_random = text.as_ref().is_ok_and(|text| text.contains("{uuid}"));
            let text = text.and_then(|text| {
                values.filled(&text, settings, stores.around).map_err(|why| (item.at, why))
            });
            match text {
                Ok(text) => {
                    let (name, name_at, at) = (item.name.clone(), item.name_at, item.at);
                    values.found.push(Found { name, name_at, at, text, is_written, is_random });
                }
                Err((at, what)) => {
                    values.failed.push(item.name.to_ascii_lowercase());
                    if !what.is_empty() {
                        values.faults.add(source.place(at), what);
                    }
                }
            }
        }
        values
    }

    /// Notes a name that is there already.
    fn once(&mut self, item: &Item) {
        let is_same = |found: &&Found| found.name.eq_ignore_ascii_case(&item.name);
        if let Some(first) = self.found.iter().find(is_same) {
            let first = self.source.place(first.name_at);
            let what = format!("`{}` is given already, at {first}", item.name);
            self.faults.add(self.source.place(item.name_at), what);
        }
    }

    /// A value with its tags replaced.
    fn filled(
        &mut self,
        text: &str,
        settings: &Settings,
        around: &Surroundings<'_>,
    ) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, tag) = rest.split_at(start);
            out.push_str(before);
            let (length, value) = match tag {
                _ if tag.starts_with("{uuid}") => (6, self.random.uuid()),
                _ if tag.starts_with("{appID}") => (7, settings.app_id.clone()),
                _ if tag.starts_with("{namespace}") => {
                    self.has_namespace = true;
                    (11, format!("{}.{}", settings.namespace, settings.app_id))
                }
                _ if tag.starts_with("{podName}") => {
                    let name = around.variable("POD_NAME");
                    (9, name.ok_or("`{podName}` stands for POD_NAME, which is not set")?)
                }
                _ => (1, "{".to_owned()),
            };
            out.push_str(&value);
            rest = &tag[length..];
        }
        Ok(out + rest)
    }

    /// The value of a name.
    pub(super) fn find(&mut self, name: &'static str) -> Option<&Found> {
        self.asked.push(name);
        self.found.iter().find(|found| found.name.eq_ignore_ascii_case(name))
    }

    /// Whether there is a value, but it could not be found.
    pub(super) fn has_failed(&self, name: &str) -> bool {
        self.failed.iter().any(|failed| name.eq_ignore_ascii_case(failed))
    }

    /// The place of a value, or of another where there is none.
    pub(super) fn place(&self, name: &str, other: usize) -> Place {
        let found = self.found.iter().find(|found| found.name.eq_ignore_ascii_case(name));
        self.source.place(found.map_or(other, |found| found.at))
    }

    /// Reads a value, if there is one that is not empty, or notes why it cannot be read.
    pub(super) fn read(
        &mut self,
        name: &'static str,
        read: &mut dyn FnMut(&str) -> Result<(), String>,
    ) {
        let Some(found) = self.find(name).filter(|found| !found.text.trim().is_empty()) else {
            return;
        };
        let (at, text) = (found.at, found.text.trim());
        if let Err(what) = read(text) {
            // What does not stand in the file may be a secret in the wrong place.
            let what = if found.is_written { what } else { what.replace(text, "***") };
            self.faults.add(self.source.place(at), what);
        }
    }

    /// Warns at a value.
    pub(super) fn warn(&mut self, at: usize, what: &str) {
        self.warnings.push(format!("config: {}: {what}", self.source.place(at)));
    }

    /// Warns of what nobody asked for; `idle` are names that mean something to Dapr alone.
    pub(super) fn end(&mut self, idle: &[&'static str]) {
        let known: Vec<&str> = self.asked.iter().chain(idle).copied().collect();
        for found in &self.found {
            if self.asked.iter().any(|name| name.eq_ignore_ascii_case(&found.name)) {
                continue;
            }
            let is_idle = idle.iter().any(|name| name.eq_ignore_ascii_case(&found.name));
            let hint = match suggest::nearest(&found.name, known.iter().copied()) {
                Some(meant) if !is_idle => format!("; did you mean `{meant}`?"),
                _ => String::new(),
            };
            let (place, name) = (self.source.place(found.name_at), plain(&found.name));
            self.warnings.push(format!("config: {place}: `{name}` has no effect here{hint}"));
        }
    }
}

/// The random identities of a component: others at each start, the same when a file is read again,
/// so that a reload leaves its sessions alone.
struct Random {
    component: String,
    drawn: u64,
}

impl Random {
    /// The next one, of version 4.
    fn uuid(&mut self) -> String {
        static START: OnceLock<u64> = OnceLock::new();
        let mut hasher = DefaultHasher::new();
        self.drawn += 1;
        (START.get_or_init(|| fastrand::u64(..)), &self.component, self.drawn).hash(&mut hasher);
        let bits = fastrand::Rng::with_seed(hasher.finish()).u128(..);
        let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
        let text = format!("{bits:032x}");
        [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::yaml;

    #[test]
    fn a_value_is_what_is_written() {
        for (text, wanted) in [
            ("0123", Some("0123")),
            ("0x1F", Some("0x1F")),
            ("1_000", Some("1_000")),
            ("1.50", Some("1.50")),
            ("yes", Some("yes")),
            ("True", Some("True")),
            ("n", Some("n")),
            ("'false'", Some("false")),
            ("~", None),
            ("null", None),
            ("", None),
            ("\"\"", Some("")),
        ] {
            let text = format!("a: {text}\n");
            let node = yaml::parse(&text).unwrap().remove(0);
            let Value::Table(entries) = &node.value else { panic!("a table") };
            let found = written(Source { name: "", text: &text }, &entries[0].node);
            assert_eq!(found.unwrap().as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn a_random_identity_has_the_form_of_one() {
        let random = |name: &str| Random { component: name.to_owned(), drawn: 0 };
        let mut first = random("a");
        let (one, other) = (first.uuid(), first.uuid());
        assert_ne!(one, other);
        assert_eq!(one, random("a").uuid(), "it is the same when it is read again");
        assert_ne!(one, random("b").uuid());
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }
}
