//! How services of Connectware are: the state of each resource, the one that it is to have, and
//! why it has another.
//!
//! Nothing is noted for this anywhere: a resource is as its sessions are. What it reads from is a
//! source with a session, and what it publishes to is a sink. People see it in `/status`, on the
//! page, and on the status topic of a service.

use crate::config::{Commissioned, PublishRule, Resource, ResourceKind};
use crate::system::health::{Health, Session, Snapshot, Table, Tally};
use serde::Serialize;
use std::time::{Instant, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a session says before its first attempt.
const NOT_YET: &str = "not connected yet";

/// A service in the document of `/status`.
#[derive(Serialize)]
pub struct ServiceReport<'a> {
    id: &'a str,
    state: &'static str,
    resources: Vec<ResourceReport<'a>>,
}

/// A resource in that document, and on a status topic.
#[derive(Serialize)]
pub struct ResourceReport<'a> {
    /// Its id: `valve4-flow`.
    pub id: &'a str,
    #[serde(rename = "type")]
    kind: String,
    expected: &'static str,
    /// The state that it has.
    pub actual: &'static str,
    since: Option<String>,
    /// Why that is not the one expected.
    pub reason: String,
    /// Rules that messages have not passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleReport<'a>>,
}

#[derive(Serialize)]
struct RuleReport<'a> {
    rule: &'a str,
    stopped: u32,
    failed: u32,
}

/// How a resource is, since when, and why.
type State = (&'static str, Option<Instant>, String);

/// How all of them are.
#[must_use]
pub fn services<'a>(
    services: &'a [Commissioned],
    snapshot: &'a Snapshot,
    now: Instant,
) -> Vec<ServiceReport<'a>> {
    let service = |service: &'a Commissioned| {
        let mut resources = resources(service, snapshot, now);
        resources.iter_mut().for_each(|it| it.rules = rules(it.id, snapshot));
        let state = match () {
            () if resources.iter().any(|it| it.actual != it.expected) => "deviated",
            () if service.is_disabled() => "disabled",
            () => "enabled",
        };
        ServiceReport { id: &service.id, state, resources }
    };
    services.iter().map(service).collect()
}

/// How the resources of a service are.
#[must_use]
pub fn resources<'a>(
    service: &'a Commissioned,
    snapshot: &Snapshot,
    now: Instant,
) -> Vec<ResourceReport<'a>> {
    service.resources.iter().map(|it| resource(it, snapshot, now)).collect()
}

/// Has people see them on the page, if there are any.
pub fn show(all: &[Commissioned], health: &Health) {
    if all.is_empty() {
        return;
    }
    let (all, seen) = (all.to_vec(), health.weak());
    health.shows(move || {
        let snapshot = seen().map(|health| health.snapshot()).unwrap_or_default();
        let reports = services(&all, &snapshot, Instant::now());
        let row = |it: ResourceReport<'_>| {
            let since = it.since.unwrap_or_default();
            [it.id, &it.kind, it.expected, it.actual, &since, &it.reason].map(str::to_owned).into()
        };
        let rows = |it: ServiceReport<'_>| match it.resources.is_empty() {
            true => vec![[it.id, "service", it.state, it.state, "", ""].map(str::to_owned).into()],
            false => it.resources.into_iter().map(row).collect::<Vec<_>>(),
        };
        Table {
            title: "Services",
            columns: &["Resource", "Kind", "Expected", "State", "Since", "Why"],
            rows: reports.into_iter().flat_map(rows).collect(),
        }
    });
}

fn resource<'a>(resource: &'a Resource, snapshot: &Snapshot, now: Instant) -> ResourceReport<'a> {
    let Resource { id, kind, is_wanted, trouble, reads, writes, .. } = resource;
    let (on, off) = match kind {
        ResourceKind::Connection => ("connected", "disconnected"),
        ResourceKind::Endpoint | ResourceKind::Mapping => ("enabled", "disabled"),
    };
    let (actual, since, reason) = match is_wanted {
        false => (off, None, String::new()),
        true if !trouble.is_empty() => (off, None, trouble.clone()),
        true => {
            let mut states = reads.iter().map(|name| reading(*kind, name, snapshot));
            let mut others = writes.iter().map(|name| writing(*kind, name, snapshot));
            // The first that is wrong, or when the last became right.
            let mut since = None;
            let mut wrong = |state: Option<State>| match state {
                Some(("", at, _)) => {
                    since = since.max(at);
                    None
                }
                other => other,
            };
            let found = states.find_map(&mut wrong).or_else(|| others.find_map(&mut wrong));
            found.unwrap_or((on, since, String::new()))
        }
    };
    let expected = if *is_wanted { on } else { off };
    let since = since.and_then(|since| wall_clock(now.saturating_duration_since(since)));
    let (kind, rules) = (kind.to_string(), Vec::new());
    ResourceReport { id, kind, expected, actual, since, reason, rules }
}

/// What has not passed the rules of a resource.
fn rules<'a>(id: &str, snapshot: &'a Snapshot) -> Vec<RuleReport<'a>> {
    let is_of = |rule: &str| rule.strip_prefix(id).is_some_and(|rest| rest.starts_with([',', '[']));
    let tallies = snapshot.rules.iter().filter(|it| is_of(&it.rule));
    let report = |it: &'a Tally| {
        let [stopped, failed] = it.counts();
        RuleReport { rule: &it.rule, stopped, failed }
    };
    tallies.map(report).filter(|it| it.stopped > 0 || it.failed > 0).collect()
}

/// The time that was so long ago, in whole seconds.
fn wall_clock(ago: std::time::Duration) -> Option<String> {
    let then = OffsetDateTime::from(SystemTime::now().checked_sub(ago)?);
    then.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

/// How the session is that reads from a broker; "" is as it should be.
fn reading(kind: ResourceKind, name: &str, snapshot: &Snapshot) -> Option<State> {
    let (_, session) = snapshot.sessions.iter().find(|(known, _)| known == name)?;
    let Session { connected, subscriptions_ready, error, since, .. } = session;
    let (state, reason) = match (kind, connected) {
        (_, true) if *subscriptions_ready => ("", String::new()),
        (ResourceKind::Connection, true) => ("", String::new()),
        (ResourceKind::Connection, false) => {
            let state = if error == NOT_YET { "connecting" } else { "reconnecting" };
            (state, error.clone())
        }
        (_, true) => ("error", error.clone()),
        (_, false) => ("disabled", format!("{name}: {error}")),
    };
    Some((state, *since, reason))
}

/// How the session is that publishes to a broker; "" is as it should be.
fn writing(kind: ResourceKind, name: &str, snapshot: &Snapshot) -> Option<State> {
    let sink = PublishRule::sink_name(name);
    let (_, sink) = snapshot.sinks.iter().find(|(known, _)| *known == sink)?;
    let (state, reason) = match kind {
        ResourceKind::Connection if sink.error == NOT_YET => ("connecting", sink.error.clone()),
        _ if sink.failing_since.is_none() && sink.error != NOT_YET => ("", String::new()),
        ResourceKind::Connection => ("reconnecting", sink.error.clone()),
        ResourceKind::Endpoint | ResourceKind::Mapping => {
            ("error", format!("{name}: {}", sink.error))
        }
    };
    Some((state, sink.since, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

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
        health.sink("mqtt fresh", |it| it.error = NOT_YET.to_owned());
        let snapshot = health.snapshot();
        use ResourceKind::{Connection, Endpoint, Mapping};
        for (kind, is_wanted, reads, writes, wanted) in [
            (Connection, true, "up", "", ("connected", "connected", "")),
            (Connection, true, "half", "", ("connected", "connected", "")),
            (Connection, true, "new", "", ("connected", "connecting", NOT_YET)),
            (Connection, true, "down", "", ("connected", "reconnecting", "no route")),
            (Connection, true, "", "out", ("connected", "reconnecting", "gone")),
            (Connection, true, "", "fresh", ("connected", "connecting", NOT_YET)),
            (Mapping, true, "up", "fresh", ("enabled", "error", "fresh: not connected yet")),
            (Connection, false, "down", "", ("disconnected", "disconnected", "")),
            (Endpoint, true, "up", "fine", ("enabled", "enabled", "")),
            (Endpoint, true, "half", "", ("enabled", "error", "refused")),
            (Mapping, true, "up down", "", ("enabled", "disabled", "down: no route")),
            (Mapping, true, "up", "out", ("enabled", "error", "out: gone")),
            (Mapping, false, "", "", ("disabled", "disabled", "")),
        ] {
            let it = resource_of(kind, is_wanted, reads, writes);
            let found = resource(&it, &snapshot, Instant::now());
            let known = found.since.is_some();
            let found = (found.expected, found.actual, found.reason.as_str());
            assert_eq!(found, wanted, "{kind} {reads} {writes}");
            assert_eq!(known, is_wanted, "{kind} {reads} {writes}");
        }
    }

    #[test]
    fn a_state_is_as_old_as_what_it_comes_from() {
        let health = Health::default();
        health.session("up", |it| (it.connected, it.subscriptions_ready) = (true, true));
        let since = health.snapshot().sessions[0].1.since.unwrap();
        health.session("up", |it| it.error = "a word".to_owned());
        assert_eq!(health.snapshot().sessions[0].1.since, Some(since), "nothing has changed");
        let it = resource_of(ResourceKind::Endpoint, true, "up", "");
        let at = |later| resource(&it, &health.snapshot(), since + Duration::from_secs(later));
        let [now, later] = [0, 7_200].map(|later| at(later).since.unwrap());
        assert!(later < now && later.ends_with('Z') && !later.contains('.'), "{later} {now}");
    }

    #[test]
    fn rules_that_stopped_something_are_listed_with_their_resource() {
        let health = Health::default();
        let tallies = ["s-a, rule 1", "s-ab, rule 1", "s-m[0], rule 1", "s-m[1], rule 1"];
        let tallies = tallies.map(|rule| Tally::new(rule.to_owned()));
        tallies.iter().for_each(|it| it.stopped.store(7, Ordering::Relaxed));
        tallies[3].stopped.store(0, Ordering::Relaxed);
        health.rules(tallies.into());
        let snapshot = health.snapshot();
        let names = |id| rules(id, &snapshot).iter().map(|it| it.rule).collect::<Vec<_>>();
        assert_eq!(names("s-a"), ["s-a, rule 1"]);
        assert_eq!(names("s-m"), ["s-m[0], rule 1"]);
    }

    #[test]
    fn what_is_shown_does_not_keep_the_board() {
        let health = Health::default();
        let it = Commissioned { id: "s".to_owned(), file: String::new(), resources: Vec::new() };
        show(&[it], &health);
        assert_eq!(health.tables()[0].rows[0][0], "s");
        let weak = health.weak();
        drop(health);
        assert!(weak().is_none(), "a reload leaves nothing behind");
    }

    #[test]
    fn a_service_is_disabled_if_nothing_of_it_is_to_work() {
        let state = |resources: Vec<Resource>| {
            let it = Commissioned { id: "s".to_owned(), file: String::new(), resources };
            services(&[it], &Snapshot::default(), Instant::now())[0].state
        };
        let one = |is_wanted| resource_of(ResourceKind::Mapping, is_wanted, "", "");
        assert_eq!(state(Vec::new()), "disabled");
        assert_eq!(state(vec![one(false)]), "disabled");
        assert_eq!(state(vec![one(false), one(true)]), "enabled");
    }
}
