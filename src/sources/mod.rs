//! Where messages come from; each owes intake a message and a receipt.

pub mod http;
pub mod mqtt;
