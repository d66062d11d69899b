//! TICKscript: from a text to a pipeline of nodes, with every fault at its line and column.
//!
//! [`parse`] reads a text into [`ast`], which [`format`](format()) prints again.

pub mod ast;
pub mod fault;
mod format;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub use ast::Place;
pub use fault::{Fault, Faults};
pub(crate) use format::duration;
pub use format::{format, format_expression};
pub use parser::{SCRIPT_BYTES_MAX, parse, parse_expression};
