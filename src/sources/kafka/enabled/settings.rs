//! The settings of librdkafka.

use crate::config::{Cluster, Pem, Sasl, Secret, Tls};
use std::collections::BTreeMap;

/// What the agent decides itself; a configuration cannot change it.
const OWN: [(&str, &str); 5] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "false"),
    ("log.connection.close", "false"),
    // `/ready` learns from it how brokers and group are.
    ("statistics.interval.ms", "2000"),
];

/// Defaults, which options may change.
const DEFAULTS: [(&str, &str); 7] = [
    ("client.id", "ilagent"),
    // Nothing is skipped before the first commit of a group.
    ("auto.offset.reset", "earliest"),
    // A topic that is created later is noticed soon.
    ("topic.metadata.refresh.interval.ms", "30000"),
    // Fetching ahead is limited to the memory of a small box.
    ("queued.max.messages.kbytes", "4096"),
    ("fetch.max.bytes", "8388608"),
    // So that dead connections through NAT are noticed.
    ("socket.keepalive.enable", "true"),
    ("max.poll.interval.ms", "300000"),
];

/// The same, but only for the group protocol that knows them.
const CLASSIC: [(&str, &str); 2] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    // Another agent takes over after this time.
    ("session.timeout.ms", "10000"),
];

/// All settings of a consumer, except its brokers. `system_ca` is a bundle to trust instead of
/// the one of the system.
pub(super) fn settings(cluster: &Cluster, system_ca: Option<String>) -> BTreeMap<String, String> {
    let option = |name: &str| cluster.options.get(name).map(Secret::expose);
    let classic = option("group.protocol").is_none_or(|text| text.eq_ignore_ascii_case("classic"));
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: &str| settings.insert(name.to_owned(), value.to_owned());
    for (name, value) in DEFAULTS.iter().chain(CLASSIC.iter().filter(|_| classic)) {
        set(name, value);
    }
    let protocol = match (&cluster.tls, &cluster.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    set("security.protocol", protocol);
    if let Some(tls) = &cluster.tls {
        let own_ca = option("ssl.ca.pem").is_some();
        for (name, value) in tls_settings(tls, system_ca, own_ca) {
            set(name, &value);
        }
    }
    match &cluster.sasl {
        None => (),
        Some(Sasl::Password { mechanism, username, password }) => {
            set("sasl.mechanisms", mechanism.as_str());
            set("sasl.username", username);
            set("sasl.password", password.expose());
        }
        Some(Sasl::Token(_)) => {
            set("sasl.mechanisms", "OAUTHBEARER");
        }
    }
    for (name, value) in &cluster.options {
        set(name, value.expose());
    }
    for (name, value) in OWN {
        set(name, value);
    }
    set("group.id", &cluster.group_id);
    settings
}

fn tls_settings(tls: &Tls, system_ca: Option<String>, own_ca: bool) -> Vec<(&'static str, String)> {
    // Those of a Kafka are files.
    let words = |pem: &Pem| pem.to_string();
    let mut settings = Vec::new();
    match &tls.ca {
        Some(ca) => settings.push(("ssl.ca.location", words(ca))),
        None if own_ca => (),
        // OpenSSL is linked statically, so it must search for the system's bundle.
        None => settings.push(("ssl.ca.location", system_ca.unwrap_or_else(|| "probe".to_owned()))),
    }
    if let Some(client) = &tls.client {
        settings.push(("ssl.certificate.location", words(&client.chain)));
        settings.push(("ssl.key.location", words(&client.key)));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClientCertificate, Mechanism};

    fn cluster() -> Cluster {
        let bootstrap = vec!["k:9092".to_owned()];
        Cluster { group_id: "g".to_owned(), message_bytes_max: 1024, ..Cluster::at(bootstrap) }
    }

    #[track_caller]
    fn check(cluster: &Cluster, wanted: &[(&str, Option<&str>)]) {
        let found = settings(cluster, None);
        for (name, value) in wanted {
            assert_eq!(found.get(*name).map(String::as_str), *value, "{name}");
        }
    }

    #[test]
    fn options_win_over_defaults_and_never_over_what_is_our_own() {
        let mut cluster = cluster();
        for (name, value) in
            [("auto.offset.reset", "latest"), ("enable.auto.commit", "true"), ("debug", "cgrp")]
        {
            cluster.options.insert(name.to_owned(), Secret::new(value));
        }
        check(
            &cluster,
            &[
                ("auto.offset.reset", Some("latest")),
                ("enable.auto.commit", Some("false")),
                ("debug", Some("cgrp")),
                ("group.id", Some("g")),
                ("partition.assignment.strategy", Some("cooperative-sticky")),
                ("security.protocol", Some("plaintext")),
            ],
        );
        cluster.options.insert("group.protocol".to_owned(), Secret::new("consumer"));
        check(&cluster, &[("partition.assignment.strategy", None), ("session.timeout.ms", None)]);
    }

    #[test]
    fn tls_and_sasl_make_the_protocol() {
        let mut cluster = cluster();
        let pem = |path: &str| Pem::File(path.into());
        cluster.tls = Some(Tls::default());
        check(&cluster, &[("security.protocol", Some("ssl")), ("ssl.ca.location", Some("probe"))]);
        cluster.tls = Some(Tls {
            ca: Some(pem("/ca")),
            client: Some(ClientCertificate { chain: pem("/c"), key: pem("/k") }),
            ..Tls::default()
        });
        cluster.sasl = Some(Sasl::Password {
            mechanism: Mechanism::Scram512,
            username: "me".to_owned(),
            password: Secret::new("hush"),
        });
        check(
            &cluster,
            &[
                ("security.protocol", Some("sasl_ssl")),
                ("ssl.ca.location", Some("/ca")),
                ("ssl.key.location", Some("/k")),
                ("sasl.mechanisms", Some("SCRAM-SHA-512")),
                ("sasl.password", Some("hush")),
            ],
        );
        cluster.tls = None;
        cluster.sasl = Some(Sasl::Token("/token".into()));
        check(
            &cluster,
            &[
                ("security.protocol", Some("sasl_plaintext")),
                ("sasl.mechanisms", Some("OAUTHBEARER")),
                ("sasl.username", None),
            ],
        );
    }
}
