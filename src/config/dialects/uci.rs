//! The settings of OpenWrt, in `/etc/config/ilagent` or as `uci export` shows them: the keys of our
//! own dialect, but flat. It becomes the same tree as a file of our own, so everything else is
//! judged there; what is wrong is reported by the name of its option.

use super::native::{self, Syntax};
use crate::config::Faults;
use crate::config::document::fields::File;
use crate::config::document::uci::{self, Section, Setting, Word};
use crate::config::document::{Entry, Node, Source, SyntaxError, Value};
use crate::config::surroundings::Surroundings;
use crate::config::whole::{Checked, Part};
use std::path::Path;

/// Where settings are on a router, and how copies of them end.
const PLACE: &str = "/etc/config/";
const ENDING: &str = ".uci";

/// Sections of which there is one, with the name of their type.
const ONE_OF_A_KIND: [&str; 5] = ["ilert", "event", "queue", "http", "kapacitor"];

/// What stands in a section for OpenWrt alone.
const MAIN: [&str; 4] = ["enabled", "log_level", "interface", "config_file"];

/// What becomes of an option of which there may be several, and its key.
const SEVERAL: [(&str, &str, Several); 12] = [
    ("topic", "topic", Several::Texts),
    ("to", "to", Several::Texts),
    ("delivered", "delivered", Several::Texts),
    ("later", "later", Several::Texts),
    ("never", "never", Several::Texts),
    ("routing_key", "routing_keys", Several::Texts),
    ("label", "labels", Several::Pairs),
    ("map_label", "labels", Several::Pairs),
    ("header", "headers", Several::Pairs),
    ("tag", "tags", Several::Pairs),
    ("field", "fields", Several::Pairs),
    ("service", "services", Several::Services),
];

/// Options that are 1 or 0.
const TRUTHS: [&str; 5] =
    ["buffer", "default", "forward_payload", "missing_fields_recover", "retain"];

/// Options whose names begin so are in a table of that name.
const GROUPS: [&str; 2] = ["map", "filter"];

/// What `storage` means by a word.
const RAM: &str = "/var/lib";
const FLASH: &str = "/etc/ilagent/queue/ilagent.db3";
const DATABASE: &str = "/ilagent/ilagent.db3";

#[derive(Clone, Copy)]
enum Several {
    Texts,
    /// `name=text` each.
    Pairs,
    /// `alias=NAME` or `id=NUMBER` each.
    Services,
}

/// Whether a file of this name has settings of OpenWrt.
#[must_use]
pub fn is_one(name: &str) -> bool {
    name.starts_with(PLACE) || name.ends_with(ENDING)
}

/// Turns the text of settings into the model, or the file that `config_file` names instead. What the
/// command line says `beside` it wins.
///
/// # Errors
///
/// Every fault, with file, line and column, and the names of section and option.
pub fn read(
    name: &str,
    text: &str,
    mut beside: Part,
    around: &Surroundings<'_>,
) -> Result<Checked, Faults> {
    let source = Source { name, text };
    let found = uci::parse(text).map(|sections| Found::of(&sections));
    let found = match found {
        Ok(found) => found,
        Err((at, what)) => {
            beside.faults.add(source.place(at), what);
            return Err(beside.faults);
        }
    };
    let names = |at| found.name(at);
    let file = File::new(source, Some(&names), around);
    found.faults.iter().for_each(|(at, what)| file.add(*at, what.as_str()));
    let Some((at, own)) = &found.own else { return native::finish(&file, &found.tree, beside) };
    beside.faults.0.extend(file.faults().0);
    if beside.faults.0.is_empty() {
        match owners(own, around) {
            Ok(text) => return native::read(own, &text, Syntax::of(own, &text), beside, around),
            Err(what) => beside.faults.add(file.place(*at), what),
        }
    }
    Err(beside.faults)
}

/// The text of the owner's file.
fn owners(name: &str, around: &Surroundings<'_>) -> Result<String, String> {
    (around.read)(Path::new(name))?.ok_or_else(|| format!("there is no file {name}"))
}

/// The same settings as a tree of our own dialect.
///
/// # Errors
///
/// What is no line of UCI. Faults of sections and options are left out.
pub fn tree(text: &str) -> Result<Node, SyntaxError> {
    uci::parse(text).map(|sections| Found::of(&sections).tree)
}

/// What settings say.
struct Found {
    tree: Node,
    faults: Vec<SyntaxError>,
    /// Where sections and options begin, and their names.
    names: Vec<Word>,
    /// The owner's file.
    own: Option<Word>,
}

impl Found {
    fn of(sections: &[Section]) -> Self {
        let tree = Node { at: 0, value: Value::Null };
        let mut found = Found { tree, faults: Vec::new(), names: Vec::new(), own: None };
        found.note_names(sections);
        let mut top = Vec::new();
        let (mut brokers, mut webhooks, mut journals) = (Vec::new(), Vec::new(), Vec::new());
        for section in sections {
            match section.kind.as_str() {
                "ilagent" => found.main(section),
                "subscription" => found.belongs(section, sections),
                "broker" => brokers.extend(found.broker(section, sections)),
                "webhook" => webhooks.extend(found.named(section)),
                "journal" => journals.extend(found.journal(section)),
                kind if !ONE_OF_A_KIND.contains(&kind) => {
                    found.add(section.at, format!("there is no type of section `{kind}`"));
                }
                kind if section.name != kind => found.misnamed(section, kind),
                "queue" => (),
                kind => {
                    let table = found.enabled(section).then(|| found.table(section, &[]));
                    top.extend(table.map(|entries| entry(kind, section.at, Value::Table(entries))));
                }
            }
        }
        top.push(found.queue(sections));
        top.push(entry("mqtt", 0, Value::List(brokers)));
        top.push(entry("webhook", 0, Value::List(webhooks)));
        let files = entry("file", 0, Value::List(journals));
        top.push(entry("sink", 0, Value::Table(vec![files])));
        found.tree.value = Value::Table(top);
        found
    }

    fn note_names(&mut self, sections: &[Section]) {
        for section in sections {
            self.names.push((section.at, section.name.clone()));
            let option = |it: &Setting| (it.at, format!("{}.{}", section.name, it.name));
            self.names.extend(section.settings.iter().map(option));
        }
        // Sections of one name are joined.
        self.names.sort_unstable();
    }

    /// The name of the section or option in which a byte is.
    fn name(&self, at: usize) -> String {
        let after = self.names.partition_point(|(begin, _)| *begin <= at);
        self.names[..after].last().map_or_else(String::new, |(_, name)| name.clone())
    }

    fn add(&mut self, at: usize, what: String) {
        self.faults.push((at, what));
    }

    fn misnamed(&mut self, section: &Section, name: &str) {
        let what = format!("a section of type {} has to be called {name}", section.kind);
        self.add(section.at, what);
    }

    /// `config ilagent 'main'`, which is for the init script.
    fn main(&mut self, section: &Section) {
        if section.name != "main" {
            return self.misnamed(section, "main");
        }
        self.enabled(section);
        for setting in &section.settings {
            if !MAIN.contains(&setting.name.as_str()) {
                self.add(setting.at, "there is no such option".to_owned());
            }
        }
        if let Some((at, level)) = section.value("log_level")
            && !["error", "warn", "info", "debug"].contains(&level.as_str())
        {
            self.add(*at, format!("`{level}` is not error, warn, info or debug"));
        }
        self.own = section.value("config_file").cloned();
    }

    /// Whether a section counts; notes what is neither yes nor no.
    fn enabled(&mut self, section: &Section) -> bool {
        section.value("enabled").is_none_or(|word| self.truth(word).unwrap_or(false))
    }

    fn truth(&mut self, (at, text): &Word) -> Option<bool> {
        let found = truth(text);
        if found.is_none() {
            self.add(*at, format!("`{text}` is neither 1 nor 0"));
        }
        found
    }

    /// A subscription without its broker would be silently ignored.
    fn belongs(&mut self, section: &Section, sections: &[Section]) {
        if !self.enabled(section) {
            return;
        }
        let is_there =
            |name: &str| sections.iter().any(|it| it.kind == "broker" && it.name == name);
        match section.value("broker") {
            None => self.add(section.at, "a subscription needs a `broker`".to_owned()),
            Some((_, name)) if is_there(name) => (),
            Some((at, name)) => self.add(*at, format!("there is no broker section `{name}`")),
        }
    }

    /// A section that is one of several, under its name.
    fn named(&mut self, section: &Section) -> Option<Node> {
        if !self.enabled(section) {
            return None;
        }
        let mut entries = vec![entry("name", section.at, Value::Text(section.name.clone()))];
        entries.append(&mut self.table(section, &[]));
        Some(Node { at: section.at, value: Value::Table(entries) })
    }

    fn broker(&mut self, section: &Section, sections: &[Section]) -> Option<Node> {
        let mut node = self.named(section)?;
        let mut subscriptions = Vec::new();
        for other in sections.iter().filter(|other| other.kind == "subscription") {
            let is_its = other.value("broker").is_some_and(|(_, name)| *name == section.name);
            let is_on = other.value("enabled").is_none_or(|(_, word)| truth(word) == Some(true));
            if is_its && is_on {
                let table = self.table(other, &["broker"]);
                subscriptions.push(Node { at: other.at, value: Value::Table(table) });
            }
        }
        if let Value::Table(entries) = &mut node.value {
            entries.push(entry("subscription", section.at, Value::List(subscriptions)));
        }
        Some(node)
    }

    fn journal(&mut self, section: &Section) -> Option<Node> {
        if let Some((at, path)) = section.value("path")
            && path.strip_prefix('/').is_none_or(|rest| !rest.contains('/'))
        {
            let what = "is not the whole path of a file, such as /var/log/ilagent/sent";
            self.add(*at, format!("`{path}` {what}"));
        }
        self.named(section)
    }

    /// The queue, whose place is said in words.
    fn queue(&mut self, sections: &[Section]) -> Entry {
        let section = sections.iter().find(|it| it.kind == "queue" && it.name == it.kind);
        let storage = section.and_then(|section| section.value("storage"));
        let at = section.map_or(0, |section| section.at);
        let (place, storage) = storage.map_or((at, "ram"), |(at, text)| (*at, text.as_str()));
        let path = match storage {
            "flash" => FLASH.to_owned(),
            "ram" => format!("{RAM}{DATABASE}"),
            folder if folder.starts_with('/') => {
                format!("{}{DATABASE}", folder.strip_suffix('/').unwrap_or(folder))
            }
            _ => {
                let what = "is neither ram nor flash nor the path of a folder";
                self.add(place, format!("`{storage}` {what}"));
                String::from(FLASH)
            }
        };
        let table = section.map(|section| self.table(section, &["storage"]));
        let mut entries = table.unwrap_or_default();
        entries.push(entry("path", place, Value::Text(path)));
        entry("queue", at, Value::Table(entries))
    }

    /// All options of a section except `others`.
    fn table(&mut self, section: &Section, others: &[&str]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for setting in &section.settings {
            let name = setting.name.as_str();
            if name == "enabled" || others.contains(&name) || setting.values.is_empty() {
                continue;
            }
            let Some((key, value)) = self.value(setting) else { continue };
            let entry =
                Entry { key, at: setting.at, node: Node { at: setting.values[0].0, value } };
            let group = GROUPS
                .iter()
                .find(|group| name.strip_prefix(**group).is_some_and(|rest| rest.starts_with('_')));
            match group {
                Some(group) => join(&mut entries, group, entry),
                None => entries.push(entry),
            }
        }
        entries
    }

    /// The key and the value of an option.
    fn value(&mut self, setting: &Setting) -> Option<(String, Value)> {
        let (name, values) = (setting.name.as_str(), &setting.values);
        if let Some((_, key, how)) = SEVERAL.iter().find(|(option, ..)| *option == name) {
            let value = match how {
                Several::Texts => Value::List(values.iter().map(text).collect()),
                Several::Pairs => Value::Table(self.pairs(values)),
                Several::Services => Value::List(self.services(values)),
            };
            return Some(((*key).to_owned(), value));
        }
        if values.len() > 1 {
            let what = format!("this is one value, and there are {}", values.len());
            self.add(setting.at, what);
            return None;
        }
        let bare = GROUPS.iter().find_map(|group| name.strip_prefix(group)?.strip_prefix('_'));
        let value = match TRUTHS.contains(&name) {
            true => Value::Truth(self.truth(&values[0])?),
            false => Value::Text(values[0].1.clone()),
        };
        Some((bare.unwrap_or(name).to_owned(), value))
    }

    /// `name=text` each.
    fn pairs(&mut self, values: &[Word]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (at, text) in values {
            match text.split_once('=').filter(|(name, _)| !name.is_empty()) {
                None => self.add(*at, format!("`{text}` is not written as name=text")),
                Some((name, _)) if entries.iter().any(|entry| entry.key == name) => {
                    self.add(*at, format!("the name `{name}` is there twice"));
                }
                Some((name, text)) => entries.push(entry(name, *at, Value::Text(text.to_owned()))),
            }
        }
        entries
    }

    fn services(&mut self, values: &[Word]) -> Vec<Node> {
        let mut services = Vec::new();
        for (at, text) in values {
            match text.split_once('=') {
                Some((key @ ("alias" | "id"), name)) if !name.is_empty() => {
                    let entry = entry(key, *at, Value::Text(name.to_owned()));
                    services.push(Node { at: *at, value: Value::Table(vec![entry]) });
                }
                _ => {
                    let what = "is not written as alias=NAME or id=NUMBER";
                    self.add(*at, format!("`{text}` {what}"));
                }
            }
        }
        services
    }
}

/// The ways in which UCI says yes and no.
fn truth(word: &str) -> Option<bool> {
    match word {
        "1" | "on" | "true" | "yes" | "enabled" => Some(true),
        "0" | "off" | "false" | "no" | "disabled" => Some(false),
        _ => None,
    }
}

fn text((at, text): &Word) -> Node {
    Node { at: *at, value: Value::Text(text.clone()) }
}

fn entry(key: &str, at: usize, value: Value) -> Entry {
    Entry { key: key.to_owned(), at, node: Node { at, value } }
}

/// Puts an entry into the table `group`.
fn join(entries: &mut Vec<Entry>, group: &str, more: Entry) {
    let known = entries.iter().position(|entry| entry.key == group);
    let number = known.unwrap_or_else(|| {
        entries.push(entry(group, more.at, Value::Table(Vec::new())));
        entries.len() - 1
    });
    if let Value::Table(table) = &mut entries[number].node.value {
        table.push(more);
    }
}
