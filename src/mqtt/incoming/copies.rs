//! Copies of one message that several subscriptions brought.
//!
//! A broker of MQTT 5 sends a message that matches two subscriptions once, with the numbers of
//! both, or twice, with one number each. Nothing else tells a copy from a second message that says
//! the same. So a message is a copy only of one that says the same, came by other subscriptions,
//! and lacks this one still: of each such message there are as many as its busiest subscription
//! brought, and none is lost when the broker drops a copy.
//!
//! An orderly stop may come between two copies, so what is missing then is on record.

use std::collections::VecDeque;

/// How many messages that lack a copy are remembered. Copies come one behind the other unless the
/// broker stores those of one QoS and not those of another.
const OPEN_MAX: usize = 1_024;

/// The messages of which copies may follow.
#[derive(Debug, Default)]
pub(super) struct Copies(VecDeque<Open>);

/// As it is remembered: contents in hexadecimal, and the numbers that are missing.
pub(super) type Record = Vec<(String, Vec<u32>)>;

#[derive(Debug)]
struct Open {
    content: u64,
    /// `None` if it was handed in by an earlier process.
    ticket: Option<u64>,
    /// The numbers of the subscriptions that have not brought it.
    missing: Vec<u32>,
}

/// A message that was handed in, of which another has turned out to be a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Original(pub Option<u64>);

impl Copies {
    /// Recalls what the last process missed.
    pub(super) fn recall(record: Record) -> Self {
        let open = |(content, missing): (String, _)| {
            let content = u64::from_str_radix(&content, 16).ok()?;
            Some(Open { content, ticket: None, missing })
        };
        Copies(record.into_iter().take(OPEN_MAX).filter_map(open).collect())
    }

    /// What is to be remembered at the orderly end.
    pub(super) fn record(&self) -> Record {
        let written = |open: &Open| (format!("{:x}", open.content), open.missing.clone());
        self.0.iter().map(written).collect()
    }

    /// The message of which this is a copy, brought by the subscriptions `by`.
    pub(super) fn original(&mut self, content: u64, by: &[u32]) -> Option<Original> {
        let lacks = |open: &Open| {
            open.content == content && by.iter().all(|number| open.missing.contains(number))
        };
        let at = self.0.iter().position(lacks).filter(|_| !by.is_empty())?;
        let open = self.0.get_mut(at)?;
        open.missing.retain(|number| !by.contains(number));
        let original = Original(open.ticket);
        if open.missing.is_empty() {
            self.0.remove(at);
        }
        Some(original)
    }

    /// A message came by the subscriptions `by`, and the others of `all` may bring it, too.
    pub(super) fn expect(&mut self, content: u64, ticket: u64, by: &[u32], all: &[u32]) {
        let missing: Vec<u32> = all.iter().copied().filter(|number| !by.contains(number)).collect();
        if by.is_empty() || missing.is_empty() {
            return;
        }
        if self.0.len() == OPEN_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Open { content, ticket: Some(ticket), missing });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    /// What comes, as content and numbers, and the ticket of the original if it is a copy.
    #[track_caller]
    fn check(all: &[u32], rows: &[(u64, &[u32], Option<u64>)]) {
        let mut copies = Copies::default();
        for (ticket, &(content, by, wanted)) in (0..).zip(rows) {
            let original = copies.original(content, by);
            assert_eq!(original.and_then(|original| original.0), wanted, "row {ticket}");
            if original.is_none() {
                copies.expect(content, ticket, by, all);
            }
        }
    }

    #[test]
    fn a_copy_comes_by_another_subscription_and_says_the_same() {
        // One copy with all numbers, again and again.
        check(&[1, 2], &[(7, &[1, 2], None), (7, &[2, 1], None)]);
        // One copy each, in any order.
        check(&[1, 2], &[(7, &[1], None), (7, &[2], Some(0)), (7, &[2], None), (7, &[1], Some(2))]);
        // Two messages that say the same, and their copies behind them.
        check(&[1, 2], &[(7, &[1], None), (7, &[1], None), (7, &[2], Some(0)), (7, &[2], Some(1))]);
        // Something else, or without a number: never a copy.
        check(&[1, 2], &[(7, &[1], None), (8, &[2], None), (7, &[], None)]);
        // Three subscriptions.
        check(&[1, 2, 3], &[(7, &[1], None), (7, &[2], Some(0)), (7, &[3], Some(0))]);
        check(&[1, 2, 3], &[(7, &[1], None), (7, &[2, 3], Some(0)), (7, &[3], None)]);
        // A subscription of an earlier configuration.
        check(&[1, 2], &[(7, &[9], None), (7, &[1], Some(0))]);
        // The broker dropped a copy: the next pair still makes one message.
        check(&[1, 2], &[(7, &[1], None), (7, &[2], Some(0)), (7, &[1], None), (7, &[1], None)]);
        check(&[1, 2], &[(7, &[1], None), (7, &[2], Some(0)), (7, &[2], None), (7, &[1], Some(2))]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut copies = Copies::default();
        for content in 0..=OPEN_MAX as u64 {
            copies.expect(content, content, &[1], &[1, 2]);
        }
        assert_eq!(copies.original(0, &[2]), None);
        assert_eq!(copies.original(1, &[2]), Some(Original(Some(1))));
        assert_eq!(copies.0.len(), OPEN_MAX - 1);
    }

    #[test]
    fn what_is_missing_at_the_end_is_known_to_the_next_process() {
        let mut copies = Copies::default();
        copies.expect(u64::MAX, 0, &[1], &[1, 2, 3]);
        assert_eq!(copies.original(u64::MAX, &[2]), Some(Original(Some(0))));
        let mut next = Copies::recall(copies.record());
        assert_eq!(next.original(u64::MAX, &[2]), None);
        assert_eq!(next.original(u64::MAX, &[3]), Some(Original(None)));
        assert_eq!(next.record(), []);
        assert_eq!(Copies::recall(vec![("nonsense".to_owned(), vec![1])]).record(), []);
    }

    proptest! {
        /// Whatever a broker drops and however it mixes copies, of each content as many messages
        /// arrive as its busiest subscription brought.
        #[test]
        fn no_message_is_lost_and_none_comes_twice(
            sent in proptest::collection::vec((0_u64..3, any::<[bool; 3]>()), 0..40),
            mix in any::<u64>(),
        ) {
            let mut dice = fastrand::Rng::with_seed(mix);
            let mut queue: Vec<(u64, u32)> = sent
                .iter()
                .flat_map(|&(content, by)| {
                    (1..).zip(by).filter(|(_, sent)| *sent).map(move |(by, _)| (content, by))
                })
                .collect();
            dice.shuffle(&mut queue);
            let mut copies = Copies::default();
            let mut arrived = [0; 3];
            for &(content, by) in &queue {
                if copies.original(content, &[by]).is_none() {
                    copies.expect(content, 0, &[by], &[1, 2, 3]);
                    arrived[usize::try_from(content).unwrap()] += 1;
                }
            }
            for (content, arrived) in (0..).zip(arrived) {
                let brought = |by| queue.iter().filter(|copy| **copy == (content, by)).count();
                prop_assert_eq!(arrived, (1..=3).map(brought).max().unwrap());
            }
        }
    }
}
