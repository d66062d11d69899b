//! The flags that make a Kafka consumer and its rules.

use super::Reading;
use super::rules::{NO_TOPIC, Wanted};
use crate::config::{Cluster, Mechanism, Qos, Routing, Sasl, Secret, Tls, defaults, values};
use std::collections::BTreeMap;

pub(super) struct Kafka<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
}

impl Kafka<'_, '_> {
    pub(super) fn cluster(&mut self, wanted: &[Wanted]) -> Option<Cluster> {
        let flags = &self.reading.asked.flags;
        let brokers = flags.kafka_brokers.as_ref();
        let bootstrap = self.reading.keep("--kafka_brokers", brokers, values::kafka_brokers);
        let group = flags.kafka_group_id.as_ref();
        let group_id = self.reading.keep("--kafka_group_id", group, values::kafka_text);
        let limit = flags.kafka_message_limit.as_ref();
        let limit = self.reading.keep("--kafka_message_limit", limit, |text| {
            values::size_usize(text, values::MESSAGE_BYTES)
        });
        let options = self.options();
        let tls = self.tls(&options);
        let sasl = self.sasl();
        brokers?;
        if wanted.is_empty() {
            self.reading.faults.add("--kafka_brokers", NO_TOPIC);
        }
        let rules = self.reading.rules(wanted, Qos::AtLeastOnce, values::kafka_topic);
        let bootstrap = bootstrap?;
        let cluster = Cluster {
            name: bootstrap.first()?.clone(),
            bootstrap,
            group_id: group_id.unwrap_or_else(|| defaults::GROUP_ID.to_owned()),
            tls,
            sasl,
            options,
            message_bytes_max: limit.unwrap_or(defaults::MESSAGE_BYTES_MAX),
            buffer: flags.kafka_buffer,
            routing: Routing::First,
            rules,
        };
        for name in cluster.said_twice() {
            let what = format!("`{name}` has a flag of its own, which is given as well");
            self.reading.faults.add("--kafka_option", what);
        }
        Some(cluster)
    }

    fn options(&mut self) -> BTreeMap<String, Secret> {
        let mut options = BTreeMap::new();
        for text in &self.reading.asked.flags.kafka_option {
            let option = values::pair(text).and_then(|(name, value)| {
                values::kafka_option(&name)?;
                Ok((name, Secret::new(value)))
            });
            let Some((name, value)) = self.reading.faults.keep("--kafka_option", option) else {
                continue;
            };
            if options.contains_key(&name) {
                self.reading.faults.add("--kafka_option", format!("`{name}` is given twice"));
            }
            options.insert(name, value);
        }
        options
    }

    /// `security.protocol`, given as an option, may ask for TLS as well.
    fn tls(&mut self, options: &BTreeMap<String, Secret>) -> Option<Tls> {
        let flags = &self.reading.asked.flags;
        let protocol = options.get("security.protocol").map(Secret::expose);
        if flags.kafka_tls && protocol.is_some() {
            let what = "give this or the option `security.protocol`, not both";
            self.reading.faults.add("--kafka_tls", what);
        }
        let wanted = flags.kafka_tls || protocol.is_some_and(values::is_tls_protocol);
        let files = [
            ("--kafka_ca", flags.kafka_ca.as_ref()),
            ("--kafka_client_cert", flags.kafka_client_cert.as_ref()),
            ("--kafka_client_key", flags.kafka_client_key.as_ref()),
        ];
        let tls = self.reading.tls(files, wanted, "--kafka_tls");
        wanted.then_some(tls)
    }

    fn sasl(&mut self) -> Option<Sasl> {
        let flags = &self.reading.asked.flags;
        let user = flags.kafka_username.as_ref();
        let username = self.reading.keep("--kafka_username", user, values::kafka_text);
        let mechanism = flags.kafka_sasl_mechanism.as_ref();
        let mechanism = self.reading.keep("--kafka_sasl_mechanism", mechanism, values::mechanism);
        let file = flags.kafka_token_file.as_ref();
        let token =
            file.map(|file| values::filled(file).and_then(|file| self.reading.secret_path(&file)));
        let token = token.and_then(|token| self.reading.faults.keep("--kafka_token_file", token));
        let password = self.password();
        if let Some(file) = token {
            return Some(Sasl::Token(file));
        }
        let username = username?;
        let said = flags.kafka_password.is_some() || flags.kafka_password_file.is_some();
        if password.is_none() && !said && flags.kafka_brokers.is_some() {
            let what = "this needs a password, in --kafka_password_file or ILAGENT_KAFKA_PASSWORD";
            self.reading.faults.add("--kafka_username", what);
        }
        let mechanism = mechanism.unwrap_or(Mechanism::Plain);
        Some(Sasl::Password { mechanism, username, password: password? })
    }

    fn password(&mut self) -> Option<Secret> {
        let flags = &self.reading.asked.flags;
        flags.kafka_brokers.as_ref()?;
        let said = flags.kafka_password.is_some() || flags.kafka_password_file.is_some();
        let password = self.reading.secret(
            ("--kafka_password", flags.kafka_password.as_ref()),
            flags.kafka_password_file.as_ref(),
            Some("ILAGENT_KAFKA_PASSWORD"),
            "kafka_password",
        )?;
        // Where a flag said it, the flag has been found without effect already.
        if !said && flags.kafka_username.is_none() {
            let what = "a password has no effect without --kafka_username";
            self.reading.faults.add("ILAGENT_KAFKA_PASSWORD", what);
        }
        Some(password)
    }
}
