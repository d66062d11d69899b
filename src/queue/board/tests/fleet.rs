//! A fleet of agents after an outage of an hour, in virtual time: what an API sees of the waits that
//! their gates keep. `FLEET=10000 cargo test --lib fleet` prints what docs/fleet.md
//! has.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of a model, far below any bound"
)]

use crate::config::defaults::IN_FLIGHT_MAX;
use crate::queue::board::gate::{Gate, Pass};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Agents, if nobody says how many. What is measured are multiples of what they do when all is well.
const AGENTS: usize = 2_000;

/// How often each has an event, in seconds.
const EVENTS_EVERY: f64 = 60.0;

/// How long the API is away, and for how long the fleet is looked at in all, in seconds.
const OUTAGE: usize = 3_600;
const LOOKED_AT: usize = 4_500;

/// How long a request takes, refused or not.
const LATENCY: f64 = 0.05;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Event,
    /// It may be tried.
    Look,
    /// A request ends; it was a probe, or not.
    End {
        probe: bool,
    },
}

/// Moments in microseconds, so that they have an order.
type Due = Reverse<(u64, usize, What)>;

struct Agent {
    gate: Gate,
    waiting: u32,
    in_flight: usize,
}

/// The API.
struct Side {
    /// Requests it takes in a second; it refuses more with 429.
    capacity: f64,
    requests: Vec<u32>,
    taken: Vec<u32>,
}

impl Side {
    /// Whether it takes a request.
    fn takes(&mut self, at: f64) -> bool {
        let second = (at as usize).min(LOOKED_AT - 1);
        self.requests[second] += 1;
        let takes = second >= OUTAGE && f64::from(self.taken[second]) < self.capacity;
        self.taken[second] += u32::from(takes);
        takes
    }

    /// The most requests of a second.
    fn peak(&self, seconds: Range<usize>) -> f64 {
        f64::from(self.requests[seconds].iter().copied().max().unwrap_or(0))
    }

    /// How long it took after the outage until no more came than when all is well.
    fn drained_after(&self, steady: f64) -> usize {
        const WINDOW: usize = 30;
        let is_quiet = |from: &usize| {
            let taken: u32 = self.taken[*from..*from + WINDOW].iter().sum();
            f64::from(taken) <= steady * WINDOW as f64 * 1.1
        };
        let quiet = (OUTAGE..LOOKED_AT - WINDOW).find(is_quiet);
        quiet.unwrap_or(LOOKED_AT) - OUTAGE
    }
}

struct Fleet {
    start: Instant,
    agents: Vec<Agent>,
    due: BinaryHeap<Due>,
    side: Side,
    dice: fastrand::Rng,
}

impl Fleet {
    fn new(count: usize, capacity: f64) -> Self {
        let agents = (0..count).map(|_| Agent { gate: Gate::default(), waiting: 0, in_flight: 0 });
        let side = Side { capacity, requests: vec![0; LOOKED_AT], taken: vec![0; LOOKED_AT] };
        let mut fleet = Fleet {
            start: Instant::now(),
            agents: agents.collect(),
            due: BinaryHeap::new(),
            side,
            dice: fastrand::Rng::with_seed(7),
        };
        for agent in 0..count {
            let at = fleet.dice.f64() * EVENTS_EVERY;
            fleet.at(at, agent, What::Event);
        }
        fleet
    }

    fn at(&mut self, at: f64, agent: usize, what: What) {
        self.due.push(Reverse(((at * 1e6) as u64, agent, what)));
    }

    fn run(&mut self) {
        while let Some(Reverse((micros, agent, what))) = self.due.pop() {
            let at = micros as f64 / 1e6;
            if at >= LOOKED_AT as f64 {
                return;
            }
            match what {
                What::Event => {
                    self.agents[agent].waiting += 1;
                    self.at(at + EVENTS_EVERY, agent, What::Event);
                }
                What::Look => (),
                What::End { probe } => self.end(at, agent, probe),
            }
            self.send(at, agent);
        }
    }

    fn end(&mut self, at: f64, number: usize, probe: bool) {
        let now = self.start + Duration::from_secs_f64(at);
        let dice = self.dice.f64();
        let agent = &mut self.agents[number];
        agent.in_flight -= 1;
        if self.side.takes(at) {
            agent.gate.open(now);
        } else {
            agent.waiting += 1;
            agent.gate.close(now, probe, None, dice);
        }
        if let Some(probe_at) = agent.gate.probe_at() {
            let wait = probe_at.saturating_duration_since(self.start).as_secs_f64();
            self.at(wait.max(at) + 1e-6, number, What::Look);
        }
    }

    /// As a crew does: all that may go goes, up to its number.
    fn send(&mut self, at: f64, number: usize) {
        let now = self.start + Duration::from_secs_f64(at);
        loop {
            let agent = &mut self.agents[number];
            if agent.waiting == 0 || agent.in_flight >= IN_FLIGHT_MAX {
                return;
            }
            let probe = match agent.gate.pass(now) {
                Pass::Open => false,
                Pass::Probe => true,
                Pass::NotBefore(_) | Pass::AfterProbe => return,
            };
            if probe {
                agent.gate.probing();
            }
            agent.waiting -= 1;
            agent.in_flight += 1;
            self.at(at + LATENCY, number, What::End { probe });
        }
    }
}

/// Peaks in multiples of the steady rate: when the API goes away, while it is away, when it is back;
/// and how long it then takes until all is as before.
struct Seen {
    begin: f64,
    later: f64,
    back: f64,
    drained_after: usize,
}

fn look(name: &str, capacity: f64) -> Seen {
    let count = std::env::var("FLEET").ok().and_then(|count| count.parse().ok()).unwrap_or(AGENTS);
    let steady = count as f64 / EVENTS_EVERY;
    let mut fleet = Fleet::new(count, capacity * steady);
    fleet.run();
    let peak = |seconds| fleet.side.peak(seconds) / steady;
    let seen = Seen {
        begin: peak(0..120),
        later: peak(1_800..OUTAGE),
        back: peak(OUTAGE..LOOKED_AT),
        drained_after: fleet.side.drained_after(steady),
    };
    if std::env::var_os("FLEET").is_some() {
        let Seen { begin, later, back, drained_after } = &seen;
        let _ = writeln!(
            std::io::stderr(),
            "{count} agents, {name}: {begin:.1} at the beginning, {later:.1} later, {back:.1} at \
             the return, as before after {drained_after} s"
        );
    }
    seen
}

/// What matters is that nothing multiplies: refused requests beget few others.
#[test]
fn a_fleet_does_not_keep_an_api_down_that_comes_back() {
    let ten = look("an API that takes ten times the steady rate", 10.0);
    assert!(ten.begin < 35.0, "{}", ten.begin);
    assert!(ten.later < 5.0, "{}", ten.later);
    assert!(ten.back < 35.0, "{}", ten.back);
    // All that waited needs 400 s at this rate.
    assert!(ten.drained_after < 480, "{}", ten.drained_after);
    if std::env::var_os("FLEET").is_some() {
        look("an API that takes three times the steady rate", 3.0);
        look("an API that takes all there is", f64::INFINITY);
    }
}
