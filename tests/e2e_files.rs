//! Files that are not ours are never changed, made, renamed or followed.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use rusqlite::Connection;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};
use support::agent::{Agent, BINARY};
use support::stand_in::{Answer, StandIn};
use support::version_1::TABLES;
use support::{Folder, event};

/// All that can be seen of a folder: names, kinds, modes, sizes, contents.
fn seen(folder: &Folder) -> Vec<(String, u32, u64, Option<Vec<u8>>)> {
    let mut seen: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = metadata.is_file().then(|| fs::read(&path).unwrap());
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, metadata.mode(), metadata.len(), content)
        })
        .collect();
    seen.sort();
    seen
}

fn ilagent(folder: &Folder, arguments: &[&OsStr]) -> Output {
    Command::new(BINARY).args(arguments).current_dir(folder.path()).output().unwrap()
}

/// Names the file in every way a person may, and returns what is said each time.
fn named_in_every_way(folder: &Folder, file: &str) -> Vec<String> {
    let port = support::free_port().to_string();
    let ways: [&[&str]; 6] = [
        &["queue", "list", "-f", file],
        &["queue", "show", "1", "-f", file],
        &["queue", "retry", "--all", "-f", file],
        &["queue", "drop", "--all", "-f", file],
        &["daemon", "--bind", "127.0.0.1", "-p", &port, "-f", file],
        &["check", "--bind", "127.0.0.1", "-p", &port, "-f", file],
    ];
    let says = |way: &&[&str]| {
        let arguments: Vec<&OsStr> = way.iter().map(OsStr::new).collect();
        let output = ilagent(folder, &arguments);
        assert_ne!(output.status.code(), Some(0), "{way:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    ways.iter().map(says).collect()
}

#[test]
fn a_file_of_somebody_else_is_refused_by_name_and_stays_as_it_is() {
    let folder = Folder::new();
    let others = folder.join("others.db");
    Connection::open(&others).unwrap().execute_batch("CREATE TABLE photos (x)").unwrap();
    fs::write(folder.join("agent.toml"), "[http]\nport = 8977\n").unwrap();
    fs::write(folder.join("short"), "x").unwrap();
    fs::write(folder.join("photo.jpg"), [0xFF; 70_000]).unwrap();
    for name in ["others.db", "agent.toml", "short", "photo.jpg"] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let before = seen(&folder);
    for name in ["others.db", "agent.toml", "short", "photo.jpg"] {
        for said in named_in_every_way(&folder, name) {
            assert!(said.contains(name) && said.contains("is not a database of ilagent"), "{said}");
            assert_eq!(seen(&folder), before, "{said}");
        }
    }
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let folder = Folder::new();
    fs::create_dir(folder.join("folder")).unwrap();
    let made = Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap();
    assert!(made.success());
    let _socket = UnixListener::bind(folder.join("socket")).unwrap();
    symlink("/dev/null", folder.join("device")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    let null = fs::metadata("/dev/null").unwrap().mode();
    let before = seen(&folder);
    for (name, wanted) in [
        ("folder", "is a folder"),
        ("pipe", "is a named pipe"),
        ("socket", "is a socket"),
        ("device", "is a device"),
        ("dangling", "is a link to a file that is not there"),
    ] {
        for said in named_in_every_way(&folder, name) {
            assert!(said.contains(name) && said.contains(wanted), "{name}: {said}");
            assert_eq!(seen(&folder), before, "{said}");
        }
    }
    assert_eq!(fs::metadata("/dev/null").unwrap().mode(), null);
}

#[test]
fn links_in_place_of_files_beside_the_database_are_not_followed() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    for suffix in ["spare", "lock", "sock"] {
        let mut agent = Agent::new(&api, &[]);
        let other = agent.folder().join("other");
        fs::write(&other, "precious").unwrap();
        let link = agent.database().with_extension(format!("db3.{suffix}"));
        symlink(&other, &link).unwrap();
        agent.start();
        if suffix == "lock" {
            assert_eq!(agent.wait_end().code(), Some(1));
            assert!(agent.log().contains("it is a link, which is not followed"));
        } else {
            agent.wait_ready();
            assert!(!link.symlink_metadata().unwrap().is_symlink());
            assert_eq!(agent.post(&event("k", "kept")).unwrap().0, 200);
        }
        assert_eq!(fs::read(&other).unwrap(), b"precious", "{suffix}");
    }
}

#[test]
fn files_beside_the_database_are_private_at_any_umask() {
    let api = StandIn::new();
    let mut agent = Agent::new(&api, &[]);
    let spare = agent.database().with_extension("db3.spare");
    // As an earlier version made it.
    fs::write(&spare, vec![0; 1024 * 1024]).unwrap();
    fs::set_permissions(&spare, fs::Permissions::from_mode(0o666)).unwrap();
    agent.start();
    agent.wait_ready();
    for (name, mode, ..) in seen(agent.folder()) {
        if name.starts_with("ilagent.db3") {
            assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
        }
    }
}

#[test]
fn two_names_of_one_database_are_one_database() {
    let api = StandIn::new();
    let mut agent = Agent::new(&api, &[]).database_in("first.db3");
    fs::write(agent.folder().join("first.db3"), "").unwrap();
    symlink("first.db3", agent.folder().join("soft.db3")).unwrap();
    fs::hard_link(agent.folder().join("first.db3"), agent.folder().join("hard.db3")).unwrap();
    agent.start();
    agent.wait_ready();
    let port = support::free_port().to_string();
    for name in ["soft.db3", "hard.db3"] {
        let arguments = ["daemon", "--bind", "127.0.0.1", "-p", &port, "-f", name];
        let output = ilagent(agent.folder(), &arguments.map(OsStr::new));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("in use by another ilagent"), "{said}");
    }
    // A command finds the agent by any name that leads to its file.
    let output = ilagent(agent.folder(), &["queue", "list", "-f", "soft.db3"].map(OsStr::new));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_agent_may_be_given_a_link() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(&api, &[]).database_in("link.db3");
    fs::create_dir(agent.folder().join("disk")).unwrap();
    fs::write(agent.folder().join("disk/real.db3"), "").unwrap();
    symlink("disk/real.db3", agent.folder().join("link.db3")).unwrap();
    agent.start();
    agent.wait_ready();
    assert_eq!(agent.post(&event("k", "kept")).unwrap().0, 200);
    agent.kill();
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(1);
    assert!(agent.folder().join("link.db3").is_symlink());
}

#[test]
fn a_look_at_a_queue_changes_nothing() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let mut agent = Agent::new(&api, &[]).ready();
    for id in ["one", "two"] {
        assert_eq!(agent.post(&event("k", id)).unwrap().0, 200);
    }
    // What it wrote is in the log only, and then in the database only.
    for end in ["KILL", "TERM"] {
        agent.end(end);
        let beside = |suffix| agent.folder().join(&format!("ilagent.db3{suffix}"));
        let before = seen(agent.folder());
        let commands: [(&[&str], &str); 2] = [
            (&["queue", "list", "-f", "ilagent.db3"], "2 waiting"),
            (&["queue", "show", "2", "-f", "ilagent.db3"], "two"),
        ];
        for (arguments, wanted) in commands {
            let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
            let output = ilagent(agent.folder(), &arguments);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains(wanted), "{end}: {output:?}");
        }
        // Memory that SQLite shares between processes is no content.
        let shared = |(name, ..): &(String, _, _, _)| !name.ends_with("-shm");
        let after = seen(agent.folder());
        assert!(before.iter().filter(|it| shared(it)).eq(after.iter().filter(|it| shared(it))));
        assert_eq!(beside("-shm").exists(), before.iter().any(|it| !shared(it)), "{end}");
        agent.start();
        agent.wait_ready();
    }
}

#[test]
fn a_queue_of_version_1_is_looked_at_as_it_is() {
    let folder = Folder::new();
    let database = folder.join("q.db3");
    Connection::open(&database)
        .unwrap()
        .execute_batch(&format!(
            "PRAGMA journal_mode=WAL; {TABLES}
             INSERT INTO lanes VALUES (1, 'ilert', 'il1api1');
             INSERT INTO deliveries VALUES ((1 << 40) | 7, 'event', 'pump', '/api/events', 'http', 0,
               0, CAST('{{}}' AS BLOB));
             INSERT INTO dead_letters VALUES (3, 'refused', 'event', 'k', NULL, '/api/events',
               'plant/7', 0, CAST('{{}}' AS BLOB));"
        ))
        .unwrap();
    let before = seen(&folder);
    let output = ilagent(&folder, &["queue", "list", "-f", "q.db3"].map(OsStr::new));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 waiting") && said.contains("1 dead"), "{output:?}");
    assert!(said.contains("refused") && !said.contains("damaged"), "{said}");
    assert_eq!(seen(&folder), before);
}
