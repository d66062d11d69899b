//! OpenWrt's side: from UCI to the configuration and to procd, by the real init script under
//! busybox's ash, with the real agent. What happens when a configuration changes is in
//! `openwrt_changes.rs`.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]
#![recursion_limit = "256"]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use support::openwrt::{OWNER, Router};

const MAIN: &str = "config ilagent 'main'\n\toption enabled '1'\n";

/// A broker and a subscription, to which options may be added.
const BROKER: &str = "config broker 'plant'\n\toption url 'mqtt://h'\n\
     config subscription 'alarms'\n\toption broker 'plant'\n\tlist topic 'a'\n";

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
    assert_eq!(
        fs::read_dir(router.path("/var/run/ilagent")).unwrap().count(),
        0,
        "nothing is left"
    );
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
            "webhook": [], "sink": { "file": [] },
        })
    );
    assert_eq!(
        router.procd(),
        [
            "open_instance",
            "set_param command /usr/bin/ilagent daemon --config /var/run/ilagent/ilagent.uci",
            "set_param env RUST_LOG=warn ILAGENT_LOG=streams",
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
            "add_interface_trigger interface.*.up wan /etc/init.d/ilagent reconnect",
        ]
    );
    for (path, mode, owner) in [
        ("/var/run/ilagent", 0o750, 0),
        ("/var/run/ilagent/ilagent.uci", 0o600, OWNER),
        ("/var/lib/ilagent", 0o700, OWNER),
    ] {
        let found = fs::metadata(router.path(path)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!((found.uid(), found.gid()), (owner, OWNER), "{path}");
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
                "limit": "8 MB", "sync": "full", "hold": "50 ms", "dead_letters": "1000", "max_age": "10 min",
                "path": "/var/lib/ilagent/ilagent.db3",
            },
            "http": {
                "port": "8977", "bind": "127.0.0.1", "token": "hush-hush", "body_limit": "64 KB",
                "connections": "64",
            },
            "mqtt": [{
                "name": "plant", "url": "mqtts://broker.plant.example:8883",
                "client_id": "gateway-7", "out_client_id": "gateway-7-out", "username": "gateway-7", "password": "hush",
                "ssl_ca": "/etc/ilagent/ca.pem", "ssl_cert": "/etc/ilagent/client.pem",
                "ssl_key": "/etc/ilagent/client.key", "buffer": true, "hold": "50 ms", "qos": "1", "version": "3",
                "keep_alive": "60 s", "packet_limit": "1 MB", "shared_group": "agents",
                "routing": "every", "status_topic": "gateways/7/status", "status_format": "text",
                "subscription": shipped_subscriptions(),
            }, { "name": "cloud", "url": "mqtts://cloud.example", "subscription": [] }],
            "webhook": [
                {
                    "name": "shop", "url": "http://192.168.1.5:5000/orders", "method": "POST",
                    "headers": { "X-Site": "plant-7" }, "token": "hush-hush", "timeout": "25 s",
                    "in_flight": "24", "max_retries": "100", "back_off": "500 ms",
                    "back_off_max": "60 s", "delivered": ["409"], "later": ["404"], "never": ["501"],
                },
                {
                    "name": "archive", "url": "https://archive.plant.example",
                    "username": "gateway-7", "password": "hush", "ssl_ca": "/etc/ilagent/ca.pem",
                    "ssl_cert": "/etc/ilagent/client.pem", "ssl_key": "/etc/ilagent/client.key",
                },
            ],
            "sink": { "file": [{
                "name": "sent", "path": "/var/log/ilagent/sent", "rotate_at": "64 KB", "keep": "1",
            }] },
        })
    );
}

/// The subscriptions among them.
fn shipped_subscriptions() -> Value {
    json!([
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
        {
            "topic": ["plant/+line/state"], "kind": "publish", "to": ["cloud"],
            "target": "site7/lines/{line}", "qos_out": "1", "retain": true,
        },
        {
            "topic": ["plant/machines/#"], "kind": "publish", "to": ["cloud"],
            "cut_prefix": "plant/", "add_prefix": "site7/",
        },
        {
            "topic": ["orders/+shop/new"], "kind": "call", "to": ["shop", "archive"],
            "path": "/{shop}", "format": "raw", "order_by": "order.id",
        },
    ])
}

#[test]
fn what_people_write_becomes_what_they_mean() {
    let Some(router) = Router::new() else { return };
    let queue = json!({ "path": "/var/lib/ilagent/ilagent.db3" });
    let broker = |rest: Value| {
        let mut broker = json!({ "name": "b", "url": "mqtt://h" });
        let more = rest.as_object().unwrap().clone();
        broker.as_object_mut().unwrap().extend(more);
        json!({ "queue": queue, "mqtt": [broker], "webhook": [], "sink": { "file": [] } })
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
            "{BROKER}\tlist topic 'a/#/b'\n\toption map_sumary 'x'\n\tlist service 'cooling'\n\
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
            "alarms.filter_value: `filter` needs a `key`",
        ],
    );
    refused(
        &router,
        &format!("{BROKER}\toption bufer '1'\nconfig broker 'other'\n\toption urll 'x'\n"),
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
            "none: a subscription needs a `broker`",
        ],
    );
    refused(
        &router,
        &format!("{BROKER}config queue 'queue'\n\toption storage 'usb'\n"),
        &["queue.storage: `usb` is neither ram nor flash nor the path of a folder"],
    );
    // A password with a line end is a fault that does not show it.
    refused(
        &router,
        &BROKER
            .replace("mqtt://h'", "mqtt://h'\n\toption username 'u'\n\toption password 'se\ncret'"),
        &["plant.password: this is one line of text without control characters"],
    );
}

#[test]
fn what_is_wrong_with_a_route_is_told_by_the_name_of_its_option() {
    let Some(router) = Router::new() else { return };
    refused(
        &router,
        &format!(
            "{BROKER}\toption kind 'call'\n\tlist to 'shpo'\nconfig webhook 'shop'\n\
             \toption url 'ftp://h'\n\tlist header 'X Y=z'\n\tlist never '7xx'\n\
             config subscription 'out'\n\toption broker 'plant'\n\toption topic 'b'\n\
             \toption kind 'publish'\n\toption retain 'perhaps'\n"
        ),
        &[
            "alarms.to: there is no webhook of the name `shpo`; did you mean `shop`?",
            "out: [[mqtt.subscription]] needs `to`, the name of a broker or a list of them",
            "out.retain: `perhaps` is neither 1 nor 0",
            "shop.url: `ftp://h` is not a URL such as http://127.0.0.1:5000/orders",
            "shop.header: `X Y` is not the name of a header",
            "shop.never: `7xx` is not a status such as 404 or 5xx, from 200 to 599",
        ],
    );
}

#[test]
fn what_would_be_left_out_without_a_word_is_told() {
    let Some(router) = Router::new() else { return };
    refused(
        &router,
        &format!(
            "{BROKER}config brokr 'plnt'\nconfig http 'web'\n\toption port '1'\n\
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
        &format!("\toption enable '1'\n\toption log_level 'loud'\n{BROKER}"),
        &[
            "main.enable: there is no such option",
            "main.log_level: `loud` is not error, warn, info or debug",
        ],
    );
}

#[test]
fn a_journal_has_a_folder_that_the_agent_can_write_to() {
    let Some(router) = Router::new() else { return };
    let journal = |name: &str, path: &str| {
        format!(
            "config http 'http'\n\toption port '8977'\nconfig journal '{name}'\n\toption path '{path}'\n"
        )
    };
    made(
        &router,
        &journal("sent", "/var/log/deep/sent"),
        &json!({
            "http": { "port": "8977" },
            "queue": { "path": "/var/lib/ilagent/ilagent.db3" },
            "mqtt": [],
            "webhook": [],
            "sink": { "file": [{ "name": "sent", "path": "/var/log/deep/sent" }] },
        }),
    );
    let found = fs::metadata(router.path("/var/log/deep")).unwrap();
    assert_eq!((found.permissions().mode() & 0o7777, found.uid()), (0o700, OWNER));

    router.service("stop");
    router.reboot();
    fs::create_dir_all(router.path("/mnt/usb")).unwrap();
    router.write("/etc/config/fstab", "config mount\n\toption target '/mnt/usb'\n");
    router.write("/proc/mounts", "/dev/root / squashfs ro 0 0\n");
    let mut faulty = journal("sent", "sent");
    faulty.push_str("\toption rotate_at '1 KB'\nconfig journal 'none'\n\toption keep '1'\n");
    faulty.push_str("config journal 'off'\n\toption enabled '0'\n");
    refused(
        &router,
        &faulty,
        &[
            "sent.path: `sent` is not the whole path of a file, such as /var/log/ilagent/sent",
            "sent.rotate_at: `1 KB` is not between 4 KB and 1 GB",
            "none: [[sink.file]] needs a `path`",
        ],
    );
    let foreign = "sent.path: the user ilagent cannot write to the folder /etc/config";
    refused(&router, &journal("sent", "/etc/config/sent"), &[foreign]);
    // The agent is started once the stick is mounted.
    let missing = "sent.path: /mnt/usb is not mounted";
    refused(&router, &journal("sent", "/mnt/usb/sent"), &[missing]);
    let trigger = "add_restart_mount_trigger /mnt/usb".to_owned();
    assert!(router.procd().contains(&trigger), "{:?}", router.procd());
    router.write("/proc/mounts", "/dev/sda1 /mnt/usb ext4 rw 0 0\n");
    std::os::unix::fs::chown(router.path("/mnt/usb"), Some(OWNER), None).unwrap();
    assert!(router.service("restart").right);
}

/// `uci set` makes an option, `uci add_list` a list, and people write the one for the other.
#[test]
fn an_option_is_a_list_of_one_and_a_list_of_one_an_option() {
    let Some(router) = Router::new() else { return };
    let written = |list: &str, option: &str| {
        format!(
            "\t{list} interface 'wan'\nconfig ilert 'ilert'\n\t{option} api_key 'k'\n\
             config event 'event'\n\t{list} label 'site=plant 7'\n\
             \t{list} service 'alias=cooling'\n\
             config broker 'plant'\n\t{option} url 'mqtt://h'\n\
             config subscription 'alarms'\n\t{option} broker 'plant'\n\t{list} topic 'plant/alarms'\n\
             \t{list} label 'line=2'\n\t{list} service 'id=4711'\n\
             \t{list} map_label 'machine=source.0.name'\n\
             config subscription 'shifts'\n\t{option} broker 'plant'\n\t{option} kind 'policy'\n\
             \t{list} topic 'plant/shifts'\n\t{list} routing_key 'site'\n"
        )
    };
    let wanted = json!({
        "ilert": { "api_key": "k" },
        "event": { "labels": { "site": "plant 7" }, "services": [{ "alias": "cooling" }] },
        "queue": { "path": "/var/lib/ilagent/ilagent.db3" },
        "mqtt": [{
            "name": "plant", "url": "mqtt://h",
            "subscription": [
                {
                    "topic": ["plant/alarms"], "labels": { "line": "2" },
                    "services": [{ "id": "4711" }], "map": { "labels": { "machine": "source.0.name" } },
                },
                { "topic": ["plant/shifts"], "kind": "policy", "routing_keys": ["site"] },
            ],
        }],
        "webhook": [], "sink": { "file": [] },
    });
    let trigger = "add_interface_trigger interface.*.up wan /etc/init.d/ilagent reconnect";
    for (list, option) in [("option", "option"), ("list", "option"), ("list", "list")] {
        made(&router, &written(list, option), &wanted);
        assert!(router.procd().contains(&trigger.to_owned()), "{list}: {:?}", router.procd());
    }
}

#[test]
fn values_that_would_get_lost_on_the_way_are_told() {
    let Some(router) = Router::new() else { return };
    // Where one value is meant UCI would join them, to a password with a space in it say.
    refused(
        &router,
        &format!(
            "{BROKER}\tlist severity '1'\n\tlist severity '2'\n\tlist map_summary 'a'\n\tlist map_summary 'b'\n"
        ),
        &[
            "alarms.severity: this is one value, and there are 2",
            "alarms.map_summary: this is one value, and there are 2",
        ],
    );
    refused(
        &router,
        &format!("{BROKER}\tlist map_label 'a=x'\n\tlist map_label 'a=y'\n"),
        &["alarms.map_label: the name `a` is there twice"],
    );
    // To the shell, these would be the same name.
    router
        .configure(&format!("{MAIN}{BROKER}\tlist label 'site-id=1'\n\tlist label 'site_id=2'\n"));
    assert!(router.service("start").right);
    let labels = &router.made()["mqtt"][0]["subscription"][0]["labels"];
    assert_eq!(*labels, json!({ "site-id": "1", "site_id": "2" }));
    router.service("stop");
    router.reboot();
    refused(
        &router,
        &format!("{BROKER}config ilagent 'second'\n\toption enabled '1'\n"),
        &["second: a section of type ilagent has to be called main"],
    );
    // UCI itself keeps the last of two options of one name.
    router.configure(&format!("{MAIN}{BROKER}\toption topic 'b'\n"));
    let said = router.service("check");
    assert!(!said.right);
    assert_eq!(
        said.err,
        "ilagent: /etc/config/ilagent:8:9: `topic` has been set before in this section; where \
         several values are allowed, write `list` for each\n"
    );
    assert_eq!(said.out, "");
}

#[test]
fn an_agent_that_is_off_is_told_as_one() {
    let Some(router) = Router::new() else { return };
    for enabled in ["\toption enabled '0'\n", ""] {
        router.configure(&format!(
            "config ilagent 'main'\n{enabled}\tlist interface 'wan'\n\
             config http 'http'\n\toption port '8977'\n"
        ));
        let said = router.service("start");
        assert!(!said.right);
        assert_eq!(said.err, "ilagent: not started: ilagent.main.enabled is 0\n");
        assert_eq!(
            router.procd(),
            ["add_reload_trigger ilagent"],
            "and not again when the WAN comes up"
        );
        let said = router.service("check");
        let words =
            "/etc/config/ilagent is right, but nothing is started: ilagent.main.enabled is 0\n";
        assert_eq!((said.right, said.out.as_str()), (true, words));
    }
}

/// Keys are copied there with the mode that `scp` leaves.
#[test]
fn keys_are_nobody_elses_business() {
    let Some(router) = Router::new() else { return };
    router.configure(&format!("{MAIN}config http 'http'\n\toption port '8977'\n"));
    let folder = router.path("/etc/ilagent");
    for (mode, wanted) in [(0o755, 0o750), (0o750, 0o750), (0o700, 0o750)] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&folder, Some(0), Some(0)).unwrap();
        assert!(router.service("start").right);
        let found = fs::metadata(&folder).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, wanted, "{mode:o}");
        assert_eq!((found.uid(), found.gid()), (0, OWNER), "{mode:o}");
    }
    let config = fs::metadata(router.path("/etc/config/ilagent")).unwrap();
    assert_eq!(config.permissions().mode() & 0o7777, 0o600);
}

/// Every secret of the manual can be handed over as a file, so that it stands in no `uci export`.
#[test]
fn secrets_may_be_files_that_the_agent_alone_can_read() {
    let Some(router) = Router::new() else { return };
    for name in ["api-key", "beat", "token", "password", "event-key"] {
        let path = format!("/etc/ilagent/{name}");
        router.write(&path, "hush-hush\n");
        fs::set_permissions(router.path(&path), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(router.path(&path), Some(OWNER), Some(OWNER)).unwrap();
    }
    let file = |name: &str| format!("/etc/ilagent/{name}");
    let uci = "config ilert 'ilert'\n\toption api_key_file '/etc/ilagent/api-key'\n\
               \toption heartbeat_key_file '/etc/ilagent/beat'\n\
               config http 'http'\n\toption port '8977'\n\toption token_file '/etc/ilagent/token'\n\
               config broker 'b'\n\toption url 'mqtt://h'\n\toption username 'u'\n\
               \toption password_file '/etc/ilagent/password'\nconfig subscription\n\toption broker 'b'\n\
               \toption topic 't'\n\toption integration_key_file '/etc/ilagent/event-key'\n";
    made(
        &router,
        uci,
        &json!({
            "ilert": { "api_key_file": file("api-key"), "heartbeat_key_file": file("beat") },
            "http": { "port": "8977", "token_file": file("token") },
            "queue": { "path": "/var/lib/ilagent/ilagent.db3" },
            "mqtt": [{
                "name": "b", "url": "mqtt://h", "username": "u", "password_file": file("password"),
                "subscription": [{ "topic": ["t"], "integration_key_file": file("event-key") }],
            }],
            "webhook": [], "sink": { "file": [] },
        }),
    );
}
