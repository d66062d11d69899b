//! Our own dialect: TOML, and the same keys as JSON.

mod kafka;
mod mqtt;
mod point;
mod route;
mod sink;
mod subscription;
mod webhook;

use super::{connectware, dapr, kapacitor};
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Node, Source, Value, json, toml};
use crate::config::surroundings::Surroundings;
use crate::config::values::{self, put};
use crate::config::whole::{self, Checked, Part, Words};
use crate::config::{Enrichment, Faults, Http, Ilert, Queue, Service, defaults};
use std::time::Duration;

/// This dialect's words for what a whole configuration lacks.
const WORDS: Words = Words {
    qos_0: "QoS 0 needs `buffer = true`, because there is no broker acknowledgement to delay when \
            delivery fails; or use QoS 1 or 2",
    api_key: "a policy subscription needs an `api-key` in [ilert] or in ILERT_API_KEY",
    nothing: "the file needs [[mqtt]], [[kafka]], [http], [kapacitor], [dapr], [[connectware]] or a \
              heartbeat key in [ilert]",
};

/// The fault of a `hold` that holds nothing.
const NO_BUFFER: &str = "this has no effect without `buffer = true` in [[mqtt]] or [[kafka]]";

/// What holds for every source that says nothing else.
struct ForAll {
    enrichment: Enrichment,
    hold: Duration,
}

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

/// Turns the text of a file into the model. `name` is its name in faults; what the command line
/// says `beside` it wins.
///
/// # Errors
///
/// Every fault, with file, line and column; in JSON also with the keys that lead there.
pub fn read(
    name: &str,
    text: &str,
    syntax: Syntax,
    mut beside: Part,
    around: &Surroundings<'_>,
) -> Result<Checked, Faults> {
    // Some editors write a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source { name, text };
    let tree = match syntax {
        Syntax::Toml => toml::parse(text),
        Syntax::Json => json::parse(text).map_err(|error| vec![error]),
    };
    match tree {
        Ok(tree) => {
            // JSON is often one long line, written by a program, so its faults also name the keys.
            let keys = |at| tree.path_to(at).unwrap_or_default();
            let is_json = syntax == Syntax::Json;
            let file = File::new(source, is_json.then_some(&keys), around);
            finish(&file, &tree, beside)
        }
        Err(errors) => {
            errors.into_iter().for_each(|(at, what)| beside.faults.add(source.place(at), what));
            whole::check(beside, &WORDS, source.place(0), around)
        }
    }
}

/// Turns a tree with our own keys into the model.
pub(super) fn finish(file: &File<'_>, tree: &Node, mut beside: Part) -> Result<Checked, Faults> {
    let port = beside.port;
    beside.join(part(file, tree, port));
    whole::check(beside, &WORDS, file.place(0), file.around)
}

/// Reads all tables. If there are faults the result must not be used.
fn part(file: &File<'_>, tree: &Node, port: Option<u16>) -> Part {
    let mut outside = Faults::default();
    let empty = Node { at: 0, value: Value::Table(Vec::new()) };
    let top = Fields::new(file, tree, "the file");
    let table = |key, what| Fields::new(file, top.node(key).unwrap_or(&empty), what);
    let enrichment = enrichment(&table("event", "[event]"), true);
    let ilert = Some(ilert(&table("ilert", "[ilert]")));
    let queue_fields = table("queue", "[queue]");
    let hold = hold(&queue_fields, defaults::HOLD);
    let queue = Some(queue(&queue_fields));
    let http = (top.has(&["http"]) || port.is_some())
        .then(|| http(&table("http", "[http]"), port, enrichment.clone(), &mut outside));
    let all = ForAll { enrichment, hold };
    let mut brokers = mqtt::brokers(&top.tables("mqtt", "[[mqtt]]"), &all, &mut outside);
    let own = top.node("kapacitor").map(|node| {
        kapacitor::own(&Fields::new(file, node, "[kapacitor]"), top.list("mqtt"), hold)
    });
    brokers.iter_mut().for_each(|broker| broker.it.alerts = own.is_some());
    let dapr = top.node("dapr").map(|node| dapr::own(&Fields::new(file, node, "[dapr]")));
    let own_brokers = |fields: &Fields<'_>| mqtt::broker(fields, &all);
    let services =
        connectware::own(&top.tables("connectware", "[[connectware]]"), &brokers, &own_brokers);
    let clusters = kafka::clusters(&top.tables("kafka", "[[kafka]]"), &all, &mut outside);
    let buffers = brokers.iter().any(|it| it.it.buffer) || clusters.iter().any(|it| it.it.buffer);
    if queue_fields.has(&["hold"]) && !buffers {
        file.add(queue_fields.place("hold"), NO_BUFFER);
    }
    let webhooks = webhook::webhooks(&top.tables("webhook", "[[webhook]]"));
    let sinks = table("sink", "[sink]");
    let files = sink::files(&sinks.tables("file", "[[sink.file]]"));
    sinks.end();
    top.end();
    let mut faults = file.faults();
    faults.0.extend(outside.0);
    let (kapacitor, listener) = own.map(|own| (own.kapacitor, own.http)).unzip();
    let http = http.into_iter().chain(listener).collect();
    let warnings = file.warnings();
    let mut part = Part {
        brokers,
        clusters,
        files,
        webhooks,
        http,
        kapacitor,
        ilert,
        queue,
        faults,
        warnings,
        ..Part::default()
    };
    dapr.into_iter().for_each(|dapr| part.join(dapr));
    part.join(connectware::part(&services, file.around));
    part
}

/// `[ilert]`.
fn ilert(fields: &Fields<'_>) -> Ilert {
    let mut ilert = Ilert::nowhere();
    fields.text("api-host", &mut |text| put(&mut ilert.api, values::base_url(text)));
    fields.text("heartbeat-host", &mut |text| put(&mut ilert.beat, values::base_url(text)));
    ilert.api_key = fields.secret("api-key", "api-key-file");
    ilert.heartbeat = fields.secret("heartbeat-key", "heartbeat-key-file");
    fields.number("max-retries", &mut |text| put(&mut ilert.attempts_max, values::attempts(text)));
    fields.number("in-flight", &mut |text| {
        put(&mut ilert.in_flight_max, values::count_usize(text, values::IN_FLIGHT))
    });
    fields.number("timeout", &mut |text| {
        put(&mut ilert.timeout, values::duration(text, values::TIMEOUTS))
    });
    fields.end();
    ilert
}

/// `[queue]`.
fn queue(fields: &Fields<'_>) -> Queue {
    let mut queue = Queue::default();
    fields.text("path", &mut |text| put(&mut queue.path, values::filled(text)));
    fields.number("limit", &mut |text| {
        put(&mut queue.bytes_max, values::size(text, values::QUEUE_BYTES))
    });
    fields.number("dead-letters", &mut |text| {
        put(&mut queue.dead_letters_max, values::count(text, values::DEAD_LETTERS))
    });
    fields.text("sync", &mut |text| put(&mut queue.sync, values::sync(text)));
    fields.number("max-age", &mut |text| {
        put(&mut queue.age_max, values::duration(text, values::AGES))
    });
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
    let mut http = Http::on_port(0);
    http.enrichment = enrichment;
    fields.number("port", &mut |text| {
        put(&mut http.port, values::port(text, values::LISTENING_PORTS))
    });
    if given.is_none() && !fields.has(&["port"]) {
        fields.file.add(fields.at, "[http] needs a `port`");
    }
    http.port = given.unwrap_or(http.port);
    fields.text("bind", &mut |text| put(&mut http.bind, values::ip(text)));
    fields.number("body-limit", &mut |text| {
        put(&mut http.body_bytes_max, values::size_usize(text, values::BODY_BYTES))
    });
    fields.number("connections", &mut |text| {
        put(&mut http.connections_max, values::count_usize(text, values::CONNECTIONS))
    });
    http.token = fields
        .secret("token", "token-file")
        .or_else(|| fields.file.around.secret(Some("ILAGENT_HTTP_TOKEN"), "http_token", outside));
    fields.end();
    http
}

/// `hold`, which only counts with `buffer`.
fn hold(fields: &Fields<'_>, of_all: Duration) -> Duration {
    let mut hold = of_all;
    fields.number("hold", &mut |text| put(&mut hold, values::moment(text, values::HOLDS)));
    hold
}

/// `buffer` and `hold` of a source.
fn buffer(fields: &Fields<'_>, all: &ForAll) -> (bool, Duration) {
    let buffer = fields.truth("buffer").unwrap_or(false);
    if fields.has(&["hold"]) && !buffer {
        fields.file.add(fields.place("hold"), NO_BUFFER);
    }
    (buffer, hold(fields, all.hold))
}

/// `labels`, `severity` and `services`; `alone` if the table holds nothing else.
fn enrichment(fields: &Fields<'_>, alone: bool) -> Enrichment {
    let mut enrichment = Enrichment::default();
    fields.pairs("labels", &mut |name, text| {
        enrichment.labels.insert(name.to_owned(), text.to_owned());
        Ok(())
    });
    fields.number("severity", &mut |text| put(&mut enrichment.severity, values::severity(text)));
    let services = fields.tables("services", "a service");
    enrichment.services = services.iter().filter_map(service).collect();
    if alone {
        fields.end();
    }
    enrichment
}

/// What stands outside the file, for the one table of its kind: with several, one variable would
/// send the password of one server to the others.
fn for_one<'o>(tables: &[Fields<'_>], outside: &'o mut Faults) -> Option<&'o mut Faults> {
    (tables.len() == 1).then_some(outside)
}

/// `{ alias = "…" }` or `{ id = … }`.
fn service(fields: &Fields<'_>) -> Option<Service> {
    let mut service = None;
    fields.number("id", &mut |text| put(&mut service, values::service_id(text)));
    fields.text("alias", &mut |text| put(&mut service, values::filled(text).map(Service::Alias)));
    if fields.has(&["alias"]) == fields.has(&["id"]) {
        fields.file.add(fields.at, "a service has an `alias` or an `id`");
    }
    fields.end();
    service
}
