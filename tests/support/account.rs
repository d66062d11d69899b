//! What was handed in and what came of it: lost, repeated, out of order.

use super::stand_in::StandIn;
use super::subscriber::{Received, Subscriber};
use super::wait_within;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Order keys of one source, unless all that it brings is in order.
const KEYS: usize = 5;

/// Where accepted events are found.
pub trait Taker {
    /// The summaries of those that it accepted since the last time, in their order.
    fn take_accepted(&self) -> Vec<String>;
}

impl Taker for StandIn {
    fn take_accepted(&self) -> Vec<String> {
        let taken = self.take_requests();
        let accepted = taken.iter().filter(|request| request.status / 100 == 2);
        accepted.map(|request| summary(&request.body)).collect()
    }
}

impl Taker for Subscriber {
    fn take_accepted(&self) -> Vec<String> {
        self.take().iter().map(|Received { payload, .. }| summary(payload)).collect()
    }
}

fn summary(body: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    event["summary"].as_str().unwrap_or_default().to_owned()
}

/// Events whose summaries are numbered for each order key, and a book of those that arrived.
pub struct Account {
    /// Order keys of each source.
    keys: usize,
    /// How often each event of an order key arrived, in the order in which they were handed in.
    arrived: BTreeMap<String, Vec<u32>>,
    /// The last one that arrived of each order key.
    last: BTreeMap<String, usize>,
    pub kills: usize,
    pub broker_restarts: usize,
    breaks: Vec<String>,
}

impl Default for Account {
    fn default() -> Self {
        Account::with_keys(KEYS)
    }
}

impl Account {
    /// For a sink that keeps the order of everything that one source brings.
    pub fn in_line() -> Self {
        Account::with_keys(1)
    }

    fn with_keys(keys: usize) -> Self {
        Account {
            keys,
            arrived: BTreeMap::new(),
            last: BTreeMap::new(),
            kills: 0,
            broker_restarts: 0,
            breaks: Vec::new(),
        }
    }

    /// The next event of an order key of a source, entered as handed in.
    pub fn next(&mut self, source: &str) -> String {
        let key = format!("{source}-{}", fastrand::usize(0..self.keys));
        let numbers = self.arrived.entry(key.clone()).or_default();
        numbers.push(0);
        event(&key, numbers.len() - 1)
    }

    pub fn batch(&mut self, source: &str, size: usize) -> Vec<String> {
        (0..size).map(|_| self.next(source)).collect()
    }

    /// Expects everything that was handed in by another account as well: one source, two places.
    pub fn expect_all_of(&mut self, other: &Account) {
        for (key, numbers) in &other.arrived {
            self.arrived.entry(key.clone()).or_default().resize(numbers.len(), 0);
        }
    }

    /// Enters what was accepted since the last time.
    pub fn enter(&mut self, taker: &dyn Taker) {
        taker.take_accepted().iter().for_each(|summary| self.took(summary));
    }

    fn took(&mut self, summary: &str) {
        let Some((key, number)) = summary.rsplit_once('/') else { return };
        let number: usize = number.parse().unwrap();
        let numbers = self.arrived.get_mut(key).unwrap();
        // A repetition may come late, but nothing comes for the first time after a later one.
        if numbers[number] == 0 && numbers[number + 1..].iter().any(|times| *times > 0) {
            self.breaks.push(format!("{summary} came after a later one"));
        }
        numbers[number] += 1;
        self.last.insert(key.to_owned(), number);
    }

    pub fn messages(&self) -> usize {
        self.arrived.values().map(Vec::len).sum()
    }

    pub fn lost(&self) -> usize {
        self.arrived.values().flatten().filter(|times| **times == 0).count()
    }

    pub fn repeats(&self) -> usize {
        self.arrived.values().flatten().map(|times| times.saturating_sub(1) as usize).sum()
    }

    /// Waits until all that was handed in has arrived, for as long as something arrives.
    #[track_caller]
    pub fn settle(&mut self, taker: &dyn Taker, patience: Duration) {
        while self.lost() > 0 {
            let before = self.lost();
            wait_within(patience, &format!("{before} more arrive"), || {
                self.enter(taker);
                self.lost() < before
            });
        }
        // What comes again may still be on its way, in its order.
        wait_within(patience, "the last event of each order key comes last", || {
            self.enter(taker);
            self.arrived.iter().all(|(key, numbers)| self.last[key] + 1 == numbers.len())
        });
    }

    #[track_caller]
    pub fn check_order(&self) {
        assert!(self.breaks.is_empty(), "{self}\n{}", self.breaks.join("\n"));
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} restarts of a broker: {} messages, {} lost, {} repeated, {} out of order",
            self.kills,
            self.broker_restarts,
            self.messages(),
            self.lost(),
            self.repeats(),
            self.breaks.len()
        )
    }
}

fn event(key: &str, number: usize) -> String {
    let lane = &key[key.len() - 1..];
    format!(
        r#"{{"integrationKey":"il1api-lane-{lane}","eventType":"ALERT","summary":"{key}/{number}","alertKey":"{key}"}}"#
    )
}
