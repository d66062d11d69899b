//! Flags that would have no effect, that exclude one another, or that a file has keys for.

use crate::config::Faults;
use crate::config::surroundings::NO_KAFKA;

/// A flag without one of these has no effect.
struct Need {
    flags: &'static [&'static str],
    one_of: &'static [&'static str],
}

/// What is said of service files.
const SERVICE_FLAGS: [&str; 5] =
    ["service_id", "parameter", "parameters_file", "internal_broker", "skip_unsupported"];

const NEEDS: [Need; 17] = [
    Need { flags: &SERVICE_FLAGS, one_of: &["connectware"] },
    Need {
        flags: &[
            "mqtt_port",
            "mqtt_name",
            "mqtt_username",
            "mqtt_password",
            "mqtt_password_file",
            "mqtt_tls",
            "mqtt_qos",
            "mqtt_buffer",
            "mqtt_shared_group",
            "mqtt_version",
            "mqtt_packet_limit",
        ],
        one_of: &["mqtt_host"],
    },
    Need {
        flags: &[
            "kafka_group_id",
            "kafka_tls",
            "kafka_username",
            "kafka_token_file",
            "kafka_option",
            "kafka_buffer",
            "kafka_message_limit",
        ],
        one_of: &["kafka_brokers"],
    },
    Need {
        flags: &["event_topic", "heartbeat_topic", "policy_topic"],
        one_of: &["mqtt_host", "kafka_brokers"],
    },
    Need { flags: &["mqtt_client_cert"], one_of: &["mqtt_client_key"] },
    Need { flags: &["mqtt_client_key"], one_of: &["mqtt_client_cert"] },
    Need { flags: &["mqtt_password", "mqtt_password_file"], one_of: &["mqtt_username"] },
    Need { flags: &["kafka_client_cert"], one_of: &["kafka_client_key"] },
    Need { flags: &["kafka_client_key"], one_of: &["kafka_client_cert"] },
    Need {
        flags: &["kafka_password", "kafka_password_file", "kafka_sasl_mechanism"],
        one_of: &["kafka_username"],
    },
    Need {
        flags: &["bind", "http_token", "http_token_file", "http_body_limit"],
        one_of: &["port"],
    },
    Need {
        flags: &[
            "event_key",
            "event_key_file",
            "map_key_etype",
            "map_key_alert_key",
            "map_key_summary",
            "map_key_severity",
            "map_key_routing_key",
            "map_key_label",
            "forward_message_payload",
        ],
        one_of: &["event_topic"],
    },
    Need {
        flags: &["map_val_etype_alert", "map_val_etype_accept", "map_val_etype_resolve"],
        one_of: &["map_key_etype"],
    },
    Need { flags: &["filter_key"], one_of: &["event_topic", "policy_topic"] },
    Need { flags: &["filter_val"], one_of: &["filter_key"] },
    Need { flags: &["label", "severity", "service"], one_of: &["event_topic", "port"] },
    Need {
        flags: &["policy_routing_keys", "map_key_email", "map_key_shift", "shift_offset"],
        one_of: &["policy_topic"],
    },
];

/// What matters only to an agent with a source.
const DELIVERING: Need = Need {
    flags: &["max_retries", "queue_limit", "queue_sync", "dead_letters", "max_age"],
    one_of: &["mqtt_host", "kafka_brokers", "port", "kapacitor", "connectware"],
};

/// Flags that say the same thing.
const EITHER: [(&str, &str); 6] = [
    ("mqtt_password", "mqtt_password_file"),
    ("kafka_password", "kafka_password_file"),
    ("kafka_username", "kafka_token_file"),
    ("http_token", "http_token_file"),
    ("event_key", "event_key_file"),
    ("heartbeat", "heartbeat_file"),
];

/// The key in a configuration file for each flag.
const KEYS: [(&str, &str); 69] = [
    ("service_id", "`id` in [[connectware]]"),
    ("parameter", "`parameters` in [[connectware]]"),
    ("parameters_file", "`parameters-file` in [[connectware]]"),
    ("internal_broker", "`broker` in [[connectware]]"),
    ("skip_unsupported", "`skip-unsupported` in [[connectware]]"),
    ("mqtt_host", "`url` in [[mqtt]]"),
    ("mqtt_port", "`url` in [[mqtt]]"),
    ("mqtt_name", "`client-id` in [[mqtt]]"),
    ("mqtt_username", "`username` in [[mqtt]]"),
    ("mqtt_password", "`password` in [[mqtt]]"),
    ("mqtt_password_file", "`password-file` in [[mqtt]]"),
    ("mqtt_tls", "a `url` with mqtts:// in [[mqtt]]"),
    ("mqtt_ca", "`ssl-ca` in [[mqtt]]"),
    ("mqtt_client_cert", "`ssl-cert` in [[mqtt]]"),
    ("mqtt_client_key", "`ssl-key` in [[mqtt]]"),
    ("mqtt_qos", "`qos` in [[mqtt]]"),
    ("mqtt_buffer", "`buffer` in [[mqtt]]"),
    ("mqtt_shared_group", "`shared-group` in [[mqtt]]"),
    ("mqtt_version", "`version` in [[mqtt]]"),
    ("mqtt_packet_limit", "`packet-limit` in [[mqtt]]"),
    ("kafka_brokers", "`brokers` in [[kafka]]"),
    ("kafka_group_id", "`group-id` in [[kafka]]"),
    ("kafka_tls", "`tls` in [[kafka]]"),
    ("kafka_ca", "`ssl-ca` in [[kafka]]"),
    ("kafka_client_cert", "`ssl-cert` in [[kafka]]"),
    ("kafka_client_key", "`ssl-key` in [[kafka]]"),
    ("kafka_username", "`username` in [[kafka]]"),
    ("kafka_password", "`password` in [[kafka]]"),
    ("kafka_password_file", "`password-file` in [[kafka]]"),
    ("kafka_sasl_mechanism", "`sasl-mechanism` in [[kafka]]"),
    ("kafka_token_file", "`token-file` in [[kafka]]"),
    ("kafka_option", "`options` in [[kafka]]"),
    ("kafka_buffer", "`buffer` in [[kafka]]"),
    ("kafka_message_limit", "`message-limit` in [[kafka]]"),
    ("event_topic", "`topic` in [[mqtt.subscription]]"),
    ("heartbeat_topic", "`topic` in [[mqtt.subscription]] with kind = \"heartbeat\""),
    ("policy_topic", "`topic` in [[mqtt.subscription]] with kind = \"policy\""),
    ("bind", "`bind` in [http]"),
    ("http_token", "`token` in [http]"),
    ("http_token_file", "`token-file` in [http]"),
    ("http_body_limit", "`body-limit` in [http]"),
    ("event_key", "`integration-key` in [[mqtt.subscription]]"),
    ("event_key_file", "`integration-key-file` in [[mqtt.subscription]]"),
    ("map_key_etype", "`map.event-type` in [[mqtt.subscription]]"),
    ("map_key_alert_key", "`map.alert-key` in [[mqtt.subscription]]"),
    ("map_key_summary", "`map.summary` in [[mqtt.subscription]]"),
    ("map_key_severity", "`map.severity` in [[mqtt.subscription]]"),
    ("map_key_routing_key", "`map.routing-key` in [[mqtt.subscription]]"),
    ("map_key_label", "`map.labels` in [[mqtt.subscription]]"),
    ("map_val_etype_alert", "`map.alert-when` in [[mqtt.subscription]]"),
    ("map_val_etype_accept", "`map.accept-when` in [[mqtt.subscription]]"),
    ("map_val_etype_resolve", "`map.resolve-when` in [[mqtt.subscription]]"),
    ("filter_key", "`filter.key` in [[mqtt.subscription]]"),
    ("filter_val", "`filter.value` in [[mqtt.subscription]]"),
    ("forward_message_payload", "`forward-payload` in [[mqtt.subscription]]"),
    ("label", "`labels` in [event] or [[mqtt.subscription]]"),
    ("severity", "`severity` in [event] or [[mqtt.subscription]]"),
    ("service", "`services` in [event] or [[mqtt.subscription]]"),
    ("policy_routing_keys", "`routing-keys` in [[mqtt.subscription]]"),
    ("map_key_email", "`email` in [[mqtt.subscription]]"),
    ("map_key_shift", "`shift` in [[mqtt.subscription]]"),
    ("shift_offset", "`shift-offset` in [[mqtt.subscription]]"),
    ("max_retries", "`max-retries` in [ilert]"),
    ("queue_limit", "`limit` in [queue]"),
    ("queue_sync", "`sync` in [queue]"),
    ("dead_letters", "`dead-letters` in [queue]"),
    ("max_age", "`max-age` in [queue]"),
    ("heartbeat", "`heartbeat-key` in [ilert]"),
    ("heartbeat_file", "`heartbeat-key-file` in [ilert]"),
];

/// Notes every flag that has no effect. `given` holds names with underscores.
pub(super) fn check(given: &[String], has_kafka: bool, faults: &mut Faults) {
    let has = |name: &&str| given.iter().any(|given| given == name);
    for need in NEEDS.iter().chain([&DELIVERING]) {
        if need.one_of.iter().any(has) {
            continue;
        }
        let wanted: Vec<String> = need.one_of.iter().map(|name| format!("--{name}")).collect();
        for flag in need.flags.iter().filter(|flag| has(flag)) {
            faults.add(
                format!("--{flag}"),
                format!("this has no effect without {}", wanted.join(" or ")),
            );
        }
    }
    for (one, other) in EITHER.iter().filter(|(one, other)| has(one) && has(other)) {
        faults.add(format!("--{one}"), format!("give this or --{other}, not both"));
    }
    if !has_kafka && given.iter().any(|given| given == "kafka_brokers") {
        faults.add("--kafka_brokers", NO_KAFKA);
    }
    unsupported(given, faults);
}

/// Notes every flag that would be ignored beside `--config`.
pub(super) fn check_beside_file(given: &[String], faults: &mut Faults) {
    let has_services = given.iter().any(|flag| flag == "connectware");
    for flag in given.iter().filter(|flag| !matches!(flag.as_str(), "config" | "port")) {
        if has_services && SERVICE_FLAGS.contains(&flag.as_str()) {
            continue;
        }
        if let Some((_, key)) = KEYS.iter().find(|(known, _)| known == flag) {
            let what = format!("with --config, write {key} of the file instead");
            faults.add(format!("--{flag}"), what);
        }
    }
    unsupported(given, faults);
}

fn unsupported(given: &[String], faults: &mut Faults) {
    for flag in given.iter().filter(|flag| flag.starts_with("edge_")) {
        faults.add(format!("--{flag}"), "the edge connector is not supported");
    }
}
