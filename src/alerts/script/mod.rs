//! TICKscript: from a text to a pipeline of nodes, with every fault at its line and column.
//!
//! [`parse`] reads a text into [`ast`], which [`format`](format()) prints again, and of which
//! [`build`](build()) makes a pipeline, with the values that [`Vars`] has for its variables.

pub mod ast;
mod build;
pub mod fault;
mod format;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod value;

pub use ast::Place;
pub use build::build;
pub use fault::{Fault, Faults};
pub(crate) use format::duration;
pub use format::{format, format_expression};
pub use parser::{SCRIPT_BYTES_MAX, parse, parse_expression};
pub use value::{Value, Vars, nanoseconds};
