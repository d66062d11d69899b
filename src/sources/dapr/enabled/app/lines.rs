//! The subscribers of components: which run, and by which rules.

use crate::config::Broker;
use crate::intake::Intake;
use crate::message::{Accept, Arrival, Desk, Refused};
use crate::queue::Queue;
use crate::sources::mqtt;
use crate::system::health::{Component, Health};
use crate::system::pulse::Pulse;
use crate::system::stop::{self, Stopper};
use crate::system::threads::{Failures, lock};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The subscribers of all components. They outlive lists of subscriptions that say the same.
pub(super) struct Lines {
    pub intake: Intake,
    pub queue: Queue,
    pub health: Health,
    pub failures: Failures,
    pub state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    is_closed: bool,
    all: Vec<Line>,
}

/// A subscriber that runs.
struct Line {
    /// With its rules.
    broker: Broker,
    /// Taken away to stop it.
    stopper: Option<Stopper>,
    running: mqtt::Running,
    pulse: (Pulse, Box<dyn Fn() + Send>),
    withdrawn: Arc<AtomicBool>,
}

impl Lines {
    /// Ends the subscribers that are not wanted any more, or by other rules, and starts those that
    /// are missing. What an ended one has not acknowledged the broker sends to its successor.
    pub(super) fn set(&self, wanted: Vec<Broker>) -> Result<(), Vec<String>> {
        self.keep(&|broker| wanted.contains(broker));
        let mut wrong = Vec::new();
        for broker in wanted {
            if lock(&self.state).all.iter().any(|line| line.broker == broker) {
                continue;
            }
            let name = broker.name.clone();
            match self.start(broker) {
                Ok(line) => self.add(line),
                Err(why) => wrong.push(format!("mqtt {name}: {why}")),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Ends those that can wait at their brokers, because there is nobody to deliver to, and whoever
    /// comes may want other things. What others miss would be lost, so they go on.
    pub(super) fn rest(&self) {
        self.keep(&|broker| broker.buffer);
    }

    /// Ends the others.
    fn keep(&self, is_kept: &dyn Fn(&Broker) -> bool) {
        let ended: Vec<Line> = {
            let mut state = lock(&self.state);
            let all = mem::take(&mut state.all).into_iter();
            let (kept, ended) = all.partition(|line| is_kept(&line.broker));
            state.all = kept;
            ended
        };
        ended.into_iter().for_each(|line| self.end(line));
    }

    fn start(&self, broker: Broker) -> Result<Line, String> {
        let withdrawn = Arc::new(AtomicBool::new(false));
        let hand = mqtt::hand(&broker, &self.intake);
        let hand = Box::new(Passing { hand, withdrawn: Arc::clone(&withdrawn), desk: None });
        let session = mqtt::prepare_with(&broker, hand, &self.queue, &self.health)?;
        let (stopper, stop) = stop::pair();
        let running = session.start(&stop, &self.failures).map_err(|why| why.to_string())?;
        let (pulse, ring) = running.pulse();
        let pulse = (pulse, Box::new(ring) as Box<dyn Fn() + Send>);
        Ok(Line { broker, stopper: Some(stopper), running, pulse, withdrawn })
    }

    fn add(&self, line: Line) {
        let mut state = lock(&self.state);
        state.all.push(line);
        if state.is_closed {
            stop_all(&mut state.all);
        }
    }

    fn end(&self, mut line: Line) {
        line.stopper = None;
        line.running.wake();
        line.running.join();
        // What is stored is ours for good.
        line.withdrawn.store(!line.broker.buffer, Ordering::Release);
        self.health.forget(Component::Mqtt, &line.broker.name);
    }

    /// Whether all of them have answered the last question; asks the next one.
    pub(super) fn are_alive(&self) -> bool {
        let state = lock(&self.state);
        let are_alive = state.all.iter().all(|line| line.pulse.0.is_answered());
        for Line { pulse: (pulse, ring), .. } in &state.all {
            pulse.ask();
            ring();
        }
        are_alive
    }

    /// Stops all of them, and lets no new one run.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        stop_all(&mut state.all);
    }

    /// Waits for the end of all of them.
    pub(super) fn join(&self) {
        let all = mem::take(&mut lock(&self.state).all);
        all.into_iter().for_each(|line| line.running.join());
    }
}

fn stop_all(all: &mut [Line]) {
    for line in all {
        line.stopper = None;
        line.running.wake();
    }
}

/// Passes on what a session brings, and withdraws what is not delivered when the session has ended.
struct Passing {
    hand: Box<dyn Accept>,
    withdrawn: Arc<AtomicBool>,
    desk: Option<Arc<dyn Desk>>,
}

impl Accept for Passing {
    fn accept(&mut self, arrivals: Vec<Arrival>, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        // A session has one desk.
        let desk = self.desk.get_or_insert_with(|| {
            Arc::new(Withdrawing { desk: Arc::clone(desk), withdrawn: Arc::clone(&self.withdrawn) })
        });
        self.hand.accept(arrivals, desk)
    }

    fn again(&mut self, desk: &Arc<dyn Desk>) -> Result<(), Refused> {
        let desk = self.desk.as_ref().unwrap_or(desk);
        self.hand.again(desk)
    }
}

struct Withdrawing {
    desk: Arc<dyn Desk>,
    withdrawn: Arc<AtomicBool>,
}

impl Desk for Withdrawing {
    fn signed(&self, ticket: u64) {
        self.desk.signed(ticket);
    }

    fn partly_signed(&self, ticket: u64) {
        self.desk.partly_signed(ticket);
    }

    fn room(&self) {
        self.desk.room();
    }

    fn is_withdrawn(&self, ticket: u64) -> bool {
        self.withdrawn.load(Ordering::Acquire) || self.desk.is_withdrawn(ticket)
    }
}
