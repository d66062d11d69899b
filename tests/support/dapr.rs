//! The agent under the name of Dapr's sidecar, and what its clients ask.

use super::agent::{BINARY, exchange};
use super::{Folder, free_port, wait_until};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// The id of the application.
pub const APP_ID: &str = "press7";

/// A component that is a broker, with more lines of its metadata.
pub fn component(name: &str, port: u16, lines: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}}}\nspec:\n  \
         type: pubsub.mqtt\n  version: v1\n  metadata:\n  \
         - {{name: url, value: \"tcp://127.0.0.1:{port}\"}}\n{lines}"
    )
}

/// The sidecar of an application, in a folder of its own: its files are in `res` there.
pub struct Sidecar {
    pub folder: Folder,
    pub port: u16,
    pub process: Option<Child>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Sidecar {
    /// With these arguments beside those that each has; not started yet.
    pub fn new(arguments: &[&str]) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.join("res")).unwrap();
        symlink(BINARY, folder.join("daprd")).unwrap();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Sidecar { folder, port: free_port(), process: None, arguments, environment: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let process = Command::new(self.folder.join("daprd"))
            .args(["--app-id", APP_ID, "--resources-path", "res", "--dapr-http-port"])
            .arg(self.port.to_string())
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
        wait_until("it answers", || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "{}", self.log());
            self.status("GET", "/v1.0/healthz/outbound") == Some(204)
        });
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        let mut status = None;
        wait_until("it ends", || {
            status = process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// One request on a connection of its own; nothing if it gets no answer.
    pub fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<(u16, String)> {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        exchange(self.port, &[head.as_bytes(), body].concat())
    }

    pub fn status(&self, method: &str, target: &str) -> Option<u16> {
        self.ask(method, target, &[], b"").map(|(status, _)| status)
    }

    /// The status of an answer, and its document.
    #[track_caller]
    pub fn says(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Value) {
        let (status, body) = self.ask(method, target, headers, body).unwrap();
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// `ilagent queue …` on its database.
    pub fn queue(&self, arguments: &[&str]) -> Output {
        let database = self.folder.join("ilagent.db3");
        Command::new(BINARY).arg("queue").args(arguments).arg("-f").arg(database).output().unwrap()
    }

    /// What `ilagent queue list` shows: the dead letters, or what waits.
    pub fn list(&self, are_dead: bool) -> Vec<Value> {
        let output = self.queue(&["list", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| (line["state"] == "dead") == are_dead).collect()
    }

    pub fn dead(&self) -> Vec<Value> {
        self.list(true)
    }

    pub fn waiting(&self) -> Vec<Value> {
        self.list(false)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(6_000);
            eprintln!(
                "--- the sidecar's log ends\n{}",
                String::from_utf8_lossy(&log.as_bytes()[from..])
            );
        }
    }
}
