//! What a session does that publishes: it takes on, writes, settles and says goodbye.

use super::{Life, Role};
use crate::mqtt::end::End;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::packet::level;
use crate::mqtt::supply::Offer;
use bytes::BytesMut;
use log::warn;
use std::time::Instant;

impl Life {
    /// Takes on what there is to publish, and appends what may go out now. When there is nothing,
    /// returns when to look again.
    pub(in crate::mqtt) fn publish(&mut self, now: Instant, out: &mut BytesMut) -> Option<Instant> {
        let Role::Publish(supply) = &mut self.role else { return None };
        let Some(outbox) = &mut self.protocol.outbox else { return None };
        supply.settle(&mut outbox.verdicts);
        let mut look_again = None;
        while outbox.has_room() && look_again.is_none() {
            match supply.next(now) {
                Offer::This(ticket) => outbox.enter(ticket, supply.delivery(ticket)),
                Offer::Nothing(at) => {
                    look_again = at;
                    break;
                }
            }
        }
        outbox.write(&|ticket| supply.delivery(ticket), out);
        if let Some(qos) = outbox.was_lowered() {
            let (name, qos) = (&self.broker.name, level(qos));
            warn!("mqtt {name}: the broker knows QoS {qos} at most: what asks for more gets that");
        }
        supply.settle(&mut outbox.verdicts);
        look_again
    }

    /// All that was appended is in the socket.
    pub(in crate::mqtt) fn flushed(&mut self) {
        if let (Role::Publish(supply), Some(outbox)) = (&mut self.role, &mut self.protocol.outbox) {
            outbox.flushed();
            supply.settle(&mut outbox.verdicts);
        }
    }

    /// Whether publications wait for an answer; those that have one are settled.
    pub(in crate::mqtt) fn awaits_answers(&mut self) -> bool {
        self.flushed();
        self.protocol.outbox.as_ref().is_some_and(Outbox::awaits)
    }

    /// A connection has ended before all publications on it were answered.
    pub(super) fn leave_publications(&mut self, end: &End) {
        let (Role::Publish(supply), Some(outbox)) = (&mut self.role, &mut self.protocol.outbox)
        else {
            return;
        };
        let reason = if let End::Closed(reason) = end { Some(reason.as_deref()) } else { None };
        if outbox.was_answered {
            // It was of use, though a broker may end it at each publication that it refuses.
            self.failures = 0;
        }
        // The session at the broker may still know one that is given up.
        let gave_up = outbox.ended(reason.is_some(), reason.flatten());
        self.resumes &= !gave_up || self.broker.clean;
        supply.settle(&mut outbox.verdicts);
    }

    /// Says that we are gone, where we said that we are there.
    pub(in crate::mqtt) fn say_offline(&mut self, out: &mut BytesMut) {
        if self.up_since.is_some()
            && let (Some(outbox), Some(status)) = (&mut self.protocol.outbox, &self.broker.status)
        {
            outbox.say_last(&status.topic, status.format.offline().as_bytes(), out);
        }
    }
}
