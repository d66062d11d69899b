//! Points in, alerts out: what Kapacitor's stream tasks do. Pure: no clock, disk, socket or thread.
//!
//! [`point`] is what comes in.

pub mod point;

pub use point::{Field, Fields, Name, Point, Tags};
