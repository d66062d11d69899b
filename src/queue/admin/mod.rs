//! `ilagent queue …`: looks at what is stuck, and sets it free.
//!
//! A running agent is asked over its control socket; otherwise the file is opened.

pub(in crate::queue) mod answer;
mod client;
mod command;
pub(in crate::queue) mod control;
mod count;
mod recover;
pub(in crate::queue) mod sweep;
pub(in crate::queue) mod work;

pub use client::{follow, run, status};
pub use command::{Chosen, Command, LIST_MAX};
pub use control::Report;
