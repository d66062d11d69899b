//! What is said about Kafka, in flags and in files.

use super::{Syntax, check_faults, check_flags, example, flags, flags_in, native};
use ilagent::config::dialects::native as dialect;
use ilagent::config::{Cluster, Config, Mechanism, Routing, Sasl, Surroundings, Target};
use std::path::Path;

fn only(config: Config) -> Cluster {
    assert!(config.brokers.is_empty());
    let mut clusters = config.clusters.into_iter();
    let cluster = clusters.next().unwrap();
    assert!(clusters.next().is_none());
    cluster
}

fn topics(cluster: &Cluster) -> Vec<&str> {
    cluster.rules.iter().map(|rule| rule.filter.as_str()).collect()
}

#[test]
fn the_documented_command_becomes_a_consumer() {
    let args = ["--kafka_brokers", "localhost:9092", "--kafka_group_id", "ilagent"];
    let topics_args = ["-e", "events-topic", "-r", "heartbeats-topic"];
    let cluster = only(flags(&[&args[..], &topics_args].concat()).unwrap());
    assert_eq!(cluster.bootstrap, ["localhost:9092"]);
    assert_eq!((cluster.group_id.as_str(), cluster.buffer), ("ilagent", false));
    assert_eq!(cluster.routing, Routing::First);
    assert_eq!(topics(&cluster), ["heartbeats-topic", "events-topic"]);
    assert!(matches!(cluster.rules[0].to, Target::Heartbeat));
    assert_eq!((cluster.tls, cluster.sasl), (None, None));
}

#[test]
fn a_cluster_that_asks_for_more_is_told_in_flags_and_in_a_file() {
    let args = [
        ["--kafka_brokers", "a:1, b", "-e", "one", "-e", "two", "--kafka_ca", "/ca"].as_slice(),
        &["--kafka_tls", "--kafka_client_cert", "/c", "--kafka_client_key", "/k"],
        &["--kafka_username", "me", "--kafka_password_file", "/p"],
        &["--kafka_sasl_mechanism", "scram-sha-512", "--kafka_message_limit", "2 MB"],
        &["--kafka_option", "client.id=x=y", "--kafka_option", "fetch.min.bytes=7"],
        &["--kafka_buffer"],
    ]
    .concat();
    let from_flags = only(flags_in(&args, &[], &[("/p", "hush\n")]).unwrap().config);
    let text = r#"
[[kafka]]
name = "a:1"
brokers = ["a:1", "b"]
tls = true
ssl-ca = "/ca"
ssl-cert = "/c"
ssl-key = "/k"
username = "me"
password = "hush"
sasl-mechanism = "SCRAM-SHA-512"
message-limit = "2 MB"
buffer = true
routing = "first"
options."client.id" = "x=y"
options.fetch.min.bytes = 7
[[kafka.subscription]]
topic = ["one", "two"]
"#;
    let from_file = only(native(text, Syntax::Toml).unwrap());
    assert_eq!(from_flags, from_file);
    assert_eq!(from_flags.bootstrap, ["a:1", "b"]);
    let Some(Sasl::Password { mechanism, username, password }) = &from_flags.sasl else {
        panic!("a user with a password")
    };
    assert_eq!((*mechanism, username.as_str()), (Mechanism::Scram512, "me"));
    assert_eq!(password.expose(), "hush");
    assert_eq!(from_flags.options["client.id"].expose(), "x=y");
    assert!(!format!("{from_flags:?}").contains("hush"), "secrets are not printed");
}

#[test]
fn a_password_comes_from_the_environment_as_well() {
    let args = ["--kafka_brokers", "a", "-e", "t", "--kafka_username", "me"];
    let checked = flags_in(&args, &[("ILAGENT_KAFKA_PASSWORD", "hush")], &[]).unwrap();
    let Some(Sasl::Password { password, mechanism, .. }) = only(checked.config).sasl else {
        panic!("a user with a password")
    };
    assert_eq!((password.expose(), mechanism), ("hush", Mechanism::Plain));
    let args = ["--kafka_brokers", "a", "-e", "t", "--kafka_token_file", "/t"];
    let token = only(flags(&args).unwrap()).sasl;
    assert_eq!(token, Some(Sasl::Token("/t".into())));
}

#[test]
fn mqtt_and_kafka_may_be_used_together() {
    let config =
        flags(&["-m", "b", "--mqtt_buffer", "--kafka_brokers", "k", "-e", "events"]).unwrap();
    assert_eq!((config.brokers.len(), config.clusters.len()), (1, 1));
    assert_eq!(topics(&config.clusters[0]), ["events"]);
}

#[test]
fn what_is_wrong_with_flags_is_told() {
    let kafka = ["--kafka_brokers", "k", "-e", "t"];
    for (args, wanted) in [
        (
            &["--kafka_password", "x"][..],
            "--kafka_password: this has no effect without --kafka_username",
        ),
        (&["--kafka_ca", "x"], "--kafka_ca: this has no effect without --kafka_tls"),
        (
            &["--kafka_option", "enable.auto.commit=true"],
            "--kafka_option: `enable.auto.commit` cannot be set",
        ),
        (&["--kafka_option", "client.id"], "--kafka_option: "),
        (&["--kafka_option", "a=1", "--kafka_option", "a=2"], "--kafka_option: `a` is given twice"),
        (
            &["--kafka_tls", "--kafka_option", "security.protocol=ssl"],
            "--kafka_tls: give this or the option `security.protocol`, not both",
        ),
        (&["--kafka_username", "me"], "--kafka_username: this needs a password"),
        (
            &["--kafka_username", "me", "--kafka_password", "x", "--kafka_sasl_mechanism", "MD5"],
            "--kafka_sasl_mechanism: this is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, not `MD5`",
        ),
        (&["-r", "plant/#"], "--heartbeat_topic: `plant/#` is not the name of a Kafka topic"),
        (&["-r", "^all"], "--heartbeat_topic: `^all` is not the name of a Kafka topic"),
    ] {
        let found = flags(&[&kafka[..], args].concat()).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(wanted), "{found:?}");
    }
    check_flags(
        &["-p1", "--kafka_buffer"],
        &["--kafka_buffer: this has no effect without --kafka_brokers"],
    );
    check_flags(
        &["--kafka_brokers", "http://k:9092", "-e", "t"],
        &[
            "--kafka_brokers: `http://k:9092` is not a host:port; whether TLS is used has its own setting",
        ],
    );
    check_flags(
        &["--kafka_brokers", "k"],
        &["--kafka_brokers: at least one topic (-e, -r, or --policy_topic) must be configured"],
    );
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    check_faults(
        r#"[[kafka]]
group-id = "g"
options.enable.auto.commit = true
options."acks" = [1]
password = "x"
ssl-ca = "/ca"
[[kafka.subscription]]
topic = "a/b"
qos = 1
[[kafka]]
brokers = "k:x"
"#,
        &[
            "1:1: [[kafka]] needs `brokers` such as \"kafka:9092\"",
            "3:30: `enable.auto.commit` cannot be set: the agent commits the offset of a message when it is safe, not earlier",
            "4:18: this is a text, a number or true or false, not a list",
            "5:12: this has no effect without a `username`",
            "6:10: this has no effect without `tls = true`",
            "8:9: `a/b` is not the name of a Kafka topic: 1 to 249 letters, digits, `.`, `_` and `-`, without wildcards",
            "9:1: there is no key `qos` in [[kafka.subscription]]",
            "10:1: [[kafka]] needs at least one [[kafka.subscription]]",
            "11:11: `k:x` is not a host or a host:port",
        ],
    );
}

#[test]
fn the_example_is_right() {
    let cluster = only(native(&example("kafka.toml"), Syntax::Toml).unwrap());
    assert_eq!((cluster.name.as_str(), cluster.group_id.as_str()), ("plant", "plant-alarms"));
    assert_eq!(topics(&cluster), ["alarms", "alarms-retry", "heartbeats"]);
}

#[test]
fn a_build_without_kafka_says_how_to_get_one_with_it() {
    let around = Surroundings {
        env: &|_| None,
        read: &|_: &Path| Ok(None),
        is_open: &|_| false,
        has_kafka: false,
    };
    let text = example("kafka.toml");
    let found = dialect::read("f.toml", &text, Syntax::Toml, None, &around).unwrap_err();
    let found: Vec<String> = found.0.iter().map(ToString::to_string).collect();
    let words = "this build of ilagent has no Kafka consumer; one that has it is built with \
                 `cargo build --release --features kafka`";
    assert_eq!(found, [format!("f.toml:11:1: {words}")]);
}
