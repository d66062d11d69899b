//! The agent under the name of Dapr's sidecar, and what its clients ask.

use super::agent::{BINARY, exchange, get};
use super::process::Process;
use super::{Folder, free_port};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, ExitStatus, Output};

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
    /// Before the folder, which has its log.
    pub process: Process,
    pub folder: Folder,
    pub port: u16,
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
        let process = Process::new("the sidecar", folder.join("log"));
        Sidecar { process, folder, port: free_port(), arguments, environment: Vec::new() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn start(&mut self) {
        self.process.spawn(
            Command::new(self.folder.join("daprd"))
                .args(["--app-id", APP_ID, "--resources-path", "res", "--dapr-http-port"])
                .arg(self.port.to_string())
                .args(&self.arguments)
                .current_dir(self.folder.path())
                .envs(self.environment.iter().cloned()),
        );
        let port = self.port;
        let is_ready =
            || get(port, "/v1.0/healthz/outbound").is_some_and(|(status, _)| status == 204);
        self.process.wait_ready(is_ready);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        self.process.wait_end()
    }

    pub fn log(&self) -> String {
        self.process.log()
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
