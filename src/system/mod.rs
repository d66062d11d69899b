//! All the agent knows about the machine it runs on.

pub mod dial;
pub mod files;
pub mod health;
pub mod http;
pub mod log;
pub mod plain;
pub mod pulse;
pub mod services;
pub mod signals;
pub mod stop;
pub mod threads;
pub mod tls;
pub mod traffic;
pub mod transport;
pub mod web;
pub mod zone;
