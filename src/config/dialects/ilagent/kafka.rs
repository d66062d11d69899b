//! The flags that make a Kafka consumer and its rules.

use super::Reading;
use super::rules::{self, NO_TOPIC, Wanted};
use crate::config::values::{self, put};
use crate::config::whole::Placed;
use crate::config::{Cluster, Mechanism, Qos, Routing, Sasl, Secret, Tls};
use std::collections::BTreeMap;

pub(super) struct Kafka<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
}

impl Kafka<'_, '_> {
    pub(super) fn cluster(&mut self, wanted: &[Wanted]) -> Option<Placed<Cluster>> {
        let flags = &self.reading.asked.flags;
        let mut bootstrap = None;
        self.reading.read("--kafka_brokers", flags.kafka_brokers.as_ref(), &mut |text| {
            put(&mut bootstrap, values::kafka_brokers(text))
        });
        let mut cluster = Cluster::at(bootstrap.unwrap_or_default());
        cluster.routing = Routing::First;
        cluster.buffer = flags.kafka_buffer;
        self.reading.read("--kafka_group_id", flags.kafka_group_id.as_ref(), &mut |text| {
            put(&mut cluster.group_id, values::line(text))
        });
        self.reading.read(
            "--kafka_message_limit",
            flags.kafka_message_limit.as_ref(),
            &mut |text| {
                put(&mut cluster.message_bytes_max, values::size_usize(text, values::MESSAGE_BYTES))
            },
        );
        cluster.options = self.options();
        cluster.tls = self.tls(&cluster.options);
        cluster.sasl = self.sasl();
        flags.kafka_brokers.as_ref()?;
        if wanted.is_empty() {
            self.reading.faults.add("--kafka_brokers", NO_TOPIC);
        }
        cluster.rules = self.reading.rules(wanted, Qos::AtLeastOnce, &values::kafka_topic);
        for name in cluster.said_twice() {
            let what = format!("`{name}` has its own flag, which is given as well");
            self.reading.faults.add("--kafka_option", what);
        }
        let (name, id) = ("--kafka_brokers".into(), "--kafka_brokers".into());
        Some(Placed { it: cluster, is_enabled: true, name, id, needs: rules::needs(wanted) })
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
        let (mut username, mut mechanism) = (None::<String>, Mechanism::Plain);
        self.reading.read("--kafka_username", flags.kafka_username.as_ref(), &mut |text| {
            put(&mut username, values::line(text))
        });
        self.reading.read(
            "--kafka_sasl_mechanism",
            flags.kafka_sasl_mechanism.as_ref(),
            &mut |text| put(&mut mechanism, values::mechanism(text)),
        );
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
        // A flag without effect has been noted already.
        if !said && flags.kafka_username.is_none() {
            let what = "a password has no effect without --kafka_username";
            self.reading.faults.add("ILAGENT_KAFKA_PASSWORD", what);
        }
        Some(password)
    }
}
