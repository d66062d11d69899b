//! Our own dialect: TOML, and the same keys as JSON.

mod kafka;
mod mqtt;
mod subscription;

use crate::config::document::fields::{Fields, File};
use crate::config::document::{Node, Value, json, toml};
use crate::config::surroundings::{self, Checked, Surroundings};
use crate::config::{Config, Enrichment, Faults, Http, Ilert, Queue, Service, values};
use std::path::PathBuf;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// TOML 1.1.
    Toml,
    /// JSON.
    Json,
}

impl Syntax {
    /// Judged by the name of the file, or else by its first character.
    #[must_use]
    pub fn of(name: &str, text: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let json = name.ends_with(".json")
            || (!name.ends_with(".toml") && text.trim_start().starts_with('{'));
        if json { Syntax::Json } else { Syntax::Toml }
    }
}

/// Turns the text of a file into the model. `name` is what it is called in faults; `port`, from
/// the command line, wins over that of `[http]`.
///
/// # Errors
///
/// Every fault, with file, line and column; in JSON with the way to it, too.
pub fn read(
    name: &str,
    text: &str,
    syntax: Syntax,
    port: Option<u16>,
    around: &Surroundings<'_>,
) -> Result<Checked, Faults> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = File::new(name, text, around);
    let tree = match syntax {
        Syntax::Toml => toml::parse(text),
        Syntax::Json => json::parse(text).map_err(|error| vec![error]),
    };
    let tree = match tree {
        Ok(tree) => tree,
        Err(errors) => {
            for (at, what) in errors {
                file.add(at, what);
            }
            return Err(file.faults(None));
        }
    };
    let mut outside = Faults::default();
    let checked = whole(&file, &tree, port, &mut outside);
    let mut faults = file.faults((syntax == Syntax::Json).then_some(&tree));
    faults.0.extend(outside.0);
    if faults.0.is_empty() { Ok(checked) } else { Err(faults) }
}

/// Reads all tables. Where something is wrong, what is returned is not to be used.
fn whole(file: &File<'_>, tree: &Node, port: Option<u16>, outside: &mut Faults) -> Checked {
    let empty = Node { at: 0, value: Value::Table(Vec::new()) };
    let top = Fields::new(file, tree, "the file");
    let table = |key, what| Fields::new(file, top.node(key).unwrap_or(&empty), what);
    let enrichment = enrichment(&table("event", "[event]"), true);
    let (ilert, bearer) = ilert(&table("ilert", "[ilert]"), outside);
    let queue = queue(&table("queue", "[queue]"));
    let http = (top.has(&["http"]) || port.is_some())
        .then(|| http(&table("http", "[http]"), port, enrichment.clone(), outside));
    let rest = subscription::Rest { enrichment: &enrichment, has_api_key: ilert.api_key.is_some() };
    let mut brokers = mqtt::brokers(&top.tables("mqtt", "[[mqtt]]"), rest, outside);
    let mut clusters = kafka::clusters(&top.tables("kafka", "[[kafka]]"), rest, outside);
    let rules = brokers.iter_mut().flat_map(|broker| &mut broker.rules);
    let rules = rules.chain(clusters.iter_mut().flat_map(|cluster| &mut cluster.rules));
    subscription::default_key(rules, || file.around.secret(None, "event_key", outside));
    top.end();
    let nothing =
        brokers.is_empty() && clusters.is_empty() && http.is_none() && ilert.heartbeat.is_none();
    if nothing && file.is_right() {
        let what = "nothing to do; the file needs [[mqtt]], [[kafka]], [http] or a heartbeat key \
                    in [ilert]";
        file.add(0, what);
    }
    let config = Config { brokers, clusters, http, ilert, queue };
    let mut warnings = file.warnings();
    warnings.extend(bearer.then(|| surroundings::BEARER.to_owned()));
    Checked { config, warnings }
}

/// `[ilert]`; says as well whether the API key came with a `Bearer `.
fn ilert(fields: &Fields<'_>, outside: &mut Faults) -> (Ilert, bool) {
    let around = fields.file.around;
    let mut ilert = Ilert::default();
    around.hosts(&mut ilert, outside);
    if let Some(api) = fields.text("api-host", values::base_url) {
        ilert.api = api;
    }
    if let Some(beat) = fields.text("heartbeat-host", values::base_url) {
        ilert.beat = beat;
    }
    let key = fields
        .secret("api-key", "api-key-file")
        .or_else(|| around.secret(Some("ILERT_API_KEY"), "api_key", outside));
    let key = key.as_ref().and_then(surroundings::api_key);
    let bearer = key.as_ref().is_some_and(|(_, bearer)| *bearer);
    ilert.api_key = key.map(|(key, _)| key);
    ilert.heartbeat = fields
        .secret("heartbeat-key", "heartbeat-key-file")
        .or_else(|| around.secret(Some("ILERT_HEARTBEAT_KEY"), "heartbeat_key", outside));
    if let Some(attempts) = fields.number("max-retries", values::attempts) {
        ilert.attempts_max = attempts;
    }
    let in_flight = |text: &str| values::count_usize(text, values::IN_FLIGHT);
    ilert.in_flight_max = fields.number("in-flight", in_flight).unwrap_or(ilert.in_flight_max);
    let timeout = |text: &str| values::duration(text, values::TIMEOUTS);
    ilert.timeout = fields.number("timeout", timeout).unwrap_or(ilert.timeout);
    fields.end();
    (ilert, bearer)
}

/// `[queue]`.
fn queue(fields: &Fields<'_>) -> Queue {
    let mut queue = Queue::default();
    if let Some(path) = fields.text("path", values::filled) {
        queue.path = PathBuf::from(path);
    }
    let bytes = |text: &str| values::size(text, values::QUEUE_BYTES);
    queue.bytes_max = fields.number("limit", bytes).unwrap_or(queue.bytes_max);
    let letters = |text: &str| values::count(text, values::DEAD_LETTERS);
    queue.dead_letters_max =
        fields.number("dead-letters", letters).unwrap_or(queue.dead_letters_max);
    queue.sync = fields.text("sync", values::sync).unwrap_or(queue.sync);
    let age = |text: &str| values::duration(text, values::AGES);
    queue.age_max = fields.number("max-age", age).unwrap_or(queue.age_max);
    fields.end();
    queue
}

/// `[http]`, whose port may have been given on the command line.
fn http(
    fields: &Fields<'_>,
    given: Option<u16>,
    enrichment: Enrichment,
    outside: &mut Faults,
) -> Http {
    let port = fields.number("port", |text| values::port(text, values::LISTENING_PORTS));
    if given.is_none() && !fields.has(&["port"]) {
        fields.file.add(fields.at, "[http] needs a `port`");
    }
    let mut http = Http::on_port(given.or(port).unwrap_or_default());
    http.enrichment = enrichment;
    http.bind = fields.text("bind", values::ip).unwrap_or(http.bind);
    let body = |text: &str| values::size_usize(text, values::BODY_BYTES);
    http.body_bytes_max = fields.number("body-limit", body).unwrap_or(http.body_bytes_max);
    let connections = |text: &str| values::count_usize(text, values::CONNECTIONS);
    http.connections_max =
        fields.number("connections", connections).unwrap_or(http.connections_max);
    http.token = fields
        .secret("token", "token-file")
        .or_else(|| fields.file.around.secret(Some("ILAGENT_HTTP_TOKEN"), "http_token", outside));
    fields.end();
    http
}

/// `labels`, `severity` and `services`; `alone` if the table holds nothing else.
fn enrichment(fields: &Fields<'_>, alone: bool) -> Enrichment {
    let labels = fields.pairs("labels", "`labels`", |text| Ok(text.to_owned()));
    let severity = fields.number("severity", values::severity);
    let services = fields.tables("services", "a service").iter().filter_map(service).collect();
    if alone {
        fields.end();
    }
    Enrichment { labels: labels.into_iter().collect(), severity, services }
}

/// `{ alias = "…" }` or `{ id = … }`.
fn service(fields: &Fields<'_>) -> Option<Service> {
    let alias = fields.text("alias", values::filled).map(Service::Alias);
    let id = fields.number("id", |text| values::service(&format!("id={text}")));
    if fields.has(&["alias"]) == fields.has(&["id"]) {
        fields.file.add(fields.at, "a service has an `alias` or an `id`");
    }
    fields.end();
    alias.or(id)
}
