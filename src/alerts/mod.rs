//! Points in, alerts out: what Kapacitor's stream tasks do. Pure: no clock, disk, socket or thread.
//!
//! [`point`] is what comes in. [`script`] reads what somebody wants to know about it.

pub mod point;
pub mod script;

pub use point::{Field, Fields, Name, Point, Tags};
