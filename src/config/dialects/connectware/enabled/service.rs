//! One service file: from its text to resources, routes and brokers.

use super::assembly::{self, Assembly};
use super::connection;
use super::endpoint::{self, Way};
use super::mapping;
use super::names::Names;
use super::parameters::{self, Parameters};
use super::read;
use super::resource::{Kind, Reading, Resource};
use crate::config::dialects::connectware::Wanted;
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Entry, Node, Source, Value, yaml};
use crate::config::whole::Part;
use crate::config::{Commissioned, Surroundings};
use crate::system::plain::plain;
use std::path::Path;

/// Most characters of the name of a service.
const NAME_MAX: usize = 80;

/// Reads one service file. The values that were taken from outside are added to `taken`.
pub(super) fn read(wanted: &Wanted, around: &Surroundings<'_>, taken: &mut Vec<String>) -> Part {
    let mut part = Part::default();
    let name = &wanted.file;
    if !wanted.is_enabled {
        let id = wanted.id.as_ref().map_or(name, |(id, _)| id).clone();
        let it = Commissioned { id, file: name.clone(), resources: Vec::new() };
        part.services.push(assembly::listed(it, wanted.place.clone()));
        return part;
    }
    let text = match around.path(name).and_then(|path| (around.read)(Path::new(&path))) {
        Ok(Some(text)) => text,
        Ok(None) => {
            part.faults.add(wanted.place.clone(), format!("there is no file {name}"));
            return part;
        }
        Err(why) => {
            part.faults.add(wanted.place.clone(), why);
            return part;
        }
    };
    let source = Source { name, text: text.strip_prefix('\u{feff}').unwrap_or(&text) };
    let documents = match yaml::parse(source.text) {
        Ok(documents) => documents,
        Err((at, what)) => {
            part.faults.add(source.place(at), what);
            return part;
        }
    };
    let file = File::new(source, None, around);
    if let Some(second) = documents.get(1) {
        file.add(second.at, "a service file is one document");
    }
    match documents.first() {
        Some(tree) => part = whole(&file, tree, wanted, around, taken),
        None => file.add(0, "there is nothing in it; a service needs `metadata` and `resources`"),
    }
    part.faults.0.extend(file.faults().0);
    part.warnings.extend(file.warnings());
    part
}

/// Reads all keys of a file.
fn whole(
    file: &File<'_>,
    tree: &Node,
    wanted: &Wanted,
    around: &Surroundings<'_>,
    taken: &mut Vec<String>,
) -> Part {
    let mut part = Part::default();
    let top = Fields::new(file, tree, "a service file");
    top.node("description");
    top.node("version");
    let parameters = entries(&top, "parameters");
    let definitions = entries(&top, "definitions");
    let resources = entries(&top, "resources");
    if !top.has(&["resources"]) {
        file.add(top.at, "a service needs `resources`");
    } else if resources.is_empty() {
        file.add(top.place("resources"), "a service needs a resource at least");
    }
    let metadata = top.node("metadata");
    top.end();
    names_are_different(file, [parameters, definitions, resources]);
    let found = parameters::read(file, parameters, wanted, around);
    let Parameters { values, .. } = &found;
    let known = resources.iter().map(|entry| entry.key.clone()).collect();
    let names = Names::new(file, values.clone(), definitions, known, &wanted.internal);
    let title = title(&top, metadata, &names);
    let id = id(file, metadata, title.as_deref(), wanted, &mut part);
    let service = id.clone().unwrap_or_else(|| "service".to_owned());
    names.of_service(&service);
    names.check_definitions();
    if let Some(node) = metadata {
        description(&Fields::new(file, node, "`metadata`"));
    }
    let place = metadata.and_then(|node| member(node, "name")).map_or(0, |node| node.at);
    let place = wanted.id.as_ref().map_or_else(|| file.place(place), |(_, place)| place.clone());
    let mut assembly = Assembly::new(service, wanted, place);
    resources_of(file, &names, resources, wanted, &mut assembly, &mut part.warnings);
    part.warnings.extend(names.warnings());
    part.warnings.extend(found.unused(file, &names));
    part.warnings.extend(found.warnings);
    part.faults.0.extend(found.faults.0);
    taken.extend(found.taken);
    let origins = names.origins();
    let mut built = assembly.built(file);
    built.faults.0.extend(file.faults().0);
    for fault in &mut built.faults.0 {
        if let Some((_, words)) = origins.iter().find(|(place, _)| *place == fault.place) {
            fault.what = format!("{} ({words})", fault.what);
        }
    }
    part.join(built);
    part
}

/// The entries of a key that holds a map.
fn entries<'f>(top: &Fields<'f>, key: &'static str) -> &'f [Entry] {
    match top.node(key) {
        None => &[],
        Some(Node { value: Value::Table(entries), .. }) => entries,
        Some(node) => {
            if node.value != Value::Null {
                let what = format!("{key} must be a map, not {}", read::kind(&node.value));
                top.file.add(node.at, what);
            }
            &[]
        }
    }
}

/// Parameters, definitions and resources share their names.
fn names_are_different(file: &File<'_>, all: [&[Entry]; 3]) {
    let mut seen: Vec<&str> = Vec::new();
    for entry in all.into_iter().flatten() {
        if seen.contains(&entry.key.as_str()) {
            let what = format!("something else has the name `{}` already", plain(&entry.key));
            file.add(entry.at, what);
        }
        seen.push(&entry.key);
    }
}

/// `metadata.name`, which may refer to parameters and definitions.
fn title(top: &Fields<'_>, metadata: Option<&Node>, names: &Names<'_>) -> Option<String> {
    let file = top.file;
    let Some(metadata) = metadata else {
        file.add(top.at, "a service needs `metadata`, with a `name`");
        return None;
    };
    let Some(node) = member(metadata, "name") else {
        if let Value::Table(_) = metadata.value {
            file.add(metadata.at, "a service needs a `name` in `metadata`");
        }
        return None;
    };
    let node = names.resolve(node);
    let found = match &node.value {
        Value::Text(text) | Value::Number(text) => match text.chars().count() {
            0 => Err("name may not be empty".to_owned()),
            1..=NAME_MAX => Ok(text.clone()),
            _ => Err(format!("name must have at most {NAME_MAX} characters")),
        },
        Value::Other(_) => return None,
        other => Err(format!("name must be a text, not {}", read::kind(other))),
    };
    file.keep(node.at, found)
}

/// The id of the service, given or made of its name.
fn id(
    file: &File<'_>,
    metadata: Option<&Node>,
    title: Option<&str>,
    wanted: &Wanted,
    part: &mut Part,
) -> Option<String> {
    if let Some((id, place)) = &wanted.id {
        if is_name(id) {
            return Some(id.clone());
        }
        let what = "the id of a service has letters, digits, `_` and `.`, and begins with a letter \
                    or a digit";
        part.faults.add(place.clone(), what);
        return None;
    }
    let title = title?;
    let id: String = title.chars().filter(char::is_ascii_alphanumeric).collect();
    if id.is_empty() {
        let at = metadata.and_then(|node| member(node, "name")).map_or(0, |node| node.at);
        let what = "the name needs a letter or a digit, of which the id of the service is made";
        file.add(at, what);
        return None;
    }
    Some(id.to_ascii_lowercase())
}

/// Whether a text can be the name of a resource, or the id of a service.
fn is_name(text: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.chars().all(is_part)
}

/// What `metadata` says to people.
fn description(fields: &Fields<'_>) {
    for key in ["name", "version", "provider", "icon", "homepage"] {
        fields.node(key);
    }
    fields.end();
}

/// Reads all resources: connections first, then endpoints, then mappings, as each may name those
/// before it.
fn resources_of(
    file: &File<'_>,
    names: &Names<'_>,
    entries: &[Entry],
    wanted: &Wanted,
    assembly: &mut Assembly,
    warnings: &mut Vec<String>,
) {
    let trees: Vec<Node> = entries.iter().map(|entry| names.resolve(&entry.node)).collect();
    let mut reading = Reading {
        file,
        names,
        skip_unsupported: wanted.skip_unsupported,
        resources: Vec::new(),
        warnings: Vec::new(),
    };
    let mut properties = Vec::new();
    for (entry, tree) in entries.iter().zip(&trees) {
        let (kind, found) = head(&mut reading, entry, tree);
        let (name, id) = (entry.key.clone(), assembly.id_of(&entry.key));
        reading.resources.push(Resource { name, id, at: entry.at, kind });
        properties.push(found);
    }
    for (number, fields) in properties.iter().enumerate() {
        let Some(fields) = fields else { continue };
        let Resource { id, at, kind: Kind::Connection(_), .. } = &reading.resources[number] else {
            continue;
        };
        let (id, at) = (id.clone(), *at);
        let found = connection::read(&mut reading, (&id, at), fields);
        fields.end();
        reading.resources[number].kind = Kind::Connection(found.map(Box::new));
    }
    for (number, fields) in properties.iter().enumerate() {
        let Some(fields) = fields else { continue };
        let Resource { name, kind: Kind::Endpoint(_), .. } = &reading.resources[number] else {
            continue;
        };
        let name = name.clone();
        let found = endpoint::read(&mut reading, &name, assembly.root(), fields);
        fields.end();
        reading.resources[number].kind = Kind::Endpoint(found);
    }
    endpoints_share_nothing(&mut reading);
    assembly.add_endpoints(&reading);
    for (number, fields) in properties.iter().enumerate() {
        if let (Some(fields), Kind::Mapping) = (fields, &reading.resources[number].kind) {
            let (mappings, is_wanted) = mapping::read(&mut reading, fields);
            assembly.add_mappings(&reading, number, mappings, is_wanted);
        }
    }
    assembly.list(&reading);
    warnings.extend(reading.warnings);
}

/// The kind of a resource, and its properties.
fn head<'t>(
    reading: &mut Reading<'t, '_>,
    entry: &Entry,
    tree: &'t Node,
) -> (Kind, Option<Fields<'t>>) {
    let file = reading.file;
    if !is_name(&entry.key) {
        let what = "the name of a resource has letters, digits, `_` and `.`, and begins with a \
                    letter or a digit";
        file.add(entry.at, what);
    }
    let fields = Fields::new(file, tree, "a resource");
    if !matches!(tree.value, Value::Table(_)) {
        return (Kind::Unknown, None);
    }
    let kind = reading.kind(&fields, entry.at);
    let properties = read::node(&fields, "properties");
    if !fields.has(&["properties"]) && !matches!(kind, Kind::Skipped | Kind::Unknown) {
        file.add(entry.at, "a resource needs `properties`");
    }
    if matches!(kind, Kind::Skipped | Kind::Unknown) {
        return (kind, None);
    }
    fields.end();
    let Some(node) = properties else { return (kind, None) };
    let properties = Fields::new(file, node, "`properties`");
    if !matches!(node.value, Value::Table(_)) {
        return (kind, None);
    }
    if !matches!(kind, Kind::Mapping)
        && let Some(other) = reading.protocol(&properties)
    {
        return (other, None);
    }
    (kind, Some(properties))
}

/// An internal topic is that of one endpoint; several that subscribe may feed one.
fn endpoints_share_nothing(reading: &mut Reading<'_, '_>) {
    let mut seen: Vec<(String, Way)> = Vec::new();
    let mut shared = Vec::new();
    for resource in &reading.resources {
        let Kind::Endpoint(Some(found)) = &resource.kind else { continue };
        if let Some((_, way)) = seen.iter().find(|(topic, _)| *topic == found.internal) {
            shared.push((resource.at, *way == Way::In && found.way == Way::In));
        }
        seen.push((found.internal.clone(), found.way));
    }
    for (at, is_allowed) in shared {
        if is_allowed {
            reading.warn(at, "another endpoint feeds the same internal topic");
        } else {
            reading.file.add(
                at,
                "another endpoint has the same internal topic; give one of them a `topic`",
            );
        }
    }
}

/// The value of a key of what may be a map.
fn member<'n>(node: &'n Node, wanted: &str) -> Option<&'n Node> {
    let Value::Table(entries) = &node.value else { return None };
    entries.iter().find(|entry| entry.key == wanted).map(|entry| &entry.node)
}
