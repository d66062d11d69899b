//! The one model every dialect ends in. Pure: `main` reads files and hands their text in.

pub mod dialects;
mod fault;
pub mod hush;
mod secret;
pub mod suggest;
mod surroundings;
pub mod values;

pub use fault::{Fault, Faults};
pub use secret::Secret;
pub use surroundings::{Checked, Surroundings, warnings};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// All that `ilagent daemon` is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// One session each.
    pub brokers: Vec<Broker>,
    /// One consumer each.
    pub clusters: Vec<Cluster>,
    /// The HTTP listener, if there is one.
    pub http: Option<Http>,
    /// ilert's API and how it is used.
    pub ilert: Ilert,
    /// Where deliveries wait.
    pub queue: Queue,
}

/// One MQTT broker and what is wanted from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// How log, `/ready` and `check` call it; unique.
    pub name: String,
    /// Host name or address, without a port; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The MQTT client id, never empty (the session is kept under it).
    pub client_id: String,
    /// User name, if the broker wants one.
    pub username: Option<String>,
    /// Password; only with a user name.
    pub password: Option<Secret>,
    /// TLS, if wanted.
    pub tls: Option<Tls>,
    /// The protocol to begin with.
    pub version: Version,
    /// Seconds between signs of life.
    pub keep_alive: Duration,
    /// The largest MQTT packet taken in, in bytes; a larger one becomes a dead letter.
    pub packet_bytes_max: usize,
    /// The group of a shared subscription (`$share/<group>/…`).
    pub shared_group: Option<String>,
    /// Messages are stored before they are acknowledged (otherwise: acknowledged once delivered).
    pub buffer: bool,
    /// Whether a message is for the first rule that matches or for every one.
    pub routing: Routing,
    /// What is subscribed to, and what becomes of it, in order of precedence.
    pub rules: Vec<Rule>,
}

/// One Kafka cluster and what is wanted from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// How log, `/ready` and `check` call it; unique among clusters.
    pub name: String,
    /// Brokers that are asked for all others, each `host` or `host:port`; at least one.
    pub bootstrap: Vec<String>,
    /// The consumer group; the offsets are kept under it.
    pub group_id: String,
    /// TLS, if wanted.
    pub tls: Option<Tls>,
    /// SASL, if wanted.
    pub sasl: Option<Sasl>,
    /// Settings of librdkafka, by their own names. Any of them may be a secret.
    pub options: BTreeMap<String, Secret>,
    /// The largest message taken in, in bytes; a larger one becomes a dead letter.
    pub message_bytes_max: usize,
    /// Offsets are committed when their messages are stored (otherwise: when they are delivered).
    pub buffer: bool,
    /// Whether a message is for the first rule that matches or for every one.
    pub routing: Routing,
    /// What is subscribed to, and what becomes of it, in order of precedence.
    pub rules: Vec<Rule>,
}

impl Cluster {
    /// Options that say again what a setting of ours says.
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

/// How a Kafka cluster is told who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sasl {
    /// With a password.
    Password {
        /// How it is shown.
        mechanism: Mechanism,
        /// The user.
        username: String,
        /// The user's password.
        password: Secret,
    },
    /// With the OAuth bearer token in this file, which is read again before it runs out.
    Token(PathBuf),
}

/// How a password is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// As it is.
    Plain,
    /// SCRAM with SHA-256.
    Scram256,
    /// SCRAM with SHA-512.
    Scram512,
}

impl Mechanism {
    /// The name that SASL has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Scram256 => "SCRAM-SHA-256",
            Mechanism::Scram512 => "SCRAM-SHA-512",
        }
    }
}

/// Which MQTT a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V311,
    /// 5; a broker that refuses it is used with 3.1.1 and a warning.
    V5,
}

/// Which rules a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// The first that matches: ilagent's heartbeat, then policy, then event topics.
    First,
    /// Every one that matches, once each.
    Every,
}

/// Quality of service of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// 0.
    AtMostOnce,
    /// 1.
    AtLeastOnce,
    /// 2.
    ExactlyOnce,
}

/// TLS to a broker. An MQTT session reads the files when it connects and looks at them again
/// every 30 s; a Kafka consumer reads them when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Only this bundle is trusted; without one, the system's roots.
    pub ca: Option<PathBuf>,
    /// Client certificate chain and its key: both or none.
    pub client: Option<ClientCertificate>,
}

/// A client certificate chain and its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Which messages become which deliveries.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Topic filter, as subscribed to, without the `$share` prefix; the name of a Kafka topic.
    pub filter: String,
    /// The QoS asked for; Kafka has only one.
    pub qos: Qos,
    /// What becomes of a message.
    pub to: Target,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// An ilert event.
    Event(Box<EventRule>),
    /// A heartbeat ping with the key in the payload.
    Heartbeat,
    /// An escalation policy update.
    Policy(Box<PolicyRule>),
}

/// How a payload becomes an event (`spec/ilagent.md` 4 and 12.1 of upstream's behaviour).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventRule {
    /// Only payloads that pass.
    pub filter: Option<PayloadFilter>,
    /// Replaces the integration key of every event.
    pub event_key: Option<Secret>,
    /// Path of the event type, and what its values mean.
    pub event_type: EventTypeMap,
    /// Path of the alert key.
    pub alert_key: Option<JsonPath>,
    /// Path of the summary.
    pub summary: Option<JsonPath>,
    /// Path of the severity.
    pub severity: Option<JsonPath>,
    /// Path of the routing key.
    pub routing_key: Option<JsonPath>,
    /// Paths of labels, by label name.
    pub labels: BTreeMap<String, JsonPath>,
    /// The whole payload becomes `customDetails` unless it brings its own.
    pub forward_payload: bool,
    /// What is added to every event.
    pub enrichment: Enrichment,
}

/// Static additions to every event, of consumers and of the HTTP proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrichment {
    /// Labels; they win over mapped ones and those of the payload.
    pub labels: BTreeMap<String, String>,
    /// Severity 1 to 5 of events that have none.
    pub severity: Option<u8>,
    /// Services, in the order given; used when the event names none.
    pub services: Vec<Service>,
}

/// A service an event concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// By number.
    Id(i64),
    /// By alias.
    Alias(String),
}

/// Only payloads whose top-level member `key` is there and, if `value` is set, is that string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadFilter {
    /// Name of a top-level member, literally.
    pub key: String,
    /// The string it has to be.
    pub value: Option<String>,
}

/// Where the event type stands and what its values mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventTypeMap {
    /// Path of the value.
    pub path: Option<JsonPath>,
    /// The value that means ALERT.
    pub alert: Option<String>,
    /// The value that means ACCEPT.
    pub accept: Option<String>,
    /// The value that means RESOLVE.
    pub resolve: Option<String>,
}

/// A dotted path into a JSON document: `data.sensors.0.name`; a number indexes an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(pub String);

/// How a payload becomes an update of an escalation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// Only payloads that pass.
    pub filter: Option<PayloadFilter>,
    /// Top-level members whose values make the routing key, in order.
    pub routing_keys: Vec<String>,
    /// Path of the user's e-mail address.
    pub email: JsonPath,
    /// Path of the level.
    pub shift: JsonPath,
    /// Added to the level.
    pub shift_offset: i64,
}

/// The HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Address to bind.
    pub bind: IpAddr,
    /// Port to bind; 0 lets the system choose.
    pub port: u16,
    /// Bearer token that clients of `/api/` must show.
    pub token: Option<Secret>,
    /// Largest request body, in bytes.
    pub body_bytes_max: usize,
    /// Most connections at a time.
    pub connections_max: usize,
    /// What is added to every event.
    pub enrichment: Enrichment,
}

/// ilert's API and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ilert {
    /// Scheme, host and port of the API, without a slash at the end.
    pub api: String,
    /// The same for heartbeat pings.
    pub beat: String,
    /// API key, for policy updates only.
    pub api_key: Option<Secret>,
    /// Heartbeat monitor that is pinged while the agent is healthy.
    pub heartbeat: Option<Secret>,
    /// Attempts before a delivery becomes a dead letter; `None` never gives up.
    pub attempts_max: Option<u32>,
    /// Most requests under way at a time.
    pub in_flight_max: usize,
    /// Longest time one request may take.
    pub timeout: Duration,
}

/// Where deliveries wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The database file.
    pub path: PathBuf,
    /// Most bytes of deliveries waiting; beyond it sources are refused.
    pub bytes_max: u64,
    /// Most dead letters kept; beyond it the oldest goes.
    pub dead_letters_max: u64,
    /// When a commit counts as safe.
    pub sync: Sync,
    /// `/ready` and the heartbeat fail when the oldest delivery is older.
    pub age_max: Duration,
}

/// When a commit counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// When the disk says so: survives a power cut.
    Full,
    /// When the system has it: survives a crash of the agent, and spares flash.
    Normal,
}

impl Default for Ilert {
    fn default() -> Self {
        Ilert {
            api: defaults::API.to_owned(),
            beat: defaults::BEAT.to_owned(),
            api_key: None,
            heartbeat: None,
            attempts_max: Some(defaults::ATTEMPTS_MAX),
            in_flight_max: defaults::IN_FLIGHT_MAX,
            timeout: defaults::TIMEOUT,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            path: PathBuf::from(defaults::DATABASE),
            bytes_max: defaults::QUEUE_BYTES_MAX,
            dead_letters_max: defaults::DEAD_LETTERS_MAX,
            sync: Sync::Full,
            age_max: defaults::AGE_MAX,
        }
    }
}

/// Values that are used when nothing else is said.
pub mod defaults {
    use std::time::Duration;

    /// ilert's API.
    pub const API: &str = "https://api.ilert.com";
    /// ilert's heartbeat host.
    pub const BEAT: &str = "https://beat.ilert.com";
    /// Database file.
    pub const DATABASE: &str = "./ilagent.db3";
    /// Attempts before a delivery becomes a dead letter.
    pub const ATTEMPTS_MAX: u32 = 100;
    /// MQTT client id.
    pub const CLIENT_ID: &str = "ilagent";
    /// Kafka consumer group.
    pub const GROUP_ID: &str = "ilagent";
    /// Largest Kafka message, in bytes; brokers take no larger ones unless they are told to.
    pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
    /// MQTT port; as documented upstream, also with `--mqtt_tls`.
    pub const MQTT_PORT: u16 = 1883;
    /// MQTT port of a URL that asks for TLS.
    pub const MQTT_TLS_PORT: u16 = 8883;
    /// Signs of life.
    pub const KEEP_ALIVE: Duration = Duration::from_secs(60);
    /// Largest MQTT packet, in bytes.
    pub const PACKET_BYTES_MAX: usize = 1024 * 1024;
    /// Largest HTTP body, in bytes.
    pub const BODY_BYTES_MAX: usize = 64 * 1024;
    /// Most HTTP connections at a time.
    pub const CONNECTIONS_MAX: usize = 64;
    /// Most requests to ilert at a time.
    pub const IN_FLIGHT_MAX: usize = 24;
    /// Longest time one request to ilert may take.
    pub const TIMEOUT: Duration = Duration::from_secs(25);
    /// Most bytes of deliveries waiting.
    pub const QUEUE_BYTES_MAX: u64 = 256 * 1024 * 1024;
    /// Most dead letters kept.
    pub const DEAD_LETTERS_MAX: u64 = 1_000;
    /// Age of the oldest delivery at which the agent stops calling itself healthy.
    pub const AGE_MAX: Duration = Duration::from_secs(600);
}
