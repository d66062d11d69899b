//! The flags of `daemon` and `check`, as written: texts, nothing checked.
//!
//! This is the one list of them. The command line is read with it, `--help` is rendered from it,
//! and the tests compare docs/options.md with it. Names are documented with underscores; `argh`
//! knows them with dashes, and `cli` accepts both.

use argh::{ArgsInfo, FromArgs};

/// The headings of `--help`, each with the flag that it stands before.
pub const GROUPS: [(&str, &str); 11] = [
    ("Configuration file", "config"),
    ("Services of Connectware", "connectware"),
    ("MQTT", "mqtt-host"),
    ("Kafka (only in a build with the feature `kafka`)", "kafka-brokers"),
    ("Topics", "event-topic"),
    ("HTTP", "port"),
    ("Mapping of events", "event-key"),
    ("Policy updates", "policy-routing-keys"),
    ("Heartbeat", "heartbeat"),
    ("Queue and delivery", "max-retries"),
    ("Known, but not supported", "edge-mode"),
];

/// Takes messages in, keeps them safe and hands them on, until it is stopped.
#[derive(ArgsInfo, Clone, Default, FromArgs, PartialEq, Eq)]
pub struct Flags {
    /// configuration file, TOML or JSON: several brokers, and routes to other brokers and to
    /// applications; only -v, -f and -p may be given beside it
    #[argh(option, arg_name = "FILE")]
    pub config: Option<String>,
    /// kapacitor.conf of a Kapacitor whose work this agent does as well
    #[argh(option, arg_name = "FILE")]
    pub kapacitor: Option<String>,

    /// service commissioning file of Connectware; may be repeated
    #[argh(option, arg_name = "FILE")]
    pub connectware: Vec<String>,
    /// id of the service (default: made of its name)
    #[argh(option, arg_name = "ID")]
    pub service_id: Option<String>,
    /// value of a parameter of the service; better in ILAGENT_PARAMETER_name; may be repeated
    #[argh(option, arg_name = "NAME=VALUE")]
    pub parameter: Vec<String>,
    /// file with more values, a JSON object
    #[argh(option, arg_name = "FILE")]
    pub parameters_file: Option<String>,
    /// broker that services share (default: mqtt://127.0.0.1:1883)
    #[argh(option, arg_name = "URL")]
    pub internal_broker: Option<String>,
    /// leave out resources that are not supported, with a warning
    #[argh(switch)]
    pub skip_unsupported: bool,

    /// broker: host, host:port, or a URL (mqtt://, tcp://, mqtts://, ssl://, ws://, wss://)
    #[argh(option, short = 'm', arg_name = "HOST")]
    pub mqtt_host: Option<String>,
    /// port of the broker (default: 1883)
    #[argh(option, short = 'q', arg_name = "PORT")]
    pub mqtt_port: Option<String>,
    /// client id; the broker keeps the session under it (default: ilagent)
    #[argh(option, short = 'n', arg_name = "ID")]
    pub mqtt_name: Option<String>,
    /// user name
    #[argh(option, arg_name = "NAME")]
    pub mqtt_username: Option<String>,
    /// password; better in ILAGENT_MQTT_PASSWORD or a file
    #[argh(option, arg_name = "TEXT")]
    pub mqtt_password: Option<String>,
    /// file that holds the password
    #[argh(option, arg_name = "FILE")]
    pub mqtt_password_file: Option<String>,
    /// connect with TLS
    #[argh(switch)]
    pub mqtt_tls: bool,
    /// PEM bundle of the only CAs to trust (default: those of the system)
    #[argh(option, arg_name = "FILE")]
    pub mqtt_ca: Option<String>,
    /// PEM file of our certificate and its chain
    #[argh(option, arg_name = "FILE")]
    pub mqtt_client_cert: Option<String>,
    /// PEM file of the key of our certificate
    #[argh(option, arg_name = "FILE")]
    pub mqtt_client_key: Option<String>,
    /// quality of service of all subscriptions: 0 (only with --mqtt_buffer), 1 or 2 (default: 0)
    #[argh(option, arg_name = "QOS")]
    pub mqtt_qos: Option<String>,
    /// acknowledge messages when they are stored, not when they are delivered
    #[argh(switch)]
    pub mqtt_buffer: bool,
    /// share the subscriptions with the other agents of this group
    #[argh(option, arg_name = "GROUP")]
    pub mqtt_shared_group: Option<String>,
    /// MQTT version, 3 or 5 (default: 3, with a shared group 5)
    #[argh(option, arg_name = "VERSION")]
    pub mqtt_version: Option<String>,
    /// largest packet to take in; larger ones become dead letters (default: 1 MB)
    #[argh(option, arg_name = "SIZE")]
    pub mqtt_packet_limit: Option<String>,

    /// brokers of the cluster, host:port, separated by commas
    #[argh(option, arg_name = "HOSTS")]
    pub kafka_brokers: Option<String>,
    /// consumer group; the cluster keeps the offsets under it (default: ilagent)
    #[argh(option, arg_name = "GROUP")]
    pub kafka_group_id: Option<String>,
    /// connect with TLS
    #[argh(switch)]
    pub kafka_tls: bool,
    /// PEM bundle of the only CAs to trust (default: those of the system)
    #[argh(option, arg_name = "FILE")]
    pub kafka_ca: Option<String>,
    /// PEM file of our certificate and its chain
    #[argh(option, arg_name = "FILE")]
    pub kafka_client_cert: Option<String>,
    /// PEM file of the key of our certificate
    #[argh(option, arg_name = "FILE")]
    pub kafka_client_key: Option<String>,
    /// user name, for SASL
    #[argh(option, arg_name = "NAME")]
    pub kafka_username: Option<String>,
    /// password; better in ILAGENT_KAFKA_PASSWORD or a file
    #[argh(option, arg_name = "TEXT")]
    pub kafka_password: Option<String>,
    /// file that holds the password
    #[argh(option, arg_name = "FILE")]
    pub kafka_password_file: Option<String>,
    /// how to log in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (default: PLAIN)
    #[argh(option, arg_name = "MECHANISM")]
    pub kafka_sasl_mechanism: Option<String>,
    /// file that holds an OAuth bearer token, read again before it runs out (SASL OAUTHBEARER)
    #[argh(option, arg_name = "FILE")]
    pub kafka_token_file: Option<String>,
    /// setting of librdkafka, such as auto.offset.reset=latest; may be repeated
    #[argh(option, arg_name = "NAME=VALUE")]
    pub kafka_option: Vec<String>,
    /// commit offsets when messages are stored, not when they are delivered, and never exit
    #[argh(switch)]
    pub kafka_buffer: bool,
    /// largest message to take in; larger ones become dead letters (default: 1 MB)
    #[argh(option, arg_name = "SIZE")]
    pub kafka_message_limit: Option<String>,

    /// topic filter of events, or Kafka topic; may be repeated
    #[argh(option, short = 'e', arg_name = "TOPIC")]
    pub event_topic: Vec<String>,
    /// topic filter of heartbeats, or Kafka topic; may be repeated
    #[argh(option, short = 'r', arg_name = "TOPIC")]
    pub heartbeat_topic: Vec<String>,
    /// topic filter of policy updates, or Kafka topic; may be repeated
    #[argh(option, arg_name = "TOPIC")]
    pub policy_topic: Vec<String>,

    /// listen for HTTP on this port (default: off)
    #[argh(option, short = 'p', arg_name = "PORT")]
    pub port: Option<String>,
    /// address to listen on (default: 0.0.0.0)
    #[argh(option, arg_name = "ADDRESS")]
    pub bind: Option<String>,
    /// bearer token that clients of /api/ must show; better in ILAGENT_HTTP_TOKEN or a file
    #[argh(option, arg_name = "TOKEN")]
    pub http_token: Option<String>,
    /// file that holds the token
    #[argh(option, arg_name = "FILE")]
    pub http_token_file: Option<String>,
    /// largest request body (default: 64 KB)
    #[argh(option, arg_name = "SIZE")]
    pub http_body_limit: Option<String>,

    /// integration key of all consumed events, whatever their payload says
    #[argh(option, arg_name = "KEY")]
    pub event_key: Option<String>,
    /// file that holds that key
    #[argh(option, arg_name = "FILE")]
    pub event_key_file: Option<String>,
    /// path of the event type, such as data.state
    #[argh(option, arg_name = "PATH")]
    pub map_key_etype: Option<String>,
    /// path of the alert key
    #[argh(option, arg_name = "PATH")]
    pub map_key_alert_key: Option<String>,
    /// path of the summary
    #[argh(option, arg_name = "PATH")]
    pub map_key_summary: Option<String>,
    /// path of the severity, 1 to 5
    #[argh(option, arg_name = "PATH")]
    pub map_key_severity: Option<String>,
    /// path of the routing key
    #[argh(option, arg_name = "PATH")]
    pub map_key_routing_key: Option<String>,
    /// label NAME from the value at PATH; may be repeated
    #[argh(option, arg_name = "NAME=PATH")]
    pub map_key_label: Vec<String>,
    /// value at --map_key_etype that means ALERT
    #[argh(option, arg_name = "TEXT")]
    pub map_val_etype_alert: Option<String>,
    /// value at --map_key_etype that means ACCEPT
    #[argh(option, arg_name = "TEXT")]
    pub map_val_etype_accept: Option<String>,
    /// value at --map_key_etype that means RESOLVE
    #[argh(option, arg_name = "TEXT")]
    pub map_val_etype_resolve: Option<String>,
    /// only messages that have this top-level member
    #[argh(option, arg_name = "NAME")]
    pub filter_key: Option<String>,
    /// only messages where that member is this text
    #[argh(option, arg_name = "TEXT")]
    pub filter_val: Option<String>,
    /// add the whole payload as customDetails
    #[argh(switch)]
    pub forward_message_payload: bool,
    /// label of every event; may be repeated
    #[argh(option, arg_name = "NAME=TEXT")]
    pub label: Vec<String>,
    /// severity of events that have none, 1 to 5
    #[argh(option, arg_name = "NUMBER")]
    pub severity: Option<String>,
    /// service of events that name none, alias=NAME or id=NUMBER; may be repeated
    #[argh(option, arg_name = "SERVICE")]
    pub service: Vec<String>,

    /// members whose values make up the routing key, separated by commas
    #[argh(option, arg_name = "NAMES")]
    pub policy_routing_keys: Option<String>,
    /// path of the user's e-mail address (default: data.email)
    #[argh(option, arg_name = "PATH")]
    pub map_key_email: Option<String>,
    /// path of the escalation level (default: data.shift)
    #[argh(option, arg_name = "PATH")]
    pub map_key_shift: Option<String>,
    /// added to the level (default: 0); write a negative one as --shift_offset=-1
    #[argh(option, arg_name = "NUMBER")]
    pub shift_offset: Option<String>,

    /// ping this heartbeat monitor every 30 s while healthy; better in ILERT_HEARTBEAT_KEY
    #[argh(option, short = 'b', arg_name = "KEY")]
    pub heartbeat: Option<String>,
    /// file that holds that key
    #[argh(option, arg_name = "FILE")]
    pub heartbeat_file: Option<String>,

    /// attempts before a delivery becomes a dead letter; 0 never gives up (default: 100)
    #[argh(option, arg_name = "NUMBER")]
    pub max_retries: Option<String>,
    /// most bytes of waiting deliveries; beyond it sources have to wait (default: 256 MB)
    #[argh(option, arg_name = "SIZE")]
    pub queue_limit: Option<String>,
    /// when a commit counts as safe: full (survives a power cut) or normal (spares flash) (default:
    /// full)
    #[argh(option, arg_name = "MODE")]
    pub queue_sync: Option<String>,
    /// most dead letters kept (default: 1000); beyond it messages that are no events are removed
    /// first, then the oldest
    #[argh(option, arg_name = "NUMBER")]
    pub dead_letters: Option<String>,
    /// not ready once the oldest delivery is older than this (default: 10 min)
    #[argh(option, arg_name = "TIME")]
    pub max_age: Option<String>,

    /// the edge connector is not supported
    #[argh(option, arg_name = "MODE")]
    pub edge_mode: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "SECONDS")]
    pub edge_poll_interval: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "SECONDS")]
    pub edge_standby_interval: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "URL")]
    pub edge_http_url: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "METHOD")]
    pub edge_http_method: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "NAME")]
    pub edge_http_auth_header: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "TEXT")]
    pub edge_http_auth_value: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "TOPIC")]
    pub edge_topic: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "FILE")]
    pub edge_script: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "ID")]
    pub edge_cluster_id: Option<String>,
    /// the edge connector is not supported
    #[argh(option, arg_name = "ID")]
    pub edge_instance_id: Option<String>,
}
