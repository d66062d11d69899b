//! How services of Connectware are: the state of each resource, the one that it is to have, and
//! why it has another.
//!
//! Nothing is noted for this anywhere: a resource is as its sessions are. What it reads from is a
//! source with a session, and what it publishes to is a sink.

use crate::config::{Commissioned, PublishRule, Resource, ResourceKind};
use crate::system::health::{Health, Session, Snapshot, Table};
use serde::Serialize;

/// What a session says before its first attempt.
const NOT_YET: &str = "not connected yet";

/// A service in the document of `/status`.
#[derive(Serialize)]
pub(super) struct ServiceReport<'a> {
    id: &'a str,
    state: &'static str,
    resources: Vec<ResourceReport<'a>>,
}

#[derive(Serialize)]
struct ResourceReport<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: String,
    expected: &'static str,
    actual: &'static str,
    reason: String,
}

/// How all of them are.
pub(super) fn services<'a>(
    services: &'a [Commissioned],
    snapshot: &Snapshot,
) -> Vec<ServiceReport<'a>> {
    let service = |service: &'a Commissioned| {
        let resources: Vec<_> = service.resources.iter().map(|it| resource(it, snapshot)).collect();
        let deviates = resources.iter().any(|it| it.actual != it.expected);
        let state = if deviates { "deviated" } else { "enabled" };
        ServiceReport { id: &service.id, state, resources }
    };
    services.iter().map(service).collect()
}

/// Has people see them on the page, if there are any.
pub fn show(all: &[Commissioned], health: &Health) {
    if all.is_empty() {
        return;
    }
    let (all, seen) = (all.to_vec(), health.clone());
    health.shows(move || {
        let snapshot = seen.snapshot();
        let rows = services(&all, &snapshot).into_iter().flat_map(|it| it.resources);
        let row = |it: ResourceReport<'_>| {
            vec![it.id.to_owned(), it.kind, it.expected.to_owned(), it.actual.to_owned(), it.reason]
        };
        Table {
            title: "Services",
            columns: &["Resource", "Kind", "Expected", "State", "Why"],
            rows: rows.map(row).collect(),
        }
    });
}

fn resource<'a>(resource: &'a Resource, snapshot: &Snapshot) -> ResourceReport<'a> {
    let Resource { id, kind, is_wanted, trouble, reads, writes, .. } = resource;
    let (on, off) = match kind {
        ResourceKind::Connection => ("connected", "disconnected"),
        ResourceKind::Endpoint | ResourceKind::Mapping => ("enabled", "disabled"),
    };
    let (actual, reason) = match is_wanted {
        false => (off, String::new()),
        true if !trouble.is_empty() => (off, trouble.clone()),
        true => {
            let of_reads = reads.iter().find_map(|name| reads_badly(*kind, name, snapshot));
            let of_writes = || writes.iter().find_map(|name| writes_badly(*kind, name, snapshot));
            of_reads.or_else(of_writes).unwrap_or((on, String::new()))
        }
    };
    let expected = if *is_wanted { on } else { off };
    ResourceReport { id, kind: kind.to_string(), expected, actual, reason }
}

/// What is wrong with the session that reads from a broker.
fn reads_badly(
    kind: ResourceKind,
    name: &str,
    snapshot: &Snapshot,
) -> Option<(&'static str, String)> {
    let (_, session) = snapshot.sessions.iter().find(|(known, _)| known == name)?;
    let Session { connected, subscriptions_ready, error, .. } = session;
    match (kind, connected) {
        (_, true) if *subscriptions_ready => None,
        (ResourceKind::Connection, true) => None,
        (ResourceKind::Connection, false) => {
            let state = if error == NOT_YET { "connecting" } else { "reconnecting" };
            Some((state, error.clone()))
        }
        (_, true) => Some(("error", error.clone())),
        (_, false) => Some(("disabled", format!("{name}: {error}"))),
    }
}

/// What is wrong with the session that publishes to a broker.
fn writes_badly(
    kind: ResourceKind,
    name: &str,
    snapshot: &Snapshot,
) -> Option<(&'static str, String)> {
    let sink = PublishRule::sink_name(name);
    let (_, sink) = snapshot.sinks.iter().find(|(known, _)| *known == sink)?;
    sink.failing_since?;
    Some(match kind {
        ResourceKind::Connection => ("reconnecting", sink.error.clone()),
        ResourceKind::Endpoint | ResourceKind::Mapping => {
            ("error", format!("{name}: {}", sink.error))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn resource_of(kind: ResourceKind, is_wanted: bool, reads: &str, writes: &str) -> Resource {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Resource {
            id: format!("s-{kind}"),
            kind,
            is_wanted,
            trouble: String::new(),
            reads: names(reads),
            writes: names(writes),
            routes: Vec::new(),
        }
    }

    #[test]
    fn a_resource_is_as_its_sessions_are() {
        let health = Health::default();
        health.session("up", |it| (it.connected, it.subscriptions_ready) = (true, true));
        health.session("half", |it| {
            it.connected = true;
            it.error = "refused".to_owned();
        });
        health.session("new", |it| it.error = NOT_YET.to_owned());
        health.session("down", |it| it.error = "no route".to_owned());
        health.sink("mqtt out", |it| {
            it.failing_since = Some(Instant::now());
            it.error = "gone".to_owned();
        });
        let snapshot = health.snapshot();
        use ResourceKind::{Connection, Endpoint, Mapping};
        for (kind, is_wanted, reads, writes, wanted) in [
            (Connection, true, "up", "", ("connected", "connected", "")),
            (Connection, true, "half", "", ("connected", "connected", "")),
            (Connection, true, "new", "", ("connected", "connecting", NOT_YET)),
            (Connection, true, "down", "", ("connected", "reconnecting", "no route")),
            (Connection, true, "", "out", ("connected", "reconnecting", "gone")),
            (Connection, false, "down", "", ("disconnected", "disconnected", "")),
            (Endpoint, true, "up", "fine", ("enabled", "enabled", "")),
            (Endpoint, true, "half", "", ("enabled", "error", "refused")),
            (Mapping, true, "up down", "", ("enabled", "disabled", "down: no route")),
            (Mapping, true, "up", "out", ("enabled", "error", "out: gone")),
            (Mapping, false, "", "", ("disabled", "disabled", "")),
        ] {
            let it = resource_of(kind, is_wanted, reads, writes);
            let found = resource(&it, &snapshot);
            let found = (found.expected, found.actual, found.reason.as_str());
            assert_eq!(found, wanted, "{kind} {reads} {writes}");
        }
    }
}
