//! Folders of YAML files with resources, several in a file if need be.

use super::component::Component;
use super::items::{Values, written};
use super::resiliency::Policies;
use super::secrets::{self, Store, Stores};
use super::settings::Settings;
use super::subscription::{self, Declared};
use super::{broker, configuration};
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Node, Source, Value, yaml};
use crate::config::whole::Part;
use crate::config::{Dapr, Place, PubSub, Surroundings, suggest};
use crate::system::plain::plain;
use std::path::Path;

/// The group of Dapr's resources.
const GROUP: &str = "dapr.io";

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Component,
    /// With one route.
    SubscriptionV1,
    /// With rules.
    SubscriptionV2,
    Resiliency,
    Configuration,
}

/// What they are called, and their versions.
const KINDS: [(&str, &[(&str, Kind)]); 4] = [
    ("Component", &[("v1alpha1", Kind::Component)]),
    ("Subscription", &[("v2alpha1", Kind::SubscriptionV2), ("v1alpha1", Kind::SubscriptionV1)]),
    ("Resiliency", &[("v1alpha1", Kind::Resiliency)]),
    ("Configuration", &[("v1alpha1", Kind::Configuration)]),
];

/// What Kubernetes knows of everything beside its name and namespace.
const METADATA: [&str; 11] = [
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// A resource that is for this application.
pub(super) struct Document<'a> {
    pub(super) source: Source<'a>,
    pub(super) node: &'a Node,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) name_at: usize,
}

impl Document<'_> {
    /// Its keys; those of every resource are read already.
    pub(super) fn fields<'f>(&'f self, file: &'f File<'f>, what: &'static str) -> Fields<'f> {
        let fields = Fields::new(file, self.node, what);
        fields.has(&["apiVersion"]);
        fields.has(&["kind"]);
        fields.has(&["metadata"]);
        fields.has(&["scopes"]);
        fields
    }

    /// The keys of its `spec`.
    pub(super) fn spec<'f>(&self, top: &Fields<'f>, what: &'static str) -> Option<Fields<'f>> {
        match top.node("spec") {
            Some(node) => Some(Fields::new(top.file, node, what)),
            None => {
                top.file.add(self.node.at, format!("{} needs a `spec`", top.what));
                None
            }
        }
    }
}

/// A file, and what is in it.
struct Loaded {
    name: String,
    text: String,
    documents: Vec<Node>,
}

impl Loaded {
    fn source(&self) -> Source<'_> {
        Source { name: &self.name, text: &self.text }
    }
}

/// What the folders say of the model.
pub(super) fn read(settings: &Settings, around: &Surroundings<'_>) -> Part {
    let mut part = Part { http: settings.http.clone(), ..Part::default() };
    let mut files = Vec::new();
    for (folder, place) in &settings.folders {
        load_folder(folder, place, around, &mut files, &mut part);
    }
    if let Some((name, place)) = &settings.configuration {
        load(name, place, around, &mut files, &mut part);
    }
    if settings.folders.is_empty() {
        let what = "dapr: there are no components, as no resources-path is given";
        part.warnings.push(what.to_owned());
    }
    let mut documents = Vec::new();
    for file in &files {
        for node in &file.documents {
            documents.extend(document(file.source(), node, settings, around, &mut part));
        }
    }
    resources(&documents, settings, around, &mut part);
    part
}

/// Loads the YAML files of a folder.
fn load_folder(
    folder: &str,
    place: &Place,
    around: &Surroundings<'_>,
    files: &mut Vec<Loaded>,
    part: &mut Part,
) {
    let path = match around.path(folder) {
        Ok(path) => path,
        Err(what) => return part.faults.add(place.clone(), what),
    };
    let names = match (around.list)(&path) {
        Ok(names) => names,
        Err(what) => return part.faults.add(place.clone(), what),
    };
    let has = |name: &str, extension: &str| {
        Path::new(name).extension().is_some_and(|found| found == extension)
    };
    for name in names {
        let file = path.join(&name).to_string_lossy().into_owned();
        if has(&name, "yaml") || has(&name, "yml") {
            load(&file, &Place::from(&file[..]), around, files, part);
        } else if has(&name, "json") {
            let what = "only YAML is read, .yaml or .yml";
            part.warnings.push(format!("config: {}: {what}", plain(&file)));
        }
    }
}

/// Loads a file; `place` is where it is named.
fn load(
    name: &str,
    place: &Place,
    around: &Surroundings<'_>,
    files: &mut Vec<Loaded>,
    part: &mut Part,
) {
    let text = match (around.read)(Path::new(name)) {
        Ok(Some(text)) => text,
        Ok(None) => return part.faults.add(place.clone(), format!("there is no file {name}")),
        Err(what) => return part.faults.add(place.clone(), what),
    };
    // Some editors write a byte order mark first.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    match yaml::parse(&text) {
        Ok(documents) => files.push(Loaded { name: name.to_owned(), text, documents }),
        Err((at, what)) => part.faults.add(Source { name, text: &text }.place(at), what),
    }
}

/// A resource, if it means something here and is for this application.
fn document<'a>(
    source: Source<'a>,
    node: &'a Node,
    settings: &Settings,
    around: &'a Surroundings<'a>,
    part: &mut Part,
) -> Option<Document<'a>> {
    if matches!(node.value, Value::Null) {
        return None;
    }
    let file = File::new(source, None, around);
    let top = Fields::new(&file, node, "a resource");
    let is_table = matches!(node.value, Value::Table(_));
    let kind = if is_table { kind(source, &top, &mut part.warnings) } else { None };
    let document = kind.and_then(|kind| {
        let (name, name_at, namespace) = metadata(source, &top, kind, &mut part.warnings);
        let is_here = !settings.has_namespace
            || namespace.is_none_or(|namespace| namespace == settings.namespace);
        let is_ours = scopes(source, &top, &settings.app_id);
        (is_here && is_ours).then_some(Document { source, node, kind, name, name_at })
    });
    part.faults.0.extend(file.faults().0);
    document
}

/// What a resource is, or nothing with a fault or a warning.
fn kind(source: Source<'_>, top: &Fields<'_>, warnings: &mut Vec<String>) -> Option<Kind> {
    let text = |key| match top.node(key) {
        None | Some(Node { value: Value::Null, .. }) => {
            let like = "such as `apiVersion: dapr.io/v1alpha1` and `kind: Component`";
            top.file.add(top.at, format!("a resource needs `{key}`, {like}"));
            None
        }
        Some(node) => Some((top.file.keep(node.at, written(source, node)).flatten()?, node.at)),
    };
    let ((api, api_at), (kind, kind_at)) = text("apiVersion").zip(text("kind"))?;
    let (group, version) = api.split_once('/').unwrap_or(("", &api));
    let known = KINDS.iter().find(|(name, _)| *name == kind);
    match known {
        Some((_, versions)) => {
            let found = versions.iter().find(|(known, _)| group == GROUP && *known == version);
            if found.is_none() {
                let names = versions.iter().map(|(known, _)| format!("`{GROUP}/{known}`"));
                let names = names.collect::<Vec<_>>().join(" or ");
                top.file.add(api_at, format!("the `apiVersion` of a {kind} is {names}"));
            }
            found.map(|(_, kind)| *kind)
        }
        None => {
            let names = KINDS.iter().map(|(name, _)| *name);
            match suggest::nearest(&kind, names).filter(|_| group == GROUP) {
                Some(meant) => {
                    top.file.add(
                        kind_at,
                        format!("there is no kind `{kind}`; did you mean `{meant}`?"),
                    );
                }
                None => {
                    let place = source.place(kind_at);
                    let (api, kind) = (plain(&api), plain(&kind));
                    warnings.push(format!("config: {place}: {kind} of {api} means nothing here"));
                }
            }
            None
        }
    }
}

/// Its name, where that is, and its namespace.
fn metadata(
    source: Source<'_>,
    top: &Fields<'_>,
    kind: Kind,
    warnings: &mut Vec<String>,
) -> (String, usize, Option<String>) {
    let must = kind == Kind::Component;
    let Some(node) = top.node("metadata") else {
        if must {
            top.file.add(top.at, "a Component needs `metadata` with a `name`");
        }
        return (String::new(), top.at, None);
    };
    let fields = Fields::new(top.file, node, "`metadata`");
    let text = |key| {
        let node = fields.node(key)?;
        Some((top.file.keep(node.at, written(source, node)).flatten()?, node.at))
    };
    let (name, namespace) = (text("name"), text("namespace"));
    for entry in fields.others() {
        if !METADATA.contains(&&entry.key[..]) {
            let known = METADATA.into_iter().chain(["name", "namespace"]);
            let hint = match suggest::nearest(&entry.key, known) {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => String::new(),
            };
            let (place, key) = (source.place(entry.at), plain(&entry.key));
            warnings.push(format!("config: {place}: `{key}` has no effect here{hint}"));
        }
    }
    let (name, at) = name.unwrap_or((String::new(), node.at));
    if must && matches!(node.value, Value::Table(_)) {
        if name.is_empty() {
            top.file.add(at, "a Component needs a `name` in its `metadata`");
        } else if matches!(&name[..], "." | "..") || name.contains(['/', '%']) {
            top.file
                .add(at, "the name of a component has no `/` and no `%`, and is not `.` or `..`");
        } else if name.chars().any(char::is_control) {
            top.file.add(at, "the name of a component is one line");
        }
    }
    (name, at, namespace.map(|(name, _)| name))
}

/// Whether a resource is for an application: it is for all if it names none.
fn scopes(source: Source<'_>, top: &Fields<'_>, app: &str) -> bool {
    let Some(node) = top.node("scopes") else { return true };
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        Value::Null => return true,
        other => {
            top.file.add(node.at, format!("`scopes` is a list of app ids, not {}", other.kind()));
            return true;
        }
    };
    let ids = nodes.iter().filter_map(|node| top.file.keep(node.at, written(source, node)));
    let ids: Vec<String> = ids.flatten().collect();
    ids.is_empty() || ids.iter().any(|id| id == app)
}

/// Everything that the resources say.
fn resources(
    documents: &[Document<'_>],
    settings: &Settings,
    around: &Surroundings<'_>,
    part: &mut Part,
) {
    let of = |kind| documents.iter().filter(move |document| document.kind == kind);
    let components = once(of(Kind::Component).map(|it| Component::read(it, around)), part);
    let mut stores = Stores { all: Vec::new(), around };
    let mut others = Vec::new();
    let (store, rest): (Vec<_>, Vec<_>) = components.into_iter().partition(Component::is_store);
    for component in store {
        // A store cannot have its secrets in a store.
        let mut values = component.values(&Stores { all: Vec::new(), around }, settings);
        let found = secrets::store(&component.kind, component.at, &mut values, around);
        if matches!(found, Store::Other(_)) {
            idle(&component, part);
        } else {
            others.push(component.listed());
        }
        stores.all.push((component.name.clone(), found));
        component.end(Some(values), part);
    }
    let mut components = Vec::new();
    let mut idles = Vec::new();
    for component in rest {
        if !component.is_pubsub() {
            idle(&component, part);
            idles.push((component.name.clone(), component.kind.clone()));
            component.end(None, part);
            continue;
        }
        let mut values: Values<'_> = component.values(&stores, settings);
        let (placed, pubsub) = broker::read(&component, &mut values, settings, around);
        if component.end(Some(values), part) {
            part.brokers.push(placed);
            components.push(pubsub);
        }
    }
    let mut policies = Policies::default();
    of(Kind::Resiliency).for_each(|document| policies.read(document, around, part));
    policies.apply(&mut components, part);
    of(Kind::Configuration).for_each(|document| configuration::read(document, around, part));
    let declared = documents
        .iter()
        .filter(|it| matches!(it.kind, Kind::SubscriptionV1 | Kind::SubscriptionV2));
    let declared = declared.filter_map(|document| subscription::read(document, around, part));
    let declared: Vec<Declared> = declared.collect();
    let subscriptions = subscription::check(declared, &components, &idles, part);
    part.dapr = Some(dapr(settings, components, others, subscriptions));
}

fn dapr(
    settings: &Settings,
    components: Vec<PubSub>,
    others: Vec<crate::config::Component>,
    subscriptions: Vec<crate::config::Subscription>,
) -> Dapr {
    Dapr {
        app_id: settings.app_id.clone(),
        namespace: settings.namespace.clone(),
        head_bytes_max: settings.head_bytes_max,
        app: settings.app.clone(),
        components,
        others,
        subscriptions,
    }
}

/// The components, each name once.
fn once<'a>(all: impl Iterator<Item = Component<'a>>, part: &mut Part) -> Vec<Component<'a>> {
    let mut found: Vec<Component<'a>> = Vec::new();
    for component in all {
        match found.iter().find(|known| !known.name.is_empty() && known.name == component.name) {
            Some(first) => {
                let what =
                    format!("there is another component `{}`, at {}", first.name, first.place);
                part.faults.add(component.place.clone(), what);
            }
            None => found.push(component),
        }
    }
    found
}

/// Warns of a component of another type.
fn idle(component: &Component<'_>, part: &mut Part) {
    if component.kind.is_empty() {
        return;
    }
    let (name, kind) = (plain(&component.name), plain(&component.kind));
    let place = component.source.place(component.at);
    part.warnings
        .push(format!("config: {place}: the component {name} is left out: {kind} is not offered"));
}
