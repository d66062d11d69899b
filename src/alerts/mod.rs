//! Points in, alerts out: what Kapacitor's stream tasks do. Pure: no clock, disk, socket or thread.
//!
//! [`point`] is what comes in, [`mod@line`] how it is written, [`event`] what goes out, and
//! [`handlers`] where to, through [`topics`]. [`script`] reads what somebody wants to know about
//! points, [`lambda`] computes it, and [`template`] says it in words. A script becomes a [`pipeline`]
//! of nodes, which the [`Engine`] runs. [`zone`] knows local time.

mod effects;
mod engine;
pub mod event;
pub mod handlers;
mod json;
pub mod lambda;
pub mod line;
mod nodes;
pub mod pipeline;
pub mod point;
pub mod script;
pub mod template;
pub mod topics;
pub mod wanted;
pub mod zone;

pub use effects::{Complaint, Effects, Line, SCOPE};
pub use engine::{Engine, Settings};
pub use event::{Event, Level};
pub use json::{NotFinite, rfc3339};
pub use nodes::{GROUPS_MAX, own_topic};
pub use pipeline::Pipeline;
pub use point::{Field, Fields, Name, Point, Tags};

use std::collections::BTreeMap;

/// Things by their names. Boxed, so that maps of all kinds of things are the same code; one of a kind
/// of its own costs up to 8 KB.
pub type Named<T> = BTreeMap<String, Box<T>>;
