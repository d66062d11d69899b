//! From a message to a delivery. Pure.

pub mod event;
pub mod heartbeat;
pub mod json;
pub mod path;
pub mod policy;
pub mod routing;

use crate::message::Delivery;

/// The name of the sink all of these go to.
const SINK: &str = "ilert";

/// What a rule makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// Something to hand over.
    Deliver(Delivery),
    /// Nothing, as configured; the reason is for the debug log.
    Dropped(String),
    /// Nothing, because the payload does not fit the rule: a dead letter with this reason.
    Dead(String),
}

/// The kind of source a message came from; it decides ilert's endpoint and `customDetails`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From<'a> {
    /// An MQTT broker.
    Mqtt,
    /// Kafka, with the key of the message.
    Kafka {
        /// The key, or empty.
        message_key: &'a str,
    },
}
