//! The database: its file, its tables, its rows.

pub(in crate::queue) mod dead_letters;
pub(in crate::queue) mod file;
mod journal;
mod look;
mod recover;
mod salvage;
pub(in crate::queue) mod schema;
pub(in crate::queue) mod spare;
pub(in crate::queue) mod store;
