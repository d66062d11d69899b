//! From an MQTT message to a delivery for the application of a Dapr sidecar.
//!
//! A switch of the crate: a build has it (`enabled`), or it has none (`disabled`), and then no
//! configuration asks for it. Both files say the same names.

#[cfg(feature = "dapr")]
mod enabled;
#[cfg(feature = "dapr")]
pub use enabled::from_message;

#[cfg(not(feature = "dapr"))]
mod disabled;
#[cfg(not(feature = "dapr"))]
pub use disabled::from_message;
