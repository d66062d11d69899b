//! A Kafka cluster: how to reach it, our identity there, and what to read from it.

use super::{Routing, Rule, Secret, Tls, defaults};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// One Kafka cluster and what to read from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name in the log, `/ready` and `check`; unique among clusters.
    pub name: String,
    /// Brokers to ask for the rest of the cluster, each `host` or `host:port`; at least one.
    pub bootstrap: Vec<String>,
    /// The consumer group; the cluster keeps our offsets under it.
    pub group_id: String,
    /// TLS, if used.
    pub tls: Option<Tls>,
    /// SASL, if used.
    pub sasl: Option<Sasl>,
    /// Settings of librdkafka, by their own names. Any of them may be a secret.
    pub options: BTreeMap<String, Secret>,
    /// Largest message accepted, in bytes; a larger one becomes a dead letter.
    pub message_bytes_max: usize,
    /// Offsets are committed when their messages are stored (otherwise: when they are delivered).
    pub buffer: bool,
    /// With `buffer`: how long a delivery may wait in memory, unsigned, before it is stored. One
    /// that is delivered in that time is never written. Zero stores at once.
    pub hold: Duration,
    /// Whether a message goes to the first rule that matches or to every one.
    pub routing: Routing,
    /// What to subscribe to and what becomes of it, in order of precedence.
    pub rules: Vec<Rule>,
}

impl Cluster {
    /// A cluster behind these brokers, named after the first of them, with all defaults and no
    /// rules.
    #[must_use]
    pub fn at(bootstrap: Vec<String>) -> Self {
        Cluster {
            name: bootstrap.first().cloned().unwrap_or_default(),
            bootstrap,
            group_id: defaults::GROUP_ID.to_owned(),
            tls: None,
            sasl: None,
            options: BTreeMap::new(),
            message_bytes_max: defaults::MESSAGE_BYTES_MAX,
            buffer: false,
            hold: defaults::HOLD,
            routing: Routing::Every,
            rules: Vec::new(),
        }
    }

    /// Options that repeat one of our own settings.
    #[must_use]
    pub fn said_twice(&self) -> Vec<&'static str> {
        let tls = self.tls.as_ref();
        let said: [(bool, &[&str]); 3] = [
            (tls.is_some_and(|tls| tls.ca.is_some()), &["ssl.ca.location", "ssl.ca.pem"]),
            (
                tls.is_some_and(|tls| tls.client.is_some()),
                &["ssl.certificate.location", "ssl.key.location"],
            ),
            (
                self.sasl.is_some(),
                &["sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password"],
            ),
        ];
        let said = said.into_iter().filter(|(given, _)| *given).flat_map(|(_, names)| names);
        said.copied().filter(|name| self.options.contains_key(*name)).collect()
    }
}

/// How we authenticate to a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sasl {
    /// With a password.
    Password {
        /// How it is sent.
        mechanism: Mechanism,
        /// The user.
        username: String,
        /// The user's password.
        password: Secret,
    },
    /// With the OAuth bearer token in this file, which is read again before the token expires.
    Token(PathBuf),
}

/// How a password is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// In clear text.
    Plain,
    /// SCRAM with SHA-256.
    Scram256,
    /// SCRAM with SHA-512.
    Scram512,
}

impl Mechanism {
    /// Its name in SASL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram256 => "SCRAM-SHA-256",
            Mechanism::Scram512 => "SCRAM-SHA-512",
        }
    }
}
