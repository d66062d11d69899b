//! Disks that were full once, and that are full at the start.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use support::agent::Agent;
use support::stand_in::{Answer, StandIn};
use support::tmpfs::Tmpfs;
use support::{event, wait_until, wait_within};

/// What cannot be written is tried again every 30 seconds at last.
const TRIED_AGAIN: Duration = Duration::from_secs(65);

/// When nothing was taken for this long, nothing more will be.
const REFUSED_FOR: Duration = Duration::from_secs(4);

/// An agent with its database on a small disk, and the disk.
fn on_a_disk(api: &StandIn, size: &str) -> Option<(Agent, Tmpfs)> {
    let agent = Agent::new(api, &[]).database_in("disk/ilagent.db3");
    let at = agent.folder().join("disk");
    fs::create_dir(&at).unwrap();
    let disk = Tmpfs::mount(&at, size);
    if disk.is_none() {
        support::not_tested("file systems cannot be mounted here");
    }
    Some((agent, disk?))
}

/// An event of some kilobytes.
fn large(id: &str) -> String {
    let details = "x".repeat(3_000);
    event("il1api1", id).replacen('{', &format!(r#"{{"details":"{details}","#), 1)
}

fn status(agent: &Agent, body: &str) -> u16 {
    agent.post(body).unwrap().0
}

/// Others write until there is no room at all.
fn fill(at: &Path) {
    let mut file = File::options().create(true).append(true).open(at).unwrap();
    for block in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![0; block]).is_ok() {}
    }
}

#[test]
fn a_disk_that_was_full_once_is_used_again() {
    // Most of it is waiting.
    std::thread::scope(|scope| {
        for size in ["1200k", "3m"] {
            let api = StandIn::new();
            let Some((agent, disk)) = on_a_disk(&api, size) else { return };
            scope.spawn(move || is_used_again(size, &api, agent, disk));
        }
    });
}

fn is_used_again(size: &str, api: &StandIn, mut agent: Agent, _disk: Tmpfs) {
    api.answer_all(Answer::Status(503));
    agent.start();
    agent.wait_ready();
    // Posted on and on, so that the spare room is used up, too.
    let (mut stored, mut last) = (0, Instant::now());
    for number in 0.. {
        if status(&agent, &large(&number.to_string())) == 200 {
            (stored, last) = (stored + 1, Instant::now());
        } else if last.elapsed() > REFUSED_FOR {
            break;
        }
    }
    assert!(stored > 10, "{size}: {stored}");
    api.answer_all(Answer::Status(202));
    api.wait_for(stored);
    wait_within(TRIED_AGAIN, "there is room again", || {
        agent.get("/ready").is_some_and(|(status, _)| status == 204)
    });
    assert_eq!(status(&agent, &event("il1api1", "later")), 200, "{size}");
    agent.kill();
    agent.start();
    agent.wait_ready();
    api.wait_for(stored + 1);
}

#[test]
fn what_waits_on_a_full_disk_is_delivered_after_a_restart() {
    let api = StandIn::new();
    api.answer_all(Answer::Status(503));
    let Some((mut agent, _disk)) = on_a_disk(&api, "3m") else { return };
    agent.start();
    agent.wait_ready();
    for number in 0..20 {
        assert_eq!(status(&agent, &event("il1api1", &number.to_string())), 200);
    }
    let others = agent.folder().join("disk/others");
    fill(&others);
    wait_until("the spare room is given up", || {
        status(&agent, &large("more")) == 503
            && !agent.folder().join("disk/ilagent.db3.spare").exists()
    });
    fill(&others);
    agent.kill();
    // No room for anything: neither for the spare file nor for the map of the log.
    let _ = fs::remove_file(agent.folder().join("disk/ilagent.db3-shm"));
    fill(&others);
    api.answer_all(Answer::Status(202));
    agent.start();
    api.wait_for(20);
    wait_until("the probe says why", || {
        agent
            .get("/ready")
            .is_some_and(|(status, body)| status == 503 && body.contains("cannot be written"))
    });
    assert_eq!(status(&agent, &event("il1api1", "refused")), 503, "never a lie");
    assert!(agent.is_running());
    fs::remove_file(others).unwrap();
    wait_within(TRIED_AGAIN, "there is room again", || {
        agent.get("/ready").is_some_and(|(status, _)| status == 204)
    });
    assert_eq!(status(&agent, &event("il1api1", "later")), 200);
    wait_until("it arrives", || api.tally().contains_key("later"));
}
