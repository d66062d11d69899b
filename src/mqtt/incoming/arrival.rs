//! A message as it is handed in, whatever the broker made of its topic.

use crate::message::{Arrival, Message, Origin};
use crate::mqtt::packet::{self, Oversized, Publish};
use crate::system::plain::plain;
use log::{info, warn};

/// A message that came whole to the session `name`.
pub(in crate::mqtt) fn of(
    name: &str,
    publish: &Publish<'_>,
    ticket: u64,
    retained: bool,
) -> Arrival {
    let payload = publish.payload.to_vec();
    let (topic, reason) = readable(publish.topic);
    info!(
        "mqtt {name}: received {} bytes on {} (QoS {}, id {})",
        payload.len(),
        plain(&topic),
        packet::level(publish.head.qos),
        publish.head.packet_id
    );
    match reason {
        None => Arrival::Message {
            message: Message {
                topic,
                payload,
                origin: Origin::Mqtt,
                qos: publish.head.qos,
                retain: publish.head.retain,
                retained,
            },
            ticket,
        },
        Some(reason) => Arrival::Unreadable { topic, reason: reason.into(), payload, ticket },
    }
}

/// A message that was too large to keep.
pub(in crate::mqtt) fn of_oversized(name: &str, oversized: &Oversized, ticket: u64) -> Arrival {
    let (topic, bytes) = (readable(&oversized.topic).0, oversized.bytes);
    let shown = plain(&topic);
    warn!("mqtt {name}: a message of {bytes} bytes on {shown} is too large and is not kept");
    Arrival::Oversized { topic, bytes, ticket }
}

/// A topic as text, and what is wrong with it if anything is.
fn readable(topic: &[u8]) -> (String, Option<&'static str>) {
    match str::from_utf8(topic) {
        Err(_) => {
            (String::from_utf8_lossy(topic).into_owned(), Some("the topic is not valid UTF-8"))
        }
        Ok("") => (String::new(), Some("the topic is empty")),
        Ok(text) if text.contains('\0') => {
            (text.to_owned(), Some("the topic contains the character NUL"))
        }
        Ok(text) => (text.to_owned(), None),
    }
}
