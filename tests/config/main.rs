//! Both dialects: what they accept, and what they say of what they do not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken test may panic")]

mod kafka;

use ilagent::config::dialects::ilagent::{Asked, beside_file};
use ilagent::config::dialects::native::{self, Syntax};
use ilagent::config::{
    Broker, Checked, Config, Faults, Qos, Routing, Safety, Service, Surroundings, Target, Version,
};
use ilagent::{cli, config};
use proptest::prelude::*;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

type Pairs = &'static [(&'static str, &'static str)];

/// The configuration of `ilagent daemon ARGS`, in an environment and with some files.
fn flags_in(args: &[&str], env: Pairs, files: Pairs) -> Result<Checked, Faults> {
    let words = ["daemon"].iter().chain(args).map(OsString::from);
    let cli::Command::Daemon(asked) = cli::read(words).expect("the line is understood").command
    else {
        panic!("this is a daemon");
    };
    cli::daemon::configure(
        &asked,
        &around(&|name| find(env, name), &|path| Ok(find(files, path.to_str().unwrap()))),
    )
}

fn find(pairs: Pairs, wanted: &str) -> Option<String> {
    pairs.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
}

fn around<'a>(
    env: &'a dyn Fn(&str) -> Option<String>,
    read: &'a dyn Fn(&Path) -> Result<Option<String>, String>,
) -> Surroundings<'a> {
    Surroundings { env, read, is_open: &|_| false, has_kafka: true }
}

fn flags(args: &[&str]) -> Result<Config, Vec<String>> {
    told(flags_in(args, &[], &[]))
}

fn told(checked: Result<Checked, Faults>) -> Result<Config, Vec<String>> {
    checked
        .map(|checked| checked.config)
        .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

fn native(text: &str, syntax: Syntax) -> Result<Config, Vec<String>> {
    let none = |_: &str| None;
    let hush = |_: &Path| Ok(Some("hush-hush-hush\n".to_owned()));
    told(native::read("ilagent.toml", text, syntax, None, &around(&none, &hush)))
}

#[track_caller]
fn check_flags(args: &[&str], wanted: &[&str]) {
    assert_eq!(flags(args).expect_err("this should be refused"), wanted, "{args:?}");
}

#[track_caller]
fn check_faults(text: &str, wanted: &[&str]) {
    let found = native(text, Syntax::Toml).expect_err("the text should be refused");
    let wanted: Vec<String> = wanted.iter().map(|w| format!("ilagent.toml:{w}")).collect();
    assert_eq!(found, wanted);
}

fn only(config: Config) -> Broker {
    config.brokers.into_iter().next().expect("there is a broker")
}

#[test]
fn the_documented_command_becomes_a_session_with_rules_in_order_of_precedence() {
    let broker = only(
        flags(&[
            "-v",
            "-v",
            "-m",
            "127.0.0.1",
            "-q",
            "1883",
            "-n",
            "ilagent",
            "-e",
            "#",
            "-e",
            "ilert/+",
            "-r",
            "ilert/heartbeats",
            "--mqtt_username",
            "my-user",
            "--mqtt_password",
            "my-pass",
            "--mqtt_qos",
            "1",
        ])
        .unwrap(),
    );
    let filters: Vec<&str> = broker.rules.iter().map(|rule| rule.filter.as_str()).collect();
    assert_eq!(filters, ["ilert/heartbeats", "#", "ilert/+"]);
    assert_eq!(broker.routing, Routing::First);
    assert_eq!((broker.host.as_str(), broker.port), ("127.0.0.1", 1883));
    assert_eq!(broker.username.as_deref(), Some("my-user"));
    assert_eq!(broker.password.unwrap().expose(), "my-pass");
    assert_eq!(broker.version, Version::V311);
    assert_eq!(broker.keep_alive, Duration::from_secs(60));
    assert!(broker.rules.iter().all(|rule| rule.qos == Qos::AtLeastOnce));
    assert!(!broker.buffer && broker.tls.is_none());
}

#[test]
fn the_address_of_a_broker_has_many_spellings() {
    for (args, host, port, tls) in [
        (&["-m", "b"][..], "b", 1883, false),
        (&["-m", "b:1884"], "b", 1884, false),
        (&["-m", "b:1884", "-q", "1884"], "b", 1884, false),
        (&["-m", "mqtt://b"], "b", 1883, false),
        (&["-m", "tcp://b:1"], "b", 1, false),
        (&["-m", "ssl://b"], "b", 8883, true),
        (&["-m", "mqtts://b:7"], "b", 7, true),
        (&["-m", "b", "--mqtt_tls"], "b", 1883, true),
        (&["-m", "[::1]:1885"], "::1", 1885, false),
    ] {
        let broker = only(flags(&[args, &["-e", "#", "--mqtt_qos=1"]].concat()).unwrap());
        assert_eq!((broker.host.as_str(), broker.port), (host, port), "{args:?}");
        assert_eq!(broker.tls.is_some(), tls, "{args:?}");
    }
    let rest = ["-e", "#", "--mqtt_qos=1"];
    check_flags(
        &[&["-m", "b:1", "-q", "2"][..], &rest].concat(),
        &["--mqtt_port: the port is 2 here and 1 in --mqtt_host"],
    );
    check_flags(
        &[&["-m", "ws://b"][..], &rest].concat(),
        &["--mqtt_host: MQTT over WebSocket is not supported"],
    );
    check_flags(
        &[&["-m", "tcp://b", "--mqtt_tls"][..], &rest].concat(),
        &["--mqtt_tls: the URL in --mqtt_host asks for a connection without TLS"],
    );
}

#[test]
fn a_shared_group_asks_for_mqtt_5() {
    let base = ["-m", "b", "-e", "#", "--mqtt_qos", "1", "--mqtt_shared_group", "g"];
    assert_eq!(only(flags(&base).unwrap()).version, Version::V5);
    let old = [&base[..], &["--mqtt_version", "3"]].concat();
    assert_eq!(only(flags(&old).unwrap()).version, Version::V311);
}

#[test]
fn settings_arrive_in_the_model() {
    let config = flags(&[
        "-p8977",
        "--bind=127.0.0.1",
        "--http_token",
        "t",
        "--http_body_limit",
        "1 MB",
        "--max_retries",
        "0",
        "--queue_limit",
        "1GB",
        "--queue_sync",
        "normal",
        "--dead_letters",
        "5",
        "--max_age",
        "5 min",
        "-f",
        "x.db3",
        "-b",
        "il1hbt",
        "--label",
        "a=b",
        "--severity",
        "2",
        "--service",
        "alias=x",
        "--service",
        "id=7",
    ])
    .unwrap();
    let http = config.http.unwrap();
    assert_eq!((http.bind.to_string(), http.port), ("127.0.0.1".to_owned(), 8977));
    assert_eq!(http.token.unwrap().expose(), "t");
    assert_eq!(http.body_bytes_max, 1 << 20);
    assert_eq!(http.enrichment.labels["a"], "b");
    assert_eq!(http.enrichment.severity, Some(2));
    let services = [Service::Alias("x".to_owned()), Service::Id(7)];
    assert_eq!(http.enrichment.services, services);
    assert_eq!(config.ilert.attempts_max, None);
    assert_eq!(config.ilert.heartbeat.unwrap().expose(), "il1hbt");
    assert_eq!(config.queue.bytes_max, 1 << 30);
    assert_eq!(config.queue.sync, Safety::Normal);
    assert_eq!(config.queue.dead_letters_max, 5);
    assert_eq!(config.queue.age_max, Duration::from_secs(300));
    assert_eq!(config.queue.path, Path::new("x.db3"));
}

#[test]
fn mapping_and_policy_flags_arrive_in_the_model() {
    let args = [
        "-m",
        "b",
        "--mqtt_buffer",
        "-e",
        "e",
        "--policy_topic",
        "p",
        "--event_key",
        "k",
        "--map_key_etype",
        "a.b",
        "--map_val_etype_alert",
        "",
        "--map_key_label",
        "l=x.0",
        "--filter_key",
        "fk",
        "--filter_val=-1",
        "--forward_message_payload",
        "--policy_routing_keys",
        " a , b,",
        "--map_key_email",
        "m",
        "--shift_offset=-1",
    ];
    let checked = flags_in(&args, &[("ILERT_API_KEY", "Bearer il1api")], &[]).unwrap();
    assert_eq!(checked.config.ilert.api_key.as_ref().unwrap().expose(), "il1api");
    assert!(checked.warnings[0].contains("Bearer"), "{:?}", checked.warnings);
    let broker = only(checked.config);
    let Target::Policy(policy) = &broker.rules[0].to else { panic!("policy comes first") };
    assert_eq!(policy.routing_keys, ["a", "b"]);
    assert_eq!((policy.email.0.as_str(), policy.shift.0.as_str()), ("m", "data.shift"));
    assert_eq!(policy.shift_offset, -1);
    let Target::Event(event) = &broker.rules[1].to else { panic!("then events") };
    assert_eq!(event.event_key.as_ref().unwrap().expose(), "k");
    assert_eq!(event.event_type.alert.as_deref(), Some(""));
    assert_eq!(event.labels["l"].0, "x.0");
    assert_eq!(event.filter.as_ref().unwrap().value.as_deref(), Some("-1"));
    assert!(event.forward_payload);
}

#[test]
fn flags_without_effect_are_faults() {
    let mqtt = ["-m", "b", "-e", "#", "--mqtt_qos", "1"];
    for (args, wanted) in [
        (&["-p1", "--mqtt_qos", "1"][..], "--mqtt_qos: this has no effect without --mqtt_host"),
        (
            &["-p1", "-e", "#"],
            "--event_topic: this has no effect without --mqtt_host or --kafka_brokers",
        ),
        (&["-b", "k", "--bind", "::1"], "--bind: this has no effect without --port"),
        (
            &["-b", "k", "--label", "a=b"],
            "--label: this has no effect without --event_topic or --port",
        ),
        (
            &["-b", "k", "--max_retries", "5"],
            "--max_retries: this has no effect without --mqtt_host or --kafka_brokers or --port",
        ),
        (
            &["-p1", "--max_retries", "x"],
            "--max_retries: `x` is not a whole number from 0 to 4294967295",
        ),
    ] {
        check_flags(args, &[wanted]);
    }
    for (args, wanted) in [
        (&["--filter_val", "x"][..], "--filter_val: this has no effect without --filter_key"),
        (
            &["--map_val_etype_alert", "x"],
            "--map_val_etype_alert: this has no effect without --map_key_etype",
        ),
        (&["--mqtt_ca", "x"], "--mqtt_ca: this has no effect without --mqtt_tls"),
        (
            &["--mqtt_tls", "--mqtt_client_cert", "x"],
            "--mqtt_client_cert: this has no effect without --mqtt_client_key",
        ),
        (
            &["--mqtt_tls", "--mqtt_client_key", "x"],
            "--mqtt_client_key: this has no effect without --mqtt_client_cert",
        ),
        (&["--mqtt_password", "x"], "--mqtt_password: this has no effect without --mqtt_username"),
        (&["--shift_offset", "1"], "--shift_offset: this has no effect without --policy_topic"),
        (
            &["-r", "#"],
            "--event_topic: `#` is there already; the first of heartbeat, policy and event topic gets its messages",
        ),
        (&["-e", "a#"], "--event_topic: "),
        (&["--kafka_brokers", "k"], "--event_topic: "),
        (&["--edge_mode", "http"], "--edge_mode: the edge connector is not supported"),
    ] {
        let found = flags(&[&mqtt[..], args].concat()).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(wanted), "{found:?}");
    }
    check_flags(
        &["-m", "b", "--policy_topic", "p", "--mqtt_qos", "1"],
        &[
            "--policy_topic: this needs --policy_routing_keys with the names of the members that make the routing key",
            "--policy_topic: this needs an API key in the environment variable ILERT_API_KEY",
        ],
    );
}

#[test]
fn what_upstream_refuses_is_refused_in_its_words() {
    let found = flags(&["-m", "b", "-e", "#"]).unwrap_err();
    assert!(
        found[0].starts_with("--mqtt_qos: QoS 0 without --mqtt_buffer is rejected"),
        "{found:?}"
    );
    assert!(flags(&["-m", "b", "-e", "#", "--mqtt_qos", "0", "--mqtt_buffer"]).is_ok());
    assert!(flags(&["-m", "b", "-e", "#", "--mqtt_buffer"]).is_ok());
    check_flags(
        &["-m", "b", "--mqtt_qos", "1"],
        &["--mqtt_host: at least one topic (-e, -r, or --policy_topic) must be configured"],
    );
    assert!(flags(&[]).unwrap_err()[0].starts_with("ilagent: nothing to do"));
}

#[test]
fn all_faults_are_told_together() {
    check_flags(
        &["-m", "b", "-q", "x", "--mqtt_qos", "3", "-e", "a/#/b", "-p", "y", "--severity", "9"],
        &[
            "--severity: `9` is not a whole number from 1 to 5",
            "--port: `y` is not a TCP port",
            "--mqtt_port: `x` is not a TCP port",
            "--mqtt_qos: the QoS is 0, 1 or 2, not `3`",
            &flags(&["-m", "b", "--mqtt_qos", "1", "-e", "a/#/b"]).unwrap_err()[0],
        ],
    );
}

#[test]
fn secrets_come_from_flags_files_the_environment_and_systemd() {
    let base = ["-m", "b", "-e", "#", "--mqtt_qos", "1", "--mqtt_username", "u"];
    let with = |more: &[&str], env, files| {
        let found = flags_in(&[&base[..], more].concat(), env, files);
        told(found).map(|config| only(config).password.unwrap().expose().to_owned())
    };
    assert_eq!(
        with(&["--mqtt_password", "flag"], &[("ILAGENT_MQTT_PASSWORD", "env")], &[]).unwrap(),
        "flag"
    );
    assert_eq!(with(&["--mqtt_password_file", "f"], &[], &[("f", "file\n")]).unwrap(), "file");
    assert_eq!(with(&[], &[("ILAGENT_MQTT_PASSWORD", "env")], &[]).unwrap(), "env");
    assert_eq!(
        with(&[], &[("CREDENTIALS_DIRECTORY", "/run/c")], &[("/run/c/mqtt_password", "systemd")])
            .unwrap(),
        "systemd"
    );
    assert_eq!(
        with(&["--mqtt_password", "a", "--mqtt_password_file", "f"], &[], &[("f", "b")])
            .unwrap_err(),
        ["--mqtt_password: give this or --mqtt_password_file, not both"]
    );
    assert_eq!(
        with(&["--mqtt_password_file", "f"], &[], &[]).unwrap_err(),
        ["--mqtt_password_file: there is no file f"]
    );
}

#[test]
fn the_environment_names_another_api() {
    let env = &[("ILERT_API_HOST", "http://127.0.0.1:8080/"), ("ILERT_HBT_HOST", "http://h")];
    let config = told(flags_in(&["-p1"], env, &[])).unwrap();
    assert_eq!(
        (config.ilert.api.as_str(), config.ilert.beat.as_str()),
        ("http://127.0.0.1:8080", "http://h")
    );
    let wrong = told(flags_in(&["-p1"], &[("ILERT_API_HOST", "api.ilert.com/x")], &[]));
    assert!(
        wrong.unwrap_err()[0].starts_with("ILERT_API_HOST: `api.ilert.com/x` is not of the form")
    );
}

#[test]
fn an_open_listener_without_a_token_is_warned_of() {
    let warnings = |args: &[&str]| flags_in(args, &[], &[]).unwrap().warnings.len();
    assert_eq!(warnings(&["-p1"]), 1);
    assert_eq!(warnings(&["-p1", "--bind", "127.0.0.1"]), 0);
    assert_eq!(warnings(&["-p1", "--http_token", "t"]), 0);
    let file: Pairs = &[("/c", "[event]\nseverity = 1\n")];
    let beside_file = |env| flags_in(&["--config", "/c", "-p7"], env, file).unwrap();
    let open = beside_file(&[]);
    assert_eq!(open.warnings.len(), 1);
    assert_eq!(open.config.http.unwrap().enrichment.severity, Some(1));
    assert_eq!(beside_file(&[("ILAGENT_HTTP_TOKEN", "t")]).warnings.len(), 0);
}

#[test]
fn only_some_flags_may_stand_beside_a_file() {
    let text: Pairs = &[("/c.toml", "[http]\nport = 1\n[queue]\npath = 'a'\n")];
    let config =
        told(flags_in(&["--config", "/c.toml", "-v", "-p2", "-f", "b"], &[], text)).unwrap();
    assert_eq!((config.http.unwrap().port, config.queue.path.to_str()), (2, Some("b")));
    let refused = flags_in(&["--config=/c.toml", "-m", "b", "--label", "a=b"], &[], text);
    assert_eq!(
        told(refused).unwrap_err(),
        [
            "--mqtt_host: with --config, write `url` in [[mqtt]] of the file instead",
            "--label: with --config, write `labels` in [event] or [[mqtt.subscription]] of the file instead",
        ]
    );
    assert_eq!(
        told(flags_in(&["--config", "/none"], &[], &[])).unwrap_err(),
        ["--config: there is no file /none"]
    );
}

/// Every flag of the daemon says which key of a file it is.
#[test]
fn every_flag_has_its_key_in_a_file() {
    use argh::ArgsInfo;
    for flag in config::dialects::ilagent::Flags::get_args_info().flags {
        let name = flag.long.trim_start_matches('-').replace('-', "_");
        if matches!(name.as_str(), "help" | "config" | "port") {
            continue;
        }
        let asked = Asked { given: vec![name.clone()], ..Asked::default() };
        let mut faults = Faults::default();
        beside_file(&asked, &mut faults);
        assert_eq!(faults.0.len(), 1, "--{name} beside --config is overlooked");
    }
}

#[test]
fn every_fault_of_a_file_is_told_at_once_and_with_its_place() {
    check_faults(
        r#"
[http]
port = "x"
bind = 3
body_limit = "1 TB"
prot = 1
[ilert]
max-retries = -1
[[mqtt]]
url = "http://b"
password = "hush"
client-id = "a"
client_id = "b"
qos = 3
[[mqtt.subscription]]
topic = ["a#", 5]
kind = "event"
servces = []
map = { alert-when = "x", summary = "a..b" }
[[mqtt.subscription]]
kind = "thing"
whatever = 1
[[mqtt.subscription]]
topic = "x"
kind = "policy"
"#,
        &[
            "3:8: `x` is not a TCP port",
            "4:8: this is a text in quotes, not a number",
            "5:14: `1 TB` is not a size such as 65536, 64 KB or 1 MB",
            "6:1: there is no key `prot` in [http]; did you mean `port`?",
            "8:15: `-1` is not a whole number from 0 to 4294967295",
            "10:7: `http://` is not supported; use mqtt:// (or tcp://) or mqtts:// (or ssl://)",
            "11:12: a password has no effect without a `username`",
            "13:1: this is the same key as `client-id`",
            "14:7: the QoS is 0, 1 or 2, not `3`",
            &format!("16:10: {}", ilagent::topic::check_filter("a#").unwrap_err()),
            "16:16: this is a text in quotes, not a number",
            "18:1: there is no key `servces` in [[mqtt.subscription]]; did you mean `services`?",
            "19:22: this has no effect without `event-type`",
            "19:37: `a..b` is not a path such as data.sensors.0.name",
            "21:8: the kind is `event`, `heartbeat` or `policy`, not `thing`",
            "25:8: a policy subscription needs `routing-keys`: the members that make the key",
            "25:8: a policy subscription needs an `api-key` in [ilert] or in ILERT_API_KEY",
        ],
    );
}

#[test]
fn what_is_missing_in_a_file_is_told() {
    check_faults(
        "",
        &[
            "1:1: nothing to do; the file needs [[mqtt]], [[kafka]], [http] or a heartbeat key in [ilert]",
        ],
    );
    check_faults("[http]", &["1:1: [http] needs a `port`"]);
    check_faults(
        "[[mqtt]]\nname = 'a'",
        &[
            "1:1: [[mqtt]] needs a `url` such as mqtt://broker:1883",
            "1:1: [[mqtt]] needs at least one [[mqtt.subscription]]",
        ],
    );
    check_faults(
        "[[mqtt]]\nurl='b'\n[[mqtt.subscription]]",
        &["3:1: [[mqtt.subscription]] needs a `topic`"],
    );
    check_faults("[http]\nport =", &["2:7: string values must be quoted, expected literal string"]);
    check_faults(
        "http = 1",
        &["1:8: [http] is a table, not a number", "1:8: [http] needs a `port`"],
    );
}

#[test]
fn brokers_may_not_throw_each_other_out() {
    check_faults(
        r#"
[[mqtt]]
url = "b"
subscription = [{ topic = "a" }]
[[mqtt]]
name = "b"
url = "b"
client-id = "ilagent"
subscription = [{ topic = "a", qos = 0 }]
"#,
        &[
            "6:8: there is another broker of the name `b`",
            "8:13: the client id `ilagent` is used twice at this broker, which would throw the one out when the other comes",
            "9:38: QoS 0 needs `buffer = true`, because there is no broker acknowledgement to delay when delivery fails; or use QoS 1 or 2",
        ],
    );
}

#[test]
fn kapacitors_tables_are_understood() {
    let config = native(
        r#"
[[mqtt]]
  enabled = true
  name = "localhost"
  default = true
  url = "tcp://localhost:1883"
  subscription = [{ topic = "a" }]
[[mqtt]]
  enabled = true
  name = "alerts-broker"
  default = false
  url = "ssl://123.45.67.89:1883"
  ssl-ca = "/etc/kapacitor/ca.pem"
  ssl-cert = "/etc/kapacitor/cert.pem"
  ssl-key = "/etc/kapacitor/key.pem"
  client-id = ""
  username = "myuser"
  password = "mysupersecretpassw0rd"
  subscription = [{ topic = "a" }]
[[mqtt]]
  enabled = false
  url = "tcp://elsewhere"
"#,
        Syntax::Toml,
    )
    .unwrap();
    let [plain, tls] = config.brokers.as_slice() else { panic!("two are enabled") };
    assert_eq!((plain.client_id.as_str(), plain.tls.is_none()), ("localhost", true));
    assert_eq!((tls.client_id.as_str(), tls.port), ("alerts-broker", 1883));
    let files = tls.tls.clone().unwrap();
    assert_eq!(files.ca.as_deref(), Some(Path::new("/etc/kapacitor/ca.pem")));
    assert_eq!(files.client.unwrap().key, Path::new("/etc/kapacitor/key.pem"));
    assert_eq!(tls.routing, Routing::Every);
}

#[test]
fn a_subscription_adds_to_what_holds_for_every_event() {
    let config = native(
        r#"
[event]
labels = { site = "7", line = "1" }
severity = 3
services = [{ alias = "a" }]
[http]
port = 1
[[mqtt]]
url = "b"
[[mqtt.subscription]]
topic = "x"
labels = { line = "2" }
services = [{ id = 5 }]
"#,
        Syntax::Toml,
    )
    .unwrap();
    assert_eq!(config.http.as_ref().unwrap().enrichment.labels["line"], "1");
    let Target::Event(event) = only(config).rules.remove(0).to else { panic!("an event") };
    let labels: Vec<_> = event.enrichment.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(labels, ["line=2", "site=7"]);
    assert_eq!(event.enrichment.severity, Some(3));
    assert_eq!(event.enrichment.services, [Service::Id(5)]);
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    std::fs::read_to_string(path).expect("the example is there")
}

#[test]
fn the_examples_are_right_and_say_the_same() {
    let toml = native(&example("ilagent.toml"), Syntax::Toml).unwrap();
    let json = native(&example("ilagent.json"), Syntax::Json).unwrap();
    assert_eq!(toml, json);
}

#[test]
fn faults_of_json_tell_the_way_as_well() {
    let json = r##"{"http": {}, "queue": 7, "mqtt": [{"url": "mqtt://a", "qos": 7,
        "subscription": {"topic": ["a", "#/b"], "lables": {}}}]}"##;
    let faults = native(json, Syntax::Json).expect_err("this should be refused");
    assert_eq!(
        faults,
        [
            "ilagent.toml:1:10: http: [http] needs a `port`",
            "ilagent.toml:1:23: queue: [queue] is a table, not a number",
            "ilagent.toml:1:62: mqtt[0].qos: the QoS is 0, 1 or 2, not `7`",
            "ilagent.toml:2:41: mqtt[0].subscription.topic[1]: `#/b` is not a topic filter: `#` \
             stands alone and at the end, as in `a/#`",
            "ilagent.toml:2:49: mqtt[0].subscription.lables: there is no key `lables` in \
             [[mqtt.subscription]]; did you mean `labels`?",
        ]
    );
}

#[test]
fn what_the_example_shows_as_a_comment_is_right_as_well() {
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let text: Vec<String> = example("ilagent.toml").lines().map(shown).collect();
    let config = native(&text.join("\n"), Syntax::Toml).unwrap();
    assert_eq!(config.brokers.len(), 2);
    assert!(config.brokers[1].tls.is_some());
    assert!(config.ilert.heartbeat.is_some());
}

#[test]
fn syntax_is_told_by_name_or_else_by_the_first_character() {
    for (name, text, wanted) in [
        ("a.toml", "{", Syntax::Toml),
        ("a.JSON", "x", Syntax::Json),
        ("a.conf", "  {", Syntax::Json),
        ("a", "[http]", Syntax::Toml),
    ] {
        assert_eq!(Syntax::of(name, text), wanted, "{name}");
    }
}

/// An arbitrary line of arguments, made of what a command line is made of.
fn line() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        3 => "-{0,2}[a-z_=-]{0,12}",
        1 => ".{0,8}",
        2 => prop::sample::select(vec![
            "daemon", "check", "queue", "list", "event", "-m", "-e", "#", "-p", "--", "help",
            "--mqtt_qos", "1", "-v", "--config", "--label", "a=b", "--mqtt_buffer",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..12)
}

/// An example with a few bytes left out and put in.
fn damaged(name: &str) -> impl Strategy<Value = String> {
    let text = example(name);
    let damage = (0..text.len(), 0..4_usize, ".{0,3}");
    prop::collection::vec(damage, 0..6).prop_map(move |damages| {
        let mut letters: Vec<char> = text.chars().collect();
        for (at, length, new) in damages {
            let at = at.min(letters.len());
            let end = (at + length).min(letters.len());
            letters.splice(at..end, new.chars());
        }
        letters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_command_line_makes_the_parsers_panic(args in line()) {
        let read = |_: &Path| Ok(None);
        if let Ok(invocation) = cli::read(args.iter().map(OsString::from))
            && let cli::Command::Daemon(asked) | cli::Command::Check(asked) = invocation.command
        {
            let _ = cli::daemon::configure(&asked, &around(&|_| None, &read));
        }
    }

    #[test]
    fn no_file_makes_the_parsers_panic(
        toml in damaged("ilagent.toml"),
        json in damaged("ilagent.json"),
        any in ".{0,60}",
    ) {
        for text in [&toml, &json, &any] {
            for syntax in [Syntax::Toml, Syntax::Json] {
                if let Err(faults) = native(text, syntax) {
                    prop_assert!(!faults.is_empty());
                }
            }
        }
    }
}
