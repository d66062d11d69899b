//! The nodes of a running task, one file for each kind.
//!
//! A node gets what its parents let go on, one [`Item`] at a time, and hands it on to those below
//! at once, by reference: a point that no node changes is never copied. What a node knows of a
//! group lies in [`Slots`](group::Slots), under the number of the group.

mod aggregate;
mod alert;
#[cfg(test)]
mod any_points;
mod change_detect;
mod clock;
mod deadman;
mod defaults;
mod derivative;
mod each;
mod eval;
mod from;
mod graph;
mod group;
mod group_by;
mod http_out;
mod item;
mod log;
mod memory;
mod packed;
mod sample;
mod state;
#[cfg(test)]
mod tests;
mod union;
mod view;
mod r#where;
mod window;

pub use alert::own_topic;
pub use group::GROUPS_MAX;

pub(super) use alert::Inhibitors;
pub(super) use graph::{Cx, Graph, Remembered, Site};
pub(super) use group::Groups;
