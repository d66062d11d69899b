//! The agent as a process of its own, with its own folder, database and log.

use super::process::Process;
pub use super::process::signal;
use super::stand_in::StandIn;
use super::{Folder, free_port, wait_until};
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

pub const BINARY: &str = env!("CARGO_BIN_EXE_ilagent");

/// The agent under test: the one that cargo has built, or the words of `ILAGENT_UNDER_TEST`, an
/// emulator and a binary for another processor, say.
pub fn under_test() -> Command {
    let Ok(words) = env::var("ILAGENT_UNDER_TEST") else { return Command::new(BINARY) };
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().expect("ILAGENT_UNDER_TEST names a program"));
    command.args(words);
    command
}

/// What a port of this machine answers to GET: the status, and everything after the head.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
}

/// What a port of this machine answers to an event.
pub fn post(port: u16, body: &str) -> Option<(u16, String)> {
    exchange(
        port,
        &format!(
            "POST /api/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

pub fn exchange(port: u16, request: &(impl AsRef<[u8]> + ?Sized)) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    stream.write_all(request.as_ref()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// An agent that can be started, ended and started again.
pub struct Agent {
    /// Before the folder, which has its log.
    process: Process,
    folder: Folder,
    api: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Whether database and port are given by flags.
    flags: bool,
    http: u16,
    database: &'static str,
}

impl Agent {
    /// `ilagent daemon -v -v -f … -p …` and `arguments`; not started yet.
    pub fn new(api: &StandIn, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let process = Process::new("the agent", folder.join("agent.log"));
        Agent {
            folder,
            api: api.url(),
            arguments: ["--bind", "127.0.0.1"]
                .iter()
                .chain(arguments)
                .map(|&argument| argument.to_owned())
                .collect(),
            environment: Vec::new(),
            flags: true,
            http: free_port(),
            database: "ilagent.db3",
            process,
        }
    }

    /// The same, listening to a broker, ready to receive.
    pub fn mqtt(api: &StandIn, port: u16, arguments: &[&str]) -> Self {
        let port = port.to_string();
        let mut all = vec!["-m", "127.0.0.1", "-q", &port];
        all.extend(arguments);
        Agent::new(api, &all)
    }

    /// With a configuration file, which the test may replace; not started yet.
    pub fn with_file(api: &StandIn, text: &str) -> Self {
        let mut agent = Agent::new(api, &[]);
        agent.configure(text);
        let file = agent.config_path().display().to_string();
        agent.arguments = vec!["--config".to_owned(), file];
        agent
    }

    /// With a configuration file and no flag beside it: `{database}` and `{port}` in it are the
    /// database and the HTTP port; not started yet.
    pub fn by_file_alone(api: &StandIn, text: &str) -> Self {
        let mut agent = Agent::with_file(api, text);
        agent.flags = false;
        agent
    }

    /// Writes the configuration file.
    pub fn configure(&self, text: &str) {
        let database = self.database().display().to_string();
        let text = text.replace("{database}", &database);
        fs::write(self.config_path(), text.replace("{port}", &self.http.to_string())).unwrap();
    }

    /// Writes the configuration file and has it read.
    pub fn reconfigure(&self, text: &str) {
        self.configure(text);
        signal(self.id(), "HUP");
    }

    fn config_path(&self) -> PathBuf {
        self.folder.join("ilagent.toml")
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Where the wall clock stands is what a file says, as libfaketime reads it.
    pub fn clock(self, file: &Path) -> Self {
        const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
        assert!(Path::new(FAKETIME).exists(), "libfaketime is installed");
        self.env("LD_PRELOAD", FAKETIME)
            .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    pub fn started(mut self) -> Self {
        self.start();
        self
    }

    pub fn ready(mut self) -> Self {
        self.start();
        self.wait_ready();
        self
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join(self.database)
    }

    /// With its database elsewhere in its folder.
    pub fn database_in(mut self, path: &'static str) -> Self {
        self.database = path;
        self
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn command(&self) -> Command {
        let mut command = under_test();
        command
            .args(["daemon", "-v", "-v"])
            .args(&self.arguments)
            .env("ILERT_API_HOST", &self.api)
            .env("ILERT_HBT_HOST", &self.api)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        if self.flags {
            command.arg("-f").arg(self.database()).arg("-p").arg(self.http.to_string());
        }
        command
    }

    pub fn start(&mut self) {
        let mut command = self.command();
        self.process.spawn(&mut command);
    }

    #[track_caller]
    pub fn wait_ready(&mut self) {
        let port = self.http;
        self.process.wait_ready(|| get(port, "/ready").is_some_and(|(status, _)| status == 204));
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends SIGKILL and does not wait for the end.
    pub fn ask_to_die(&mut self) {
        self.process.ask_to_die();
    }

    /// Sends a signal and waits for the end; gives the exit status and the time it took.
    #[track_caller]
    pub fn end(&mut self, name: &str) -> (ExitStatus, Duration) {
        self.process.end(name)
    }

    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        self.process.wait_end()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the agent logs `{text}`"), || self.log().contains(text));
    }

    /// `ilagent queue …` on its database.
    pub fn queue(&self, arguments: &[&str]) -> Output {
        under_test().arg("queue").args(arguments).arg("-f").arg(self.database()).output().unwrap()
    }

    /// `ilagent status …` of it.
    pub fn status(&self, arguments: &[&str]) -> Output {
        under_test().arg("status").args(arguments).arg("-f").arg(self.database()).output().unwrap()
    }

    /// What `ilagent queue list` shows.
    pub fn list(&self) -> Vec<serde_json::Value> {
        let output = self.queue(&["list", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn port(&self) -> u16 {
        self.http
    }

    /// How many entries there are in a folder of `/proc` about the process.
    fn count(&self, of: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{of}", self.id())).unwrap().count()
    }

    pub fn threads(&self) -> usize {
        self.count("task")
    }

    pub fn descriptors(&self) -> usize {
        self.count("fd")
    }

    /// Resident memory in KB.
    pub fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.http, path)
    }

    pub fn post(&self, body: &str) -> Option<(u16, String)> {
        post(self.http, body)
    }

    /// One request as it stands; the status and everything after the head.
    pub fn http(&self, request: &str) -> Option<(u16, String)> {
        exchange(self.http, request)
    }
}
