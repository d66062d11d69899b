//! Reports to systemd: that the agent is ready, a status line for people, and the watchdog's beat.
//! See sd_notify(3). Without `NOTIFY_SOCKET` there is no thread.
//!
//! The watchdog ends an agent that hangs. A broker or an API that is down is no reason for that, so
//! the beat asks every thread with a loop for a sign of life, and looks for attempts that are
//! stuck.

use crate::system::health::{Limits, Snapshot};
use crate::system::pulse::Part;
use crate::system::services::Services;
use crate::system::stop::Stop;
use crossbeam_channel::{Receiver, after, select};
use log::{debug, error};
use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// How often the numbers in the status line are refreshed.
const LOOK: Duration = Duration::from_secs(30);

/// Whether systemd listens.
#[must_use]
pub fn is_wanted() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Sends something beside the regular reports.
pub fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("systemd: cannot report: {error}");
    }
}

/// Reports that the agent starts again with another configuration; [`run`] reports that it has.
pub fn reloading() {
    let status = NotifyState::Status("starting again with a new configuration");
    match NotifyState::monotonic_usec_now() {
        Ok(now) if is_wanted() => say(&[NotifyState::Reloading, now, status]),
        Ok(_) | Err(_) => say(&[status]),
    }
}

/// Reports that the agent is ready, and from then on how it is, until the stop.
pub fn run(parts: &[Part], services: &Services) {
    let Services { health, limits, stop, .. } = services;
    let limits = *limits;
    let changes = health.changes();
    let beat = sd_notify::watchdog_enabled().map(|limit| limit / 2);
    let mut beat_at = beat.map(|_| Instant::now());
    let mut said = status(&health.snapshot(), Instant::now(), limits);
    say(&[NotifyState::Ready, NotifyState::Status(&said)]);
    loop {
        let now = Instant::now();
        let snapshot = health.snapshot();
        let line = status(&snapshot, now, limits);
        if line != said {
            say(&[NotifyState::Status(&line)]);
            said = line;
        }
        if let Some(beat) = beat.filter(|_| beat_at.is_some_and(|at| at <= now)) {
            feed(parts, &snapshot, now);
            beat_at = Some(now + beat);
        }
        let until_beat = beat_at.map_or(LOOK, |at| at.saturating_duration_since(now));
        if is_stopped_within(until_beat.min(LOOK), &changes, stop) {
            return;
        }
    }
}

/// Waits for a time, a change or the stop; `true` if it was the stop.
fn is_stopped_within(patience: Duration, changes: &Receiver<()>, stop: &Stop) -> bool {
    select! {
        recv(stop.receiver()) -> _ => true,
        recv(changes) -> _ => false,
        recv(after(patience)) -> _ => false,
    }
}

/// Sends one beat if everything moves, then asks for the next signs of life.
fn feed(parts: &[Part], snapshot: &Snapshot, now: Instant) {
    match still(parts, snapshot, now) {
        Some(who) => error!("systemd: no beat for the watchdog, {who}"),
        None => say(&[NotifyState::Watchdog]),
    }
    for part in parts {
        part.pulse.ask();
        (part.wake)();
    }
}

/// What does not move, if anything.
fn still(parts: &[Part], snapshot: &Snapshot, now: Instant) -> Option<String> {
    let silent = parts.iter().find(|part| !part.pulse.is_answered());
    silent
        .map(|part| format!("{} gives no sign of life", part.name))
        .or_else(|| snapshot.stuck(now).map(|trouble| trouble.to_string()))
}

/// The line that `systemctl status` shows.
fn status(snapshot: &Snapshot, now: Instant, limits: Limits) -> String {
    let state = match snapshot.trouble(now, limits) {
        None => "ready".to_owned(),
        Some(trouble) => format!("not ready, {trouble}"),
    };
    let queue = &snapshot.queue;
    let letters = if queue.dead_letters == 1 { "letter" } else { "letters" };
    format!("{state}; {} waiting, {} dead {letters}", queue.waiting, queue.dead_letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::health::Health;
    use crate::system::pulse::Pulse;

    const LIMITS: Limits = Limits { age_max: Duration::from_secs(600) };

    fn part(name: &str) -> Part {
        Part { name: name.to_owned(), pulse: Pulse::default(), wake: Box::new(|| ()) }
    }

    #[test]
    fn the_status_line_says_what_a_person_wants_to_know() {
        let health = Health::default();
        let line = || status(&health.snapshot(), Instant::now(), LIMITS);
        assert_eq!(line(), "ready; 0 waiting, 0 dead letters");
        health.session("plant", |session| session.error = "connection refused".to_owned());
        health.queue(|queue| (queue.waiting, queue.dead_letters) = (12, 1));
        assert_eq!(
            line(),
            "not ready, mqtt plant: not connected, connection refused; 12 waiting, 1 dead letter"
        );
    }

    #[test]
    fn only_what_hangs_keeps_the_watchdog_from_its_beat() {
        let parts = [part("queue"), part("mqtt plant")];
        let health = Health::default();
        let found = |later: u64| {
            let now = Instant::now() + Duration::from_secs(later);
            still(&parts, &health.snapshot(), now)
        };
        health.session("plant", |session| session.error = "connection refused".to_owned());
        health.queue(|queue| queue.error = "the disk is full".to_owned());
        assert_eq!(found(0), None, "what is down outside is no reason");

        parts[1].pulse.ask();
        assert_eq!(found(0).as_deref(), Some("mqtt plant gives no sign of life"));
        parts[1].pulse.answer();
        assert_eq!(found(0), None);

        health.sink("ilert", |sink| {
            sink.oldest_attempt = Some(Instant::now());
            sink.attempts_end = sink.oldest_attempt;
        });
        assert_eq!(found(9), None);
        let stuck = "sink ilert: an attempt has been running for";
        assert!(found(12).is_some_and(|who| who.starts_with(stuck)));
    }
}
