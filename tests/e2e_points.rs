//! Writers of points that know nothing of us, from PyPI and npm, and sensors that speak MQTT.

#![cfg(feature = "kapacitor")]
#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use support::agent::{BINARY, get};
use support::broker::Broker;
use support::packages::{fetched, npm};
use support::process::Process;
use support::subscriber::Subscriber;
use support::{Folder, free_port, not_tested, wait_until};

/// When every point is.
const TIME: &str = "2024-05-06T07:08:09Z";

/// Shows the last point of each writer.
const LAST: &str = r#"dbrp "telegraf"."autogen"
stream|from().measurement('cpu').groupBy('writer')|httpOut('last')
"#;

/// The agent, with tasks in a load directory.
struct Agent {
    /// Before the folder, which has its log.
    _process: Process,
    _folder: Folder,
    port: u16,
    udp_port: u16,
}

impl Agent {
    /// With the tables `more` of our own file, and the tasks by their names.
    fn start(more: &str, tasks: &[(&str, &str)]) -> Self {
        let (folder, port, udp_port) = (Folder::new(), free_port(), free_port());
        fs::create_dir_all(folder.join("load/tasks")).unwrap();
        for (name, script) in tasks {
            folder.write(&format!("load/tasks/{name}.tick"), script);
        }
        let here = folder.path().display();
        let config = folder.write(
            "ilagent.toml",
            &format!(
                "[queue]\npath = \"{here}/q.db3\"\n[kapacitor]\nport = {port}\nusername = \"telegraf\"\n\
                 password = \"op:en\"\nload = \"{here}/load\"\nudp = [{{ port = {udp_port}, \
                 database = \"telegraf\", precision = \"s\" }}]\n{more}"
            ),
        );
        let mut process = Process::new("the agent", folder.join("log"));
        process.spawn(Command::new(BINARY).args(["daemon", "--config"]).arg(config));
        process.wait_ready(|| get(port, "/ready").is_some_and(|(status, _)| status == 204));
        Agent { _process: process, _folder: folder, port, udp_port }
    }

    /// What the task `last` shows of a writer.
    fn last(&self, writer: &str) -> Option<Value> {
        let path = "/kapacitor/v1/tasks/last/last?u=telegraf&p=op:en";
        let (_, body) = get(self.port, path)?;
        let shown: Value = serde_json::from_str(&body).ok()?;
        let of_writer = |series: &&Value| series["tags"]["writer"] == writer;
        shown["series"].as_array()?.iter().find(of_writer).cloned()
    }

    /// Waits for a point of a writer with these fields, the time first.
    #[track_caller]
    fn wait_for(&self, writer: &str, columns: &Value, values: &Value) {
        wait_until(writer, || {
            self.last(writer)
                .is_some_and(|it| it["columns"] == *columns && it["values"][0] == *values)
        });
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn libraries_of_pypi_write_unchanged() {
    let packages = fetched("pypi-influxdb", |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        pip.arg(folder).args(["influxdb==5.3.2", "influxdb-client==1.50.0"]);
        pip
    });
    let packages = match packages {
        Ok(packages) => packages,
        Err(why) => return not_tested(&why),
    };
    let agent = Agent::start("", &[("last", LAST)]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/points.py");
    let ports = [agent.port.to_string(), agent.udp_port.to_string()];
    run(Command::new("python3").arg(script).args(ports).env("PYTHONPATH", packages));
    let columns = &json!(["time", "f", "n", "s", "t"]);
    agent.wait_for("influxdb", columns, &json!([TIME, 1.5, 2, "say \"yes\" \\ no", true]));
    agent.wait_for("influxdb-lines", &json!(["time", "f"]), &json!([TIME, 1.5]));
    agent.wait_for("influxdb-client", &json!(["time", "f", "s"]), &json!([TIME, 2.5, "a \"b\""]));
    agent.wait_for("batch", &json!(["time", "f"]), &json!([TIME, 99.5]));
    agent.wait_for("udp", &json!(["time", "f"]), &json!([TIME, 3.5]));
}

#[test]
fn libraries_of_npm_write_unchanged() {
    let libraries = ["influx@5.12.0", "@influxdata/influxdb-client@1.35.0"];
    let packages = match npm("npm-influx", &libraries) {
        Ok(packages) => packages,
        Err(why) => return not_tested(&why),
    };
    let agent = Agent::start("", &[("last", LAST)]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/points.js");
    let port = agent.port.to_string();
    run(Command::new("node").arg(script).arg(port).env("NODE_PATH", packages));
    agent.wait_for("npm influx", &json!(["time", "f", "n"]), &json!([TIME, 1.5, 2]));
    agent.wait_for("npm influxdb-client", &json!(["time", "f"]), &json!([TIME, 2.5]));
}

#[test]
fn a_sensor_that_speaks_mqtt_raises_an_alert() {
    const ALERT: &str = r#"dbrp "home"."autogen"
stream
    |from()
        .measurement('climate')
        .groupBy('room')
    |alert()
        .crit(lambda: "temperature" > 30)
        .stateChangesOnly()
        .id('{{ index .Tags "room" }}')
        .message('{{ .ID }} is {{ .Level }}')
        .mqtt('alerts')
            .qos(1)
"#;
    let broker = Broker::new();
    let alerts = Subscriber::new(broker.port(), "alerts");
    let subscriptions = format!(
        "[[mqtt]]\nname = \"home\"\nurl = \"mqtt://127.0.0.1:{}\"\ndefault = true\nbuffer = true\n\
         [[mqtt.subscription]]\ntopic = \"zigbee2mqtt/+room\"\nkind = \"point\"\nformat = \"json\"\n\
         database = \"home\"\nmeasurement = \"climate\"\ntags = {{ room = \"{{room}}\" }}\n\
         [[mqtt.subscription]]\ntopic = \"lines\"\nkind = \"point\"\ndatabase = \"home\"\n",
        broker.port()
    );
    let _agent = Agent::start(&subscriptions, &[("climate", ALERT)]);
    broker.publish(&[
        ("zigbee2mqtt/kitchen", 1, r#"{"temperature":31.5,"battery":97}"#),
        ("zigbee2mqtt/kitchen", 1, "ON"),
        ("zigbee2mqtt/hall", 1, r#"{"temperature":20}"#),
        ("zigbee2mqtt/kitchen", 1, r#"{"temperature":32}"#),
        ("zigbee2mqtt/kitchen", 1, r#"{"temperature":29}"#),
        ("lines", 1, "climate,room=cellar temperature=40\nother x=1"),
    ]);
    alerts.wait_for(3);
    let said = ["kitchen is CRITICAL", "kitchen is OK", "cellar is CRITICAL"];
    assert_eq!(alerts.texts(), said);
}
