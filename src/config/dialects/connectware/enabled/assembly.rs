//! What a service becomes: brokers with rules, and a list of its resources for people.

use super::endpoint::{Endpoint, Way};
use super::mapping::{Inlet, Mapping};
use super::names;
use super::resource::{Kind, Reading, Resource};
use super::rules;
use super::topics::Filter;
use crate::config::dialects::connectware::Wanted;
use crate::config::document::fields::File;
use crate::config::routes::{self, Leg};
use crate::config::whole::{Part, Placed};
use crate::config::{
    Broker, Commissioned, Place, PublishRule, Qos, ResourceKind, Rule, Shape, StatusFormat,
    StatusTopic, Step, Target, Version,
};
use crate::topic::{self, TopicTemplate};
use std::sync::Arc;
use std::time::Duration;

/// Largest packet, in bytes: payloads of a megabyte fit, with their topics.
const PACKET_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Behind the id of a service: its session at the internal broker.
const INTERNAL: &str = "ilagent";

/// One way of messages.
struct Route {
    /// The number of its resource.
    resource: usize,
    /// The number of the connection that they come from; the internal broker without one.
    from: Option<usize>,
    /// With the group of a shared subscription.
    filter: String,
    qos: Qos,
    /// The number of the connection that they go to.
    to: Option<usize>,
    topic: TopicTemplate,
    qos_out: Qos,
    retain: bool,
    shape: Option<Box<Shape>>,
    /// Whether they may end on the way.
    may_stop: bool,
    /// Where it says where they go.
    at: usize,
}

/// A connection that routes lead from and to.
struct Outside {
    number: usize,
    broker: Broker,
    is_wanted: bool,
    at: usize,
    id_at: usize,
}

/// What a service becomes, while it is read.
pub(super) struct Assembly {
    service: String,
    root: String,
    file: String,
    place: Place,
    internal: Broker,
    connections: Vec<Outside>,
    routes: Vec<Route>,
    /// By the number of a resource: whether it is wanted.
    wanted: Vec<bool>,
    resources: Vec<crate::config::Resource>,
}

impl Assembly {
    pub(super) fn new(service: String, wanted: &Wanted, place: Place) -> Self {
        let mut internal = wanted.internal.clone();
        internal.name = names::resource_id(&service, INTERNAL);
        internal.client_id.clone_from(&internal.name);
        internal.out_client_id = None;
        internal.clean = wanted.internal_clean;
        internal.rules = Vec::new();
        let status = |topic: &String| StatusTopic {
            topic: topic.clone(),
            format: StatusFormat::Text,
            service: None,
        };
        internal.status = wanted.status_topic.as_ref().map(status);
        Assembly {
            root: names::root(&service),
            service,
            file: wanted.file.clone(),
            place,
            internal,
            connections: Vec::new(),
            routes: Vec::new(),
            wanted: Vec::new(),
            resources: Vec::new(),
        }
    }

    /// Where the topics of the service begin.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The id of a resource.
    pub(super) fn id_of(&self, name: &str) -> String {
        names::resource_id(&self.service, name)
    }

    /// Takes the connections, and the endpoints that are wanted.
    pub(super) fn add_endpoints(&mut self, reading: &Reading<'_, '_>) {
        for (number, resource) in reading.resources.iter().enumerate() {
            let mut is_wanted = true;
            match &resource.kind {
                Kind::Connection(Some(found)) => {
                    is_wanted = found.is_wanted;
                    self.connections.push(Outside {
                        number,
                        broker: found.broker.clone(),
                        is_wanted,
                        at: resource.at,
                        id_at: found.id_at,
                    });
                }
                Kind::Endpoint(Some(found)) => {
                    is_wanted = found.is_wanted;
                    if is_wanted {
                        self.add_endpoint(reading, number, resource, found);
                    }
                }
                Kind::Connection(None)
                | Kind::Endpoint(None)
                | Kind::Mapping
                | Kind::Skipped
                | Kind::Unknown => (),
            }
            self.wanted.push(is_wanted);
        }
    }

    fn add_endpoint(
        &mut self,
        reading: &Reading<'_, '_>,
        number: usize,
        resource: &Resource,
        found: &Endpoint,
    ) {
        let inside = found.topic_inside();
        let outside = Some(found.connection);
        let (filter, group, to) = match &found.filter {
            Some(Filter { filter, group, .. }) => (filter.clone(), group.clone(), inside),
            None => (inside, None, found.topic.clone()),
        };
        // What it subscribes to has no captures, and its topics have no places for any.
        let source = Filter { filter, names: Vec::new(), group };
        let Some(topic) = reading.file.keep(found.at, source.literal(&to)) else { return };
        let is_in = found.way == Way::In;
        let (qos, qos_out) = match found.way {
            Way::In => (found.qos, found.qos_inside()),
            Way::Out => (found.qos_inside(), found.qos),
        };
        self.routes.push(Route {
            resource: number,
            from: outside.filter(|_| is_in),
            shape: shape(&resource.id, &found.steps, None, Vec::new()),
            filter: source.sent(),
            qos,
            to: outside.filter(|_| !is_in),
            topic,
            qos_out,
            retain: found.retain,
            may_stop: rules::may_stop(&found.steps),
            at: found.at,
        });
    }

    /// Takes the mappings of a resource.
    pub(super) fn add_mappings(
        &mut self,
        reading: &Reading<'_, '_>,
        number: usize,
        mappings: Vec<Mapping>,
        is_wanted: bool,
    ) {
        self.wanted[number] = is_wanted;
        if !is_wanted {
            return;
        }
        for (index, Mapping { from, to, steps }) in mappings.into_iter().enumerate() {
            let name = format!("{}[{index}]", reading.resources[number].id);
            for Inlet { connection, filter, qos, label, topic } in from {
                self.routes.push(Route {
                    resource: number,
                    from: connection,
                    shape: shape(&name, &steps, label, filter.captures()),
                    filter: filter.sent(),
                    qos,
                    to: to.connection,
                    topic,
                    qos_out: to.qos,
                    retain: to.retain,
                    may_stop: rules::may_stop(&steps),
                    at: to.at,
                });
            }
        }
    }

    /// Lists the resources for people, and drops the routes over connections that are not wanted.
    pub(super) fn list(&mut self, reading: &Reading<'_, '_>) {
        for (number, resource) in reading.resources.iter().enumerate() {
            let kind = match resource.kind {
                Kind::Connection(_) => ResourceKind::Connection,
                Kind::Endpoint(_) => ResourceKind::Endpoint,
                Kind::Mapping => ResourceKind::Mapping,
                Kind::Skipped | Kind::Unknown => continue,
            };
            let listed = self.listed(reading, number, resource, kind);
            self.resources.push(listed);
        }
        let is_cut = |at: Option<usize>| at.is_some_and(|at| !self.wanted[at]);
        let kept: Vec<bool> =
            self.routes.iter().map(|it| !is_cut(it.from) && !is_cut(it.to)).collect();
        let mut kept = kept.into_iter();
        self.routes.retain(|_| kept.next().unwrap_or(true));
    }

    fn listed(
        &self,
        reading: &Reading<'_, '_>,
        number: usize,
        resource: &Resource,
        kind: ResourceKind,
    ) -> crate::config::Resource {
        let name = |at: Option<usize>| match at {
            Some(at) => reading.resources[at].id.clone(),
            None => self.internal.name.clone(),
        };
        let mut listed = crate::config::Resource {
            id: resource.id.clone(),
            kind,
            is_wanted: self.wanted[number],
            trouble: String::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            routes: Vec::new(),
        };
        for route in self.routes.iter().filter(|route| route.resource == number) {
            let ends = [route.from, route.to];
            if let Some(cut) = ends.into_iter().flatten().find(|at| !self.wanted[*at]) {
                listed.trouble = format!("{} is to be disconnected", reading.resources[cut].id);
            }
            let (from, to) = (name(route.from), name(route.to));
            let (filter, topic) = (&route.filter, route.topic.as_str());
            listed.routes.push(format!("{filter} at {from} → {topic} at {to}"));
            add(&mut listed.reads, from);
            add(&mut listed.writes, to);
        }
        if let Kind::Connection(Some(found)) = &resource.kind {
            let Broker { host, port, .. } = &found.broker;
            listed.routes.push(format!("{host}:{port}"));
            // Those of its sessions that there are.
            add(&mut listed.reads, resource.id.clone());
            add(&mut listed.writes, resource.id.clone());
        }
        listed
    }

    /// The brokers with their rules.
    pub(super) fn built(mut self, file: &File<'_>) -> Part {
        let mut part = Part::default();
        let resources = std::mem::take(&mut self.resources);
        let mut rules: Vec<(Option<usize>, &Route, Rule)> = Vec::new();
        for route in &self.routes {
            let to = self.name_of(route.to);
            let rule = PublishRule {
                to,
                topic: route.topic.clone(),
                qos: Some(route.qos_out),
                retain: Some(route.retain),
                shape: route.shape.clone(),
            };
            let to = Target::Publish(Box::new(rule));
            rules.push((
                route.from,
                route,
                Rule { filter: route.filter.clone(), qos: route.qos, to },
            ));
        }
        let mut taken = Vec::new();
        let it = Commissioned { id: self.service.clone(), file: self.file.clone(), resources };
        let is_inside = self.routes.iter().any(|it| it.from.is_none() || it.to.is_none());
        if is_inside || self.internal.status.is_some() {
            let mut broker = self.internal.clone();
            if let Some(status) = &mut broker.status {
                status.service = Some(it.clone());
            }
            broker.rules = of(&rules, None);
            taken.extend(of_routes(&rules, None));
            self.finish(file, &mut broker, None, &mut part);
            let place = self.place.clone();
            part.brokers.push(placed(broker, true, place.clone(), place));
        }
        for outside in &self.connections {
            let mut broker = outside.broker.clone();
            broker.rules = of(&rules, Some(outside.number));
            taken.extend(of_routes(&rules, Some(outside.number)));
            self.finish(file, &mut broker, Some(outside.number), &mut part);
            let (name, id) = (file.place(outside.at), file.place(outside.id_at));
            part.brokers.push(placed(broker, outside.is_wanted, name, id));
        }
        loops(file, &part.brokers, &taken, &mut part.warnings);
        part.services.push(listed(it, self.place));
        part
    }

    fn name_of(&self, number: Option<usize>) -> String {
        let outside = self.connections.iter().find(|it| Some(it.number) == number);
        outside.map_or_else(|| self.internal.name.clone(), |it| it.broker.name.clone())
    }

    /// How messages are taken in, and under which ids.
    fn finish(&self, file: &File<'_>, broker: &mut Broker, number: Option<usize>, part: &mut Part) {
        broker.packet_bytes_max = broker.packet_bytes_max.max(PACKET_BYTES_MAX);
        let is_published_to = self.routes.iter().any(|route| route.to == number);
        if broker.rules.is_empty() {
            broker.out_client_id = Some(broker.client_id.clone());
        } else if !is_published_to {
            broker.out_client_id = None;
        }
        // A session that ends with its connection, and a message that nobody acknowledges, come
        // once: they are kept here.
        broker.buffer = broker.clean || broker.rules.iter().any(|it| it.qos == Qos::AtMostOnce);
        if broker.window.is_some() {
            // What waits is stored, and so is what follows, so that it is not faster.
            (broker.buffer, broker.hold) = (true, Duration::ZERO);
        }
        let rules = &broker.rules;
        let cross = |one: &Rule, other: &Rule| {
            topic::overlap(&one.filter, &other.filter)
                && !topic::covers(&one.filter, &other.filter)
                && !topic::covers(&other.filter, &one.filter)
        };
        let has_cross = |at: usize| rules[..at].iter().any(|it| cross(&rules[at], it));
        if rules.iter().any(|it| !group(&it.filter).is_empty()) || (0..rules.len()).any(has_cross) {
            broker.version = Version::V5;
        }
        self.check_groups(file, number, part);
    }

    /// A copy for one group does not say that it is for that one.
    fn check_groups(&self, file: &File<'_>, number: Option<usize>, part: &mut Part) {
        let routes: Vec<&Route> = self.routes.iter().filter(|it| it.from == number).collect();
        for (at, route) in routes.iter().enumerate() {
            let differs = |other: &&&Route| {
                let [one, other] = [&route.filter, &other.filter];
                let both = [one, other].map(|it| topic::unshared(it));
                group(one) != group(other) && topic::overlap(both[0], both[1])
            };
            if routes[..at].iter().any(|other| differs(&other)) {
                let what = "another filter of this connection matches the same topics and is shared \
                            with another group, or with none: make two connections";
                part.faults.add(file.place(route.at), what);
            }
        }
    }
}

/// What makes a filter one of a group; empty without one.
fn group(filter: &str) -> &str {
    &filter[..filter.len() - topic::unshared(filter).len()]
}

fn add(all: &mut Vec<String>, name: String) {
    if !all.contains(&name) {
        all.push(name);
    }
}

/// A service for the list of them.
pub(super) fn listed(it: Commissioned, place: Place) -> Placed<Commissioned> {
    Placed { it, is_enabled: true, name: place.clone(), id: place, needs: Vec::new() }
}

/// The rules of one source.
fn of(rules: &[(Option<usize>, &Route, Rule)], from: Option<usize>) -> Vec<Rule> {
    rules.iter().filter(|(at, ..)| *at == from).map(|(_, _, rule)| rule.clone()).collect()
}

/// What belongs to them, in the same order.
fn of_routes<'r>(
    rules: &[(Option<usize>, &'r Route, Rule)],
    from: Option<usize>,
) -> Vec<&'r Route> {
    rules.iter().filter(|(at, ..)| *at == from).map(|(_, route, _)| *route).collect()
}

fn placed(it: Broker, is_enabled: bool, name: Place, id: Place) -> Placed<Broker> {
    Placed { it, is_enabled, name, id, needs: Vec::new() }
}

fn shape(
    name: &str,
    steps: &[Step],
    label: Option<TopicTemplate>,
    captures: Vec<(String, usize)>,
) -> Option<Box<Shape>> {
    let shape = || Shape { name: name.to_owned(), steps: Arc::from(steps), label, captures };
    (!steps.is_empty()).then(shape).map(Box::new)
}

/// Notes routes whose messages may come back to them: of one route alone a fault, unless a rule may
/// end it, and over several a warning.
fn loops(
    file: &File<'_>,
    brokers: &[Placed<Broker>],
    taken: &[&Route],
    warnings: &mut Vec<String>,
) {
    let places: Vec<Place> = taken.iter().map(|route| file.place(route.at)).collect();
    let mut legs = Vec::new();
    for placed in brokers {
        for number in 0..placed.it.rules.len() {
            let place = &places[legs.len()];
            legs.push(Leg { from: Some(&placed.it), rules: &placed.it.rules, number, place });
        }
    }
    let all: Vec<&Broker> = brokers.iter().map(|placed| &placed.it).collect();
    for (way, words) in routes::ways_round(&legs, &all) {
        let route = taken[way[0]];
        match way.as_slice() {
            [_] if !route.may_stop => file.add(route.at, words),
            _ => warnings.push(format!("config: {}: {words}", file.place(route.at))),
        }
    }
}
