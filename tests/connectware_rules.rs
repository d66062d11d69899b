//! What the rules of service files make of messages: the files of `tests/connectware_rules`, in a
//! time of our own, without a broker.
//!
//! Beside each `NAME.yml` is `NAME.table`: a line with a topic and a payload, and behind it what
//! comes out, each on a line that begins with `=>`. `wait MS` lets time pass. Payloads may have
//! `\xHH`. `REWRITE_EXPECTED=1` writes down what the test finds; read the difference before you
//! commit it.

#![cfg(feature = "connectware")]
#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

use ilagent::cli;
use ilagent::config::{Config, Rule, Surroundings, Target};
use ilagent::mapping::shape::{Done, Made, Now, Shapes};
use ilagent::message::{Desk, Errand, Message, Origin, Qos, Receipt};
use ilagent::topic;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn rules_make_of_messages_what_the_tables_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connectware_rules");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "yml"));
    files.sort();
    assert!(files.len() > 3, "the files are found");
    let mut wrong = Vec::new();
    for file in files {
        let path = file.with_extension("table");
        let table = fs::read_to_string(&path).unwrap_or_default();
        let found = played(&file, &table);
        if std::env::var_os("REWRITE_EXPECTED").is_some() {
            fs::write(path, &found).unwrap();
        } else if found != table {
            wrong.push(format!("{}\n--- wanted\n{table}--- found\n{found}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table with what comes out.
fn played(file: &Path, table: &str) -> String {
    let config = config(file);
    let rules: Vec<&Rule> = config.rules().collect();
    let mut shapes = Shapes::new(rules.iter().copied());
    let (begin, mut passed, mut text) = (Instant::now(), Duration::ZERO, String::new());
    for line in table.lines().filter(|line| !line.starts_with("=>")) {
        text.push_str(line);
        text.push('\n');
        let millis = 1_700_000_000_000 + i64::try_from(passed.as_millis()).unwrap();
        let mut now = Now { instant: begin + passed, millis };
        let done = match line.split_once(' ') {
            _ if line.is_empty() || line.starts_with("//") => continue,
            Some(("wait", millis)) => {
                passed += Duration::from_millis(millis.parse().unwrap());
                now.instant = begin + passed;
                shapes.wake(now)
            }
            found => {
                let (topic, payload) = found.unwrap_or((line, ""));
                fed(&rules, &mut shapes, topic, &bytes(payload), now)
            }
        };
        done.into_iter().for_each(|done| show(done, &mut text));
    }
    text
}

fn config(file: &Path) -> Config {
    let around = Surroundings {
        env: &|_| None,
        read: &|path| Ok(fs::read_to_string(path).ok()),
        list: &|_| Ok(Vec::new()),
        is_open: &|_| false,
        has_kafka: false,
    };
    let words = ["check", "--connectware"].map(OsString::from).into_iter();
    let asked = cli::read(words.chain([file.as_os_str().to_owned()])).map(|asked| asked.command);
    let Ok(cli::Command::Check(asked)) = asked else { panic!("not a command line of `check`") };
    match cli::daemon::configure(&asked, &around) {
        Ok(checked) => checked.config,
        Err(faults) => panic!("{faults:?}"),
    }
}

struct Nobody;

impl Desk for Nobody {
    fn signed(&self, _ticket: u64) {}
    fn room(&self) {}
}

fn fed(rules: &[&Rule], shapes: &mut Shapes, topic: &str, payload: &[u8], now: Now) -> Vec<Done> {
    let message = Message {
        topic: topic.to_owned(),
        payload: payload.to_vec(),
        origin: Origin::Mqtt,
        qos: Qos::AtLeastOnce,
        retain: false,
        retained: false,
    };
    let mut done = Vec::new();
    for rule in rules.iter().filter(|rule| topic::matches(topic::unshared(&rule.filter), topic)) {
        if let Target::Publish(to) = &rule.to {
            let receipt = Receipt::new(Arc::new(Nobody), 0, 1);
            done.extend(shapes.feed(to, &rule.filter, &message, receipt, now));
        }
    }
    done
}

fn show(done: Done, text: &mut String) {
    let shown = match done.made {
        Made::Deliver(delivery) | Made::Store(delivery) => {
            let Errand::Publish { topic, qos, retain } = &delivery.errand else {
                panic!("{delivery:?}")
            };
            let retained = if *retain { ", retained" } else { "" };
            let body = String::from_utf8_lossy(&delivery.body);
            format!("{topic} {body} (QoS {}{retained})", *qos as u8)
        }
        Made::Stopped => "stopped".to_owned(),
        Made::Remember(_) => return,
        Made::Dead { reason, topic, payload } => {
            format!("dead letter: {reason} ({topic}, {} bytes)", payload.len())
        }
    };
    let _ = writeln!(text, "=> {shown}");
}

/// A payload, whose `\xHH` are bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].bytes());
    }
    bytes
}
