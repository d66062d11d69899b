//! One broker session: connect, TLS and its reload, subscribe, acknowledge.

mod bell;
mod decode;
mod ledger;
mod material;
mod pace;
pub mod packet;
mod properties;
pub mod reader;
mod subscriptions;
pub mod words;
