//! An edge agent: it takes messages in, keeps them safe and hands them on.
//!
//! Read the modules in this order. The first six are the way of a message:
//!
//! 1. [`message`]: what moves. A raw `Message`, the `Delivery` mapped from it, its `Receipt`.
//! 2. [`sources`]: where messages come from.
//! 3. [`intake`]: the one way in: route, map, push. A source lets go of a message when its receipt
//!    is signed, not before.
//! 4. [`mapping`]: which deliveries a message becomes. Pure.
//! 5. [`queue`]: deliveries that are safe but not yet handed over.
//! 6. [`sinks`]: where deliveries go: one attempt, one verdict.
//!
//! Measurements take another way in: `alerts` makes alerts of them by Kapacitor's scripts.
//!
//! Two of its ends have modules of their own: [`mqtt`] is one session with a broker, [`ilert`] is
//! ilert's API. [`verdict`] is what all HTTP sinks need to judge a reply.
//!
//! [`config`] says what to do in one model, whatever dialect it was written in. [`topic`] and
//! [`retry`] are the two rules that several modules need: which topics a filter matches, and how
//! long to wait after a failure. [`cel`] asks events which way they go.
//!
//! [`commissioned`] says how services of Connectware are.
//!
//! [`agent`] builds everything from a configuration, starts it and stops it. It is watched from
//! three sides: [`status`] answers whoever asks, [`heartbeat`] pings while all is well, and
//! [`supervise`] reports to systemd. [`cli`] is the command line in front of all this, and
//! [`system`] is all the agent knows about the machine.
//!
//! Imports point one way: `tests/layers.rs` draws the map and fails when one does not.

pub mod message;

pub mod sources;

#[cfg(feature = "kapacitor")]
pub mod watch;

#[cfg(feature = "kapacitor")]
pub mod alerts;

pub mod intake;

pub mod mapping;

pub mod queue;

pub mod sinks;

pub mod mqtt;

pub mod ilert;

pub mod verdict;

pub mod commissioned;

pub mod config;

pub mod topic;

pub mod cel;

#[cfg(feature = "connectware")]
pub mod jsonata;

pub mod retry;

pub mod agent;

pub mod status;

pub mod heartbeat;

pub mod supervise;

pub mod cli;

pub mod system;
