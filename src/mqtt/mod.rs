//! One broker session: connect, TLS and its reload, subscribe, acknowledge.

mod decode;
pub mod packet;
mod properties;
pub mod reader;
pub mod words;
