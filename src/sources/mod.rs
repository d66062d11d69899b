//! Where messages come from; each owes intake a message and a receipt.

mod hand;
pub mod http;
pub mod kafka;
pub mod mqtt;
