//! What a Dapr sidecar does for one application: it takes what that publishes, and brings it what it
//! subscribes to.
//!
//! A switch of the crate: a build has it (`enabled`), or it has none (`disabled`), and then no
//! configuration asks for it. Both files say the same names.

#[cfg(feature = "dapr")]
mod enabled;
#[cfg(feature = "dapr")]
pub use enabled::{Dapr, Running, prepare};

#[cfg(not(feature = "dapr"))]
mod disabled;
#[cfg(not(feature = "dapr"))]
pub use disabled::{Dapr, Running, prepare};
