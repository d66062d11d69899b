//! From a message to a delivery. Pure.

pub mod app;
pub mod call;
pub mod cloudevent;
#[cfg(feature = "dapr")]
pub mod dapr;
pub mod event;
pub mod heartbeat;
pub mod json;
pub mod path;
pub mod policy;
pub mod publish;
pub mod routing;
pub mod shape;

use crate::message::Delivery;

/// What a rule makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// Something to hand over.
    Deliver(Delivery),
    /// Something to hand over elsewhere, because what was wanted is not possible, for this reason.
    Diverted(Delivery, String),
    /// Nothing, as configured; the reason is for the debug log.
    Dropped(String),
    /// Nothing, because the payload does not fit the rule: a dead letter with this reason.
    Dead(String),
}
