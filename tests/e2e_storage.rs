//! The disk: full, read-only, damaged, shared, from another agent.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use support::agent::{Agent, BINARY};
use support::broker::Broker;
use support::cutfs::{CutFs, NO_MAPS};
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::tmpfs::Tmpfs;
use support::{PATIENCE, event, wait_until, wait_within};

const BUFFER: [&str; 5] = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];

#[test]
fn a_full_disk_loses_nothing_and_is_overcome() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER).database_in("disk/ilagent.db3");
    let disk = agent.folder().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(_disk) = Tmpfs::mount(&disk, "3m") else {
        support::not_tested("file systems cannot be mounted here");
        return;
    };
    agent.start();
    agent.wait_ready();
    let events = (0..6_000).map(|number| event("il1api1", &format!("id-{number}")));
    Publisher::new(broker.port()).burst("events/a", events);
    wait_until("the probe says that the disk is full", || {
        agent
            .get("/ready")
            .is_some_and(|(status, body)| status == 503 && body.contains("cannot be written"))
    });
    let (status, _) = agent.post(&event("il1api1", "posted")).unwrap();
    assert_eq!(status, 503, "never a lie");
    api.answer_all(Answer::Status(202));
    api.wait_for(6_000);
    // What cannot be written is tried again every 30 seconds at last.
    wait_within(2 * PATIENCE, "there is room again", || {
        agent.get("/ready").is_some_and(|(status, _)| status == 204)
    });
    assert!(agent.post(&event("il1api1", "later")).is_some_and(|(status, _)| status == 200));
    assert!(agent.is_running());
}

#[test]
fn a_read_only_disk_is_said_at_the_door_and_a_restart_goes_on() {
    let api = StandIn::new();
    let mut agent = Agent::new(&api, &[]).database_in("disk/ilagent.db3");
    let disk = agent.folder().join("disk");
    fs::create_dir(&disk).unwrap();
    let Some(_disk) = Tmpfs::mount(&disk, "8m") else {
        support::not_tested("file systems cannot be mounted here");
        return;
    };
    api.answer_all(Answer::Status(503));
    agent.start();
    agent.wait_ready();
    assert_eq!(agent.post(&event("k", "kept")).unwrap().0, 200);
    agent.end("TERM");
    let remount = |mode: &str| {
        let remount = format!("remount,{mode}");
        assert!(
            Command::new("mount").args(["-o", &remount]).arg(&disk).status().unwrap().success()
        );
    };
    remount("ro");
    agent.start();
    assert_eq!(agent.wait_end().code(), Some(1));
    assert!(agent.log().contains("Read-only file system"), "{}", agent.log());
    remount("rw");
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(1);
    assert_eq!(api.accepted(), ["kept"]);
}

/// JFFS2, say. What was left there by an agent that could map files is taken over, log and all.
#[test]
fn a_file_system_without_shared_maps_will_do() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(&api, &[]).database_in("disk/ilagent.db3");
    let disk = agent.folder().join("disk");
    fs::create_dir(&disk).unwrap();
    agent.start();
    agent.wait_ready();
    assert_eq!(agent.post(&event("k", "one")).unwrap().0, 200);
    agent.kill();
    let left = ["ilagent.db3", "ilagent.db3-wal"].map(|name| fs::read(disk.join(name)).unwrap());
    let Some(_mounted) = CutFs::mount(&disk, NO_MAPS) else { return };
    fs::write(disk.join("ilagent.db3"), &left[0]).unwrap();
    fs::write(disk.join("ilagent.db3-wal"), &left[1]).unwrap();
    for id in ["two", "three"] {
        agent.start();
        agent.wait_ready();
        assert_eq!(agent.post(&event("k", id)).unwrap().0, 200);
        agent.kill();
    }
    assert_eq!(agent.list().len(), 3, "without the agent");
    agent.start();
    agent.wait_ready();
    assert_eq!(agent.list().len(), 3, "with it");
    agent.end("TERM");
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(3);
    assert!(["one", "two", "three"].iter().all(|id| api.tally().contains_key(*id)));
    assert!(!agent.log().contains("while the agent had it open"), "a file keeps its number here");
}

#[test]
fn the_direct_mode_keeps_what_it_must_without_shared_maps() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::mqtt(&api, broker.port(), &["-e", "events/#", "--mqtt_qos", "1"])
        .database_in("disk/ilagent.db3");
    let disk = agent.folder().join("disk");
    let Some(_mounted) = CutFs::mount(&disk, NO_MAPS) else { return };
    agent.start();
    agent.wait_ready();
    Publisher::new(broker.port()).publish("events/a", "not json");
    wait_until("the dead letter is kept", || agent.list().len() == 1);
    agent.wait_ready();
}

#[test]
fn a_damaged_database_is_moved_aside_with_a_loud_error() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    agent.end("TERM");
    fs::write(agent.database(), vec![b'x'; 10_000]).unwrap();
    agent.start();
    agent.wait_ready();
    agent.wait_for_log("is damaged");
    assert!(agent.log().contains("[ERROR]"));
    assert!(agent.folder().join("ilagent.db3.corrupt-1").exists());
    Publisher::new(broker.port()).publish("events/a", event("il1api1", "after"));
    api.wait_for(1);
}

#[test]
fn two_agents_on_one_database_are_one_too_many() {
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).ready();
    let port = support::free_port().to_string();
    let output = Command::new(BINARY)
        .args(["daemon", "--bind", "127.0.0.1", "-p", &port, "-f"])
        .arg(agent.database())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("in use by another ilagent"), "{said}");
}

#[test]
fn a_folder_that_is_not_there_is_said_at_the_door() {
    let output = Command::new(BINARY)
        .args(["daemon", "--bind", "127.0.0.1", "-p", &support::free_port().to_string()])
        .args(["-f", "/nowhere/ilagent.db3"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/nowhere/ilagent.db3"), "{said}");
}

#[test]
fn nobody_else_may_read_what_waits() {
    let api = StandIn::new();
    let agent = Agent::new(&api, &[]).ready();
    assert!(agent.post(&event("k", "one")).is_some_and(|(status, _)| status == 200));
    for suffix in ["", "-wal", ".lock", ".sock"] {
        let path = agent.folder().join(&format!("ilagent.db3{suffix}"));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn the_direct_mode_writes_nothing_for_a_message_that_is_delivered() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let folder = support::Folder::new();
    let mut child = Command::new(BINARY)
        .args(["daemon", "-m", "127.0.0.1", "-q", &broker.port().to_string(), "-e", "events/#"])
        .args(["--mqtt_qos", "1", "-f"])
        .arg(folder.join("queue.db3"))
        .env("ILERT_API_HOST", api.url())
        .spawn()
        .unwrap();
    let size = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    let sizes = || (size("queue.db3"), size("queue.db3-wal"));
    // What the broker has granted is remembered, and nothing else.
    wait_until("the subscription is remembered", || {
        remembered(&folder.join("queue.db3")).is_some_and(|text| text.contains("events/#"))
    });
    let before = sizes();
    let mut publisher = Publisher::new(broker.port());
    for number in 0..20 {
        publisher.publish("events/a", event("k", &format!("id-{number}")));
    }
    api.wait_for(20);
    assert_eq!(sizes(), before);
    publisher.publish("events/a", "not json");
    wait_until("the dead letter is kept", || sizes() != before);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a database remembers of subscriptions.
fn remembered(path: &Path) -> Option<String> {
    let looked = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let select = "SELECT group_concat(value) FROM records WHERE key LIKE '%subscriptions'";
    looked.query_row(select, [], |row| row.get(0)).ok()
}

#[test]
fn a_buffered_message_that_is_taken_at_once_is_never_written() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let log = agent.database().with_extension("db3-wal");
    let size = || std::fs::metadata(&log).map_or(0, |file| file.len());
    let mut publisher = Publisher::new(broker.port());
    let (mut sent, mut in_a_row) = (0, 0);
    // On a busy machine one of them may take longer than it is held.
    wait_until("ten in a row leave the disk alone", || {
        let before = size();
        publisher.publish("events/a", event("k", &format!("id-{sent}")));
        sent += 1;
        api.wait_for(sent);
        in_a_row = if size() == before { in_a_row + 1 } else { 0 };
        in_a_row == 10
    });
    api.answer_all(Answer::Status(503));
    let before = size();
    publisher.publish("events/a", event("k", "last"));
    wait_until("what is not taken is stored", || size() > before);
    wait_until("and waits", || agent.list().len() == 1);
}

#[test]
fn what_upstream_had_queued_is_delivered_in_its_order() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER);
    let made = Connection::open(agent.database()).unwrap();
    made.execute_batch(
        r#"CREATE TABLE ilagent (key TEXT PRIMARY KEY, val TEXT NOT NULL, created_at TEXT NOT NULL);
           CREATE TABLE event_items (id TEXT PRIMARY KEY, integration_key TEXT NOT NULL,
             event_type TEXT NOT NULL, alert_key TEXT NULL, summary TEXT NOT NULL,
             created_at TEXT NOT NULL, priority TEXT NULL, images TEXT NULL, links TEXT NULL,
             custom_details TEXT NULL, details TEXT NULL, inserted_at DATETIME, event_api_path TEXT NULL);
           CREATE TABLE mqtt_queue (id TEXT PRIMARY KEY, topic TEXT NOT NULL, payload TEXT NOT NULL,
             inserted_at DATETIME);
           INSERT INTO event_items (id, integration_key, event_type, alert_key, summary, created_at,
             inserted_at, event_api_path) VALUES
             ('x', 'k', 'ALERT', 'a', 'first', 't', '2026-01-01 00:00:00.001', NULL),
             ('a', 'k', 'RESOLVE', 'a', 'second', 't', '2026-01-01 00:00:00.002', '/v1/events/mqtt/k');
           INSERT INTO mqtt_queue VALUES
             ('r', 'events/a', '{"integrationKey":"k","alertKey":"a","summary":"third"}', '2026-01-01'),
             ('s', 'events/a', 'no json', '2026-01-02');"#,
    )
    .unwrap();
    drop(made);
    agent.start();
    agent.wait_ready();
    api.wait_for(3);
    assert_eq!(api.accepted(), ["first", "second", "third"]);
    let paths: Vec<String> = api.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/api/events", "/api/v1/events/mqtt/k", "/api/v1/events/mqtt/k"]);
    wait_until("the one that is no event is kept", || agent.list().len() == 1);
}

#[test]
fn the_clock_may_be_set_back_and_forward() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let folder = support::Folder::new();
    let clock = folder.join("clock");
    fs::write(&clock, "@2026-01-01 00:00:00").unwrap();
    let _agent = Agent::mqtt(&api, broker.port(), &BUFFER).clock(&clock).ready();
    let mut publisher = Publisher::new(broker.port());
    api.answer_all(Answer::Status(500));
    let step =
        |name: &str| format!(r#"{{"integrationKey":"k","summary":"{name}","alertKey":"a"}}"#);
    publisher.publish("events/a", step("1"));
    for (number, date) in ["@1970-01-02 00:00:00", "@2040-06-01 00:00:00"].iter().enumerate() {
        let before = api.count();
        fs::write(&clock, date).unwrap();
        publisher.publish("events/a", step(&(number + 2).to_string()));
        wait_until("attempts go on", || api.count() > before);
    }
    api.answer_all(Answer::Status(202));
    api.wait_for(3);
    assert_eq!(api.accepted(), ["1", "2", "3"]);
}

#[test]
fn root_may_look_at_the_queue_of_an_agent_that_runs_as_somebody_else() {
    const SOMEBODY: u32 = 897;
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(&api, &[]).ready();
    assert!(agent.post(&event("k", "one")).is_some_and(|(status, _)| status == 200));
    agent.end("TERM");
    for entry in fs::read_dir(agent.folder().path()).unwrap() {
        if chown(entry.unwrap().path(), Some(SOMEBODY), Some(SOMEBODY)).is_err() {
            support::not_tested("files cannot be given away here");
            return;
        }
    }
    fs::remove_file(agent.folder().join("ilagent.db3.lock")).unwrap();
    assert_eq!(agent.list().len(), 1);
    assert!(agent.queue(&["retry", "--all"]).status.success());
    for entry in fs::read_dir(agent.folder().path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), SOMEBODY, "{:?}", entry.file_name());
    }
}

#[test]
fn what_is_stuck_can_be_looked_at_and_dropped_while_the_agent_runs() {
    let (api, broker) = (StandIn::new(), Broker::new());
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::mqtt(&api, broker.port(), &BUFFER).ready();
    let mut publisher = Publisher::new(broker.port());
    for number in 0..3 {
        publisher.publish("events/a", event("il1api123456", &format!("id-{number}")));
    }
    wait_until("all wait", || agent.list().len() == 3);
    broker.wait_for_acks("ilagent", 3);
    let table = String::from_utf8(agent.queue(&["list"]).stdout).unwrap();
    assert!(table.contains("il1api…") && !table.contains("il1api123456"), "{table}");
    let id = agent.list()[2]["id"].as_str().unwrap().to_owned();
    wait_until("it is dropped", || {
        agent.queue(&["drop", &id]).status.success() && agent.list().len() == 2
    });
    let missing = agent.queue(&["show", "4711"]);
    assert_eq!(missing.status.code(), Some(1));
    agent.kill();
    assert_eq!(agent.list().len(), 2, "also without the agent");
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(2);
    assert!(!api.tally().contains_key("id-2"));
}

#[test]
fn a_read_that_fails_once_is_no_damage() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(&api, &[]).ready();
    let padding = "x".repeat(600);
    for number in 0..400 {
        let event = event("k", &format!("{number}{padding}"));
        assert!(agent.post(&event).is_some_and(|(status, _)| status == 200));
    }
    let trace = agent.folder().join("trace");
    let tracer = Command::new("strace")
        .args(["-f", "-p", &agent.id().to_string(), "-e", "trace=pread64"])
        .args(["-e", "inject=pread64:error=EIO:when=1", "-o"])
        .arg(&trace)
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut tracer) = tracer else {
        eprintln!("not tested: there is no strace here");
        return;
    };
    let mut said = [0; 1];
    std::io::Read::read_exact(tracer.stderr.as_mut().unwrap(), &mut said).unwrap();
    api.answer_all(Answer::Status(202));
    api.wait_for(400);
    support::agent::signal(tracer.id(), "TERM");
    tracer.wait().unwrap();
    let trace = fs::read_to_string(trace).unwrap();
    assert!(trace.contains("INJECTED"), "no read failed");
    assert!(!agent.folder().join("ilagent.db3.corrupt-1").exists());
    agent.wait_ready();
}

/// Starts the agent in the hands of strace, in which reads fail as `when` says.
fn start_with_failing_reads(agent: &Agent, when: &str) -> Option<std::process::Child> {
    let command = agent.command();
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=pread64", "-e"]);
    traced.arg(format!("inject=pread64:error=EIO:when={when}"));
    traced.arg("-o").arg(agent.folder().join("trace"));
    // The loader of programs reads, too.
    for name in ["ilagent.db3", "ilagent.db3-wal"] {
        traced.arg("-P").arg(agent.folder().join(name));
    }
    traced.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        traced.env(name, value.unwrap_or_default());
    }
    traced.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    traced.spawn().ok()
}

#[test]
fn a_read_that_fails_at_the_start_is_no_damage() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(&api, &[]).ready();
    for number in 0..10 {
        assert_eq!(agent.post(&event("k", &format!("id-{number}"))).unwrap().0, 200);
    }
    agent.kill();
    // The first, one of those behind it, and each of the first look.
    for when in ["1", "2", "4", "9", "1..3"] {
        let Some(mut traced) = start_with_failing_reads(&agent, when) else {
            support::not_tested("there is no strace here");
            return;
        };
        wait_until("it is ready all the same", || {
            agent.get("/ready").is_some_and(|(status, _)| status == 204)
        });
        let id = fs::read_to_string(format!("/proc/{0}/task/{0}/children", traced.id())).unwrap();
        support::agent::signal(id.trim().parse().unwrap(), "KILL");
        traced.wait().unwrap();
        let trace = fs::read_to_string(agent.folder().join("trace")).unwrap();
        assert!(trace.contains("INJECTED"), "{when}: no read failed");
    }
    // All of them: it says so, and leaves the file alone.
    let traced = start_with_failing_reads(&agent, "1+").unwrap();
    let ended = traced.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("disk I/O error"), "{said}");
    for entry in fs::read_dir(agent.folder().path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains("corrupt") && !name.contains("aside"), "{name}");
    }
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(10);
}

const WAIT: usize = 20;

/// An agent whose API is down, with alarms in a database in the folder `disk`.
fn with_waiting(api: &StandIn) -> Agent {
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(api, &[]).database_in("disk/ilagent.db3");
    fs::create_dir(agent.folder().join("disk")).unwrap();
    agent.start();
    agent.wait_ready();
    for number in 0..WAIT {
        assert_eq!(agent.post(&event("k", &format!("id-{number}"))).unwrap().0, 200);
    }
    agent
}

/// One more is posted, which is taken, and after a crash all are delivered.
fn check_nothing_is_lost(api: &StandIn, agent: &mut Agent) {
    wait_until("one more is taken", || {
        agent.post(&event("k", "one more")).is_some_and(|(status, _)| status == 200)
    });
    agent.kill();
    api.answer_all(Answer::Status(202));
    agent.start();
    let ids = (0..WAIT).map(|number| format!("id-{number}")).chain(["one more".to_owned()]);
    api.wait_for_all(&ids.collect());
    agent.wait_ready();
}

#[test]
fn a_database_that_is_deleted_under_the_agent_is_written_again() {
    let variants = [
        &["ilagent.db3"][..],
        &["ilagent.db3", "ilagent.db3-wal", "ilagent.db3-shm"],
        &["ilagent.db3-wal"],
        &["ilagent.db3", "ilagent.db3.lock", "ilagent.db3.spare", "ilagent.db3.sock"],
    ];
    for deleted in variants {
        let api = StandIn::new();
        let mut agent = with_waiting(&api);
        for name in deleted {
            fs::remove_file(agent.folder().join("disk").join(name)).unwrap();
        }
        check_nothing_is_lost(&api, &mut agent);
        let log = agent.log();
        assert!(log.contains("was deleted while the agent had it open"), "{deleted:?}: {log}");
        assert_eq!(agent.database().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(agent.folder().join("disk/ilagent.db3.lock").exists());
        agent.end("TERM");
    }
}

#[test]
fn a_file_that_takes_the_place_of_the_database_is_moved_aside_untouched() {
    let backup = || {
        let api = StandIn::new();
        let mut agent = with_waiting(&api);
        agent.end("TERM");
        fs::read(agent.database()).unwrap()
    };
    let foreign = || {
        let made = support::Folder::new();
        let path = made.join("foreign.db3");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
        fs::read(path).unwrap()
    };
    for (what, content) in [("foreign", foreign()), ("backup", backup()), ("text", b"x".to_vec())] {
        let api = StandIn::new();
        let mut agent = with_waiting(&api);
        let came = agent.folder().join("disk/came");
        fs::write(&came, &content).unwrap();
        fs::rename(&came, agent.database()).unwrap();
        check_nothing_is_lost(&api, &mut agent);
        assert_eq!(fs::read(agent.folder().join("disk/ilagent.db3.aside-1")).unwrap(), content);
        assert!(agent.log().contains("was replaced while the agent had it open"), "{what}");
        let (_, status) = agent.get("/status").unwrap();
        assert!(status.contains(r#"/ilagent.db3.aside-1"]"#), "{status}");
        let aside = agent.folder().join("disk/ilagent.db3.aside-1");
        let recovered = agent.queue(&["recover", aside.to_str().unwrap()]);
        if what == "backup" {
            let said = String::from_utf8(recovered.stdout).unwrap();
            assert!(said.starts_with("20 deliveries and 0 dead letters taken over"), "{said}");
            wait_until("it is delivered again", || api.tally()["id-7"] == 2);
        } else {
            assert_eq!(recovered.status.code(), Some(1), "{what}");
        }
        agent.end("TERM");
    }
}

#[test]
fn a_folder_that_is_deleted_and_made_again_costs_nothing() {
    let api = StandIn::new();
    let mut agent = with_waiting(&api);
    let disk = agent.folder().join("disk");
    fs::remove_dir_all(&disk).unwrap();
    let port = agent.port();
    let early = std::thread::spawn(move || support::agent::post(port, &event("k", "early")));
    agent.wait_for_log("do not end the agent");
    wait_until("the probe says so", || agent.get("/ready").is_some_and(|(code, _)| code == 503));
    assert!(!early.is_finished(), "it is not safe yet");
    fs::create_dir(&disk).unwrap();
    assert_eq!(early.join().unwrap().unwrap().0, 200);
    check_nothing_is_lost(&api, &mut agent);
    assert!(api.tally().contains_key("early"));
    assert!(agent.queue(&["list"]).status.success());

    let api = StandIn::new();
    let mut agent = with_waiting(&api);
    fs::remove_file(agent.database()).unwrap();
    fs::create_dir(agent.database()).unwrap();
    check_nothing_is_lost(&api, &mut agent);
    assert!(agent.folder().join("disk/ilagent.db3.aside-1").is_dir());
}

#[test]
fn a_log_without_its_database_is_kept_and_what_is_in_it_delivered() {
    let api = StandIn::new();
    let mut agent = with_waiting(&api);
    agent.kill();
    fs::remove_file(agent.database()).unwrap();
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(WAIT);
    let aside = agent.folder().join("disk/ilagent.db3.aside-1-wal");
    assert!(aside.exists());
    assert!(agent.log().contains("is there without its database"));
    assert!(agent.log().contains("20 deliveries and 0 dead letters were carried over"));
}

/// The copy was whole, and the agent was killed before it had its place.
#[test]
fn a_copy_that_a_killed_agent_had_made_is_used() {
    let api = StandIn::new();
    let mut agent = with_waiting(&api);
    agent.end("TERM");
    fs::rename(agent.database(), agent.folder().join("disk/ilagent.db3.new")).unwrap();
    fs::write(agent.folder().join("disk/ilagent.db3-wal"), "the log of the other one").unwrap();
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(WAIT);
    agent.wait_for_log("the copy that the agent had made of it is used");
    assert!(agent.folder().join("disk/ilagent.db3.aside-1-wal").exists());
}

/// <https://www.sqlite.org/fileformat.html>, section 1.3.
const WRITE_VERSION_AT: usize = 18;

/// The space in the `PRIMARY KEY` of the table of deliveries.
fn key_of_deliveries(database: &[u8]) -> usize {
    let find = |from: usize, text: &str| {
        let found = database[from..].windows(text.len()).position(|it| it == text.as_bytes());
        from + found.unwrap()
    };
    find(find(0, "deliveries (\n"), "PRIMARY KEY") + "PRIMARY".len()
}

/// `FLIP_ROUNDS=1000` takes longer and finds more; with `FLIP_FROM=0` every bit is flipped in turn,
/// from this byte.
#[test]
fn bits_flipped_while_it_is_closed_never_stop_the_agent_or_change_an_event() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let (rounds, from) = (number("FLIP_ROUNDS"), number("FLIP_FROM"));
    let api = StandIn::new();
    let mut agent = with_waiting(&api);
    agent.end("TERM");
    let whole = fs::read(agent.database()).unwrap();
    let disk = agent.database().parent().unwrap().to_owned();
    api.answer_all(Answer::Status(202));
    let mut right = BTreeSet::new();
    for round in 0..=rounds.unwrap_or(4) {
        fs::remove_dir_all(&disk).unwrap();
        fs::create_dir(&disk).unwrap();
        let mut bytes = whole.clone();
        let mut at = fastrand::usize(0..bytes.len());
        let mut bit = 1 << fastrand::u8(0..8);
        match round {
            0 => bit = 0,                                    // As it was.
            1 => (at, bit) = (key_of_deliveries(&whole), 4), // PRIMARY$KEY is a part of a type.
            2 => (at, bit) = (WRITE_VERSION_AT, 4),          // No SQLite of today may write it.
            _ => {
                if let Some(from) = from {
                    (at, bit) = (from + (round - 3) / 8, 1 << ((round - 3) % 8));
                }
            }
        }
        bytes[at] ^= bit;
        fs::write(agent.database(), bytes).unwrap();
        agent.start();
        agent.wait_ready();
        wait_until("nothing waits", || agent.list().iter().all(|line| line["state"] == "dead"));
        let dead = agent.list().len();
        agent.end("TERM");
        let taken = api.take_requests().into_iter().filter(|request| request.status == 202);
        let taken: BTreeSet<Vec<u8>> = taken.map(|request| request.body).collect();
        if round == 0 {
            right.clone_from(&taken);
            assert_eq!(right.len(), WAIT);
        }
        assert!(taken.is_subset(&right), "byte {at}: another event");
        let aside = fs::read_dir(&disk)
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().contains(".corrupt-"));
        let said = taken.len() == WAIT || dead > 0 || aside;
        assert!(said, "byte {at}: {} delivered, and not a word", taken.len());
    }
}
