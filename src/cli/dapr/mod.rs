//! The command line of `daprd`.
//!
//! A switch of the crate: a build knows it (`enabled`), or it says that it does not (`disabled`).
//! Both files say the same names.

#[cfg(feature = "dapr")]
mod enabled;
#[cfg(feature = "dapr")]
pub use enabled::read;

#[cfg(not(feature = "dapr"))]
mod disabled;
#[cfg(not(feature = "dapr"))]
pub use disabled::read;

/// The program whose command line this one understands, by its name.
pub(super) const PROGRAM: &str = "daprd";
