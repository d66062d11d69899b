//! TICKscript: from a text to a pipeline of nodes, with every fault at its line and column.

pub mod ast;
pub mod fault;

pub use ast::Place;
pub use fault::{Fault, Faults};
