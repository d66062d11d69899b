//! QoS 1 acknowledgements that may have been lost with their connection.
//!
//! A message that comes again after its acknowledgement was lost has the id and content of one
//! that we had, and the DUP flag. So may a new message, if the broker reuses an id as soon as it is
//! free and publishers repeat themselves. Confusing the two would lose a message, so nothing is
//! recognised until the broker has shown that it counts its ids up: then an id comes back only
//! after 65,535 messages.

use crate::mqtt::packet::PublishHead;
use std::collections::{HashMap, VecDeque};

/// How many acknowledgements that may have been lost on their way are remembered.
pub(super) const RECENT_MAX: usize = 1_024;

/// What was acknowledged, and how the broker numbers its messages.
#[derive(Debug, Default)]
pub(super) struct Recent {
    contents: HashMap<u16, u64>,
    order: VecDeque<u16>,
    /// PINGREQs that are not answered.
    pings: usize,
    /// How many of `order` went out in front of the first of them.
    confirmable: usize,
    /// The id acknowledged last on this connection, and as it was at the first of the pings.
    last: Option<u16>,
    last_pinged: Option<u16>,
    /// An id that is certainly free for the broker: the ping behind it was answered.
    free: Option<u16>,
    counts_up: Option<bool>,
}

impl Recent {
    /// Whether the answer to a ping would tell how the broker numbers its messages.
    pub(super) fn wants_ping(&self) -> bool {
        self.counts_up.is_none() && self.free.is_none() && self.pings == 0 && self.last.is_some()
    }

    pub(super) fn connected(&mut self) {
        (self.pings, self.confirmable, self.last, self.last_pinged) = (0, 0, None, None);
    }

    pub(super) fn note(&mut self, packet_id: u16, content: u64) {
        if self.counts_up == Some(false) {
            return;
        }
        if self.order.len() == RECENT_MAX {
            self.forget_oldest();
        }
        if self.contents.insert(packet_id, content).is_none() {
            self.order.push_back(packet_id);
        }
        self.last = Some(packet_id);
    }

    /// Whether the message is one that was acknowledged.
    pub(super) fn is_repeated(&self, head: PublishHead, content: u64) -> bool {
        let known = self.contents.get(&head.packet_id);
        head.dup && known == Some(&content) && self.counts_up == Some(true)
    }

    /// Learns from a message that is not known how the broker numbers them.
    pub(super) fn learn(&mut self, head: PublishHead) {
        let (packet_id, open) = (head.packet_id, self.counts_up.is_none());
        let returned = match head.dup {
            true => open && self.free == Some(packet_id),
            false => {
                self.contents.contains_key(&packet_id)
                    || open && self.free.is_some_and(|free| packet_id <= free)
            }
        };
        if returned || self.counts_up == Some(false) {
            *self = Recent { counts_up: Some(false), ..Recent::default() };
        } else if !head.dup {
            self.counts_up = self.counts_up.or(self.free.map(|_| true));
        } else if self.contents.remove(&packet_id).is_some() {
            // Its acknowledgement was lost; there will be another.
            self.order.retain(|&known| known != packet_id);
            self.confirmable = self.confirmable.saturating_sub(1);
        }
    }

    pub(super) fn pinged(&mut self) {
        if self.pings == 0 {
            (self.confirmable, self.last_pinged) = (self.order.len(), self.last);
        }
        self.pings += 1;
    }

    /// The first ping is answered; those behind it confirm nothing when theirs are.
    pub(super) fn confirm(&mut self) {
        self.pings = self.pings.saturating_sub(1);
        self.free = self.last_pinged.take().or(self.free);
        for _ in 0..self.confirmable {
            self.forget_oldest();
        }
        self.confirmable = 0;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.contents.len(), self.order.len());
        self.order.len()
    }

    fn forget_oldest(&mut self) {
        if let Some(packet_id) = self.order.pop_front() {
            self.contents.remove(&packet_id);
        }
        self.confirmable = self.confirmable.saturating_sub(1);
    }
}
