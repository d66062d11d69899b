//! `[[mqtt]]`: Kapacitor's keys, and ours.

use super::subscription::{self, Rest};
use crate::config::document::fields::Fields;
use crate::config::{
    Broker, Faults, Qos, Rule,
    values::{self, put},
};

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
    broker.buffer = fields.truth("buffer").unwrap_or(broker.buffer);
    fields.text("routing", &mut |text| put(&mut broker.routing, values::routing(text)));
    broker.rules = rules(fields, rest, broker.buffer, enabled);
    is_known.then_some(broker)
}

/// Who we are at the broker. As Kapacitor has it, an empty client id is the name of the broker.
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

/// `is_known` says that the address could be read, and so whether TLS is wanted.
fn tls(fields: &Fields<'_>, broker: &mut Broker, is_known: bool) {
    let without = (is_known && broker.tls.is_none())
        .then_some("this has no effect without a `url` that begins with mqtts:// or ssl://");
    let files = fields.tls_files(without);
    if let Some(tls) = &mut broker.tls {
        *tls = files;
    }
}

fn rules(fields: &Fields<'_>, rest: Rest<'_>, buffer: bool, enabled: bool) -> Vec<Rule> {
    let mut qos_of_all = Qos::AtLeastOnce;
    fields.number("qos", &mut |text| put(&mut qos_of_all, values::qos(text)));
    let mut rules = Vec::new();
    for table in fields.tables("subscription", "[[mqtt.subscription]]") {
        let mut qos = qos_of_all;
        table.number("qos", &mut |text| put(&mut qos, values::qos(text)));
        let found = subscription::rules(&table, qos, &values::topic_filter, rest);
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
