//! The parts of a configuration, checked as a whole.
//!
//! A dialect turns documents, or a command line, into a [`Part`] and notes what is wrong in each of
//! them by itself. What must fit together is checked here, once and for every dialect.

use super::repeats::repeats;
use super::routes::{self, Leg};
use super::{
    Broker, Clients, Cluster, Commissioned, Config, Dapr, Faults, FileSink, Http, Ilert, Kapacitor,
    Place, Qos, Queue, Rule, Sink, Surroundings, Target, Webhook,
};
use crate::system::plain::plain;
use std::path::PathBuf;

/// A configuration without a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What to do.
    pub config: Config,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
}

/// What the documents of one dialect, or a command line, say of the model.
#[derive(Debug, Default)]
pub struct Part {
    /// Brokers.
    pub brokers: Vec<Placed<Broker>>,
    /// Kafka clusters.
    pub clusters: Vec<Placed<Cluster>>,
    /// File sinks.
    pub files: Vec<Placed<FileSink>>,
    /// Webhooks.
    pub webhooks: Vec<Placed<Webhook>>,
    /// HTTP listeners.
    pub http: Vec<Http>,
    /// Tasks that make alerts of points.
    pub kapacitor: Option<Kapacitor>,
    /// Pub/sub of an application that was written for Dapr.
    pub dapr: Option<Dapr>,
    /// Services of Connectware.
    pub services: Vec<Placed<Commissioned>>,
    /// ilert's API. What is empty or missing in it is looked up outside.
    pub ilert: Option<Ilert>,
    /// The queue.
    pub queue: Option<Queue>,
    /// The port of the listener, if it is given apart from the rest; it wins.
    pub port: Option<u16>,
    /// The database file, if it is given apart from the queue; it wins.
    pub database: Option<PathBuf>,
    /// What is wrong in it by itself.
    pub faults: Faults,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
}

impl Part {
    /// Adds another part. Of what there is one of, the one here wins.
    pub fn join(&mut self, other: Part) {
        self.brokers.extend(other.brokers);
        self.clusters.extend(other.clusters);
        self.files.extend(other.files);
        self.webhooks.extend(other.webhooks);
        self.http.extend(other.http);
        self.kapacitor = self.kapacitor.take().or(other.kapacitor);
        self.dapr = self.dapr.take().or(other.dapr);
        self.services.extend(other.services);
        self.ilert = self.ilert.take().or(other.ilert);
        self.queue = self.queue.take().or(other.queue);
        self.port = self.port.or(other.port);
        self.database = self.database.take().or(other.database);
        self.faults.0.extend(other.faults.0);
        self.warnings.extend(other.warnings);
    }
}

/// Something that must fit the rest, and where the text says what must fit.
#[derive(Debug)]
pub struct Placed<T> {
    /// The thing.
    pub it: T,
    /// Whether it is used. What is switched off is checked, and left out.
    pub is_enabled: bool,
    /// Where its name is given.
    pub name: Place,
    /// Where its other identity is given: a client id, a path.
    pub id: Place,
    /// What its rules need.
    pub needs: Vec<Needs>,
}

/// What a rule needs, and where the text says so.
#[derive(Debug)]
pub enum Needs {
    /// A store, unless the broker can wait for an acknowledgement.
    Acknowledged(Qos, Place),
    /// ilert's API key.
    ApiKey(Place),
    /// A Kapacitor, whose tasks evaluate points.
    Tasks(Place),
    /// Somebody who publishes to this broker, which has no subscription.
    Purpose(Place),
    /// The sink that the rule of this number names.
    Sink {
        /// The number of the rule in its source.
        rule: usize,
        /// Where it is named.
        place: Place,
    },
}

/// A dialect's words for what a whole configuration lacks.
#[derive(Debug)]
pub struct Words {
    /// How a QoS of 0 is made safe.
    pub qos_0: &'static str,
    /// How ilert's API key is given.
    pub api_key: &'static str,
    /// What to add when there is nothing to do.
    pub nothing: &'static str,
}

/// Checks that everything fits together. `whole` is the place for a fault of the whole.
///
/// # Errors
///
/// Every fault, those of the part included, in the order of their places.
pub fn check(
    mut part: Part,
    words: &Words,
    whole: Place,
    around: &Surroundings<'_>,
) -> Result<Checked, Faults> {
    let mut faults = std::mem::take(&mut part.faults);
    let mut ilert = part.ilert.take().unwrap_or_else(Ilert::nowhere);
    let warning = around.ilert(&mut ilert, &mut faults);
    part.warnings.extend(warning.map(str::to_owned));
    unmet(&part, ilert.api_key.is_some(), words, &mut faults);
    alike(&part, &mut faults);
    idle(&part, &mut faults);
    routes(&part, &mut faults);
    let mut queue = part.queue.unwrap_or_default();
    queue.path = part.database.unwrap_or(queue.path);
    let Part { http, kapacitor, dapr, warnings, .. } = part;
    let (brokers, clusters) = (used(part.brokers), used(part.clusters));
    let files = used(part.files);
    let webhooks = used(part.webhooks);
    let services = used(part.services);
    let mut config = Config {
        brokers,
        clusters,
        http,
        kapacitor,
        dapr,
        services,
        ilert,
        files,
        webhooks,
        queue,
    };
    default_key(&mut config, around, &mut faults);
    let is_idle = config.brokers.is_empty()
        && config.clusters.is_empty()
        && config.http.is_empty()
        && config.ilert.heartbeat.is_none();
    if is_idle && faults.0.is_empty() {
        faults.add(whole, format!("nothing to do; {}", words.nothing));
    }
    if faults.0.is_empty() {
        return Ok(Checked { config, warnings });
    }
    faults.sort();
    faults.0.dedup();
    Err(faults)
}

fn used<T>(all: Vec<Placed<T>>) -> Vec<T> {
    all.into_iter().filter(|placed| placed.is_enabled).map(|placed| placed.it).collect()
}

/// Notes what rules need and lack.
fn unmet(part: &Part, has_api_key: bool, words: &Words, faults: &mut Faults) {
    let of_brokers = part.brokers.iter().map(|placed| (placed.it.buffer, &placed.needs));
    let of_clusters = part.clusters.iter().map(|placed| (placed.it.buffer, &placed.needs));
    for (buffer, needs) in of_brokers.chain(of_clusters) {
        for need in needs {
            let (place, what) = match need {
                Needs::Acknowledged(Qos::AtMostOnce, place) if !buffer => (place, words.qos_0),
                Needs::ApiKey(place) if !has_api_key => (place, words.api_key),
                Needs::Tasks(place) if part.kapacitor.is_none() => {
                    (place, "points need a [kapacitor], whose tasks evaluate them")
                }
                Needs::Acknowledged(..)
                | Needs::ApiKey(_)
                | Needs::Tasks(_)
                | Needs::Purpose(_)
                | Needs::Sink { .. } => continue,
            };
            faults.add(place.clone(), what);
        }
    }
}

/// The rules of all sources, those of a source that is switched off included.
fn rules(part: &Part) -> impl Iterator<Item = &Rule> {
    let of_brokers = part.brokers.iter().flat_map(|placed| &placed.it.rules);
    of_brokers.chain(part.clusters.iter().flat_map(|placed| &placed.it.rules))
}

/// Notes brokers that nothing is read from and nothing is published to.
fn idle(part: &Part, faults: &mut Faults) {
    for Placed { it, needs, .. } in part.brokers.iter().filter(|_| part.http.is_empty()) {
        let is_named = || rules(part).any(|rule| rule.to.broker() == Some(&it.name));
        for need in needs {
            if let Needs::Purpose(place) = need
                && it.status.is_none()
                && !it.alerts
                && !is_named()
            {
                let what = "this broker needs a subscription, or a rule that publishes to it";
                faults.add(place.clone(), what);
            }
        }
    }
}

/// Notes what is wrong with the ways from sources to sinks.
fn routes(part: &Part, faults: &mut Faults) {
    let of_brokers = part.brokers.iter().map(|placed| {
        let source = placed.is_enabled.then_some(&placed.it);
        (source, placed.it.rules.as_slice(), &placed.needs)
    });
    let of_clusters =
        part.clusters.iter().map(|placed| (None, placed.it.rules.as_slice(), &placed.needs));
    let mut legs = Vec::new();
    for (from, rules, needs) in of_brokers.chain(of_clusters) {
        legs.extend(needs.iter().filter_map(|need| match need {
            Needs::Sink { rule, place } => Some(Leg { from, rules, number: *rule, place }),
            Needs::Acknowledged(..) | Needs::ApiKey(_) | Needs::Tasks(_) | Needs::Purpose(_) => {
                None
            }
        }));
    }
    let brokers: Vec<_> = part.brokers.iter().filter(|it| it.is_enabled).map(|it| &it.it).collect();
    let names: Vec<_> = brokers.iter().map(|broker| broker.name.as_str()).collect();
    let webhooks = part.webhooks.iter().filter(|placed| placed.is_enabled);
    let webhooks: Vec<_> = webhooks.map(|placed| placed.it.name.as_str()).collect();
    routes::unknown(&legs, &names, &webhooks, faults);
    for (way, words) in routes::ways_round(&legs, &brokers) {
        faults.add(legs[way[0]].place.clone(), words);
    }
}

/// What no two things may share.
#[derive(Clone, Copy)]
enum Unique {
    Broker,
    Session,
    Cluster,
    Webhook,
    Service,
    Sink,
    File,
}

impl Unique {
    fn words(self, shown: &str) -> String {
        let kind = match self {
            Unique::Broker => "broker",
            Unique::Cluster => "cluster",
            Unique::Webhook => "webhook",
            Unique::Service => "service",
            Unique::Sink => "sink",
            Unique::File => return "another sink writes to this file".to_owned(),
            Unique::Session => {
                return format!(
                    "the client id `{shown}` is used twice at this broker: each session would end \
                     the other"
                );
            }
        };
        format!("there is another {kind} of the name `{shown}`")
    }
}

/// Everything that has to be unique.
#[derive(Default)]
struct Identities<'p> {
    /// What is compared.
    compared: Vec<String>,
    /// What it is, what is shown of it, and where it is given.
    given: Vec<(Unique, String, &'p Place)>,
}

impl<'p> Identities<'p> {
    /// Adds one. What could not be read is empty, and like nothing else.
    fn add(&mut self, what: Unique, within: &str, shown: &str, place: &'p Place) {
        if !shown.is_empty() {
            self.compared.push(format!("{}\n{within}\n{shown}", what as u8));
            self.given.push((what, shown.to_owned(), place));
        }
    }
}

/// Notes what cannot be told apart.
fn alike(part: &Part, faults: &mut Faults) {
    let mut all = Identities::default();
    for Placed { it, name, id, .. } in part.brokers.iter().filter(|placed| placed.is_enabled) {
        all.add(Unique::Broker, "", &it.name, name);
        if it.host.is_empty() {
            continue;
        }
        let at = format!("{}:{}", it.host.to_ascii_lowercase(), it.port);
        let is_component =
            |dapr: &Dapr| dapr.components.iter().any(|known| known.broker == it.name);
        if !it.rules.is_empty() || part.dapr.as_ref().is_some_and(is_component) {
            all.add(Unique::Session, &at, &it.client_id, id);
        }
        if it.is_published_to(rules(part)) {
            all.add(Unique::Session, &at, &it.publisher_id(), id);
        }
    }
    for Placed { it, name, .. } in part.clusters.iter().filter(|placed| placed.is_enabled) {
        all.add(Unique::Cluster, "", &it.name, name);
    }
    for Placed { it, name, .. } in part.webhooks.iter().filter(|placed| placed.is_enabled) {
        all.add(Unique::Webhook, "", &it.name, name);
    }
    for Placed { it, name, .. } in &part.services {
        all.add(Unique::Service, "", &it.id, name);
    }
    let ilert = Place::from(Sink::ILERT);
    all.add(Unique::Sink, "", Sink::ILERT, &ilert);
    for Placed { it, name, id, .. } in &part.files {
        all.add(Unique::Sink, "", &it.name, name);
        all.add(Unique::File, "", it.path.to_str().unwrap_or_default(), id);
    }
    for (again, _) in repeats(&all.compared) {
        let (what, shown, place) = &all.given[again];
        faults.add((*place).clone(), what.words(shown));
    }
}

/// Gives the unit's key, if it has one, to every event rule without a key.
fn default_key(config: &mut Config, around: &Surroundings<'_>, faults: &mut Faults) {
    let of_brokers = config.brokers.iter_mut().flat_map(|broker| &mut broker.rules);
    let rules = of_brokers.chain(config.clusters.iter_mut().flat_map(|cluster| &mut cluster.rules));
    let without = rules.filter_map(|rule| match &mut rule.to {
        Target::Event(rule) if rule.event_key.is_none() => Some(rule),
        Target::Event(_)
        | Target::Heartbeat
        | Target::Policy(_)
        | Target::Publish(_)
        | Target::Call(_)
        | Target::Point(_)
        | Target::App(_) => None,
    });
    let mut without = without.peekable();
    // Look for the credential only if a rule needs it.
    if without.peek().is_some()
        && let Some(key) = around.secret(None, "event_key", faults)
    {
        without.for_each(|rule| rule.event_key = Some(key.clone()));
    }
}

/// What is risky about a configuration, one line each.
#[must_use]
pub fn warnings(config: &Config) -> Vec<String> {
    let is_guarded = |http: &Http| match http.clients {
        Clients::Agent => http.token.is_some(),
        Clients::Kapacitor => !http.users.is_empty(),
        Clients::Dapr => http.token.is_some(),
    };
    let open = config.http.iter().filter(|http| !is_guarded(http) && !http.bind.is_loopback());
    let can = match (config.publishes(), !config.webhooks.is_empty()) {
        (false, false) => "raise and resolve alerts",
        (true, false) => "raise and resolve alerts and publish to brokers",
        (false, true) => "raise and resolve alerts and call webhooks",
        (true, true) => "raise and resolve alerts, publish to brokers and call webhooks",
    };
    let warning = |http: &Http| {
        let (can, guard) = match http.clients {
            Clients::Agent => (can, "a token"),
            Clients::Kapacitor => ("write points and define tasks", "a `username`"),
            Clients::Dapr => ("publish to brokers", "DAPR_API_TOKEN"),
        };
        let (bind, port) = (http.bind, http.port);
        format!(
            "http: anybody who can reach {bind} port {port} can {can}; set {guard} or bind 127.0.0.1"
        )
    };
    let idle = config.webhooks.iter().filter(|hook| {
        let is_named = config.rules().any(|rule| rule.to.webhook() == Some(&hook.name));
        config.http.is_empty() && !is_named
    });
    let idle = idle.map(|hook| format!("webhook {}: no rule calls it", plain(&hook.name)));
    open.map(warning).chain(idle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Address, EventRule, Rule, Secret};

    const WORDS: Words = Words { qos_0: "qos", api_key: "key", nothing: "say something" };

    fn check_part(part: Part) -> Result<Checked, Vec<String>> {
        let env = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| "/run".to_owned());
        let around = Surroundings {
            env: &env,
            read: &|path| Ok(path.ends_with("event_key").then(|| "unit\n".to_owned())),
            list: &|_| Ok(Vec::new()),
            is_open: &|_| false,
            has_kafka: true,
        };
        check(part, &WORDS, "whole".into(), &around)
            .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
    }

    fn broker(host: &str, name: &str) -> Placed<Broker> {
        let address = Address { host: host.to_owned(), ..Address::default() };
        let mut it = Broker::at(address);
        it.name = name.to_owned();
        let (name, id) = (format!("{name}-name").into(), format!("{name}-id").into());
        Placed { it, is_enabled: true, name, id, needs: Vec::new() }
    }

    #[test]
    fn parts_must_be_distinct() {
        let mut off = broker("a", "x");
        off.is_enabled = false;
        let mut journals = [FileSink::at("a".into()), FileSink::at("a".into())];
        journals[1].name = "ilert".to_owned();
        let files = journals.map(|it| {
            let (name, id) = (format!("{}-name", it.name).into(), "path".into());
            Placed { it, is_enabled: true, name, id, needs: Vec::new() }
        });
        let brokers =
            vec![broker("a", "x"), off, broker("b", "x"), broker("a", "y"), broker("", "")];
        let part = Part { brokers, files: files.into(), ..Part::default() };
        let wanted = [
            "x-name: there is another broker of the name `x`",
            "y-id: the client id `ilagent-out` is used twice at this broker: each session would end the other",
            "ilert-name: there is another sink of the name `ilert`",
            "path: another sink writes to this file",
        ];
        assert_eq!(check_part(part), Err(wanted.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_rules_need_is_there() {
        for (buffer, has_key, wanted) in [
            (false, false, ["q: qos", "k: key"].as_slice()),
            (true, false, &["k: key"]),
            (false, true, &["q: qos"]),
            (true, true, &[]),
        ] {
            let mut only = broker("a", "a");
            only.it.buffer = buffer;
            only.needs = vec![
                Needs::Acknowledged(Qos::AtMostOnce, "q".into()),
                Needs::Acknowledged(Qos::AtLeastOnce, "r".into()),
                Needs::ApiKey("k".into()),
                Needs::ApiKey("k".into()),
            ];
            let ilert = Ilert { api_key: has_key.then(|| Secret::new("k")), ..Ilert::default() };
            let part = Part { brokers: vec![only], ilert: Some(ilert), ..Part::default() };
            assert_eq!(check_part(part).err().unwrap_or_default(), wanted);
        }
        assert_eq!(
            check_part(Part::default()),
            Err(vec!["whole: nothing to do; say something".to_owned()])
        );
    }

    #[test]
    fn the_key_of_the_unit_is_for_events_without_one() {
        let event = |key: Option<&str>| Rule {
            filter: "a".to_owned(),
            qos: Qos::AtLeastOnce,
            to: Target::Event(Box::new(EventRule {
                event_key: key.map(Secret::new),
                ..EventRule::default()
            })),
        };
        let mut only = broker("a", "a");
        only.it.rules = vec![event(None), event(Some("own"))];
        let part = Part { brokers: vec![only], ..Part::default() };
        let rules = check_part(part).unwrap().config.brokers.remove(0).rules;
        assert_eq!(rules, [event(Some("unit")), event(Some("own"))]);
    }
}
