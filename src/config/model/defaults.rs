//! Default values.

use crate::retry::Backoff;
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
/// Largest Kafka message, in bytes; by default brokers accept no larger ones.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// MQTT port; as documented upstream, also with `--mqtt_tls`.
pub const MQTT_PORT: u16 = 1883;
/// MQTT port of a URL that asks for TLS.
pub const MQTT_TLS_PORT: u16 = 8883;
/// Port of `ws://`.
pub const HTTP_PORT: u16 = 80;
/// Port of `wss://`.
pub const HTTPS_PORT: u16 = 443;
/// Longest silence on an MQTT connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Largest MQTT packet, in bytes.
pub const PACKET_BYTES_MAX: usize = 1024 * 1024;
/// Largest HTTP body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Kapacitor's port.
pub const KAPACITOR_PORT: u16 = 9092;
/// Largest body of points, in bytes: writers send thousands of them at a time.
pub const WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest silence on a connection to a broker, as Kapacitor has it.
pub const KAPACITOR_KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Dapr's port.
pub const DAPR_PORT: u16 = 3500;
/// Largest body of a publication over HTTP, in bytes, as Dapr has it.
pub const DAPR_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest head of such a request, in bytes.
pub const DAPR_HEAD_BYTES_MAX: usize = 4 * 1024;
/// Longest silence on a connection to a broker, as Dapr has it.
pub const DAPR_KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Namespace of an application.
pub const NAMESPACE: &str = "default";
/// Host of an application.
pub const APP_HOST: &str = "127.0.0.1";
/// Most HTTP connections at a time.
pub const CONNECTIONS_MAX: usize = 64;
/// Most requests to ilert at a time.
pub const IN_FLIGHT_MAX: usize = 24;
/// Longest time one request to ilert may take.
pub const TIMEOUT: Duration = Duration::from_secs(25);
/// Most bytes of deliveries waiting.
pub const QUEUE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a buffered delivery may wait for its sink before it is stored.
pub const HOLD: Duration = Duration::from_millis(50);
/// Most dead letters kept.
pub const DEAD_LETTERS_MAX: u64 = 1_000;
/// Age of the oldest delivery beyond which the agent is not healthy.
pub const AGE_MAX: Duration = Duration::from_secs(600);
/// Name of a file sink.
pub const JOURNAL: &str = "journal";
/// Bytes at which a file sink begins a new file.
pub const ROTATE_AT: u64 = 1024 * 1024;
/// Older files that a file sink keeps.
pub const OLDER_FILES: u32 = 1;
/// Method of a webhook.
pub const METHOD: &str = "POST";
/// Waits of a webhook after failures.
pub const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };
