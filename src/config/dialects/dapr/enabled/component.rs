//! One component, as its document says: a broker, a secret store, or something else.

use super::folder::Document;
use super::items::{self, Item, Values, written};
use super::secrets::Stores;
use super::settings::Settings;
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Node, Source, Value};
use crate::config::values;
use crate::config::whole::Part;
use crate::config::{Component as Listed, Faults, Place, Surroundings};

/// The only version that there is.
const VERSION: &str = "v1";

/// A component before what it refers to is looked up.
pub(super) struct Component<'a> {
    pub(super) source: Source<'a>,
    pub(super) name: String,
    /// Where its name is.
    pub(super) place: Place,
    /// Its type, and where that is.
    pub(super) kind: String,
    pub(super) at: usize,
    items: Vec<Item>,
    store: Option<(String, usize)>,
    /// Its faults are warnings, and it is left out.
    ignores: bool,
    faults: Faults,
    warnings: Vec<String>,
}

impl<'a> Component<'a> {
    pub(super) fn read(document: &Document<'a>, around: &'a Surroundings<'a>) -> Self {
        let file = File::new(document.source, None, around);
        let top = document.fields(&file, "a Component");
        let store = top.node("auth").and_then(|node| store(document.source, &file, node));
        let mut warnings = Vec::new();
        let spec = document.spec(&top, "the `spec` of a Component");
        let mut component = Component {
            source: document.source,
            name: document.name.clone(),
            place: document.source.place(document.name_at),
            kind: String::new(),
            at: document.node.at,
            items: Vec::new(),
            store,
            ignores: false,
            faults: Faults::default(),
            warnings: Vec::new(),
        };
        if let Some(spec) = &spec {
            component.of_spec(spec, &mut warnings);
        }
        top.end();
        component.faults = file.faults();
        component.warnings = warnings;
        component
    }

    fn of_spec(&mut self, spec: &Fields<'_>, warnings: &mut Vec<String>) {
        self.at = spec.place("type");
        spec.text("type", &mut |text| {
            self.kind = values::filled(text)?;
            Ok(())
        });
        if !spec.has(&["type"]) {
            spec.file.add(spec.at, "a Component needs a `type`, such as pubsub.mqtt");
        }
        let version = spec.node("version").map(|node| (written(self.source, node), node.at));
        if let Some((Ok(Some(version)), at)) = version
            && !version.is_empty()
            && version != VERSION
        {
            spec.file.add(at, format!("the version of a component is {VERSION}, not `{version}`"));
        }
        // We connect in the background, however long it takes.
        spec.node("initTimeout");
        self.ignores = spec.node("ignoreErrors").is_some_and(|node| {
            let text = spec.file.keep(node.at, written(self.source, node)).flatten();
            let truth = text.map_or(Ok(false), |text| super::broker::truth(&text));
            spec.file.keep(node.at, truth).unwrap_or(false)
        });
        self.items = items::read(self.source, spec, warnings);
        spec.end();
    }

    /// What its metadata says, with what that refers to.
    pub(super) fn values(&self, stores: &Stores<'_>, settings: &Settings) -> Values<'a> {
        Values::resolve(
            (self.source, &self.name),
            &self.items,
            self.store.as_ref(),
            stores,
            settings,
        )
    }

    /// Adds what is wrong with it to `part`; `false` if it has to be left out.
    pub(super) fn end(self, values: Option<Values<'_>>, part: &mut Part) -> bool {
        let (mut faults, mut warnings) = (self.faults, self.warnings);
        if let Some(values) = values {
            faults.0.extend(values.faults.0);
            warnings.extend(values.warnings);
        }
        if self.ignores && !faults.0.is_empty() {
            warnings.extend(faults.0.iter().map(|fault| format!("config: {fault}")));
            let name = crate::system::plain::plain(&self.name);
            warnings
                .push(format!("config: the component {name} is left out: `ignoreErrors` is true"));
            part.warnings.extend(warnings);
            return false;
        }
        part.faults.0.extend(faults.0);
        part.warnings.extend(warnings);
        true
    }

    /// What clients see of it.
    pub(super) fn listed(&self) -> Listed {
        Listed { name: self.name.clone(), kind: self.kind.clone(), version: VERSION.to_owned() }
    }

    pub(super) fn is_pubsub(&self) -> bool {
        matches!(&self.kind[..], super::broker::MQTT | super::broker::MQTT3)
    }

    pub(super) fn is_store(&self) -> bool {
        self.kind.starts_with("secretstores.")
    }
}

/// `auth: {secretStore: …}`.
fn store(source: Source<'_>, file: &File<'_>, node: &Node) -> Option<(String, usize)> {
    if matches!(node.value, Value::Null) {
        return None;
    }
    let fields = Fields::new(file, node, "`auth`");
    let store = fields
        .node("secretStore")
        .and_then(|node| Some((file.keep(node.at, written(source, node)).flatten()?, node.at)));
    fields.end();
    store.filter(|(name, _)| !name.is_empty())
}
