//! What happens on the board after a commit, or after one that failed.

use super::{Board, ENDING_MAX};
use crate::message::Delivery;
use crate::queue::change::{Buried, Change, Fate};
use crate::queue::entry::{Entry, Position};
use crate::queue::push::Storing;
use crate::queue::row::weight;
use std::time::Instant;

impl Board {
    /// Notes on the board what was written. Returns how many bytes are no longer on their way.
    pub(in crate::queue) fn committed(
        &mut self,
        changes: Vec<Change>,
        fate: Fate,
        now: Instant,
    ) -> u64 {
        let mut arrived = 0;
        self.loose = fate == Fate::MayBeUndone;
        if self.ending >= ENDING_MAX {
            self.call_all();
        }
        for change in changes {
            match change {
                Change::Insert(row, delivery, _, receipt) => {
                    arrived += weight(&delivery);
                    self.add_stored(row, delivery, 0, now);
                    self.effects.receipts.extend(receipt);
                }
                Change::SetAside(lane, mut entry, position, until) => {
                    self.effects.receipts.extend(entry.receipt.take());
                    entry.stored = true;
                    self.give_back(lane, entry, position, until, now);
                }
                Change::Bury(from, letter, receipt) => {
                    match from {
                        Buried::Message => arrived += letter.body.len() as u64,
                        Buried::Row(_) | Buried::Memory => {
                            self.burying = self.burying.saturating_sub(letter.body.len() as u64);
                        }
                    }
                    self.ending = self.ending.saturating_sub(usize::from(from.row().is_some()));
                    self.effects.receipts.extend(receipt);
                }
                Change::Delete(_) | Change::Drop(_) | Change::GiveWay(_) => {
                    self.ending = self.ending.saturating_sub(1);
                }
                Change::Store(_, bytes, receipt) => {
                    arrived += bytes;
                    self.effects.receipts.extend(receipt);
                }
                Change::Sign(receipt) => {
                    self.signing = self.signing.saturating_sub(1);
                    self.effects.receipts.push(receipt);
                }
                Change::AddLane(..)
                | Change::Unbury(..)
                | Change::Attempts(..)
                | Change::ForgetLane(_)
                | Change::ForgetUpstream(..)
                | Change::PutAway(..)
                | Change::Remember(..) => {}
            }
        }
        arrived
    }

    /// Gives an entry back that was set aside, with its row or, if it could not be written,
    /// without.
    pub(in crate::queue) fn give_back(
        &mut self,
        number: u32,
        entry: Entry,
        position: Position,
        until: Instant,
        now: Instant,
    ) {
        let (bytes, seq, stored) = (entry.bytes(), entry.seq, entry.stored);
        if stored {
            self.goes(number, bytes, false);
            self.comes(number, bytes, true);
        } else {
            self.hold(number, &entry, until);
        }
        if position == Position::InFlight {
            self.copy_is_back(number, entry, now);
            return;
        }
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        if !lane.give_back(entry, position, until, now) {
            self.ages.remove(&seq);
        } else if stored {
            self.on_board += bytes;
        }
        let sink = lane.sink;
        self.sinks[sink.0].timers.insert((until, number));
        // It sleeps as long as it knew of nothing that falls due.
        self.effects.calls.insert(sink);
        self.rotate(number);
    }

    /// The database cannot be written: what would be set aside stays in memory, and so does what
    /// came to be stored though its source can wait, where no rows go before it. Says how many
    /// bytes of the latter are not on the way any more.
    pub(in crate::queue) fn cannot_be_written(
        &mut self,
        changes: &mut Vec<Change>,
        now: Instant,
    ) -> usize {
        self.unwritable = true;
        self.call_all();
        let mut back = 0;
        for change in std::mem::take(changes) {
            match change {
                Change::SetAside(lane, entry, position, _)
                    if self.may_stay(lane, &entry.delivery) =>
                {
                    self.give_back(lane, entry, position, now, now);
                }
                Change::Insert(
                    row,
                    delivery,
                    storing @ (Storing::Within(_)
                    | Storing::IfRefused
                    | Storing::IfAway
                    | Storing::IfOthersPass),
                    receipt,
                ) if self.may_stay(row.lane, &delivery) => {
                    if let Some(lane) = self.lanes.get_mut(&row.lane) {
                        lane.has_come(delivery.order_key.as_deref());
                    }
                    back += usize::try_from(weight(&delivery)).unwrap_or(usize::MAX);
                    self.add_unstored(row, delivery, storing, receipt, now);
                }
                other => changes.push(other),
            }
        }
        back
    }

    /// It can be written again.
    pub(in crate::queue) fn can_be_written(&mut self, now: Instant) {
        if std::mem::take(&mut self.unwritable) {
            self.set_those_away_aside(now);
        }
    }

    /// Whether a delivery may stay in memory: no rows go before it, and nothing that came later is
    /// about to be stored, which would go out before it after a restart.
    fn may_stay(&self, number: u32, delivery: &Delivery) -> bool {
        let order_key = delivery.order_key.as_deref();
        self.lanes
            .get(&number)
            .is_none_or(|lane| lane.unread_from.is_none() && !lane.is_followed(order_key))
    }
}
