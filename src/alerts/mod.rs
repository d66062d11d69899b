//! Points in, alerts out: what Kapacitor's stream tasks do. Pure: no clock, disk, socket or thread.
//!
//! [`point`] is what comes in, [`line`] how it is written, [`event`] what goes out, and [`handlers`]
//! where to, through [`topics`]. [`script`] reads what somebody wants to know about points, [`lambda`] computes it, and
//! [`template`] says it in words. [`zone`] knows local time.

pub mod event;
pub mod handlers;
mod json;
pub mod lambda;
pub mod line;
pub mod point;
pub mod script;
pub mod template;
pub mod topics;
pub mod wanted;
pub mod zone;

pub use event::{Event, Level};
pub use json::NotFinite;
pub use point::{Field, Fields, Name, Point, Tags};
