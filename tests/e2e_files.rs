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
use support::{Folder, event, wait_until};

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

/// The lines of a journal and of the one before it.
fn journal(folder: &Folder) -> Vec<serde_json::Value> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let text = read("journal.1") + &read("journal");
    // The last one may be half written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn with_a_journal(api: &StandIn, folder: &Folder) -> Agent {
    let path = folder.join("journal").display().to_string();
    Agent::with_file(
        api,
        &format!(
            "[queue]\npath = \"{{database}}\"\n[http]\nport = {{port}}\nbind = \"127.0.0.1\"\n\
             [[sink.file]]\npath = \"{path}\"\nrotate-at = \"4 KB\"\n"
        ),
    )
    .ready()
}

#[test]
fn a_journal_says_what_was_sent_once_it_was_sent() {
    let (api, folder) = (StandIn::new(), Folder::new());
    let mut agent = with_a_journal(&api, &folder);
    let post = |id: &str| assert_eq!(agent.post(&event("il1api123456", id)).unwrap().0, 200);
    post("first");
    wait_until("the first line", || journal(&folder).len() == 1);
    let line = &journal(&folder)[0];
    let found = ["sink", "kind", "key", "order_key"].map(|name| line[name].as_str().unwrap());
    assert_eq!(found, ["ilert", "event", "il1api…", "first"]);
    assert!(line["time"].as_u64().is_some_and(|time| time > 1_600_000_000), "{line}");
    assert_eq!(line["body"]["summary"], "first");
    assert_eq!(line["body"]["integrationKey"], "il1api…");
    let mode = folder.join("journal").metadata().unwrap().mode();
    assert_eq!(mode & 0o777, 0o600, "there may be personal data in it");

    api.go_away();
    post("second");
    agent.wait_for_log("will try again");
    assert_eq!(journal(&folder).len(), 1, "nothing was sent");
    api.come_back();
    wait_until("the second line", || journal(&folder).len() == 2);

    (0..20).for_each(|number| post(&format!("more-{number}")));
    wait_until("all lines, in two files", || journal(&folder).len() == 22);
    let sizes = ["journal", "journal.1"].map(|name| folder.join(name).metadata().unwrap().len());
    assert!(sizes.iter().all(|size| (1..=4_096).contains(size)), "{sizes:?}");
    agent.end("TERM");
}

#[test]
fn a_journal_that_cannot_be_written_holds_up_nothing() {
    let (api, outer) = (StandIn::new(), Folder::new());
    let folder = Folder::new();
    let mut agent = with_a_journal(&api, &folder);
    let away = outer.join("away");
    fs::rename(folder.path(), &away).unwrap();
    for number in 1..=3 {
        assert_eq!(agent.post(&event("il1api123456", &format!("{number}"))).unwrap().0, 200);
    }
    api.wait_for(3);
    agent.wait_for_log("sink journal: attempt 1 of");
    assert_eq!(agent.get("/ready").unwrap().0, 204, "alerts get through");
    fs::rename(&away, folder.path()).unwrap();
    wait_until("the lines are written", || journal(&folder).len() == 3);
    let summaries: Vec<_> = journal(&folder).iter().map(|line| line["order_key"].clone()).collect();
    assert_eq!(summaries.len(), 3, "{summaries:?}");
    agent.end("TERM");
}
