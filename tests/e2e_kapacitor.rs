//! The page of the vendor's manual about MQTT, block by block: its configuration, its scripts, its
//! handler and its commands, with two real mosquittos, one of them with TLS on both sides and a
//! password.

#![cfg(feature = "kapacitor")]
#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::process::{Command, Output};
use support::agent::{BINARY, signal};
use support::broker::Broker;
use support::certificates::Authority;
use support::kapacitor::Kapacitor;
use support::subscriber::Subscriber;
use support::{Folder, free_port, wait_until};

const CONFIG: &str = r#"
[[mqtt]]
  enabled = true
  name = "localhost"
  default = true
  url = "tcp://localhost:1883"

[[mqtt]]
  enabled = true
  name = "alerts-broker"
  default = false
  url = "ssl://123.45.67.89:1883"
  ssl-ca = "/etc/kapacitor/ca.pem"
  ssl-cert = "/etc/kapacitor/cert.pem"
  ssl-key = "/etc/kapacitor/key.pem"
  client-id = "alerts-broker"
  username = "myuser"
  password = "mysupersecretpassw0rd"
"#;

const LOG_CPU_ALERT: &str = r#"stream
  |from()
    .measurement('cpu')
  |alert()
    .crit(lambda: "usage_idle" < 10)
    .message('{{ .Time }}: CPU usage over 90%')
    .mqtt('alerts')
      .qos(2)
"#;

const CPU_ALERT: &str = r#"stream
  |from()
    .measurement('cpu')
  |alert()
    .crit(lambda: "usage_idle" < 10)
    .message('{{ .Time }}: CPU usage over 90%')
    .topic('cpu')
"#;

const HANDLER: &str = "id: log-cpu-alert
topic: cpu
kind: mqtt
options:
  broker-name: 'alerts-broker'
  topic: 'alerts'
  qos: 2
  retained: true
";

/// A broker that wants a certificate and a password, and the port of a door without either.
fn strict_broker() -> (Broker, u16, Authority) {
    let (folder, authority, plain) = (Folder::new(), Authority::new(), free_port());
    folder.write("ca.pem", &authority.pem);
    authority.issue(folder.path(), "broker", "broker");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(folder.join("passwords"))
        .args(["myuser", "mysupersecretpassw0rd"])
        .status();
    assert!(made.unwrap().success());
    let lines = format!(
        "per_listener_settings true\n\
         listener {plain} 127.0.0.1\nallow_anonymous true\n\
         listener {{port}} 127.0.0.1\ncafile {{folder}}/ca.pem\ncertfile {{folder}}/broker.pem\n\
         keyfile {{folder}}/broker.key\nrequire_certificate true\n\
         password_file {{folder}}/passwords\n"
    );
    (Broker::prepared(folder, &lines), plain, authority)
}

#[test]
fn the_page_of_the_manual_works_as_it_stands() {
    let (local, (strict, plain, authority)) = (Broker::new(), strict_broker());
    let folder = Folder::new();
    let here = folder.path().display().to_string();
    authority.issue(folder.path(), "cert", "kapacitor");
    fs::rename(folder.join("cert.key"), folder.join("key.pem")).unwrap();
    folder.write("ca.pem", &authority.pem);
    let config = CONFIG
        .replace("localhost:1883", &format!("localhost:{}", local.port()))
        .replace("123.45.67.89:1883", &format!("127.0.0.1:{}", strict.port()))
        .replace("/etc/kapacitor", &here);
    folder.write("log-cpu-alert.tick", LOG_CPU_ALERT);
    folder.write("cpu_alert.tick", CPU_ALERT);
    folder.write("log_cpu_handler.yaml", HANDLER);
    let mut kapacitor = Kapacitor::new(folder, &config);
    kapacitor.start();

    for _ in 0..2 {
        for line in [
            "kapacitor define log-cpu-alert -tick log-cpu-alert.tick",
            "kapacitor enable log-cpu-alert",
            "kapacitor define cpu_alert -tick cpu_alert.tick",
            "kapacitor enable cpu_alert",
            "kapacitor define-topic-handler log_cpu_handler.yaml",
        ] {
            assert_eq!(kapacitor.prints(line), "", "{line}");
        }
    }
    let at_local = Subscriber::new(local.port(), "#");
    let at_strict = Subscriber::new(plain, "#");
    kapacitor.write("cpu usage_idle=9.25 1714979289120000000");
    let message = "2024-05-06 07:08:09.12 +0000 UTC: CPU usage over 90%";
    for (at, count) in [(&at_local, 1), (&at_strict, 1)] {
        let received = at.wait_for(count);
        let last = received.last().unwrap();
        assert_eq!((last.topic.as_str(), last.text().as_str(), last.qos), ("alerts", message, 2));
    }
    assert_eq!(Subscriber::new(plain, "alerts").wait_for(1)[0].text(), message, "it is retained");
    what_the_client_shows(&kapacitor, message);
    kapacitor.wait_settled();

    // What was decided goes on after the end of the process.
    kapacitor.kill();
    kapacitor.start();
    assert_eq!(
        kapacitor.prints("kapacitor list topics"),
        "ID                        Level     Collected\n\
         cpu                       CRITICAL          0\n\
         main:log-cpu-alert:alert2 CRITICAL          0\n"
    );
    kapacitor.write("cpu usage_idle=50 1714979290000000000");
    let message = "2024-05-06 07:08:10 +0000 UTC: CPU usage over 90%";
    for at in [&at_local, &at_strict] {
        assert_eq!(at.wait_for(2)[1].text(), message, "the end is an event as well");
    }
    what_is_deleted_is_gone(&kapacitor);
    kapacitor.process.end("TERM");
}

fn what_the_client_shows(kapacitor: &Kapacitor, message: &str) {
    assert_eq!(
        kapacitor.prints("kapacitor list tasks"),
        "ID            Type      Status    Executing Databases and Retention Policies\n\
         cpu_alert     stream    enabled   true      []\n\
         log-cpu-alert stream    enabled   true      []\n"
    );
    assert_eq!(
        kapacitor.prints("kapacitor list topics"),
        "ID                        Level     Collected\n\
         cpu                       CRITICAL          1\n\
         main:log-cpu-alert:alert2 CRITICAL          1\n"
    );
    assert_eq!(
        kapacitor.prints("kapacitor list topic-handlers"),
        "Topic      ID            Kind       \ncpu        log-cpu-alert mqtt       \n"
    );
    assert_eq!(
        kapacitor.prints("kapacitor show-topic-handler cpu log-cpu-alert"),
        "ID: log-cpu-alert\nTopic: cpu\nKind: mqtt\nMatch: \nOptions: \
         {\"broker-name\":\"alerts-broker\",\"qos\":2,\"retained\":true,\"topic\":\"alerts\"}\n"
    );
    let width = message.len() + 1;
    assert_eq!(
        kapacitor.prints("kapacitor show-topic cpu"),
        format!(
            "ID: cpu\nLevel: CRITICAL\nCollected: 1\nHandlers: [log-cpu-alert]\nEvents:\n\
             Event   Level    {:width$}Date\n\
             cpu:nil CRITICAL {message} 06 May 24 07:08 UTC\n",
            "Message"
        )
    );
    let shown = kapacitor.prints("kapacitor show log-cpu-alert");
    let script = "TICKscript:\nstream\n    |from()\n        .measurement('cpu')\n    |alert()\n        \
                  .crit(lambda: \"usage_idle\" < 10)\n        .message('{{ .Time }}: CPU usage over \
                  90%')\n        .mqtt('alerts')\n        .qos(2)\n\nDOT:\ndigraph log-cpu-alert {\n\
                  stream0 -> from1;\nfrom1 -> alert2;\n}\n";
    assert!(shown.starts_with("ID: log-cpu-alert\nError: \nTemplate: \nType: stream\n"), "{shown}");
    assert!(shown.contains("Status: enabled\nExecuting: true\nCreated: "), "{shown}");
    assert!(shown.ends_with(script), "{shown}");
}

fn what_is_deleted_is_gone(kapacitor: &Kapacitor) {
    for line in [
        "kapacitor disable '*_alert'",
        "kapacitor delete tasks 'log-*'",
        "kapacitor delete topic-handlers cpu '*'",
        "kapacitor delete topics cpu",
        "kapacitor level info",
    ] {
        assert_eq!(kapacitor.prints(line), "", "{line}");
    }
    assert_eq!(
        kapacitor.prints("kapacitor list tasks"),
        "ID        Type      Status    Executing Databases and Retention Policies\n\
         cpu_alert stream    disabled  false     []\n"
    );
    for (line, code, words) in [
        ("kapacitor list topic-handlers cpu", 0, ""),
        ("kapacitor show-topic cpu", 3, "Error: unknown topic: \"cpu\"\n"),
        ("kapacitor show nothing", 3, "Error: no task exists\n"),
        ("kapacitor enable nothing", 0, ""),
        ("kapacitor level loud", 3, "Error: invalid log level\n"),
        (
            "kapacitor define x -tick absent.tick",
            3,
            "Error: open absent.tick: no such file or directory\n",
        ),
    ] {
        let Output { status, stderr, .. } = kapacitor.shell(line);
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(code), words), "{line}");
    }
    kapacitor.folder.write("bad.tick", "stream\n  |from()\n  |sideways()\n");
    let Output { status, stderr, .. } = kapacitor.shell("kapacitor define bad -tick bad.tick");
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(said.starts_with("Error: invalid TICKscript: line 3 char 4: "), "as written: {said}");
}

/// A request, and what is read of its answer: method, path, body, status, where, JSON.
type Step = (&'static str, &'static str, &'static str, u16, &'static str, &'static str);

const TASK: &str = "/kapacitor/v1/tasks/cpu_alert";
const ONE: &str =
    "/kapacitor/v1/tasks/cpu_alert?dot-view=attributes&replay-id=&script-format=formatted";
const ALL: &str = "/kapacitor/v1/tasks?dot-view=attributes&fields=link&fields=status&limit=100\
                   &offset=0&pattern=cpu_*&replay-id=&script-format=formatted";
const TOPICS: &str = "/kapacitor/v1/alerts/topics";
const TOPIC: &str = "/kapacitor/v1/alerts/topics/cpu";
const HANDLERS: &str = "/kapacitor/v1/alerts/topics/cpu/handlers";
const ONE_HANDLER: &str = "/kapacitor/v1/alerts/topics/cpu/handlers/h";
const NEW: &str = r#"{"id":"cpu_alert","dbrps":[{"db":"telegraf","rp":"autogen"}],
    "script":"stream |from() |alert() .crit(lambda: TRUE) .topic('cpu')","status":"disabled"}"#;
const ENABLE: &str = r#"{"status":"enabled"}"#;
const DISABLE: &str = r#"{"status":"disabled"}"#;
const LOG: &str = r#"{"topic":"cpu","id":"h","kind":"log","options":{"path":"/tmp/x"},"match":""}"#;
const PATCH: &str = r#"[{"op":"replace","path":"/options/path","value":"/tmp/y"}]"#;

const OF_TASKS: [Step; 12] = [
    ("GET", ONE, "", 404, "/error", "\"no task exists\""),
    ("POST", "/kapacitor/v1/tasks", NEW, 200, "/id", "\"cpu_alert\""),
    ("POST", "/kapacitor/v1/tasks", NEW, 400, "/error", "\"task cpu_alert already exists\""),
    ("GET", ONE, "", 200, "/status", "\"disabled\""),
    ("GET", ONE, "", 200, "/dbrps/0", r#"{"db":"telegraf","rp":"autogen"}"#),
    ("GET", ALL, "", 200, "/tasks/0/link/href", "\"/kapacitor/v1/tasks/cpu_alert\""),
    ("GET", ALL, "", 200, "/tasks/0/script", "null"),
    ("PATCH", TASK, ENABLE, 200, "/executing", "true"),
    ("PATCH", "/kapacitor/v1preview/tasks/cpu_alert", DISABLE, 200, "/status", "\"disabled\""),
    (
        "PATCH",
        "/kapacitor/v1/tasks/none",
        ENABLE,
        404,
        "/error",
        "\"task does not exist, cannot update\"",
    ),
    ("DELETE", "/kapacitor/v1/tasks/none", "", 204, "", "null"),
    ("GET", "/kapacitor/v1/debug/vars", "", 200, "/num_tasks", "1"),
];

const TEMPLATE: &str = "/kapacitor/v1/templates/low";
const OF_LOW: &str = r#"{"id":"of_low","template-id":"low","status":"enabled",
    "vars":{"least":{"type":"float","value":5}}}"#;

const OF_TEMPLATES: [Step; 14] = [
    ("GET", TEMPLATE, "", 404, "/error", "\"no template exists\""),
    ("POST", "/kapacitor/v1/tasks", OF_LOW, 400, "/error", "\"unknown template \\\"low\\\"\""),
    (
        "POST",
        "/kapacitor/v1/templates",
        r#"{"id":"low","type":"stream","script":"var least float var n = 3 stream |from() |alert() .crit(lambda: \"v\" < least) .topic('t')"}"#,
        200,
        "/vars/least",
        r#"{"type":"float","value":null,"description":""}"#,
    ),
    ("GET", TEMPLATE, "", 200, "/vars/n/value", "3"),
    ("POST", "/kapacitor/v1/tasks", OF_LOW, 200, "/executing", "true"),
    ("GET", "/kapacitor/v1/tasks/of_low", "", 200, "/template-id", "\"low\""),
    (
        "PATCH",
        TEMPLATE,
        r#"{"script":"var most float stream |from() |alert() .crit(lambda: \"v\" > most)"}"#,
        400,
        "/error",
        "\"the task of_low: invalid TICKscript: line 1 char 10: the variable `most` has no value: give one in vars\"",
    ),
    (
        "PATCH",
        TEMPLATE,
        r#"{"script":"var least float stream |from() |noOp() |alert() .crit(lambda: \"v\" < least)"}"#,
        200,
        "/id",
        "\"low\"",
    ),
    ("GET", "/kapacitor/v1/tasks/of_low", "", 200, "/executing", "true"),
    (
        "GET",
        "/kapacitor/v1/templates?pattern=l*&fields=type",
        "",
        200,
        "/templates/0/type",
        "\"stream\"",
    ),
    (
        "PATCH",
        "/kapacitor/v1/templates/none",
        "{}",
        404,
        "/error",
        "\"template does not exist, cannot update\"",
    ),
    ("DELETE", TEMPLATE, "", 204, "", "null"),
    ("GET", "/kapacitor/v1/templates", "", 200, "/templates", "[]"),
    ("DELETE", "/kapacitor/v1/tasks/of_low", "", 204, "", "null"),
];

const OF_HANDLERS: [Step; 18] = [
    ("GET", ONE_HANDLER, "", 404, "/error", r#""unknown handler: \"h\"""#),
    ("POST", HANDLERS, LOG, 200, "/link/href", "\"/kapacitor/v1/alerts/topics/cpu/handlers/h\""),
    (
        "POST",
        HANDLERS,
        LOG,
        500,
        "/error",
        r#""cannot register handler, handler with ID \"h\" already exists""#,
    ),
    ("PUT", ONE_HANDLER, LOG, 200, "/kind", "\"log\""),
    ("PATCH", ONE_HANDLER, PATCH, 200, "/options/path", "\"/tmp/y\""),
    ("PATCH", ONE_HANDLER, "{}", 400, "/error", "\"failed to update handler: bad patch\""),
    ("GET", TOPICS, "", 200, "/topics/0/handlers-link/rel", "\"handlers\""),
    ("GET", "/kapacitor/v1/alerts/topics?min-level=INFO&pattern=", "", 200, "/topics", "[]"),
    ("GET", "/kapacitor/v1/alerts/topics/cpu/events?min-level=OK", "", 200, "/events", "[]"),
    ("GET", "/kapacitor/v1/alerts/topics?min-level=LOUD", "", 400, "/events", "null"),
    (
        "GET",
        "/kapacitor/v1/alerts/topics/cpu/handlers?pattern=h*",
        "",
        200,
        "/handlers/0/id",
        "\"h\"",
    ),
    ("DELETE", ONE_HANDLER, "", 204, "", "null"),
    ("DELETE", TOPIC, "", 204, "", "null"),
    ("GET", "/kapacitor/v1/service-tests?pattern=", "", 200, "/services/0/name", "\"mqtt\""),
    ("POST", "/kapacitor/v1/service-tests/mqtt", "null", 200, "/message", "\"missing MQTT topic\""),
    ("POST", "/kapacitor/v1/loglevel", r#"{"level":"warn"}"#, 204, "", "null"),
    ("POST", "/kapacitor/v1/loglevel", r#"{"level":"x"}"#, 400, "/error", "\"invalid log level\""),
    ("GET", "/kapacitor/v1/nothing", "", 404, "/message", "\"Not Found\""),
];

/// The requests of the real client, command by command, and what it reads of the answers.
#[test]
fn the_conversation_of_the_real_client_works() {
    let mut kapacitor = Kapacitor::new(Folder::new(), "");
    kapacitor.start();
    let steps = OF_TASKS.into_iter().chain(OF_TEMPLATES).chain(OF_HANDLERS);
    for (method, path, body, status, pointer, wanted) in steps {
        let (found, answer) = kapacitor.ask(method, path, body);
        let value = answer.pointer(pointer).cloned().unwrap_or_default();
        let wanted: Value = serde_json::from_str(wanted).unwrap();
        assert_eq!((found, &value), (status, &wanted), "{method} {path}: {answer}");
    }
}

#[test]
fn the_load_directory_is_the_truth() {
    let folder = Folder::new();
    let here = folder.path().display().to_string();
    for name in ["tasks", "templates", "handlers"] {
        fs::create_dir_all(folder.join("load").join(name)).unwrap();
    }
    folder.write("load/tasks/one.tick", CPU_ALERT);
    let template = CPU_ALERT.replace("< 10", "< least");
    folder.write("load/templates/low.tick", &format!("var least float\n{template}"));
    let vars = "template-id: low\nvars:\n  least:\n    type: float\n    value: 5.0\n";
    folder.write("load/tasks/two.yaml", vars);
    let log = format!("id: log\ntopic: cpu\nkind: log\noptions:\n  path: {here}/events\n");
    folder.write("load/handlers/log.yaml", &log);
    let config = format!("[load]\nenabled = true\ndir = \"{here}/load\"\n");
    let mut kapacitor = Kapacitor::new(folder, &config);
    kapacitor.start();
    let ids = |kapacitor: &Kapacitor| -> Vec<String> {
        let (_, answer) = kapacitor.ask("GET", "/kapacitor/v1/tasks", "");
        let tasks = answer["tasks"].as_array().unwrap().clone();
        tasks.iter().map(|task| format!("{} {}", task["id"], task["executing"])).collect()
    };
    assert_eq!(ids(&kapacitor), ["\"one\" true", "\"two\" true"]);
    kapacitor.write("cpu usage_idle=7 1714979289000000000");
    wait_until("the event is in the file", || {
        let lines = fs::read_to_string(kapacitor.folder.join("events")).unwrap_or_default();
        lines.lines().filter(|line| line.contains("\"level\":\"CRITICAL\"")).count() == 1
    });

    assert_eq!(
        kapacitor.prints("kapacitor list templates"),
        "ID  Type      Vars\nlow stream    least\n"
    );
    assert_eq!(
        kapacitor.prints("kapacitor stats ingress"),
        "Database Retention Policy Measurement Points Received\n\
         telegraf autogen          cpu                       1\n"
    );
    let define = "echo '{\"least\":{\"type\":\"float\",\"value\":9}}' > nine.json && \
                  kapacitor define nine -template low -vars nine.json && kapacitor enable nine && \
                  kapacitor show nine";
    let shown = kapacitor.prints(define);
    assert!(shown.contains("\nTemplate: low\nType: stream\nStatus: enabled\n"), "{shown}");
    let shown = kapacitor.prints(
        "kapacitor define-template low2 -tick load/templates/low.tick && \
         kapacitor show-template low2 && kapacitor delete templates low2 && \
         kapacitor delete tasks nine",
    );
    assert!(shown.starts_with("ID: low2\nError: \nType: stream\nCreated: "), "{shown}");
    assert!(shown.contains("\nleast                         float"), "{shown}");

    let id = kapacitor.process.id();
    fs::remove_file(kapacitor.folder.join("load/tasks/two.yaml")).unwrap();
    kapacitor.folder.write("load/tasks/three.tick", "stream |from() |alert() .crit(lambda: TRUE)");
    signal(id, "HUP");
    wait_until("the files are read again", || {
        ids(&kapacitor) == ["\"one\" true", "\"three\" true"]
    });
    kapacitor.folder.write("load/tasks/four.tick", "stream |nothing()");
    signal(id, "HUP");
    let log = || kapacitor.process.log();
    wait_until("what is wrong is logged", || log().contains("four.tick: invalid TICKscript"));
    assert_eq!(ids(&kapacitor), ["\"one\" true", "\"three\" true"]);
    let check = Command::new(BINARY)
        .args(["check", "--kapacitor"])
        .arg(kapacitor.folder.join("kapacitor.conf"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&check.stderr).contains("four.tick: invalid TICKscript"));
}

#[test]
fn an_alert_that_says_nothing_new_is_delivered_and_not_written() {
    let broker = Broker::new();
    let config = format!(
        "[alert]\nhold = \"10 s\"\n[[mqtt]]\nenabled = true\nname = \"b\"\n\
         url = \"tcp://127.0.0.1:{}\"\n",
        broker.port()
    );
    let mut kapacitor = Kapacitor::new(Folder::new(), &config);
    kapacitor.start();
    let script = "stream |from() |alert() .crit(lambda: \"v\" > 0) .mqtt('a') .qos(1)";
    let body = json!({ "id": "a", "script": script, "status": "enabled" }).to_string();
    assert_eq!(kapacitor.ask("POST", "/kapacitor/v1/tasks", &body).0, 200);
    let subscriber = Subscriber::new(broker.port(), "#");
    // The second is answered when the end of the first is on disk.
    kapacitor.write("m v=1i 1");
    kapacitor.wait_settled();
    kapacitor.write("m v=1i 2");
    let written = || {
        let files = ["ilagent.db3", "ilagent.db3-wal"].map(|name| kapacitor.folder.join(name));
        files.map(|file| fs::metadata(file).and_then(|file| file.modified()).ok())
    };
    let before = written();
    for value in 3..40 {
        kapacitor.write(&format!("m v={value}i {value}"));
    }
    subscriber.wait_for(39);
    assert_eq!(written(), before, "there was nothing to remember");
    kapacitor.write("m v=0i 40");
    subscriber.wait_for(40);
    assert_ne!(written(), before, "without it nobody would know that all is well");
}

/// How often the process is killed. `KILL_ROUNDS=200` finds more.
fn rounds() -> u64 {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

#[test]
fn after_a_kill_no_answered_alert_is_missing_and_the_state_is_right() {
    let mut broker = Broker::persistent();
    let config = format!(
        "[[mqtt]]\nenabled = true\nname = \"b\"\nurl = \"tcp://127.0.0.1:{}\"\n",
        broker.port()
    );
    let mut kapacitor = Kapacitor::new(Folder::new(), &config);
    kapacitor.start();
    let every = "stream |from() .measurement('m') |alert() .crit(lambda: TRUE) \
                 .message('{{ index .Fields \"v\" }}') .mqtt('every') .qos(1)";
    let changes = "stream |from() .measurement('m') |stateCount(lambda: TRUE) |alert() \
                   .crit(lambda: \"v\" > 0) .warn(lambda: \"state_count\" > 0) \
                   .stateChangesOnly() .mqtt('changes') .qos(1)";
    // Critical, and at the next point well again.
    let levels = "stream |from() .measurement('n') |alert() .crit(lambda: \"v\" % 2 == 0) \
                  .message('{{ index .Fields \"v\" }}') .mqtt('levels') .qos(1)";
    for (id, script) in [("every", every), ("changes", changes), ("levels", levels)] {
        let body = json!({ "id": id, "script": script, "status": "enabled" }).to_string();
        assert_eq!(kapacitor.ask("POST", "/kapacitor/v1/tasks", &body).0, 200);
    }
    let subscriber = Subscriber::new(broker.port(), "#");
    // One alert, and from then on nothing changes.
    kapacitor.write("m v=1i 1");
    subscriber.wait_for(2);
    kapacitor.wait_settled();
    let mut answered = vec![("every", 1)];
    for round in 0..rounds() {
        if round % 3 == 2 {
            // In order, so that it keeps what it has confirmed.
            broker.stop();
        }
        let first = 2 + round * 1_000;
        let after = fastrand::u64(0..40_000);
        std::thread::scope(|scope| {
            let id = kapacitor.process.id();
            scope.spawn(move || {
                // A random point of the work, not a time that something needs.
                std::thread::sleep(std::time::Duration::from_micros(after));
                signal(id, "KILL");
            });
            let points = (first..first + 1_000)
                .flat_map(|value| [("every", "m", value), ("levels", "n", value)]);
            for (topic, measurement, value) in points {
                match kapacitor.try_write(&format!("{measurement} v={value}i {value}")) {
                    Some((204, _)) => answered.push((topic, value)),
                    _ => break,
                }
            }
        });
        kapacitor.kill();
        if round % 3 == 2 {
            broker.start();
        }
        kapacitor.start();
    }
    wait_until("every alert that was answered has come", || {
        let received = subscriber.received();
        let texts: HashSet<(&str, String)> =
            received.iter().map(|it| (it.topic.as_str(), it.text())).collect();
        answered.iter().all(|(topic, value)| texts.contains(&(*topic, value.to_string())))
    });
    let received = subscriber.received();
    let of_changes = received.iter().filter(|it| it.topic == "changes").count();
    assert_eq!(of_changes, 1, "the level goes on as it was");
    let topics = kapacitor.prints("kapacitor list topics main:changes:*");
    assert!(topics.contains("CRITICAL"), "{topics}");
}
