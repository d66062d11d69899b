//! An edge agent: it takes messages in, keeps them safe and hands them on.
//!
//! Read the modules in this order, which is also the order in which a message travels:
//!
//! 1. [`message`]: what moves: a raw `Message`, the `Delivery` mapped from it, its `Receipt`.
//! 2. [`sources`]: where messages come from.
//! 3. [`intake`]: the one way in: rule, map, push. A source lets go of a message when its
//!    receipt is signed, not before.
//! 4. [`mapping`]: which deliveries a message becomes. Pure.
//! 5. [`queue`]: deliveries that are safe but not yet handed over.
//! 6. [`sinks`]: one attempt, one verdict.
//!
//! Around that path, [`config`] says what to do in one model, whatever dialect it was written in,
//! [`agent`] builds everything from it, and [`system`] is all the agent knows about the machine.
//!
//! Imports point one way: `tests/layers.rs` draws the map and fails when one does not.

pub mod agent;
pub mod cli;
pub mod config;
pub mod heartbeat;
pub mod ilert;
pub mod intake;
pub mod mapping;
pub mod message;
pub mod mqtt;
pub mod queue;
pub mod retry;
pub mod sinks;
pub mod sources;
pub mod status;
pub mod supervise;
pub mod system;
pub mod topic;
