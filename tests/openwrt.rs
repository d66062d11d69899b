//! OpenWrt's side: from UCI to the configuration and to procd, by the real init script under
//! busybox's ash, with the real agent.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]
#![recursion_limit = "256"]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Stdio};
use support::agent::get;
use support::broker::Broker;
use support::openwrt::{OWNER, Router};
use support::publisher::Publisher;
use support::stand_in::StandIn;
use support::{event, free_port, wait_until};

const MAIN: &str = "config ilagent 'main'\n\toption enabled '1'\n";

/// As UCI writes a value.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[track_caller]
fn refused(router: &Router, uci: &str, wanted: &[&str]) {
    router.configure(&format!("{MAIN}{uci}"));
    let said = router.service("start");
    assert!(!said.right, "{uci} should be refused");
    let lines: Vec<&str> = said.err.lines().collect();
    for wanted in wanted {
        let line = format!("ilagent: ilagent.{wanted}");
        assert!(lines.contains(&line.as_str()), "{line}\nis not in\n{}", said.err);
    }
    let last = "ilagent: not started, because /etc/config/ilagent has faults";
    assert_eq!(lines.last(), Some(&last));
    assert_eq!(lines.len(), wanted.len() + 1, "{lines:#?}");
    assert!(!router.procd().iter().any(|line| line == "open_instance"), "{uci}");
    for left in ["ilagent.json", "ilagent.json.new"] {
        assert!(!router.path("/var/run/ilagent").join(left).exists(), "{left}");
    }
}

#[track_caller]
fn made(router: &Router, uci: &str, wanted: &Value) {
    router.configure(&format!("{MAIN}{uci}"));
    let said = router.service("start");
    assert!(said.right, "{uci}: {}", said.err);
    assert_eq!(router.made(), *wanted, "{uci}");
}

#[test]
fn the_shipped_sections_start_an_agent_once_it_is_enabled() {
    let Some(router) = Router::new() else { return };
    let shipped = router.read("/etc/config/ilagent");
    assert!(!router.service("start").right, "it is off until somebody wants it");
    assert!(!router.procd().contains(&"open_instance".to_owned()));

    router.configure(&shipped.replace("\toption enabled '0'", "\toption enabled '1'"));
    let said = router.service("start");
    assert!(said.right, "{}", said.err);
    assert_eq!(said.err, "");
    assert_eq!(
        router.made(),
        json!({
            "queue": { "limit": "8 MB", "path": "/var/lib/ilagent/ilagent.db3" },
            "ilert": { "max_retries": "0" },
            "http": { "port": "8977", "bind": "127.0.0.1" },
            "mqtt": [],
        })
    );
    assert_eq!(
        router.procd(),
        [
            "open_instance",
            "set_param command /usr/bin/ilagent daemon --config /var/run/ilagent/ilagent.json",
            "set_param env RUST_LOG=warn ILAGENT_LOG=streams",
            "set_param file /var/run/ilagent/ilagent.json",
            "set_param reload_signal HUP",
            "set_param respawn 3600 5 0",
            "set_param term_timeout 10",
            "set_param user ilagent",
            "set_param group ilagent",
            "set_param no_new_privs 1",
            "set_param limits core=0",
            "set_param stdout 1",
            "set_param stderr 1",
            "close_instance",
            "add_reload_trigger ilagent",
            "add_interface_trigger interface.*.up wan /etc/init.d/ilagent restart",
        ]
    );
    for (path, mode) in [
        ("/var/run/ilagent", 0o700),
        ("/var/run/ilagent/ilagent.json", 0o600),
        ("/var/lib/ilagent", 0o700),
    ] {
        let found = fs::metadata(router.path(path)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!((found.uid(), found.gid()), (OWNER, OWNER), "{path}");
    }
}

/// The shipped file with everything that stands in comments, as somebody would fill it in.
fn everything(shipped: &str) -> String {
    let mut text = String::new();
    for line in shipped.lines() {
        let bare = line.trim_start().trim_start_matches('#').trim_start();
        let says = ["config ", "option ", "list "].iter().any(|begin| bare.starts_with(begin));
        if says && !bare.contains("config_file") {
            text.push_str(bare);
            text.push('\n');
        }
    }
    text.replace("option enabled '0'", "option enabled '1'")
        .replace("api_key ''", "api_key 'il1api-policies'")
        .replace("password ''", "password 'hush'")
        .replace("token ''", "token 'hush-hush'")
}

#[test]
fn every_option_that_is_shipped_as_a_comment_becomes_a_key() {
    let Some(router) = Router::new() else { return };
    let certificate = rcgen::generate_simple_self_signed(vec!["broker".to_owned()]).unwrap();
    router.write("/etc/ilagent/ca.pem", &certificate.cert.pem());
    router.write("/etc/ilagent/client.pem", &certificate.cert.pem());
    router.write("/etc/ilagent/client.key", &certificate.signing_key.serialize_pem());
    let uci = everything(&router.read("/etc/config/ilagent"));
    router.configure(&uci);
    let said = router.service("start");
    assert!(said.right, "{}", said.err);
    assert_eq!(
        router.made(),
        json!({
            "ilert": {
                "heartbeat_key": "il1hbt…", "api_key": "il1api-policies", "max_retries": "0",
                "in_flight": "24", "timeout": "25 s", "api_host": "https://api.ilert.com",
                "heartbeat_host": "https://beat.ilert.com",
            },
            "event": {
                "labels": { "site": "plant 7" }, "severity": "3",
                "services": [{ "alias": "cooling" }],
            },
            "queue": {
                "limit": "8 MB", "sync": "full", "dead_letters": "1000", "max_age": "10 min",
                "path": "/var/lib/ilagent/ilagent.db3",
            },
            "http": {
                "port": "8977", "bind": "127.0.0.1", "token": "hush-hush", "body_limit": "64 KB",
                "connections": "64",
            },
            "mqtt": [{
                "name": "plant", "url": "mqtts://broker.plant.example:8883",
                "client_id": "gateway-7", "username": "gateway-7", "password": "hush",
                "ssl_ca": "/etc/ilagent/ca.pem", "ssl_cert": "/etc/ilagent/client.pem",
                "ssl_key": "/etc/ilagent/client.key", "buffer": true, "qos": "1", "version": "3",
                "keep_alive": "60 s", "packet_limit": "1 MB", "shared_group": "agents",
                "routing": "every",
                "subscription": [
                    {
                        "topic": ["plant/+/alarms"], "kind": "event",
                        "integration_key": "il1api…", "qos": "1", "forward_payload": true,
                        "labels": { "line": "2" }, "severity": "2", "services": [{ "id": "4711" }],
                        "map": {
                            "event_type": "state", "alert_when": "raised",
                            "accept_when": "acknowledged", "resolve_when": "cleared",
                            "alert_key": "alarm.id", "summary": "alarm.text",
                            "severity": "alarm.severity", "routing_key": "team",
                            "labels": { "machine": "source.0.name" },
                        },
                        "filter": { "key": "class", "value": "alarm" },
                    },
                    { "topic": ["plant/heartbeats"], "kind": "heartbeat" },
                    {
                        "topic": ["plant/shifts"], "kind": "policy", "routing_keys": ["site"],
                        "email": "data.email", "shift": "data.shift", "shift_offset": "0",
                    },
                ],
            }],
        })
    );
}

#[test]
fn what_people_write_becomes_what_they_mean() {
    let Some(router) = Router::new() else { return };
    let queue = json!({ "path": "/var/lib/ilagent/ilagent.db3" });
    let broker = |rest: Value| {
        let mut broker = json!({ "name": "b", "url": "mqtt://h" });
        let more = rest.as_object().unwrap().clone();
        broker.as_object_mut().unwrap().extend(more);
        json!({ "queue": queue, "mqtt": [broker] })
    };
    let section = "config queue 'queue'\nconfig broker 'b'\n\toption url 'mqtt://h'\n";
    // One topic may be an option; numbers of sections go on counting over those that are off.
    made(
        &router,
        &format!(
            "{section}config subscription\n\toption broker 'b'\n\toption topic 'a b/#'\n\
             config subscription\n\toption enabled 'no'\n\toption broker 'b'\n\
             config broker 'off'\n\toption enabled '0'\n\toption url 'nonsense'\n\
             config subscription\n\toption broker 'off'\n\toption topic 'x'\n"
        ),
        &broker(json!({ "subscription": [{ "topic": ["a b/#"] }] })),
    );
    // Empty values say nothing; truths may be spelled in UCI's ways.
    made(
        &router,
        &format!(
            "{section}\toption password ''\n\toption buffer 'on'\nconfig subscription\n\
             \toption broker 'b'\n\tlist topic 't'\n\toption forward_payload 'false'\n"
        ),
        &broker(json!({
            "buffer": true,
            "subscription": [{ "topic": ["t"], "forward_payload": false }],
        })),
    );
    // Nothing that a value holds is ever run, and it arrives as it is.
    for hostile in [
        r#"it's "quoted" \ back"#,
        "$(touch /tmp/hacked)",
        "`touch /tmp/hacked`",
        "'; touch /tmp/hacked; '",
        "${PATH} $1 * ? [a-z] ~",
        "\\n is not a line end, \\\" neither",
        "päßwörd ☃",
        "-n -e --help",
        " leading and trailing ",
    ] {
        made(
            &router,
            &format!(
                "{section}\toption username {0}\n\toption password {0}\nconfig subscription\n\
                 \toption broker 'b'\n\tlist topic 't'\n\tlist label {1}\n",
                quoted(hostile),
                quoted(&format!("name={hostile}"))
            ),
            &broker(json!({
                "username": hostile, "password": hostile,
                "subscription": [{ "topic": ["t"], "labels": { "name": hostile } }],
            })),
        );
        assert!(!router.path("/tmp/hacked").exists(), "{hostile}");
    }
}

#[test]
fn what_is_wrong_is_told_by_the_name_of_its_option() {
    let Some(router) = Router::new() else { return };
    let broker = "config broker 'plant'\n\toption url 'mqtt://h'\nconfig subscription 'alarms'\n\
                  \toption broker 'plant'\n\tlist topic 'a'\n";
    refused(
        &router,
        "config http 'http'\n\toption port '70000'\n\toption bind 'lan'\n",
        &[
            "http.port: `70000` is not a TCP port",
            "http.bind: `lan` is not an IP address such as 127.0.0.1, 0.0.0.0 or ::1",
        ],
    );
    refused(
        &router,
        &format!(
            "{broker}\tlist topic 'a/#/b'\n\toption map_sumary 'x'\n\tlist service 'cooling'\n\
             \tlist map_label 'machine'\n\toption forward_payload 'maybe'\n\
             \toption filter_value 'on'\n\toption severity '6'\n"
        ),
        &[
            "alarms.service: `cooling` is not written as alias=NAME or id=NUMBER",
            "alarms.map_label: `machine` is not written as name=text",
            "alarms.forward_payload: `maybe` is neither 1 nor 0",
            "alarms.topic: `a/#/b` is not a topic filter: `#` stands alone and at the end, as in \
             `a/#`",
            "alarms.severity: `6` is not a whole number from 1 to 5",
            "alarms.map_sumary: there is no key `sumary` in `map`; did you mean `summary`?",
            "alarms.filter: `filter` needs a `key`",
        ],
    );
    refused(
        &router,
        &format!("{broker}\toption bufer '1'\nconfig broker 'other'\n\toption urll 'x'\n"),
        &[
            "alarms.bufer: there is no key `bufer` in [[mqtt.subscription]]",
            "other: [[mqtt]] needs a `url` such as mqtt://broker:1883",
            "other.urll: there is no key `urll` in [[mqtt]]; did you mean `url`?",
        ],
    );
    refused(
        &router,
        "config subscription 'lost'\n\toption broker 'plnt'\nconfig subscription 'none'\n\
         config http 'http'\n\toption port '1'\n",
        &[
            "lost.broker: there is no broker section `plnt`",
            "none.broker: there is no broker section ``",
        ],
    );
    refused(
        &router,
        &format!("{broker}config queue 'queue'\n\toption storage 'usb'\n"),
        &["queue.storage: `usb` is neither ram nor flash nor the path of a folder"],
    );
    // A password with a line end is told without being shown.
    refused(
        &router,
        &broker
            .replace("mqtt://h'", "mqtt://h'\n\toption username 'u'\n\toption password 'se\ncret'"),
        &["plant.password: this is one line of text without control characters"],
    );
}

#[test]
fn what_would_be_left_out_without_a_word_is_told() {
    let Some(router) = Router::new() else { return };
    let broker = "config broker 'plant'\n\toption url 'mqtt://h'\nconfig subscription 'alarms'\n\
                  \toption broker 'plant'\n\tlist topic 'a'\n";
    refused(
        &router,
        &format!(
            "{broker}config brokr 'plnt'\nconfig http 'web'\n\toption port '1'\n\
             config subscription 'off'\n\toption enabled 'maybe'\n"
        ),
        &[
            "plnt: there is no type of section `brokr`",
            "web: a section of type http has to be called http",
            "off.enabled: `maybe` is neither 1 nor 0",
        ],
    );
    refused(
        &router,
        &format!("\toption enable '1'\n\toption log_level 'loud'\n{broker}"),
        &[
            "main.enable: there is no such option",
            "main.log_level: `loud` is not error, warn, info or debug",
        ],
    );
}

#[test]
fn a_reload_with_faults_leaves_the_agent_alone() {
    let Some(router) = Router::new() else { return };
    let right = format!("{MAIN}config http 'http'\n\toption port '8977'\n");
    router.configure(&right);
    assert!(router.service("start").right);
    let (before, made) = (router.procd(), router.made());

    router.configure(&right.replace("8977", "x"));
    let said = router.service("reload");
    assert!(!said.right);
    assert!(said.err.contains("ilagent.http.port: `x` is not a TCP port"), "{}", said.err);
    assert!(said.err.contains("goes on with what it had"), "{}", said.err);
    assert_eq!((router.procd(), router.made()), (before.clone(), made), "procd never heard of it");
    assert!(!router.service("check").right);

    router.configure(&right.replace("8977", "8978"));
    assert_eq!(router.service("check").out, "/etc/config/ilagent is right\n");
    assert_eq!(router.made()["http"]["port"], "8977", "a check changes nothing");
    assert!(router.service("reload").right);
    assert_eq!(router.procd(), before, "only the file has changed, so procd sends SIGHUP");
    assert_eq!(router.made()["http"]["port"], "8978");

    router.configure(&right.replace("enabled '1'", "enabled '0'"));
    router.service("reload");
    assert_eq!(router.procd(), ["add_reload_trigger ilagent"], "procd stops what is not there");
}

#[test]
fn the_owner_says_where_deliveries_wait() {
    let Some(router) = Router::new() else { return };
    let stored = |storage: &str| {
        format!(
            "{MAIN}config queue 'queue'\n\toption storage '{storage}'\n\
             config http 'http'\n\toption port '8977'\n"
        )
    };
    for (storage, folder) in [("ram", "/var/lib/ilagent"), ("flash", "/etc/ilagent/queue")] {
        router.configure(&stored(storage));
        assert!(router.service("start").right, "{storage}");
        assert_eq!(router.made()["queue"]["path"], format!("{folder}/ilagent.db3"));
        assert_eq!(fs::metadata(router.path(folder)).unwrap().uid(), OWNER, "{storage}");
    }
    let kept = router.read("/lib/upgrade/keep.d/ilagent");
    assert_eq!(kept, "/etc/ilagent/\n", "sysupgrade keeps the queue that is on flash");

    router.configure(&stored("/mnt/usb"));
    let said = router.service("start");
    assert!(said.err.contains("there is no folder /mnt/usb; is it mounted?"), "{}", said.err);
    let trigger = "add_restart_mount_trigger /mnt/usb".to_owned();
    assert!(router.procd().contains(&trigger), "{:?}", router.procd());
    fs::create_dir_all(router.path("/mnt/usb")).unwrap();
    assert!(router.service("start").right);
    assert_eq!(router.made()["queue"]["path"], "/mnt/usb/ilagent/ilagent.db3");
    assert!(router.procd().contains(&trigger));
}

#[test]
fn a_file_of_the_owner_replaces_the_sections() {
    let Some(router) = Router::new() else { return };
    router.configure(&format!("{MAIN}\toption config_file '/etc/ilagent/own.toml'\n"));
    router.write("/etc/ilagent/own.toml", "[http]\nport = \"x\"\n");
    let said = router.service("start");
    assert!(!said.right);
    assert!(said.err.contains("own.toml:2:8: `x` is not a TCP port"), "{}", said.err);
    router.write("/etc/ilagent/own.toml", "[http]\nport = 8977\n");
    assert!(router.service("start").right);
    assert_eq!(
        router.parameter("command"),
        ["/usr/bin/ilagent", "daemon", "--config", "/etc/ilagent/own.toml"]
    );
    assert_eq!(router.parameter("file"), ["/etc/ilagent/own.toml"]);
}

/// What procd would have started, ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_status_is_asked_where_the_agent_listens() {
    let Some(router) = Router::new() else { return };
    let said = |http: &str| {
        router.configure(&format!("{MAIN}config http 'http'\n{http}"));
        router.service("agent_status")
    };
    for (bind, host) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("192.168.1.1", "192.168.1.1"),
        ("::", "[::1]"),
        ("fd00::1", "[fd00::1]"),
    ] {
        let asked = said(&format!("\toption port '80'\n\toption bind '{bind}'\n")).out;
        assert!(asked.ends_with(&format!(" http://{host}:80/status\n")), "{bind}: {asked}");
    }
    let off = said("\toption enabled '0'\n");
    assert!(!off.right && off.err.contains("ilagent.http.enabled"), "{}", off.err);
}

#[test]
fn what_procd_is_told_delivers_events_and_hears_of_changes() {
    let Some(router) = Router::new() else { return };
    let (api, broker, http) = (StandIn::new(), Broker::new(), free_port());
    let uci = format!(
        "{MAIN}\toption log_level 'info'\nconfig ilert 'ilert'\n\toption api_host '{}'\n\
         config http 'http'\n\toption port '{http}'\n\toption bind '127.0.0.1'\n\
         config broker 'plant'\n\toption url 'mqtt://127.0.0.1:{}'\n\toption buffer '1'\n\
         config subscription\n\toption broker 'plant'\n\tlist topic 'old/#'\n",
        api.url(),
        broker.port()
    );
    router.configure(&uci);
    assert!(router.service("start").right);
    let log = fs::File::create(router.path("/tmp/log")).unwrap();
    let mut command = router.command();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let agent = Started(command.spawn().unwrap());
    let mut publisher = Publisher::new(broker.port());
    broker.wait_for_log("old/#", 1);
    publisher.publish("old/a", event("k", "one"));
    api.wait_for(1);

    let said = router.service("agent_status");
    assert_eq!(said.out, format!("-q -T 5 -O - http://127.0.0.1:{http}/status\n"));
    let status: Value = serde_json::from_str(&get(http, "/status").unwrap().1).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["sinks"][0]["delivered"], 1);

    router.configure(&uci.replace("old/#", "new/#"));
    assert!(router.service("reload").right);
    support::agent::signal(agent.0.id(), &router.parameter("reload_signal")[0]);
    broker.wait_for_log("new/#", 1);
    publisher.publish("new/a", event("k", "two"));
    api.wait_for(2);
    wait_until("the log is warnings only", || {
        router.read("/tmp/log").contains("the configuration has changed")
    });
    let log = router.read("/tmp/log");
    assert!(!log.contains("[WARN]") && !log.contains("listening on"), "{log}");
}
