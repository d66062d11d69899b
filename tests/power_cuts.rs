//! Power cuts: what was not synced is lost, torn or out of order, and every message that was
//! confirmed arrives as it was, in its order.
//!
//! The disk is a file system of the tests' own (`support/cutfs.c`), which needs root and
//! `/dev/fuse`. `POWER_CUTS=500 cargo test --test power_cuts` takes longer and finds more;
//! `POWER_SEED=7` throws other dice.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::agent::{self, Agent};
use support::broker::Broker;
use support::cutfs::{CutFs, NO_MAPS};
use support::publisher::Publisher;
use support::stand_in::{Answer, StandIn};
use support::{Folder, PATIENCE, wait_until};

/// Who posts at the same time.
const CLIENTS: u64 = 3;

/// Most events of a client between two cuts.
const EVENTS_MAX: u64 = 40;

/// The power goes at the latest in this change or sync of the disk.
const CHANGES_MAX: u64 = 700;
const CHANGES_EARLY: u64 = 40;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn cuts() -> u64 {
    number("POWER_CUTS", 20)
}

/// The dice of one cut.
fn dice(cut: u64) -> (fastrand::Rng, u64) {
    let seed = number("POWER_SEED", 1).wrapping_mul(1_000_003).wrapping_add(cut);
    (fastrand::Rng::with_seed(seed), seed)
}

/// What the file system leaves to SQLite.
#[derive(Clone, Copy, PartialEq)]
enum Journal {
    /// A write-ahead log that processes share.
    Shared,
    /// A write-ahead log of one process, as there are no shared maps.
    Alone,
    /// No write-ahead log.
    Rollback,
}

impl Journal {
    fn options(self) -> &'static [&'static str] {
        match self {
            Journal::Shared => &[],
            Journal::Alone => NO_MAPS,
            Journal::Rollback => &["--no-maps", "--refuse", "-wal"],
        }
    }

    /// That the agent has chosen this one, and the test tests what it says.
    #[track_caller]
    fn is_used(self, database: &Path) {
        let file = |suffix: &str| {
            let name = format!("{}{suffix}", database.display());
            Path::new(&name).exists()
        };
        let found = match (file("-wal"), file("-shm"), file("-journal")) {
            (true, true, false) => Journal::Shared,
            (true, false, false) => Journal::Alone,
            (false, false, true) => Journal::Rollback,
            other => panic!("log, map, journal: {other:?}"),
        };
        assert!(self == found, "the agent chose another journal");
    }
}

/// An event whose text follows from its id.
fn event(client: u64, event: u64) -> (String, String) {
    let id = format!("{client}-{event}");
    let details = details(&id);
    let body = format!(
        r#"{{"integrationKey":"il1api1","eventType":"ALERT","summary":"{id}","alertKey":"{client}","details":"{details}"}}"#
    );
    (id, body)
}

fn details(id: &str) -> String {
    // Most fit into a page of the database, some take several.
    let length = id.bytes().map(usize::from).sum::<usize>() % 17;
    format!("{id} ").repeat(if length == 0 { 700 } else { length * 10 })
}

/// What was confirmed, and the number of the next event of each client.
#[derive(Default)]
struct Sent {
    confirmed: Mutex<BTreeSet<String>>,
    next: Mutex<HashMap<u64, u64>>,
}

impl Sent {
    fn next(&self, client: u64) -> u64 {
        let mut next = self.next.lock().unwrap();
        let number = next.entry(client).or_default();
        *number += 1;
        *number
    }

    /// Posts one event after the other until the power is gone.
    fn post(&self, client: u64, port: u16, over: &AtomicBool) {
        for _ in 0..EVENTS_MAX {
            let (id, body) = event(client, self.next(client));
            loop {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                match agent::post(port, &body) {
                    Some((200, _)) => break,
                    Some((status, said)) => assert_eq!(status, 503, "{said}"),
                    // Not up yet, or gone. One that was under way may be there twice.
                    None => std::thread::sleep(Duration::from_millis(2)),
                }
            }
            self.confirmed.lock().unwrap().insert(id);
        }
    }
}

struct Machine {
    // The disk goes before the agent: nobody can end who waits for it.
    disk: CutFs,
    agent: Agent,
    api: StandIn,
    journal: Journal,
    lost: u64,
}

impl Machine {
    fn new(journal: Journal, agent: impl FnOnce(&StandIn) -> Agent) -> Option<Self> {
        let api = StandIn::new();
        let agent = agent(&api).database_in("disk/ilagent.db3");
        let disk = CutFs::mount(&agent.folder().join("disk"), journal.options())?;
        Some(Machine { api, agent, disk, journal, lost: 0 })
    }

    /// Starts the agent on what is left, has `work` done, cuts the power, and gives back what the
    /// disk has.
    fn cut(&mut self, cut: u64, work: impl FnOnce(u16, &AtomicBool) + Send) {
        let (mut random, seed) = dice(cut);
        self.api.answer_all(Answer::Status(if random.bool() { 202 } else { 503 }));
        // Half of them anywhere, half of them early: in the start, and what it makes good.
        let most = if random.bool() { CHANGES_MAX } else { CHANGES_EARLY };
        self.disk.arm(random.u64(1..=most));
        self.agent.start();
        let (port, over) = (self.agent.port(), AtomicBool::new(false));
        let mut runs = true;
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| work(port, &over));
            let until = Instant::now() + PATIENCE;
            while runs && !self.disk.is_cut() && !worker.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
                runs = self.agent.is_running();
            }
            self.disk.cut();
            over.store(true, Ordering::Relaxed);
            // It cannot end while it waits for the disk.
            self.agent.ask_to_die();
            self.disk.release();
            self.agent.kill();
        });
        assert!(runs, "cut {cut}: the agent ended");
        self.lost += self.disk.restore(seed);
    }

    /// The last start: all that waits is delivered, and one more event of each of these clients
    /// behind it.
    fn deliver(&mut self, clients: Range<u64>) {
        const LAST: u64 = 1_000_000;
        self.api.answer_all(Answer::Status(202));
        self.agent.start();
        self.agent.wait_ready();
        let (ids, bodies): (BTreeSet<String>, Vec<String>) =
            clients.map(|client| event(client, LAST)).unzip();
        for body in bodies {
            assert!(self.agent.post(&body).is_some_and(|(status, _)| status == 200));
        }
        self.api.wait_for_all(&ids);
    }

    /// Nothing was damaged, altered or overtaken.
    #[track_caller]
    fn account(&self) {
        self.journal.is_used(&self.agent.database());
        for entry in fs::read_dir(self.agent.folder().join("disk")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("corrupt"), "the database was damaged: {name}");
        }
        let mut seen = BTreeSet::new();
        let mut last: HashMap<String, u64> = HashMap::new();
        for request in self.api.requests().iter().filter(|request| request.status == 202) {
            let id = request.summary();
            assert_eq!(request.json()["details"].as_str(), Some(&*details(&id)), "{id} is altered");
            let (client, number) = id.split_once('-').unwrap();
            let number = number.parse().unwrap();
            // One that was delivered may come again; one that was not never overtakes.
            if seen.insert(id.clone()) {
                let before = last.insert(client.to_owned(), number).unwrap_or(0);
                assert!(before < number, "{client}: {number} after {before}");
            }
        }
    }
}

fn posted(journal: Journal) {
    let Some(mut machine) = Machine::new(journal, |api| Agent::new(api, &[])) else { return };
    let sent = post_through_cuts(&mut machine);
    machine.deliver(0..CLIENTS);
    machine.api.wait_for_all(&sent.confirmed.into_inner().unwrap());
    machine.account();
    assert!(machine.lost > 0, "some changes are lost in {} cuts", cuts());
}

fn post_through_cuts(machine: &mut Machine) -> Sent {
    let sent = Sent::default();
    for cut in 0..cuts() {
        machine.cut(cut, |port, over| {
            std::thread::scope(|scope| {
                for client in 0..CLIENTS {
                    let sent = &sent;
                    scope.spawn(move || sent.post(client, port, over));
                }
            });
        });
    }
    let confirmed = sent.confirmed.lock().unwrap().len();
    eprintln!("{} cuts, {} changes lost, {confirmed} events confirmed", cuts(), machine.lost);
    sent
}

#[test]
fn posted_events_survive_in_a_shared_log() {
    posted(Journal::Shared);
}

#[test]
fn posted_events_survive_in_a_log_of_the_agent_alone() {
    posted(Journal::Alone);
}

#[test]
fn posted_events_survive_in_a_rollback_journal() {
    posted(Journal::Rollback);
}

#[test]
fn buffered_messages_survive() {
    let broker = Broker::new();
    let buffered = ["-e", "events/#", "--mqtt_qos", "1", "--mqtt_buffer"];
    let Some(mut machine) =
        Machine::new(Journal::Shared, |api| Agent::mqtt(api, broker.port(), &buffered))
    else {
        return;
    };
    // The broker keeps what comes for a session that it knows.
    machine.agent.start();
    machine.agent.wait_ready();
    machine.agent.kill();
    let sent = Sent::default();
    for cut in 0..cuts() {
        let (ids, events): (Vec<String>, Vec<String>) =
            (0..20).map(|_| event(0, sent.next(0))).unzip();
        sent.confirmed.lock().unwrap().extend(ids);
        machine.cut(cut, |_, _| {
            Publisher::new(broker.port()).burst("events/a", events);
            // A random point of the work, not a time that something needs.
            std::thread::sleep(Duration::from_micros(fastrand::u64(0..60_000)));
        });
    }
    let newest = format!("0-{}", sent.next(0) - 1);
    machine.deliver(CLIENTS..CLIENTS + 1);
    machine.api.wait_for_all(&sent.confirmed.into_inner().unwrap());
    wait_until("nothing waits", || machine.agent.list().is_empty());
    machine.account();
    // What a cut repeats is followed by what had followed it, so that nothing is undone.
    let accepted = machine.api.accepted();
    assert_eq!(accepted.iter().rfind(|id| id.starts_with("0-")), Some(&newest));
}

/// With `sync = "normal"` an event may be lost that was confirmed: this test can lose. But the
/// database stays whole, and what is left is as it was.
#[test]
fn without_a_sync_events_are_lost_and_the_database_stays_whole() {
    let normal = ["--queue_sync", "normal"];
    let Some(mut machine) = Machine::new(Journal::Shared, |api| Agent::new(api, &normal)) else {
        return;
    };
    let confirmed = post_through_cuts(&mut machine).confirmed.into_inner().unwrap();
    machine.deliver(0..CLIENTS);
    machine.account();
    let arrived = machine.api.tally();
    let lost = confirmed.iter().filter(|&id| !arrived.contains_key(id)).count();
    eprintln!("{lost} of {} confirmed events were lost", confirmed.len());
    assert!(lost > 0, "a test that cannot lose proves nothing");
}

/// The disk itself: what a program may rely on, and what it may not.
#[test]
fn the_disk_keeps_what_was_synced_and_nothing_else_for_sure() {
    const SECTOR: usize = 512;
    let folder = Folder::new();
    let Some(disk) = CutFs::mount(&folder.join("disk"), &[]) else { return };
    let path = |name: &str| folder.join("disk").join(name);
    let synced = |name: &str, content: &[u8]| {
        let mut file = File::create(path(name)).unwrap();
        file.write_all(content).unwrap();
        file.sync_all().unwrap();
    };
    let (old, new) = (vec![b'o'; 4 * SECTOR], vec![b'n'; 4 * SECTOR]);
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        synced("kept", &old);
        synced("overwritten", &old);
        synced("renamed-from", &old);
        File::open(path("")).unwrap().sync_all().unwrap();
        File::options().write(true).open(path("overwritten")).unwrap().write_all(&new).unwrap();
        synced("nameless", &old);
        fs::rename(path("renamed-from"), path("renamed")).unwrap();
        fs::write(path("unsynced"), &new).unwrap();
        disk.cut();
        disk.release();
        disk.restore(seed);
        assert_eq!(fs::read(path("kept")).unwrap(), old);
        let content = fs::read(path("overwritten")).unwrap();
        let sectors: Vec<u8> = content.chunks(SECTOR).map(|sector| sector[0]).collect();
        assert!(content.chunks(SECTOR).all(|sector| sector.iter().all(|&byte| byte == sector[0])));
        seen.insert(match &sectors[..] {
            b"oooo" => "old",
            b"nnnn" => "new",
            [b'o', .., b'n'] => "out of order",
            _ => "torn",
        });
        seen.insert(if path("nameless").exists() { "name" } else { "no name" });
        assert!(path("renamed").exists() != path("renamed-from").exists(), "a rename is whole");
        seen.insert(if path("renamed").exists() { "renamed" } else { "not renamed" });
        seen.insert(match fs::metadata(path("unsynced")).map(|file| file.len()) {
            Ok(0) => "empty",
            Ok(_) if fs::read(path("unsynced")).unwrap() != new => "holes",
            Ok(_) => "whole",
            Err(_) => "never there",
        });
        for name in ["nameless", "renamed", "unsynced"] {
            let _ = fs::remove_file(path(name));
        }
    }
    let all = ["old", "new", "out of order", "torn", "name", "no name", "renamed", "not renamed"];
    let all = all.into_iter().chain(["empty", "holes", "whole", "never there"]);
    assert_eq!(seen, all.collect());
}
