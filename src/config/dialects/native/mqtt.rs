//! `[[mqtt]]`: Kapacitor's keys, and ours.

use super::ForAll;
use super::subscription::{self, Reading};
use crate::config::document::fields::Fields;
use crate::config::values::{self, put};
use crate::config::whole::{Needs, Placed};
use crate::config::{Broker, Enrichment, Faults, Qos, StatusFormat, StatusTopic};
use crate::topic::{self, Pattern};

/// Reads all brokers.
pub(super) fn brokers(
    tables: &[Fields<'_>],
    all: &ForAll,
    outside: &mut Faults,
) -> Vec<Placed<Broker>> {
    let mut outside = super::for_one(tables, outside);
    tables.iter().map(|fields| placed(fields, all, outside.as_deref_mut())).collect()
}

fn placed(fields: &Fields<'_>, all: &ForAll, outside: Option<&mut Faults>) -> Placed<Broker> {
    let is_enabled = fields.truth("enabled").unwrap_or(true);
    let mut broker = broker(fields, all);
    let needs = rules(fields, &all.enrichment, is_enabled, &mut broker);
    fields.end();
    if is_enabled
        && broker.username.is_some()
        && broker.password.is_none()
        && let Some(outside) = outside
    {
        let around = fields.file.around;
        broker.password = around.secret(Some("ILAGENT_MQTT_PASSWORD"), "mqtt_password", outside);
    }
    let place = |key| fields.file.place(fields.place(key));
    Placed { it: broker, is_enabled, name: place("name"), id: place("client-id"), needs }
}

/// The broker without its rules, and without a host if that cannot be read.
pub(super) fn broker(fields: &Fields<'_>, all: &ForAll) -> Broker {
    // Kapacitor's mark of the broker to publish to, which `[kapacitor]` asks for; our rules name
    // theirs.
    fields.truth("default");
    let mut address = None;
    fields.text("url", &mut |text| put(&mut address, values::address(text)));
    if !fields.has(&["url"]) {
        fields.file.add(fields.at, "[[mqtt]] needs a `url` such as mqtt://broker:1883");
    }
    let is_known = address.is_some();
    let mut broker = Broker::at(address.unwrap_or_default());
    tls(fields, &mut broker, is_known);
    identity(fields, &mut broker);
    let group = &mut |text: &str| values::shared_group(text).map(|group| broker.share(group));
    fields.text("shared-group", group);
    fields.number("version", &mut |text| put(&mut broker.version, values::version(text)));
    fields.number("keep-alive", &mut |text| {
        put(&mut broker.keep_alive, values::duration(text, values::KEEP_ALIVES))
    });
    fields.number("packet-limit", &mut |text| {
        put(&mut broker.packet_bytes_max, values::size_usize(text, values::PACKET_BYTES))
    });
    status(fields, &mut broker);
    (broker.buffer, broker.hold) = super::buffer(fields, all);
    fields.text("routing", &mut |text| put(&mut broker.routing, values::routing(text)));
    broker
}

/// The topic that says if we are there.
fn status(fields: &Fields<'_>, broker: &mut Broker) {
    let mut format = StatusFormat::default();
    fields.text("status-format", &mut |text| put(&mut format, values::status_format(text)));
    fields.text("status-topic", &mut |text| {
        topic::check_topic(text)?;
        broker.status = Some(StatusTopic { topic: text.to_owned(), format, service: None });
        Ok(())
    });
    if fields.has(&["status-format"]) && !fields.has(&["status-topic"]) {
        let what = "this has no effect without a `status-topic`";
        fields.file.add(fields.place("status-format"), what);
    }
}

/// Our identity at the broker. As in Kapacitor, the broker's name replaces an empty client id.
fn identity(fields: &Fields<'_>, broker: &mut Broker) {
    fields.text("name", &mut |text| {
        broker.name = values::filled(text)?;
        broker.client_id.clone_from(&broker.name);
        Ok(())
    });
    fields.text("client-id", &mut |text| match text {
        "" => Ok(()),
        _ => put(&mut broker.client_id, values::mqtt_text(text)),
    });
    fields
        .text("out-client-id", &mut |text| put(&mut broker.out_client_id, values::mqtt_text(text)));
    fields.text("username", &mut |text| {
        broker.username = (!text.is_empty()).then(|| text.to_owned());
        Ok(())
    });
    broker.password = fields.secret("password", "password-file");
    if broker.password.is_some() && broker.username.is_none() {
        let key = if fields.has(&["password"]) { "password" } else { "password-file" };
        fields.file.add(fields.place(key), "a password has no effect without a `username`");
    }
}

/// `is_known` says that the address could be read, so that we know whether TLS is used.
fn tls(fields: &Fields<'_>, broker: &mut Broker, is_known: bool) {
    let without = (is_known && broker.tls.is_none()).then_some(
        "this has no effect without a `url` that begins with mqtts://, ssl:// or wss://",
    );
    let files = fields.tls_files(without);
    if let Some(tls) = &mut broker.tls {
        *tls = files;
    }
}

fn rules(
    fields: &Fields<'_>,
    enrichment: &Enrichment,
    is_enabled: bool,
    broker: &mut Broker,
) -> Vec<Needs> {
    let mut needs = Vec::new();
    let mut qos_of_all = Qos::AtLeastOnce;
    fields.number("qos", &mut |text| put(&mut qos_of_all, values::qos(text)));
    for table in fields.tables("subscription", "[[mqtt.subscription]]") {
        let mut qos = qos_of_all;
        table.number("qos", &mut |text| put(&mut qos, values::qos(text)));
        let place = if table.has(&["qos"]) { table.place("qos") } else { fields.place("qos") };
        needs.push(Needs::Acknowledged(qos, fields.file.place(place)));
        let reading = Reading {
            qos,
            topic: Pattern::parse,
            routing: broker.routing,
            enrichment,
            has_points: true,
        };
        subscription::add(&table, &reading, &mut broker.rules, &mut needs);
        table.end();
    }
    if is_enabled && !fields.has(&["subscription"]) {
        needs.push(Needs::Purpose(fields.file.place(fields.at)));
    }
    needs
}
