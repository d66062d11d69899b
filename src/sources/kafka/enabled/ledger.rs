//! Which messages are in our hands, and which offsets may be committed.
//!
//! A committed offset covers everything before it in its partition, so only the contiguous prefix
//! of safe messages counts. Order is the order of arrival: offsets have gaps if a topic is
//! compacted or written in transactions, and begin again if it was deleted and created again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

/// The messages of one consumer.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    ticket_next: u64,
    line_next: u32,
    /// The number of the line of each partition, by topic.
    numbers: HashMap<String, HashMap<i32, u32>>,
    lines: BTreeMap<u32, Line>,
    /// The line that each message stands in, by its ticket.
    homes: HashMap<u64, u32>,
    /// Messages that are not safe yet.
    unsigned: usize,
    /// The first ticket that intake does not have yet.
    handed_in: u64,
}

/// The messages of one partition.
#[derive(Debug)]
struct Line {
    topic: String,
    partition: i32,
    /// In order of arrival; the first one is not safe.
    held: VecDeque<Held>,
    /// The offset behind the last message of the finished prefix.
    finished: Option<i64>,
    /// The offset that was last given out to be committed.
    given_out: Option<i64>,
}

#[derive(Debug)]
struct Held {
    ticket: u64,
    offset: i64,
    since: Instant,
    signed: bool,
}

/// How far the messages of a partition are finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The first offset that is not finished.
    pub(super) offset: i64,
}

impl Ledger {
    /// Enters a message; its ticket is for [`Ledger::signed`].
    pub(super) fn arrived(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        now: Instant,
    ) -> u64 {
        let number = self.number(topic, partition);
        let ticket = self.ticket_next;
        self.ticket_next += 1;
        if let Some(line) = self.lines.get_mut(&number) {
            line.held.push_back(Held { ticket, offset, since: now, signed: false });
            self.homes.insert(ticket, number);
            self.unsigned += 1;
        }
        ticket
    }

    /// The message with this ticket is safe.
    pub(super) fn signed(&mut self, ticket: u64) {
        let Some(line) = self.homes.remove(&ticket).and_then(|home| self.lines.get_mut(&home))
        else {
            return; // Its partition is no longer ours.
        };
        let Ok(at) = line.held.binary_search_by_key(&ticket, |held| held.ticket) else { return };
        line.held[at].signed = true;
        self.unsigned -= 1;
        while line.held.front().is_some_and(|held| held.signed) {
            line.finished = line.held.pop_front().map(|held| held.offset + 1);
        }
    }

    /// How far every partition is finished, given out before or not.
    pub(super) fn finished(&self) -> Vec<Position> {
        let position = |line: &Line| {
            let offset = line.finished?;
            Some(Position { topic: line.topic.clone(), partition: line.partition, offset })
        };
        self.lines.values().filter_map(position).collect()
    }

    /// What is to be committed and has not been given out yet.
    pub(super) fn due(&mut self) -> Vec<Position> {
        let due = |line: &mut Line| {
            let offset = line.finished.filter(|_| line.finished != line.given_out)?;
            line.given_out = line.finished;
            Some(Position { topic: line.topic.clone(), partition: line.partition, offset })
        };
        self.lines.values_mut().filter_map(due).collect()
    }

    /// Whether there is something to be committed.
    pub(super) fn is_due(&self) -> bool {
        self.lines.values().any(|line| line.finished.is_some() && line.finished != line.given_out)
    }

    /// What was given out was not committed, so it is due again.
    pub(super) fn not_committed(&mut self) {
        for line in self.lines.values_mut() {
            line.given_out = None;
        }
    }

    /// The partition is no longer ours. Returns how many of its messages are not finished, which
    /// its next owner gets again, and the tickets of those that intake has.
    pub(super) fn revoked(&mut self, topic: &str, partition: i32) -> (usize, Vec<u64>) {
        let number = self.numbers.get_mut(topic).and_then(|numbers| numbers.remove(&partition));
        let Some(line) = number.and_then(|number| self.lines.remove(&number)) else {
            return (0, Vec::new());
        };
        let mut under_way = Vec::new();
        for held in line.held.iter().filter(|held| !held.signed) {
            self.homes.remove(&held.ticket);
            self.unsigned -= 1;
            under_way.extend(Some(held.ticket).filter(|&ticket| ticket < self.handed_in));
        }
        (line.held.len(), under_way)
    }

    /// Intake has everything that arrived.
    pub(super) fn handed_in(&mut self) {
        self.handed_in = self.ticket_next;
    }

    /// Whether a message that is not safe yet is still ours to deliver.
    pub(super) fn is_ours(&self, ticket: u64) -> bool {
        self.homes.contains_key(&ticket)
    }

    /// How many messages of these partitions intake has that are not safe yet.
    pub(super) fn under_way<'a>(&self, partitions: impl Iterator<Item = (&'a str, i32)>) -> usize {
        let under_way = |held: &&Held| !held.signed && held.ticket < self.handed_in;
        partitions
            .filter_map(|(topic, partition)| self.numbers.get(topic)?.get(&partition))
            .filter_map(|number| self.lines.get(number))
            .map(|line| line.held.iter().filter(under_way).count())
            .sum()
    }

    /// How many messages are not safe yet.
    pub(super) fn unsigned(&self) -> usize {
        self.unsigned
    }

    /// How many messages are in our hands: not safe, or behind one that is not.
    pub(super) fn in_hand(&self) -> usize {
        self.lines.values().map(|line| line.held.len()).sum()
    }

    /// Since when we have had the oldest message that is not safe.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.lines.values().filter_map(|line| line.held.front()).map(|held| held.since).min()
    }

    fn number(&mut self, topic: &str, partition: i32) -> u32 {
        if let Some(number) = self.numbers.get(topic).and_then(|numbers| numbers.get(&partition)) {
            return *number;
        }
        let number = self.line_next;
        self.line_next += 1;
        self.numbers.entry(topic.to_owned()).or_default().insert(partition, number);
        let topic = topic.to_owned();
        let held = VecDeque::new();
        let line = Line { topic, partition, held, finished: None, given_out: None };
        self.lines.insert(number, line);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn positions(due: &[Position]) -> Vec<(&str, i32, i64)> {
        due.iter().map(|due| (due.topic.as_str(), due.partition, due.offset)).collect()
    }

    #[test]
    fn only_the_contiguous_prefix_is_committed() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let tickets: Vec<u64> =
            [10, 11, 15].iter().map(|&offset| ledger.arrived("t", 0, offset, now)).collect();
        let other = ledger.arrived("t", 1, 7, now);
        ledger.signed(tickets[1]);
        assert!(ledger.due().is_empty() && !ledger.is_due());
        ledger.signed(tickets[0]);
        ledger.signed(other);
        assert!(ledger.is_due());
        assert_eq!(positions(&ledger.due()), [("t", 0, 12), ("t", 1, 8)]);
        assert!(ledger.due().is_empty(), "it was given out");
        assert_eq!(positions(&ledger.finished()), [("t", 0, 12), ("t", 1, 8)]);
        ledger.not_committed();
        assert_eq!(positions(&ledger.due()), [("t", 0, 12), ("t", 1, 8)]);
        ledger.signed(tickets[2]);
        assert_eq!(positions(&ledger.due()), [("t", 0, 16)]);
        assert_eq!((ledger.unsigned(), ledger.in_hand(), ledger.oldest()), (0, 0, None));
    }

    #[test]
    fn a_partition_that_was_revoked_is_forgotten() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let old: Vec<u64> = (0..3).map(|offset| ledger.arrived("t", 0, offset, now)).collect();
        let kept = ledger.arrived("t", 1, 0, now);
        ledger.handed_in();
        let late = ledger.arrived("t", 0, 3, now);
        ledger.signed(old[1]);
        assert_eq!(ledger.under_way([("t", 0), ("t", 7)].into_iter()), 2);
        assert_eq!(ledger.revoked("t", 0), (4, vec![old[0], old[2]]));
        assert!(!ledger.is_ours(late) && ledger.is_ours(kept));
        assert_eq!(ledger.revoked("t", 0), (0, Vec::new()));
        assert_eq!(ledger.unsigned(), 1);
        // It comes back, and begins again where it was committed.
        let again = ledger.arrived("t", 0, 0, now);
        ledger.signed(old[0]);
        assert!(ledger.due().is_empty(), "a late signature speaks for the past");
        ledger.signed(again);
        ledger.signed(kept);
        assert_eq!(positions(&ledger.due()), [("t", 1, 1), ("t", 0, 1)]);
    }

    #[test]
    fn a_topic_that_was_made_anew_begins_anew() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for ticket in [500, 0].map(|offset| ledger.arrived("t", 0, offset, now)) {
            ledger.signed(ticket);
        }
        assert_eq!(positions(&ledger.due()), [("t", 0, 1)]);
    }

    #[test]
    fn the_oldest_is_the_first_that_is_not_safe() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let second = Duration::from_secs(1);
        let tickets = [0, 1].map(|offset| ledger.arrived("t", 0, offset, now));
        ledger.arrived("t", 1, 0, now + second);
        ledger.signed(tickets[1]);
        assert_eq!((ledger.oldest(), ledger.unsigned(), ledger.in_hand()), (Some(now), 2, 3));
        ledger.signed(tickets[0]);
        assert_eq!((ledger.oldest(), ledger.unsigned()), (Some(now + second), 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the order of signatures: what is committed never passes a message that is not
        /// safe, and in the end passes all.
        #[test]
        fn nothing_unsigned_is_ever_committed(
            partitions in prop::collection::vec(0..3_i32, 1..60),
            dice in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let (mut ledger, now) = (Ledger::default(), Instant::now());
            let mut next = [0_i64; 3];
            let mut open = Vec::new();
            for partition in partitions {
                let slot = usize::try_from(partition).unwrap();
                let ticket = ledger.arrived("t", partition, next[slot], now);
                open.push((ticket, partition, next[slot]));
                next[slot] += 1;
            }
            for dice in dice {
                if open.is_empty() {
                    break;
                }
                let (ticket, ..) = open.swap_remove(dice.index(open.len()));
                ledger.signed(ticket);
                for due in ledger.due() {
                    let passed = |(_, partition, offset): &(u64, i32, i64)| {
                        *partition == due.partition && *offset < due.offset
                    };
                    prop_assert!(!open.iter().any(passed));
                }
                prop_assert_eq!(ledger.unsigned(), open.len());
            }
            for (ticket, ..) in open {
                ledger.signed(ticket);
            }
            ledger.not_committed();
            for due in ledger.due() {
                prop_assert_eq!(due.offset, next[usize::try_from(due.partition).unwrap()]);
            }
            prop_assert_eq!(ledger.in_hand(), 0);
        }
    }
}
