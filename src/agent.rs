//! Builds everything from a [`Config`], starts it, waits, stops it in order.
//!
//! It fails at the door: the database is opened, every socket bound and every certificate loaded
//! before the first worker starts. After that only connections fail, and they are tried again.

mod running;

use crate::config::Config;
use crate::queue;
use crate::sinks;
use crate::sources;
use crate::supervise;
use crate::system::signals::Signals;
use crate::system::stop::Stop;
use crossbeam_channel::{Receiver, never, select};
use log::{error, info, warn};
use running::{Legacy, NotStarted, Prepared, Running, Stopped};
use sd_notify::NotifyState;

/// Runs the daemon until it is stopped. At a SIGHUP `read_again` gives the configuration as it is
/// now, or reports what is wrong and gives none. A SIGUSR1 does the same and starts again in any
/// case, so that whatever waits for its next attempt is tried at once.
///
/// # Errors
///
/// Says what could not be opened, bound or loaded, or which part failed for good.
pub fn run(
    mut config: Config,
    signals: &Signals,
    read_again: &dyn Fn() -> Option<Config>,
) -> Result<(), String> {
    let prepared = Prepared::new(&config, None)?;
    let (mut running, mut failed) = Running::start(&config, prepared, Legacy::default())?;
    let mut left = Stop::already();
    loop {
        let next =
            match wait(signals, &failed, &left, &config, read_again, &|| running.look_again()) {
                End::Reload(next) => next,
                end => {
                    supervise::say(&[NotifyState::Stopping]);
                    running.stop();
                    return end.result();
                }
            };
        let prepared = match Prepared::new(&next, Some(&config)) {
            Ok(prepared) => prepared,
            Err(what) => {
                refuse(&what);
                continue;
            }
        };
        supervise::reloading();
        let Stopped { legacy, left: leaving } = running.give_way();
        left = leaving;
        if !signals.end.is_empty() {
            return Ok(());
        }
        match Running::start(&next, prepared, legacy) {
            Ok(started) => ((running, failed), config) = (started, *next),
            Err(NotStarted { what, legacy }) => {
                refuse(&what);
                let prepared = Prepared::new(&config, Some(&config))?;
                (running, failed) = Running::start(&config, prepared, legacy)?;
            }
        }
    }
}

fn refuse(what: &str) {
    what.lines().for_each(|what| error!("agent: the new configuration cannot be used: {what}"));
    warn!("agent: going on with the old configuration");
}

/// Starts nothing and keeps nothing open, but loads every file that a start would need.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(config: &Config) -> Result<(), Vec<String>> {
    let queue = queue::check(&config.queue.path).map_err(|what| vec![format!("queue: {what}")]);
    let checked = [queue, sources::check(config), sinks::check(config)];
    let wrong: Vec<String> = checked.into_iter().filter_map(Result::err).flatten().collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Why the agent does not go on as it is now.
enum End {
    Asked,
    Failed(String),
    Reload(Box<Config>),
}

impl End {
    fn result(self) -> Result<(), String> {
        match self {
            End::Failed(what) => Err(what),
            End::Asked | End::Reload(_) => Ok(()),
        }
    }
}

/// Waits for a reason to end. `left` is set once nothing of an earlier configuration runs any more;
/// before that, another one could leave still more behind, without a bound.
fn wait(
    signals: &Signals,
    failed: &Receiver<String>,
    left: &Stop,
    config: &Config,
    read_again: &dyn Fn() -> Option<Config>,
    look_again: &dyn Fn(),
) -> End {
    let mut nothing_left = never();
    let mut retry = false;
    loop {
        select! {
            recv(signals.end) -> _ => {
                info!("agent: asked to stop");
                return End::Asked;
            }
            recv(failed) -> what => {
                let what = what.unwrap_or_else(|_| "a part of the agent is gone".to_owned());
                error!("agent: stopping, {what}");
                return End::Failed(what);
            }
            recv(signals.reload) -> _ => (),
            recv(signals.retry) -> _ => retry = true,
            recv(nothing_left) -> _ => nothing_left = never(),
        }
        if !left.is_set() {
            warn!(
                "agent: requests of the previous configuration are still under way; the \
                 configuration will be read again when they have ended"
            );
            nothing_left = left.receiver().clone();
            continue;
        }
        match changed(config, read_again) {
            Some(next) => return End::Reload(Box::new(next)),
            None if retry => {
                info!("agent: asked to try everything again; starting again as it was");
                return End::Reload(Box::new(config.clone()));
            }
            None => look_again(),
        }
    }
}

/// The configuration as it is now, if it is another one and can be used.
fn changed(config: &Config, read_again: &dyn Fn() -> Option<Config>) -> Option<Config> {
    let next = read_again();
    let faults = next.as_ref().map_or(Ok(()), check);
    for fault in faults.as_ref().err().into_iter().flatten() {
        error!("agent: {fault}");
    }
    let Some(next) = next.filter(|_| faults.is_ok()) else {
        warn!("agent: the configuration has faults; going on with the old one");
        return None;
    };
    if next == *config {
        info!("agent: the configuration has not changed");
        return None;
    }
    warn!("agent: the configuration has changed; starting again with the new one");
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Ilert, Queue};
    use crate::system::stop;
    use crossbeam_channel::bounded;
    use std::cell::Cell;

    #[test]
    fn a_reload_waits_until_nothing_is_left_of_the_one_before() {
        let config = Config {
            brokers: Vec::new(),
            clusters: Vec::new(),
            http: Vec::new(),
            kapacitor: None,
            services: Vec::new(),
            dapr: None,
            ilert: Ilert::default(),
            files: Vec::new(),
            webhooks: Vec::new(),
            queue: Queue::default(),
        };
        let (here, left) = stop::pair();
        let ((tell_end, end), (tell_reload, reload)) = (bounded(1), bounded(1));
        let (_open, failed) = bounded(1);
        let signals = Signals { end, reload: reload.clone(), retry: never() };
        let read = Cell::new(0);
        let read_again = || {
            assert!(left.is_set(), "too early");
            read.set(read.get() + 1);
            tell_end.send(()).unwrap();
            None
        };
        tell_reload.send(()).unwrap();
        let leaving = std::thread::spawn(move || {
            while !reload.is_empty() {
                std::thread::yield_now();
            }
            drop(here);
        });
        let end = wait(&signals, &failed, &left, &config, &read_again, &|| ());
        assert!(matches!(end, End::Asked));
        assert_eq!(read.get(), 1, "it is read once, and then it is");
        leaving.join().unwrap();
    }
}
