//! An application that uses Dapr's own SDK for JavaScript, from npm's registry, unchanged: its
//! client, its server, and our binary as its sidecar.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]
#![cfg(feature = "dapr")]

mod support;

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use support::aedes::Aedes;
use support::broker::Broker;
use support::dapr::{Sidecar, component};
use support::{Folder, free_port, not_tested, packages, until, wait_until};

const PACKAGE: &str = "@dapr/dapr@3.18.0";

/// The application.
struct Application {
    process: Child,
    input: ChildStdin,
    folder: Folder,
}

impl Application {
    /// Fetches the SDK and starts it.
    ///
    /// # Errors
    ///
    /// Says in words what this machine lacks.
    fn start(port: u16, sidecar: u16) -> Result<Self, String> {
        let modules = packages::npm("npm-dapr", &[PACKAGE])?;
        let folder = Folder::new();
        let mut process = Command::new("node")
            .env("NODE_PATH", modules)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/dapr_sdk.js"))
            .args([port.to_string(), sidecar.to_string()])
            .stdin(Stdio::piped())
            .stdout(File::create(folder.join("out")).unwrap())
            .stderr(File::create(folder.join("error")).unwrap())
            .spawn()
            .map_err(|error| format!("there is no node: {error}"))?;
        let input = process.stdin.take().unwrap();
        Ok(Application { process, input, folder })
    }

    /// What it wrote down, without the last line if that is not whole.
    fn wrote(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("out")).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn on(&self, what: &str) -> Vec<Value> {
        self.wrote().into_iter().filter(|line| line["on"] == what).collect()
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, count: usize) -> Vec<Value> {
        until(&format!("{what} {count}, of {:?}", self.wrote()), || {
            let ended = self.process.try_wait().unwrap();
            assert_eq!(ended, None, "{:?}", fs::read_to_string(self.folder.join("error")));
            Some(self.on(what)).filter(|lines| lines.len() >= count)
        })
    }

    /// Has it publish something, which must succeed.
    #[track_caller]
    fn publish(&mut self, line: &Value) {
        let before = self.on("published").len();
        writeln!(self.input, "{line}").unwrap();
        let published = self.wait_for("published", before + 1);
        assert_eq!(published[before]["failed"], 0, "{line}");
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the application wrote\n{:#?}", self.wrote());
        }
    }
}

#[test]
fn the_sdk_publishes_and_subscribes_over_our_binary() {
    let mosquitto = Broker::new();
    publish_and_subscribe(mosquitto.port());
}

#[test]
fn so_it_does_with_a_broker_that_is_not_mosquitto() {
    match Aedes::start() {
        Ok(aedes) => publish_and_subscribe(aedes.port),
        Err(why) => not_tested(&why),
    }
}

fn publish_and_subscribe(broker: u16) {
    let app_port = free_port();
    let mut sidecar = Sidecar::new(&["--app-port", &app_port.to_string()]);
    sidecar.folder.write("res/plant.yaml", &component("plantbus", broker, ""));
    sidecar.start();
    let mut app = match Application::start(app_port, sidecar.port) {
        Ok(app) => app,
        Err(why) => return not_tested(&why),
    };
    app.wait_for("start", 1);
    wait_until("all is subscribed", || sidecar.status("GET", "/ready") == Some(204));

    app.publish(&json!({"topic": "orders", "data": {"n": 1}}));
    app.publish(&json!({"topic": "orders", "data": {"again": "x"}}));
    app.publish(&json!({"topic": "orders", "data": {"unwanted": true}}));
    assert_eq!(app.wait_for("orders", 3)[0]["data"], json!({"n": 1}));
    let mut dead: Vec<Value> =
        app.wait_for("dead", 2).into_iter().map(|line| line["data"].clone()).collect();
    dead.sort_by_key(Value::to_string);
    assert_eq!(dead, [json!({"again": "x"}), json!({"unwanted": true})], "without a policy");

    app.publish(&json!({"topic": "press/7/done", "data": "it is"}));
    let done = app.wait_for("done", 1).remove(0);
    assert_eq!((&done["data"], &done["topic"]), (&json!("it is"), &json!("press/7/done")));

    app.publish(&json!({
        "topic": "raw", "data": "plain", "options": {"metadata": {"rawPayload": "true"}}
    }));
    assert_eq!(app.wait_for("raw", 1)[0]["data"], "plain");

    app.publish(&json!({"topic": "routed", "bulk": [{"n": 1}, {"n": 7}, {"n": 2}]}));
    assert_eq!(app.wait_for("big", 1)[0]["data"], json!({"n": 7}));
    let small: Vec<Value> =
        app.wait_for("small", 2).into_iter().map(|line| line["data"]["n"].clone()).collect();
    assert_eq!(small, [json!(1), json!(2)]);

    app.publish(&json!({"topic": "bulk", "bulk": [{"n": 1}, {"again": "y"}, {"n": 3}]}));
    let bulk = app.wait_for("bulk", 4);
    let mut data: Vec<String> = bulk.iter().map(|line| line["data"].to_string()).collect();
    data.sort();
    assert_eq!(data, [r#"{"again":"y"}"#, r#"{"again":"y"}"#, r#"{"n":1}"#, r#"{"n":3}"#]);
    assert_eq!(bulk[0]["topic"], "bulk");
}
