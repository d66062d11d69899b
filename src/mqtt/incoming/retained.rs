//! Which retained messages have been handled.
//!
//! A broker sends the retained message of a topic with every SUBSCRIBE, and nothing in MQTT 3.1.1
//! tells it not to. A copy that says what its topic said last is a repetition: handing it in would
//! raise an alarm again that somebody has resolved. Taking a live message for a copy would lose an
//! alarm. So a copy is only what a SUBSCRIBE explains: a message with the retain flag, and for each
//! topic no more of them than there were SUBSCRIBEs that match it. A broker may queue copies when a
//! connection is lost and send them on the next, so connections count together until one has been
//! good.

use super::copies;
use crate::mqtt::packet::PublishHead;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};

/// How many topics with a retained message are remembered.
pub(in crate::mqtt) const COPIES_MAX: usize = 4_096;

/// How many topics are remembered of which only live messages were seen. They may be retained:
/// MQTT 3.1.1 does not tell.
const LIVES_MAX: usize = 1_024;

/// How many copies of a topic are recognised when they are sent again.
const IDS: usize = 4;

/// What topics said last, by hash.
#[derive(Debug, Default)]
pub(in crate::mqtt) struct Retained {
    copies: HashMap<u64, Said>,
    lives: HashMap<u64, u64>,
    /// Topics of `lives`, oldest first; some may be in `copies` by now.
    order: VecDeque<u64>,
    /// The number of the present round of connections.
    round: u32,
    /// What is on record would be wrong, or not enough, after a crash.
    is_stale: bool,
    /// It was read from a record that an orderly stop had written, so it knows all.
    is_complete: bool,
    /// What [`copies`] has on record.
    pub missing: copies::Record,
}

/// What a message with the retain flag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Flagged {
    /// A copy of what was handled.
    Repeats,
    /// A copy that says something else than its topic said last.
    News,
    /// Nothing that was subscribed to explains it as a copy.
    Live,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    payload: u64,
    /// It has said something else live. What it said last is then on record after an orderly stop
    /// only: after a crash an older value would hide an alarm that came back.
    changes: bool,
    /// In which round copies were seen last, and how many.
    round: u32,
    times: u32,
    /// The packet ids of the copies that were counted last.
    ids: [u16; IDS],
}

/// As it is remembered: topic to payload, in hexadecimal.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Record {
    copies: BTreeMap<String, String>,
    changing: BTreeMap<String, String>,
    lives: BTreeMap<String, String>,
    complete: bool,
    /// Not about retained messages, and true for as long as the rest of a last record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: copies::Record,
}

/// It must be the same after a restart, so it has no random seed.
pub(in crate::mqtt) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The same for a whole message.
pub(super) fn hash_message(topic: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(topic.len());
    hasher.write(topic);
    hasher.write(payload);
    hasher.finish()
}

impl Retained {
    /// What was remembered, or nothing if that makes no sense.
    pub(in crate::mqtt) fn read(text: &str) -> Self {
        let record: Record = serde_json::from_str(text).unwrap_or_default();
        let is_last = record.complete
            || !record.changing.is_empty()
            || !record.lives.is_empty()
            || !record.missing.is_empty();
        let said = |changes| {
            move |(topic, payload)| {
                (topic, Said { payload, changes, round: 0, times: 0, ids: [0; IDS] })
            }
        };
        let lives: HashMap<u64, u64> = numbers(&record.lives).take(LIVES_MAX).collect();
        let steady = numbers(&record.copies).map(said(false));
        Retained {
            copies: steady
                .chain(numbers(&record.changing).map(said(true)))
                .take(COPIES_MAX)
                .collect(),
            order: lives.keys().copied().collect(),
            lives,
            is_stale: is_last,
            is_complete: record.complete,
            missing: record.missing,
            ..Retained::default()
        }
    }

    /// To be remembered: what will be right whenever the process ends.
    pub(in crate::mqtt) fn write(&mut self, unsafe_topics: &HashSet<u64>) -> String {
        self.is_stale = false;
        self.record(false, unsafe_topics)
    }

    /// To be remembered at the orderly end, after which no message comes.
    pub(in crate::mqtt) fn write_last(&self, unsafe_topics: &HashSet<u64>) -> String {
        self.record(true, unsafe_topics)
    }

    /// Topics of messages that are not safe are left out: after a crash their copy may be all
    /// that is left of them.
    fn record(&self, last: bool, unsafe_topics: &HashSet<u64>) -> String {
        let copies = |changes: bool| {
            let wanted = move |topic: &u64, said: &Said| {
                said.changes == changes && !unsafe_topics.contains(topic)
            };
            let found = self.copies.iter().filter(move |(topic, said)| wanted(topic, said));
            found.map(|(topic, said)| hex(*topic, said.payload))
        };
        let lives = self.lives.iter().filter(|(topic, _)| !unsafe_topics.contains(topic));
        let mut record = Record { copies: copies(false).collect(), ..Record::default() };
        if last {
            record.complete = self.is_complete;
            record.missing.clone_from(&self.missing);
            record.changing = copies(true).collect();
            record.lives = lives.map(|(&topic, &payload)| hex(topic, payload)).collect();
        }
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// A round of connections begins, and its subscriptions explain new copies.
    pub(in crate::mqtt) fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Every copy there is will come.
    pub(in crate::mqtt) fn sees_all(&mut self) {
        self.is_complete = true;
    }

    pub(in crate::mqtt) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.lives.is_empty() && self.missing.is_empty()
    }

    /// Whether another copy might not be remembered, so that each SUBSCRIBE would bring it again.
    pub(in crate::mqtt) fn is_full(&self) -> bool {
        self.copies.len() >= COPIES_MAX
    }

    /// Whether [`Retained::write`] is due.
    pub(in crate::mqtt) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Whether everything is known that was said before this process, so that copies bring nothing
    /// that was handled.
    pub(in crate::mqtt) fn is_complete(&self) -> bool {
        self.is_complete && !self.is_full()
    }

    /// A message that is no copy.
    pub(in crate::mqtt) fn live(&mut self, topic: u64, payload: u64) {
        if let Some(said) = self.copies.get_mut(&topic) {
            if said.payload != payload {
                self.is_stale |= !said.changes;
                (said.payload, said.changes) = (payload, true);
            }
            return;
        }
        if self.lives.insert(topic, payload).is_some() {
            return;
        }
        self.order.push_back(topic);
        while self.lives.len() > LIVES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.lives.remove(&oldest);
        }
    }

    /// A message with the retain flag, on a topic for which subscriptions of this round explain so
    /// many copies.
    pub(in crate::mqtt) fn flagged(
        &mut self,
        topic: u64,
        payload: u64,
        explained: u32,
        head: PublishHead,
    ) -> Flagged {
        let known = self.copies.get(&topic).copied();
        let mut said = match known {
            Some(said) => said,
            None => Said {
                payload: self.lives.remove(&topic).unwrap_or(!payload),
                changes: false,
                round: self.round,
                times: 0,
                ids: [0; IDS],
            },
        };
        if said.round != self.round {
            (said.round, said.times) = (self.round, 0);
        }
        // A copy that is sent again, because its acknowledgement was lost, is counted once.
        let is_counted = said.ids.contains(&head.packet_id) && payload == said.payload;
        if !(head.dup && is_counted) {
            said.times = said.times.saturating_add(1);
            said.ids.rotate_right(1);
            said.ids[0] = head.packet_id;
        }
        let what = match said.payload == payload {
            _ if said.times > explained => Flagged::Live,
            true => Flagged::Repeats,
            false => Flagged::News,
        };
        self.is_stale |= known.is_none() || (said.payload != payload && !said.changes);
        said.changes |= known.is_some() && said.payload != payload;
        said.payload = payload;
        if known.is_some() || self.copies.len() < COPIES_MAX {
            self.copies.insert(topic, said);
        }
        what
    }
}

fn hex(topic: u64, payload: u64) -> (String, String) {
    (format!("{topic:x}"), format!("{payload:x}"))
}

fn numbers(map: &BTreeMap<String, String>) -> impl Iterator<Item = (u64, u64)> {
    let number = |text: &String| u64::from_str_radix(text, 16).ok();
    map.iter().filter_map(move |(topic, payload)| Some((number(topic)?, number(payload)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Qos;

    const COPY: PublishHead =
        PublishHead { qos: Qos::AtLeastOnce, packet_id: 7, dup: false, retain: true };

    impl Retained {
        fn copy(&mut self, topic: u64, payload: u64, explained: u32) -> bool {
            self.flagged(topic, payload, explained, COPY) == Flagged::Repeats
        }
    }

    fn after_a_crash(retained: &mut Retained, unsafe_topics: &[u64]) -> Retained {
        let mut read = Retained::read(&retained.write(&unsafe_topics.iter().copied().collect()));
        read.begin_round();
        read
    }

    fn after_a_stop(retained: &Retained) -> Retained {
        let mut read = Retained::read(&retained.write_last(&HashSet::new()));
        read.begin_round();
        read
    }

    #[test]
    fn a_copy_repeats_what_was_said_last_whether_it_was_a_copy_or_live() {
        let mut retained = Retained::default();
        retained.begin_round();
        assert!(!retained.copy(1, 10, 1), "nothing is known");
        retained.live(2, 20);
        retained.begin_round();
        assert!(retained.copy(1, 10, 1));
        assert!(retained.copy(2, 20, 1), "it was published with the retain flag");
        retained.live(1, 11);
        retained.begin_round();
        assert!(!retained.copy(1, 10, 1), "it says something else");
        assert!(!retained.copy(2, 21, 1), "it changed meanwhile");
    }

    #[test]
    fn a_live_message_with_the_flag_is_no_copy() {
        let mut retained = Retained::default();
        retained.begin_round();
        assert_eq!(retained.flagged(1, 10, 1, COPY), Flagged::News);
        for _ in 0..2 {
            let what = retained.flagged(1, 10, 1, COPY);
            assert_eq!(what, Flagged::Live, "one subscription brings one copy");
        }
        retained.begin_round();
        assert_eq!(retained.flagged(1, 10, 0, COPY), Flagged::Live, "nothing was subscribed to");
        retained.begin_round();
        assert!(retained.copy(1, 10, 2) && retained.copy(1, 10, 2), "two may bring two");
        assert!(!retained.copy(1, 10, 2));
    }

    #[test]
    fn after_an_orderly_stop_everything_is_known() {
        let mut retained = Retained::default();
        retained.begin_round();
        retained.sees_all();
        retained.copy(1, 10, 1);
        retained.live(2, 20);
        retained.copy(3, 30, 1);
        retained.live(3, 31);
        let mut read = after_a_stop(&retained);
        assert!(read.is_complete() && read.is_stale(), "the record has to be taken back");
        assert!(read.copy(1, 10, 1) && read.copy(2, 20, 1) && read.copy(3, 31, 1));
        assert!(!Retained::read("nonsense").copy(1, 10, 1));
    }

    #[test]
    fn after_a_crash_only_what_cannot_have_changed_is_known() {
        let mut retained = Retained::default();
        retained.begin_round();
        retained.copy(1, 10, 1);
        retained.live(2, 20);
        retained.copy(3, 30, 1);
        retained.live(3, 31);
        retained.copy(4, 40, 1);
        let mut read = after_a_crash(&mut retained, &[4]);
        assert!(!read.is_complete());
        assert!(read.copy(1, 10, 1));
        assert!(!read.copy(2, 20, 1) && !read.copy(3, 30, 1), "they may have changed since");
        assert!(!read.copy(4, 40, 1), "it was not safe");
        assert!(after_a_crash(&mut read, &[]).copy(4, 40, 1));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_live_topics_push_out_no_copies() {
        let mut retained = Retained::default();
        retained.begin_round();
        retained.copy(0, 1, 1);
        for topic in 1..10_000 {
            retained.live(topic, 1);
        }
        assert_eq!((retained.lives.len(), retained.order.len()), (LIVES_MAX, LIVES_MAX));
        for topic in 10_000..20_000 {
            retained.copy(topic, 1, 1);
        }
        assert!(retained.is_full());
        assert_eq!(retained.copies.len(), COPIES_MAX);
        retained.begin_round();
        assert!(retained.copy(0, 1, 1));
    }

    #[test]
    fn a_topic_costs_a_write_when_it_is_new_and_when_it_begins_to_change() {
        let mut retained = Retained::default();
        let is_written = |retained: &mut Retained| {
            let is_stale = retained.is_stale();
            retained.write(&HashSet::new());
            is_stale
        };
        retained.copy(1, 10, 1);
        assert!(is_written(&mut retained));
        retained.copy(1, 10, 1);
        retained.live(1, 10);
        assert!(!is_written(&mut retained));
        retained.live(1, 11);
        assert!(is_written(&mut retained));
        for payload in 12..20 {
            retained.live(1, payload);
            retained.live(2, payload);
        }
        assert!(!is_written(&mut retained));
    }
}
