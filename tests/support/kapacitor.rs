//! The agent under the name of Kapacitor's daemon, and what is typed and sent beside it.

use super::agent::{BINARY, exchange, get};
use super::process::Process;
use super::{Folder, free_port, wait_until};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

/// The queue's file in `data_dir`.
const DATABASE: &str = "ilagent.db3";

/// The agent under the name of the program whose work it does, in a folder of its own.
pub struct Kapacitor {
    /// Before the folder, which has its log.
    pub process: Process,
    pub folder: Folder,
    pub port: u16,
}

impl Kapacitor {
    pub fn new(folder: Folder, config: &str) -> Self {
        let port = free_port();
        let head = format!(
            "data_dir = \"{}\"\n[http]\nbind-address = \"127.0.0.1:{port}\"\n",
            folder.path().display()
        );
        folder.write("kapacitor.conf", &(head + config));
        for name in ["kapacitord", "kapacitor"] {
            symlink(BINARY, folder.join(name)).unwrap();
        }
        let process = Process::new("kapacitord", folder.join("log"));
        Kapacitor { process, folder, port }
    }

    pub fn start(&mut self) {
        let config = self.folder.join("kapacitor.conf");
        self.process.spawn(Command::new(self.folder.join("kapacitord")).arg("-config").arg(config));
        let port = self.port;
        self.process.wait_ready(|| get(port, "/kapacitor/v1/ping").is_some());
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until nothing is under way that a kill would repeat.
    #[track_caller]
    pub fn wait_settled(&self) {
        wait_until("nothing waits", || {
            let mut list = Command::new(BINARY);
            list.args(["queue", "list", "--json", "-f"]).arg(self.folder.join(DATABASE));
            let listed = list.output().unwrap();
            listed.status.success() && listed.stdout.is_empty()
        });
    }

    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.port, path)
    }

    /// Asks as the real client does.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             User-Agent: KapacitorClient\r\nAccept-Encoding: gzip\r\n{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, body) = exchange(self.port, &request).unwrap();
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    pub fn write(&self, points: &str) {
        let (status, body) = self.try_write(points).unwrap();
        assert_eq!((status, body.as_str()), (204, ""));
    }

    /// Writes points, unless the process ends meanwhile.
    pub fn try_write(&self, points: &str) -> Option<(u16, String)> {
        let request = format!(
            "POST /write?db=telegraf&rp=autogen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{points}",
            points.len()
        );
        exchange(self.port, &request)
    }

    /// Runs what a person types.
    pub fn shell(&self, line: &str) -> Output {
        let here = self.folder.path().display();
        let path = std::env::var("PATH").unwrap();
        Command::new("sh")
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env("PATH", format!("{here}:{path}"))
            .env("KAPACITOR_URL", format!("http://127.0.0.1:{}", self.port))
            .output()
            .unwrap()
    }

    /// What a command prints when it succeeds.
    #[track_caller]
    pub fn prints(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.shell(line);
        assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }
}
