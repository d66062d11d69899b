//! What a Kapacitor does: points in, tasks and handlers over HTTP, alerts out.
//!
//! A switch of the crate: a build has it (`enabled`), or it has none (`disabled`), and then no
//! configuration asks for it. Both files say the same names.

#[cfg(feature = "kapacitor")]
mod enabled;
#[cfg(feature = "kapacitor")]
pub use enabled::{Kapacitor, Running, check, prepare};

#[cfg(not(feature = "kapacitor"))]
mod disabled;
#[cfg(not(feature = "kapacitor"))]
pub use disabled::{Kapacitor, Running, check, prepare};
