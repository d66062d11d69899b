//! Brokers, topics and settings of Kafka.

use super::{filled, host_and_port};
use crate::config::Mechanism;
use crate::topic::Pattern;

/// Brokers of a Kafka cluster, with commas between them.
pub fn kafka_brokers(text: &str) -> Result<Vec<String>, String> {
    let brokers = text.split(',').map(str::trim).filter(|broker| !broker.is_empty());
    let brokers = brokers.map(kafka_broker).collect::<Result<Vec<_>, _>>()?;
    if brokers.is_empty() { filled("").map(|_| brokers) } else { Ok(brokers) }
}

/// One broker of a Kafka cluster: `host` or `host:port`.
pub fn kafka_broker(text: &str) -> Result<String, String> {
    if text.contains("://") {
        return Err(format!(
            "`{text}` is not a host:port; whether TLS is used has its own setting"
        ));
    }
    let known = host_and_port(text);
    known.map(|_| text.to_owned()).ok_or_else(|| format!("`{text}` is not a host or a host:port"))
}

/// The name of a Kafka topic.
pub fn kafka_topic(text: &str) -> Result<String, String> {
    const LETTERS_MAX: usize = 249;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > LETTERS_MAX || !text.bytes().all(legal) {
        return Err(format!(
            "`{text}` is not the name of a Kafka topic: 1 to {LETTERS_MAX} letters, digits, `.`, \
             `_` and `-`, without wildcards"
        ));
    }
    if matches!(text, "." | "..") {
        return Err(format!("`{text}` cannot be the name of a Kafka topic"));
    }
    Ok(text.to_owned())
}

/// The same as a pattern; it has no wildcards.
pub fn kafka_pattern(text: &str) -> Result<Pattern, String> {
    kafka_topic(text).map(|filter| Pattern { filter, names: Vec::new() })
}

/// How a password is sent to a Kafka cluster.
pub fn mechanism(text: &str) -> Result<Mechanism, String> {
    let all = [Mechanism::Plain, Mechanism::Scram256, Mechanism::Scram512];
    all.into_iter()
        .find(|mechanism| mechanism.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("this is {}, not `{text}`", all.map(Mechanism::as_str).join(", ")))
}

/// Whether a `security.protocol` of librdkafka means TLS.
#[must_use]
pub fn is_tls_protocol(text: &str) -> bool {
    text.to_ascii_lowercase().ends_with("ssl")
}

/// The name of a setting of librdkafka, unless it is one that the agent decides.
pub fn kafka_option(name: &str) -> Result<(), String> {
    const OFFSETS: &str = "the agent commits the offset of a message when it is safe, not earlier";
    const BROKERS: &str = "the brokers have their own setting";
    const OWN: &str = "the agent needs this for itself";
    let why = match name {
        "bootstrap.servers" | "metadata.broker.list" => BROKERS,
        "group.id" => "the group has its own setting",
        "enable.auto.commit"
        | "auto.commit.enable"
        | "auto.commit.interval.ms"
        | "enable.auto.offset.store"
        | "offset.store.method" => OFFSETS,
        "enable.partition.eof" | "statistics.interval.ms" | "log.queue" => OWN,
        _ if name.contains(char::is_whitespace) || name.contains('\0') => {
            return Err(format!("`{}` is not a setting of librdkafka", name.escape_debug()));
        }
        _ => return Ok(()),
    };
    Err(format!("`{name}` cannot be set: {why}"))
}

/// Whether an option of librdkafka holds a secret, judging by its name.
#[must_use]
pub fn is_secret_option(name: &str) -> bool {
    const SECRETS: [&str; 6] = ["password", "secret", "pem", "token", "config", "key"];
    SECRETS.iter().any(|word| name.contains(word))
}
