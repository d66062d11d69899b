//! What follows from a message: it is entered in the ledger and handed in, or it is known already.

use super::{Effect, Protocol};
use crate::mqtt::filters;
use crate::mqtt::incoming::{Arrived, By, arrival};
use crate::mqtt::packet::{Oversized, Publish, PublishHead};
use crate::mqtt::publish;
use log::debug;

impl Protocol {
    /// Enters a message, unless it is in our hands already.
    pub(super) fn published(&mut self, publish: &Publish<'_>) -> Effect {
        let (head, name) = (publish.head, &self.name);
        let by = self.brought_by(publish.topic, publish.properties, head);
        let arrived = self.ledger.arrived(publish.topic, publish.payload, head, &by);
        let (ticket, retained) = match arrived {
            Arrived::New(ticket) => (ticket, false),
            Arrived::NewCopy(ticket) => (ticket, true),
            Arrived::Unwanted => return Effect::Nothing,
            Arrived::Again => {
                debug!("mqtt {name}: message with id {} came before", head.packet_id);
                return Effect::Nothing;
            }
        };
        Effect::HandIn(arrival::of(name, publish, ticket, retained))
    }

    /// Enters a message that was too large to keep.
    pub(super) fn oversized(&mut self, oversized: &Oversized) -> Effect {
        let (head, bytes) = (oversized.head, oversized.bytes);
        let by = self.brought_by(&oversized.topic, &oversized.properties, head);
        let size = bytes.to_be_bytes();
        let arrived = self.ledger.arrived(&oversized.topic, &size, head, &by);
        let (Arrived::New(ticket) | Arrived::NewCopy(ticket)) = arrived else {
            return Effect::Nothing;
        };
        Effect::HandIn(arrival::of_oversized(&self.name, oversized, ticket))
    }

    /// What our subscriptions have to do with a message.
    fn brought_by(&self, topic: &[u8], properties: &[u8], head: PublishHead) -> By {
        let subscriptions = &self.subscriptions;
        let all = if properties.is_empty() { Vec::new() } else { subscriptions.numbers(topic) };
        let is_asked = all.len() > 1 || head.retain && !properties.is_empty();
        let mut numbers = if is_asked { publish::numbers(properties) } else { Vec::new() };
        let mut as_published = false;
        for number in &mut numbers {
            as_published |= filters::take_as_published(number);
        }
        let may_be_copy = head.retain && !as_published;
        By {
            wanted: subscriptions.want(topic),
            may_be_copy,
            copies: if may_be_copy { subscriptions.copies(topic) } else { 0 },
            numbers: if all.len() > 1 { numbers } else { Vec::new() },
            all,
        }
    }
}
