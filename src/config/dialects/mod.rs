//! The languages a configuration can be written in; each ends in [`crate::config::Config`].

pub mod connectware;
pub mod dapr;
pub mod ilagent;
pub mod kapacitor;
pub mod native;
pub mod uci;
