//! What names stand for: `!ref name` and `!sub 'text ${name}'`, replaced by values before anything
//! else looks at them.
//!
//! A value that came through a name has the place of the tag, because that is what a person has to
//! change; where it came from is added to a fault. A value that cannot be found is a fault already:
//! it is replaced by [`UNKNOWN`], about which nobody complains again.

use crate::config::document::fields::File;
use crate::config::document::{Entry, Node, Tagged, Value};
use crate::config::{Broker, Place, suggest};
use crate::system::plain::plain;
use std::cell::{Cell, RefCell};

/// Most values that all names of a file may stand for: a few lines could ask for more memory than
/// there is.
const VALUES_MAX: usize = 100_000;

/// Most characters that all texts with names in them may have together.
const SUBSTITUTED_MAX: usize = 1 << 20;

/// A value that is a fault already.
const UNKNOWN: Value = Value::Other("unknown");

/// The keys in whose values globals are replaced without a tag, as Cybus' own examples need it.
const BARE_KEYS: [&str; 2] = ["topic", "label"];

/// Whether a value is a fault already.
pub(super) fn is_unknown(node: &Node) -> bool {
    node.value == UNKNOWN
}

/// Everything that has a name.
pub(super) struct Names<'f> {
    file: &'f File<'f>,
    /// The id of the service, once it is known.
    service: RefCell<Option<String>>,
    /// Parameters and their values.
    parameters: Vec<Entry>,
    definitions: &'f [Entry],
    resources: Vec<String>,
    globals: Vec<(&'static str, Value)>,
    /// The values of definitions, in their order, once they are known.
    known: RefCell<Vec<Option<Node>>>,
    /// Those that are being looked for, in order.
    open: RefCell<Vec<String>>,
    /// The resources that values at these bytes refer to.
    referred: RefCell<Marks>,
    /// Where values at these bytes came from.
    origins: RefCell<Marks>,
    used: RefCell<Vec<String>>,
    warnings: RefCell<Vec<String>>,
    room: Cell<usize>,
    characters: Cell<usize>,
}

/// Words about values, by the bytes at which they stand, in that order.
#[derive(Default)]
struct Marks(Vec<(usize, String)>);

impl Marks {
    fn find(&self, at: usize) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(&at))
    }

    fn get(&self, at: usize) -> Option<String> {
        self.find(at).ok().map(|place| self.0[place].1.clone())
    }

    fn put(&mut self, at: usize, words: Option<String>) {
        match (self.find(at), words) {
            (Ok(place), Some(words)) => self.0[place].1 = words,
            (Ok(place), None) => _ = self.0.remove(place),
            (Err(place), Some(words)) => self.0.insert(place, (at, words)),
            (Err(_), None) => (),
        }
    }
}

impl<'f> Names<'f> {
    pub(super) fn new(
        file: &'f File<'f>,
        parameters: Vec<Entry>,
        definitions: &'f [Entry],
        resources: Vec<String>,
        internal: &Broker,
    ) -> Self {
        let text = |text: &str| Value::Text(text.to_owned());
        let password = internal.password.as_ref().map_or("", |secret| secret.expose());
        let globals = vec![
            ("Cybus::MqttHost", text(&internal.host)),
            ("Cybus::MqttPort", Value::Number(internal.port.to_string())),
            ("Cybus::MqttUser", text(internal.username.as_deref().unwrap_or_default())),
            ("Cybus::MqttPassword", text(password)),
        ];
        Names {
            file,
            service: RefCell::default(),
            parameters,
            definitions,
            resources,
            globals,
            known: RefCell::new(vec![None; definitions.len()]),
            open: RefCell::default(),
            referred: RefCell::default(),
            origins: RefCell::default(),
            used: RefCell::default(),
            warnings: RefCell::default(),
            room: Cell::new(VALUES_MAX),
            characters: Cell::new(SUBSTITUTED_MAX),
        }
    }

    /// The id of the service, which is made of a name that may refer to parameters.
    pub(super) fn of_service(&self, id: &str) {
        self.service.replace(Some(id.to_owned()));
    }

    /// Looks at all definitions, those that nothing uses included.
    pub(super) fn check_definitions(&self) {
        for (number, entry) in self.definitions.iter().enumerate() {
            self.definition(number, entry.node.at);
        }
    }

    /// A value with everything in it that has a name.
    pub(super) fn resolve(&self, node: &Node) -> Node {
        self.value_of(node, "")
    }

    /// The resource that a value refers to.
    pub(super) fn resource_at(&self, at: usize) -> Option<String> {
        self.referred.borrow().get(at)
    }

    /// Where the value at a byte came from, if not from there.
    pub(super) fn origin_at(&self, at: usize) -> Option<String> {
        self.origins.borrow().get(at)
    }

    /// The places of values that came from elsewhere, and where that is.
    pub(super) fn origins(&self) -> Vec<(Place, String)> {
        let origins = self.origins.borrow();
        origins.0.iter().map(|(at, words)| (self.file.place(*at), words.clone())).collect()
    }

    /// Names that something refers to.
    pub(super) fn used(&self) -> Vec<String> {
        self.used.borrow().clone()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    fn value_of(&self, node: &Node, key: &str) -> Node {
        let Some(room) = self.room.get().checked_sub(1) else {
            return self.fault(node.at, "the names of this file stand for too much".to_owned());
        };
        self.room.set(room);
        let value = match &node.value {
            Value::Tagged(tagged) => return self.tagged(tagged, node.at),
            Value::Text(text) if text.contains("${") => return self.bare(text, node.at, key),
            Value::List(nodes) => {
                Value::List(nodes.iter().map(|node| self.value_of(node, key)).collect())
            }
            Value::Table(entries) => {
                let entry = |entry: &Entry| Entry {
                    key: entry.key.clone(),
                    at: entry.at,
                    node: self.value_of(&entry.node, &entry.key),
                };
                Value::Table(entries.iter().map(entry).collect())
            }
            other => other.clone(),
        };
        Node { at: node.at, value }
    }

    fn tagged(&self, tagged: &Tagged, at: usize) -> Node {
        let Tagged { tag, node } = tagged;
        match (tag.as_str(), &node.value) {
            ("!ref", Value::Text(name)) => self.referred(name, at),
            ("!sub", Value::Text(text)) => self.substituted(text, at),
            ("!sub", Value::Number(text)) => Node { at, value: Value::Text(text.clone()) },
            ("!ref", _) => self.fault(at, "`!ref` is followed by a name".to_owned()),
            ("!sub", _) => self.fault(at, "`!sub` is followed by a text".to_owned()),
            ("!merge", _) => {
                let what = "`!merge` is not supported; write the keys out, or refer to a whole \
                            definition with `!ref`";
                self.fault(at, what.to_owned())
            }
            (other, _) => {
                let what = format!("there is no tag `{}`; use `!ref` or `!sub`", plain(other));
                self.fault(at, what)
            }
        }
    }

    /// `!ref name`.
    fn referred(&self, name: &str, at: usize) -> Node {
        match self.find(name, at) {
            Ok(Some(found)) => {
                let from = match self.file.place(found.at) {
                    Place::File { file, line, column, .. } => format!("{file}:{line}:{column}"),
                    Place::Name(name) => name,
                };
                let further = self.origin_at(found.at);
                if let Some(resource) = self.resource_at(found.at) {
                    self.referred.borrow_mut().put(at, Some(resource));
                }
                // A resource or a global comes from no other place.
                if found.at != at {
                    let words = further.unwrap_or_else(|| format!("`{name}`, {from}"));
                    self.origins.borrow_mut().put(at, Some(words));
                }
                Node { at, value: found.value }
            }
            Ok(None) => Node { at, value: UNKNOWN },
            Err(what) => self.fault(at, what),
        }
    }

    /// What a name stands for; nothing if that is a fault already.
    fn find(&self, name: &str, at: usize) -> Result<Option<Node>, String> {
        self.used.borrow_mut().push(name.to_owned());
        if let Some(Entry { node, .. }) = self.parameters.iter().find(|it| it.key == name) {
            return Ok((!is_unknown(node)).then(|| node.clone()));
        }
        let service = self.service.borrow();
        let of_service = match name {
            "Cybus::ServiceId" => Some(service.clone()),
            "Cybus::MqttRoot" => Some(service.as_deref().map(root)),
            _ if self.resources.iter().any(|known| known == name) => {
                self.referred.borrow_mut().put(at, Some(name.to_owned()));
                Some(service.as_deref().map(|id| resource_id(id, name)))
            }
            _ => None,
        };
        if let Some(text) = of_service {
            let text =
                text.ok_or("the name of a service is there before its id and its resources")?;
            return Ok(Some(Node { at, value: Value::Text(text) }));
        }
        if let Some((_, value)) = self.globals.iter().find(|(known, _)| *known == name) {
            return Ok(Some(Node { at, value: value.clone() }));
        }
        if let Some(number) = self.definitions.iter().position(|entry| entry.key == name) {
            return Ok(self.definition(number, at));
        }
        Err(self.nothing_of(name))
    }

    fn nothing_of(&self, name: &str) -> String {
        let parameters = self.parameters.iter().map(|entry| entry.key.as_str());
        let definitions = self.definitions.iter().map(|entry| entry.key.as_str());
        let resources = self.resources.iter().map(String::as_str);
        let globals = self.globals.iter().map(|(name, _)| *name);
        let globals = globals.chain(["Cybus::ServiceId", "Cybus::MqttRoot"]);
        let all = parameters.chain(definitions).chain(resources).chain(globals);
        let hint = match suggest::nearest(name, all) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => String::new(),
        };
        format!("there is nothing of the name `{}`{hint}", plain(name))
    }

    /// The value of a definition; nothing if that is a fault already.
    fn definition(&self, number: usize, at: usize) -> Option<Node> {
        let Entry { key: name, node, .. } = &self.definitions[number];
        let known = self.known.borrow()[number].clone();
        if known.is_none() {
            let from = self.open.borrow().iter().position(|open| open == name);
            if let Some(from) = from {
                let chain =
                    [&self.open.borrow()[from..], std::slice::from_ref(name)].concat().join(" → ");
                self.file.add(at, format!("these definitions refer to one another: {chain}"));
                return None;
            }
        }
        let found = known.unwrap_or_else(|| {
            self.open.borrow_mut().push(name.clone());
            let node = self.value_of(node, "");
            self.open.borrow_mut().pop();
            self.known.borrow_mut()[number] = Some(node.clone());
            node
        });
        (!is_unknown(&found)).then_some(found)
    }

    /// `!sub 'text ${name}'`.
    fn substituted(&self, text: &str, at: usize) -> Node {
        let mut made = String::new();
        let (mut rest, mut is_known) = (text, true);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                made.push_str(before);
                made.push_str("${");
                rest = after;
                continue;
            }
            made.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                return self.fault(at, "a `}` is missing behind `${`".to_owned());
            };
            match self.find(name.trim(), at) {
                Ok(Some(found)) => match as_text(&found.value) {
                    Some(value) => made.push_str(&value),
                    None => {
                        let what = format!(
                            "`{name}` is {}; a text needs a text, a number or a truth",
                            found.value.kind()
                        );
                        is_known = self.fault(at, what).value != UNKNOWN;
                    }
                },
                Ok(None) => is_known = false,
                Err(what) => is_known = self.fault(at, what).value != UNKNOWN,
            }
            rest = after;
        }
        made.push_str(rest);
        let Some(left) = self.characters.get().checked_sub(made.len()) else {
            return self.fault(at, "the texts of this file become too long".to_owned());
        };
        self.characters.set(left);
        // It is no reference to a resource, whatever names it holds.
        self.referred.borrow_mut().put(at, None);
        Node { at, value: if is_known { Value::Text(made) } else { UNKNOWN } }
    }

    /// A text without a tag, in which only globals of a topic or a label are replaced.
    fn bare(&self, text: &str, at: usize, key: &str) -> Node {
        let is_global = BARE_KEYS.contains(&key) && text.contains("${Cybus::");
        if is_global {
            return self.substituted(text, at);
        }
        if text.contains("${CYBUS_") {
            let what = "there are no variables such as ${CYBUS_MQTT_ROOT} here; write \
                        !sub '${Cybus::MqttRoot}'";
            return self.fault(at, what.to_owned());
        }
        let place = self.file.place(at);
        let words = format!(
            "config: {place}: `${{` in a text without a tag means nothing; did you mean !sub?"
        );
        self.warnings.borrow_mut().push(words);
        Node { at, value: Value::Text(text.to_owned()) }
    }

    fn fault(&self, at: usize, what: String) -> Node {
        self.file.add(at, what);
        Node { at, value: UNKNOWN }
    }
}

/// The id of a resource: `valve4-flow`.
pub(super) fn resource_id(service: &str, name: &str) -> String {
    format!("{service}-{name}")
}

/// Where the topics of a service begin.
pub(super) fn root(service: &str) -> String {
    format!("services/{service}")
}

/// A value in a text, as JSON writes it.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Truth(truth) => Some(truth.to_string()),
        Value::List(_) | Value::Table(_) | Value::Null | Value::Tagged(_) | Value::Other(_) => None,
    }
}
