//! `[[kafka]]`: a consumer of one cluster.

use super::ForAll;
use super::subscription::{self, Reading};
use crate::config::document::fields::{Fields, text};
use crate::config::document::{Node, Value};
use crate::config::surroundings::NO_KAFKA;
use crate::config::values::{self, put};
use crate::config::whole::{Needs, Placed};
use crate::config::{Cluster, Enrichment, Faults, Mechanism, Qos, Sasl, Secret, Tls};
use std::collections::BTreeMap;

/// Reads all clusters.
pub(super) fn clusters(
    tables: &[Fields<'_>],
    all: &ForAll,
    outside: &mut Faults,
) -> Vec<Placed<Cluster>> {
    let mut outside = super::for_one(tables, outside);
    tables.iter().map(|fields| placed(fields, all, outside.as_deref_mut())).collect()
}

fn placed(fields: &Fields<'_>, all: &ForAll, outside: Option<&mut Faults>) -> Placed<Cluster> {
    let is_enabled = fields.truth("enabled").unwrap_or(true);
    if is_enabled && !fields.file.around.has_kafka {
        fields.file.add(fields.at, NO_KAFKA);
    }
    let mut cluster = cluster(fields, all, outside.filter(|_| is_enabled));
    let needs = rules(fields, &all.enrichment, is_enabled, &mut cluster);
    fields.end();
    let name = fields.file.place(fields.place("name"));
    Placed { it: cluster, is_enabled, id: name.clone(), name, needs }
}

/// The cluster without its rules, and without brokers if they cannot be read.
fn cluster(fields: &Fields<'_>, all: &ForAll, outside: Option<&mut Faults>) -> Cluster {
    let mut cluster = Cluster::at(brokers(fields));
    fields.text("name", &mut |text| put(&mut cluster.name, values::line(text)));
    fields.text("group-id", &mut |text| put(&mut cluster.group_id, values::line(text)));
    cluster.options = options(fields);
    cluster.tls = tls(fields, &cluster.options);
    cluster.sasl = sasl(fields, outside);
    fields.number("message-limit", &mut |text| {
        put(&mut cluster.message_bytes_max, values::size_usize(text, values::MESSAGE_BYTES))
    });
    (cluster.buffer, cluster.hold) = super::buffer(fields, all);
    fields.text("routing", &mut |text| put(&mut cluster.routing, values::routing(text)));
    for name in cluster.said_twice() {
        let what = format!("`{name}` has its own key, which is there as well");
        fields.file.add(fields.place("options"), what);
    }
    cluster
}

/// A list of texts, or one text with commas.
fn brokers(fields: &Fields<'_>) -> Vec<String> {
    if !fields.has(&["brokers"]) {
        fields.file.add(fields.at, "[[kafka]] needs `brokers` such as \"kafka:9092\"");
    }
    let read = |node: &Node| {
        let brokers = text(&node.value).and_then(values::kafka_brokers);
        fields.file.keep(node.at, brokers)
    };
    fields.list("brokers").iter().filter_map(read).flatten().collect()
}

/// `options`, a table of texts, numbers and truths. The dots in the names of librdkafka's settings
/// make tables in TOML, so tables within it are read as names with dots.
fn options(fields: &Fields<'_>) -> BTreeMap<String, Secret> {
    let mut options = BTreeMap::new();
    if let Some(node) = fields.node("options") {
        match &node.value {
            Value::Table(_) => flatten(fields, "", node, &mut options),
            other => {
                let what = format!("`options` is a table, not {}", other.kind());
                fields.file.add(node.at, what);
            }
        }
    }
    if options.keys().any(|name| values::is_secret_option(name)) {
        fields.file.holds_secret();
    }
    options
}

fn flatten(fields: &Fields<'_>, name: &str, node: &Node, options: &mut BTreeMap<String, Secret>) {
    let value = match &node.value {
        Value::Table(entries) => {
            for entry in entries {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(fields, &format!("{name}{dot}{}", entry.key), &entry.node, options);
            }
            return;
        }
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        Value::Truth(truth) => Ok(truth.to_string()),
        other => Err(format!("this is a text, a number or true or false, not {}", other.kind())),
    };
    let value = values::kafka_option(name).and(value);
    if let Some(value) = fields.file.keep(node.at, value)
        && options.insert(name.to_owned(), Secret::new(value)).is_some()
    {
        fields.file.add(node.at, format!("`{name}` is given twice"));
    }
}

/// `security.protocol`, given as an option, may ask for TLS as well.
fn tls(fields: &Fields<'_>, options: &BTreeMap<String, Secret>) -> Option<Tls> {
    let asked = fields.truth("tls").unwrap_or(false);
    let protocol = options.get("security.protocol").map(Secret::expose);
    if asked && protocol.is_some() {
        let what = "give this or the option `security.protocol`, not both";
        fields.file.add(fields.place("tls"), what);
    }
    let wanted = asked || protocol.is_some_and(values::is_tls_protocol);
    let without = (!wanted).then_some("this has no effect without `tls = true`");
    let tls = fields.tls_files(without);
    wanted.then_some(tls)
}

fn sasl(fields: &Fields<'_>, outside: Option<&mut Faults>) -> Option<Sasl> {
    let (mut username, mut token, mut mechanism) = (None::<String>, None, Mechanism::Plain);
    fields.text("username", &mut |text| put(&mut username, values::line(text)));
    fields.text("sasl-mechanism", &mut |text| put(&mut mechanism, values::mechanism(text)));
    let password = fields.secret("password", "password-file");
    fields.text("token-file", &mut |text| {
        put(&mut token, fields.file.secret_path(&values::filled(text)?))
    });
    without_effect(fields);
    if let Some(file) = token {
        if fields.has(&["username"]) {
            let what = "give this or a `username`, not both";
            fields.file.add(fields.place("token-file"), what);
        }
        return Some(Sasl::Token(file));
    }
    let username = username?;
    let said = fields.has(&["password", "password-file"]);
    let around = fields.file.around;
    let password = match outside {
        Some(outside) if !said => {
            around.secret(Some("ILAGENT_KAFKA_PASSWORD"), "kafka_password", outside)
        }
        _ => password,
    };
    if password.is_none() && !said {
        fields.file.add(fields.place("username"), "this needs a `password` or `password-file`");
    }
    Some(Sasl::Password { mechanism, username, password: password? })
}

fn without_effect(fields: &Fields<'_>) {
    if fields.has(&["username"]) {
        return;
    }
    for key in ["password", "password-file", "sasl-mechanism"] {
        if fields.has(&[key]) {
            fields.file.add(fields.place(key), "this has no effect without a `username`");
        }
    }
}

fn rules(
    fields: &Fields<'_>,
    enrichment: &Enrichment,
    is_enabled: bool,
    cluster: &mut Cluster,
) -> Vec<Needs> {
    let mut needs = Vec::new();
    for table in fields.tables("subscription", "[[kafka.subscription]]") {
        let (qos, routing) = (Qos::AtLeastOnce, cluster.routing);
        let reading =
            Reading { qos, topic: values::kafka_pattern, routing, enrichment, has_points: false };
        subscription::add(&table, &reading, &mut cluster.rules, &mut needs);
        table.end();
    }
    if is_enabled && !fields.has(&["subscription"]) {
        fields.file.add(fields.at, "[[kafka]] needs at least one [[kafka.subscription]]");
    }
    needs
}
