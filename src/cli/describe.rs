//! What `ilagent check` prints: what the agent would do, in words.

mod dapr;

use crate::config::values::{duration_words, is_secret_option, size_words};
use crate::config::{
    Broker, CallRule, Clients, Cluster, Commissioned, Config, EventRule, FileSink, Format, Http,
    Ilert, Kapacitor, PointRule, PolicyRule, PublishRule, Queue, Resource, ResourceKind, Routing,
    Rule, Safety, Sasl, Secret, Sink, Target, Tls, Version, Webhook, Written,
};
use crate::ilert::Ways;
use crate::message::masked;
use crate::mqtt::packet::level;
use crate::mqtt::session;
use crate::system::plain::{line, plain};
use crate::system::web::Way;
use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Says in a few lines where messages come from, what becomes of them and where they wait.
///
/// Keys and passwords are not shown in full.
#[must_use]
pub fn describe(config: &Config) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = write(&mut text, config);
    text
}

fn write(out: &mut String, config: &Config) -> fmt::Result {
    for source in &config.brokers {
        broker(out, source, config)?;
    }
    for source in &config.clusters {
        cluster(out, source)?;
    }
    for listener in &config.http {
        http(out, listener, config)?;
    }
    config.kapacitor.iter().try_for_each(|it| kapacitor(out, it))?;
    config.dapr.iter().try_for_each(|it| dapr::dapr(out, it))?;
    config.services.iter().try_for_each(|it| service(out, it))?;
    queue(out, &config.queue)?;
    if leads_to_ilert(config) {
        ilert(out, &config.ilert)?;
    }
    config.webhooks.iter().try_for_each(|hook| webhook(out, hook))?;
    config.files.iter().try_for_each(|sink| journal(out, sink))
}

fn kapacitor(out: &mut String, kapacitor: &Kapacitor) -> fmt::Result {
    let broker = match &kapacitor.default_broker {
        Some(name) => format!("alerts go to the broker {} unless they name one", plain(name)),
        None => "alerts name the broker they go to".to_owned(),
    };
    writeln!(out, "kapacitor {}: {broker}", plain(&kapacitor.hostname))?;
    if let Some(folder) = &kapacitor.load {
        writeln!(out, "  tasks and handlers are read from {}", path(folder))?;
    }
    kapacitor.udp.iter().try_for_each(|udp| {
        let address = std::net::SocketAddr::new(udp.bind, udp.port);
        let (db, rp) = (plain(&udp.database), plain(&udp.retention_policy));
        writeln!(out, "  points come to UDP {address}, for {db}.{rp}")
    })
}

fn service(out: &mut String, service: &Commissioned) -> fmt::Result {
    let disabled = if service.is_disabled() { ", disabled" } else { "" };
    writeln!(out, "service {}, from {}{disabled}", plain(&service.id), plain(&service.file))?;
    for resource in &service.resources {
        let Resource { id, kind, trouble, routes, .. } = resource;
        write!(out, "  {} ({kind})", plain(id))?;
        let state = match (resource.is_wanted, trouble.as_str()) {
            (false, _) if *kind == ResourceKind::Connection => ", disconnected",
            (false, _) => ", disabled",
            (true, "") => "",
            (true, _) => ", not used: ",
        };
        writeln!(out, "{state}{}", plain(trouble))?;
        routes.iter().try_for_each(|route| writeln!(out, "    {}", line(route)))?;
    }
    Ok(())
}

fn leads_to_ilert(config: &Config) -> bool {
    config.http.iter().any(|http| http.clients == Clients::Agent)
        || config.ilert.heartbeat.is_some()
        || config.rules().any(|rule| rule.to.sink_name() == Sink::ILERT)
}

fn queue(out: &mut String, queue: &Queue) -> fmt::Result {
    let safe = match queue.sync {
        Safety::Full => "safe from power cuts",
        Safety::Normal => "safe from crashes, not from power cuts",
    };
    writeln!(
        out,
        "queue {}: up to {}, {safe}; up to {} dead letters; not ready once the oldest is {} old",
        path(&queue.path),
        size_words(queue.bytes_max),
        queue.dead_letters_max,
        duration_words(queue.age_max)
    )
}

fn ilert(out: &mut String, ilert: &Ilert) -> fmt::Result {
    let attempts = attempts(ilert.attempts_max);
    writeln!(
        out,
        "ilert {}: {attempts}; up to {} requests at a time, {} each",
        plain(&ilert.api.to_string()),
        ilert.in_flight_max,
        duration_words(ilert.timeout)
    )?;
    // A way that cannot be used is reported with all other faults.
    let ways = Ways::of(ilert).ok();
    if let Some(ways) = &ways {
        writeln!(out, "  reached {}", ways.api)?;
    }
    if let Some(key) = &ilert.api_key {
        writeln!(out, "  API key {} (policy updates only)", shown(key))?;
    }
    if let Some(key) = &ilert.heartbeat {
        writeln!(
            out,
            "  heartbeat {} at {}, while healthy",
            shown(key),
            plain(&ilert.beat.to_string())
        )?;
    }
    if let Some(ways) = ways.filter(|ways| ways.beat != ways.api) {
        writeln!(out, "  {} is reached {}", ilert.beat, ways.beat)?;
    }
    Ok(())
}

/// Its URL is not shown whole: many of them are secrets.
fn webhook(out: &mut String, hook: &Webhook) -> fmt::Result {
    let attempts = attempts(hook.attempts_max);
    writeln!(
        out,
        "webhook {}: {} {}; {attempts}; up to {} calls at a time, {} each",
        plain(&hook.name),
        plain(&hook.method),
        plain(hook.host()),
        hook.in_flight_max,
        duration_words(hook.timeout)
    )?;
    // As with ilert.
    Way::by_environment(hook.host()).map_or(Ok(()), |way| writeln!(out, "  reached {way}"))
}

fn attempts(max: Option<u32>) -> String {
    match max {
        None => "never gives up".to_owned(),
        Some(1) => "gives up after 1 attempt".to_owned(),
        Some(attempts) => format!("gives up after {attempts} attempts"),
    }
}

fn journal(out: &mut String, sink: &FileSink) -> fmt::Result {
    write!(out, "{}: a journal in {}", plain(&sink.name), path(&sink.path))?;
    let older = match sink.keep {
        0 => "thrown away".to_owned(),
        1 => "kept once as .1".to_owned(),
        keep => format!("kept as .1 to .{keep}"),
    };
    writeln!(out, "; at {} it is {older}, and a new one is begun", size_words(sink.rotate_at))
}

fn path(path: &Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

fn shown(secret: &Secret) -> String {
    masked(secret.expose())
}

fn broker(out: &mut String, broker: &Broker, config: &Config) -> fmt::Result {
    let host = match broker.host.contains(':') {
        true => format!("[{}]", broker.host),
        false => broker.host.clone(),
    };
    let version = match broker.version {
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    };
    write!(out, "mqtt {}: {}:{}", plain(&broker.name), plain(&host), broker.port)?;
    if let Some(path) = &broker.websocket {
        write!(out, "{} (WebSocket)", plain(path))?;
    }
    write!(out, ", MQTT {version}")?;
    let publisher = config.is_published_to(broker).then(|| broker.publisher_id());
    let is_read_from = !broker.rules.is_empty() || config.is_component(broker);
    match &publisher {
        None => write!(out, ", client id {}", plain(&broker.client_id))?,
        Some(id) if !is_read_from => write!(out, ", client id {}", plain(id))?,
        Some(id) => {
            write!(out, ", client ids {} and {}", plain(&broker.client_id), plain(id))?;
        }
    }
    if let Some(user) = &broker.username {
        let with = if broker.password.is_some() { "with" } else { "without" };
        write!(out, ", user {} {with} password", plain(user))?;
    }
    tls(out, broker.tls.as_ref())?;
    writeln!(out)?;
    match is_read_from {
        true => reading(out, broker)?,
        false => writeln!(out, "  only published to")?,
    }
    filters(out, broker)?;
    if let Some(status) = &broker.status {
        let topic = plain(&status.topic);
        let more = if status.service.is_some() { ", and below it how resources are" } else { "" };
        writeln!(out, "  says on {topic} if the agent is there{more}")?;
    }
    broker.rules.iter().try_for_each(|each| {
        let qos = level(each.qos);
        write!(out, "  {} (QoS {qos}) → ", plain(&each.filter))?;
        target(out, &each.to)
    })
}

/// What is subscribed to, if it is not what stands in the rules.
fn filters(out: &mut String, broker: &Broker) -> fmt::Result {
    let sent = session::filters(broker).unwrap_or_default();
    let rules = broker.rules.iter().map(|rule| (rule.filter.as_str(), rule.qos));
    if broker.shared_group.is_some() || rules.eq(sent.iter().map(|(it, qos)| (&**it, *qos))) {
        return Ok(());
    }
    let shown = |(filter, qos): &(String, _)| format!("{} (QoS {})", plain(filter), level(*qos));
    writeln!(out, "  subscribes to {}", sent.iter().map(shown).collect::<Vec<_>>().join(", "))
}

/// How messages are taken in.
fn reading(out: &mut String, broker: &Broker) -> fmt::Result {
    let store = match broker.buffer {
        true => "stored, then acknowledged, then delivered",
        false => "delivered, then acknowledged",
    };
    write!(out, "  each message goes to {}; {store}", routing(broker.routing))?;
    hold(out, broker.buffer, broker.hold)?;
    if broker.clean {
        write!(out, "; the broker keeps nothing between two connections")?;
    }
    if let Some(window) = &broker.window {
        let time = duration_words(window.time);
        write!(out, "; for {time} after each connection up to {} wait", window.messages_max)?;
    }
    if let Some(group) = &broker.shared_group {
        write!(out, "; shared with group {}", plain(group))?;
    }
    writeln!(out, "; up to {}", size_words(broker.packet_bytes_max as u64))
}

fn hold(out: &mut String, buffer: bool, hold: Duration) -> fmt::Result {
    if !buffer || hold.is_zero() {
        return Ok(());
    }
    write!(out, "; never stored if delivered within {}", duration_words(hold))
}

fn cluster(out: &mut String, cluster: &Cluster) -> fmt::Result {
    let brokers = cluster.bootstrap.join(", ");
    write!(out, "kafka {}: {}", plain(&cluster.name), plain(&brokers))?;
    write!(out, ", group {}", plain(&cluster.group_id))?;
    match &cluster.sasl {
        None => (),
        Some(Sasl::Password { mechanism, username, .. }) => {
            write!(out, ", user {} with password ({})", plain(username), mechanism.as_str())?;
        }
        Some(Sasl::Token(file)) => write!(out, ", bearer token from {}", path(file))?,
    }
    tls(out, cluster.tls.as_ref())?;
    writeln!(out)?;
    let store = match cluster.buffer {
        true => "stored, then committed, then delivered",
        false => "delivered, then committed; exits when a sink takes nothing for 5 s",
    };
    write!(out, "  each message goes to {}; {store}", routing(cluster.routing))?;
    hold(out, cluster.buffer, cluster.hold)?;
    writeln!(out, "; up to {}", size_words(cluster.message_bytes_max as u64))?;
    for (name, value) in &cluster.options {
        writeln!(out, "  option {} = {}", plain(name), plain(option(name, value)))?;
    }
    cluster.rules.iter().try_for_each(|Rule { filter, to, .. }| {
        write!(out, "  {} → ", plain(filter))?;
        target(out, to)
    })
}

/// The value of an option of librdkafka, unless its name says that it is a secret.
fn option<'a>(name: &str, value: &'a Secret) -> &'a str {
    if is_secret_option(name) { "***" } else { value.expose() }
}

fn tls(out: &mut String, tls: Option<&Tls>) -> fmt::Result {
    let Some(tls) = tls else { return write!(out, ", no TLS") };
    match &tls.ca {
        _ if tls.unverified => write!(out, ", TLS without a check of certificates")?,
        Some(ca) => write!(out, ", TLS with CA {}", line(&ca.to_string()))?,
        None => write!(out, ", TLS with the system's CAs")?,
    }
    match &tls.client {
        Some(client) => {
            write!(out, " and client certificate {}", line(&client.chain.to_string()))
        }
        None => Ok(()),
    }
}

fn routing(routing: Routing) -> &'static str {
    match routing {
        Routing::First => "the first rule that matches",
        Routing::Every => "every rule that matches",
    }
}

fn target(out: &mut String, target: &Target) -> fmt::Result {
    match target {
        Target::Heartbeat => writeln!(out, "heartbeat with the key in the payload"),
        Target::Policy(to) => policy(out, to),
        Target::Event(to) => event(out, to),
        Target::Publish(to) => publish(out, to),
        Target::Call(to) => call(out, to),
        Target::Point(to) => point(out, to),
        Target::App(to) => writeln!(out, "{}", plain(&to.sink)),
    }
}

fn point(out: &mut String, rule: &PointRule) -> fmt::Result {
    let written = match rule.written {
        Written::Lines => "line protocol",
        Written::Json(_) => "JSON",
        Written::Value { .. } => "a value",
    };
    write!(out, "points of database {}", plain(&rule.database))?;
    if !rule.retention_policy.is_empty() {
        write!(out, ", retention policy {}", plain(&rule.retention_policy))?;
    }
    writeln!(out, ", from {written}")
}

fn call(out: &mut String, rule: &CallRule) -> fmt::Result {
    write!(out, "webhook {}", plain(&rule.to))?;
    if !rule.path.is_empty() {
        write!(out, ", path {}", plain(rule.path.as_str()))?;
    }
    out.push_str(match rule.format {
        Format::Raw => "",
        Format::CloudEvent => ", as a CloudEvent",
        Format::CloudEventBinary => ", as a CloudEvent in headers",
    });
    match &rule.order_by {
        Some(path) => writeln!(out, ", in the order of `{}`", plain(&path.0)),
        None => writeln!(out),
    }
}

fn policy(out: &mut String, rule: &PolicyRule) -> fmt::Result {
    let keys = rule.routing_keys.join(" + ");
    write!(out, "policy of routing key {}, user at {}", plain(&keys), plain(&rule.email.0))?;
    write!(out, ", level at {}", plain(&rule.shift.0))?;
    if rule.shift_offset != 0 {
        write!(out, " {:+}", rule.shift_offset)?;
    }
    filter(out, rule.filter.as_ref())
}

fn publish(out: &mut String, rule: &PublishRule) -> fmt::Result {
    write!(out, "mqtt {}, topic {}", plain(&rule.to), plain(rule.topic.as_str()))?;
    if let Some(qos) = rule.qos {
        write!(out, ", QoS {}", level(qos))?;
    }
    let retain = match rule.retain {
        None => "",
        Some(true) => ", retained",
        Some(false) => ", not retained",
    };
    write!(out, "{retain}")?;
    if let Some(shape) = &rule.shape {
        let (count, name) = (shape.steps.len(), plain(&shape.name));
        let rules = if count == 1 { "rule" } else { "rules" };
        write!(out, ", through {count} {rules} of {name}")?;
    }
    writeln!(out)
}

fn event(out: &mut String, rule: &EventRule) -> fmt::Result {
    match &rule.event_key {
        Some(key) => write!(out, "event with key {}", shown(key))?,
        None => write!(out, "event with the key in the payload")?,
    }
    let kind = &rule.event_type;
    for (what, path) in [
        ("type", &kind.path),
        ("alert key", &rule.alert_key),
        ("summary", &rule.summary),
        ("severity", &rule.severity),
        ("routing key", &rule.routing_key),
    ] {
        if let Some(path) = path {
            write!(out, ", {what} at {}", plain(&path.0))?;
        }
    }
    for (value, meaning) in
        [(&kind.alert, "ALERT"), (&kind.accept, "ACCEPT"), (&kind.resolve, "RESOLVE")]
    {
        if let Some(value) = value {
            write!(out, ", `{}` is {meaning}", plain(value))?;
        }
    }
    for (name, path) in &rule.labels {
        write!(out, ", label {} at {}", plain(name), plain(&path.0))?;
    }
    enrichment(out, &rule.enrichment)?;
    if rule.forward_payload {
        write!(out, ", with the whole payload")?;
    }
    filter(out, rule.filter.as_ref())
}

fn enrichment(out: &mut String, enrichment: &crate::config::Enrichment) -> fmt::Result {
    for (name, value) in &enrichment.labels {
        write!(out, ", label {}={}", plain(name), plain(value))?;
    }
    if let Some(severity) = enrichment.severity {
        write!(out, ", severity {severity}")?;
    }
    for service in &enrichment.services {
        match service {
            crate::config::Service::Id(id) => write!(out, ", service {id}")?,
            crate::config::Service::Alias(alias) => write!(out, ", service {}", plain(alias))?,
        }
    }
    Ok(())
}

fn filter(out: &mut String, filter: Option<&crate::config::PayloadFilter>) -> fmt::Result {
    match filter {
        None => writeln!(out),
        Some(filter) => match &filter.value {
            None => writeln!(out, ", only with `{}`", plain(&filter.key)),
            Some(value) => {
                writeln!(out, ", only with `{}` = `{}`", plain(&filter.key), plain(value))
            }
        },
    }
}

fn http(out: &mut String, http: &Http, config: &Config) -> fmt::Result {
    let address = std::net::SocketAddr::new(http.bind, http.port);
    let body = size_words(http.body_bytes_max as u64);
    if http.clients == Clients::Dapr {
        let token = if http.token.is_some() { "with" } else { "without" };
        return writeln!(
            out,
            "http {address}: publications of an application, {token} token; bodies up to {body}, \
             {} connections at a time",
            http.connections_max
        );
    }
    if http.clients == Clients::Kapacitor {
        let user = if http.users.is_empty() { "without" } else { "with" };
        return writeln!(
            out,
            "http {address}: points and tasks, {user} user; bodies up to {body}, {} connections \
             at a time",
            http.connections_max
        );
    }
    let token = if http.token.is_some() { "with" } else { "without" };
    // The init script of OpenWrt looks for the address in front of these words.
    write!(out, "http {address}: events and heartbeats")?;
    if config.publishes() {
        write!(out, ", publications")?;
    }
    if !config.webhooks.is_empty() {
        write!(out, ", calls")?;
    }
    write!(out, ", {token} token")?;
    enrichment(out, &http.enrichment)?;
    writeln!(out, "; bodies up to {body}, {} connections at a time", http.connections_max)
}
