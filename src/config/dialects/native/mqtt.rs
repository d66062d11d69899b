//! `[[mqtt]]`: Kapacitor's keys, and ours.

use super::subscription::{self, Rest};
use crate::config::document::fields::Fields;
use crate::config::values::{self, Address, Scheme};
use crate::config::{Broker, Faults, Qos, Routing, Rule, Tls, Version, defaults};

/// What is wrong with a QoS that leaves nothing to acknowledge.
const QOS_0: &str = "QoS 0 needs `buffer = true`, because there is no broker acknowledgement to \
    delay when delivery fails; or use QoS 1 or 2";

/// Reads all brokers that are not disabled, and checks that they do not get in each other's way.
pub(super) fn brokers(tables: &[Fields<'_>], rest: Rest<'_>, outside: &mut Faults) -> Vec<Broker> {
    let mut brokers: Vec<Broker> = Vec::new();
    for fields in tables {
        let enabled = fields.truth("enabled").unwrap_or(true);
        let broker = broker(fields, rest, enabled);
        fields.end();
        let Some(mut broker) = broker.filter(|_| enabled) else {
            continue;
        };
        // With several brokers the one variable would tell each of them another's password.
        if tables.len() == 1 && broker.username.is_some() && broker.password.is_none() {
            let around = fields.file.around;
            broker.password =
                around.secret(Some("ILAGENT_MQTT_PASSWORD"), "mqtt_password", outside);
        }
        if brokers.iter().any(|other| other.name == broker.name) {
            let what = format!("there is another broker of the name `{}`", broker.name);
            fields.file.add(fields.place("name"), what);
        }
        let same_session = |other: &Broker| {
            other.host == broker.host
                && other.port == broker.port
                && other.client_id == broker.client_id
        };
        if brokers.iter().any(same_session) {
            let what = format!(
                "the client id `{}` is used twice at this broker, which would throw the one out \
                 when the other comes",
                broker.client_id
            );
            fields.file.add(fields.place("client-id"), what);
        }
        brokers.push(broker);
    }
    brokers
}

fn broker(fields: &Fields<'_>, rest: Rest<'_>, enabled: bool) -> Option<Broker> {
    // Kapacitor's mark of the broker to publish to; nothing is published here.
    fields.truth("default");
    let address = fields.text("url", values::address);
    if !fields.has(&["url"]) {
        fields.file.add(fields.at, "[[mqtt]] needs a `url` such as mqtt://broker:1883");
    }
    let tls = tls(fields, address.as_ref());
    let name = fields.text("name", values::filled);
    let client_id = client_id(fields, name.as_deref());
    let username = fields.text("username", |text| Ok(text.to_owned())).filter(|u| !u.is_empty());
    let password = fields.secret("password", "password-file");
    if password.is_some() && username.is_none() {
        let key = if fields.has(&["password"]) { "password" } else { "password-file" };
        fields.file.add(fields.place(key), "a password has no effect without a `username`");
    }
    let shared_group = fields.text("shared-group", values::shared_group);
    let version = fields.number("version", values::version);
    let keep_alive =
        fields.number("keep-alive", |text| values::duration(text, values::KEEP_ALIVES));
    let limit =
        fields.number("packet-limit", |text| values::size_usize(text, values::PACKET_BYTES));
    let buffer = fields.truth("buffer").unwrap_or(false);
    let qos = fields.number("qos", values::qos).unwrap_or(Qos::AtLeastOnce);
    let routing = fields.text("routing", values::routing).unwrap_or(Routing::Every);
    let rules = rules(fields, qos, rest, buffer, enabled);
    let address = address?;
    let of_scheme = if tls.is_some() { defaults::MQTT_TLS_PORT } else { defaults::MQTT_PORT };
    Some(Broker {
        name: name.unwrap_or_else(|| address.host.clone()),
        port: address.port.unwrap_or(of_scheme),
        host: address.host,
        client_id,
        username,
        password,
        tls,
        version: version.unwrap_or(match &shared_group {
            Some(_) => Version::V5,
            None => Version::V311,
        }),
        keep_alive: keep_alive.unwrap_or(defaults::KEEP_ALIVE),
        packet_bytes_max: limit.unwrap_or(defaults::PACKET_BYTES_MAX),
        shared_group,
        buffer,
        routing,
        rules,
    })
}

/// As Kapacitor has it, an empty client id is the name of the broker.
fn client_id(fields: &Fields<'_>, name: Option<&str>) -> String {
    fields
        .text("client-id", |text| {
            if text.is_empty() { Ok(String::new()) } else { values::mqtt_text(text) }
        })
        .filter(|id| !id.is_empty())
        .or_else(|| name.map(str::to_owned))
        .unwrap_or_else(|| defaults::CLIENT_ID.to_owned())
}

fn tls(fields: &Fields<'_>, address: Option<&Address>) -> Option<Tls> {
    let wanted = address.is_some_and(|address| address.scheme == Some(Scheme::Tls));
    let without = (address.is_some() && !wanted)
        .then_some("this has no effect without a `url` that begins with mqtts:// or ssl://");
    let tls = fields.tls_files(without);
    wanted.then_some(tls)
}

fn rules(fields: &Fields<'_>, qos: Qos, rest: Rest<'_>, buffer: bool, enabled: bool) -> Vec<Rule> {
    let mut rules = Vec::new();
    for table in fields.tables("subscription", "[[mqtt.subscription]]") {
        let qos = table.number("qos", values::qos).unwrap_or(qos);
        let found = subscription::rules(&table, qos, values::topic_filter, rest);
        if !buffer && found.iter().any(|rule| rule.qos == Qos::AtMostOnce) {
            let place = if table.has(&["qos"]) { table.place("qos") } else { fields.place("qos") };
            fields.file.add(place, QOS_0);
        }
        table.end();
        rules.extend(found);
    }
    if enabled && !fields.has(&["subscription"]) {
        fields.file.add(fields.at, "[[mqtt]] needs at least one [[mqtt.subscription]]");
    }
    rules
}
