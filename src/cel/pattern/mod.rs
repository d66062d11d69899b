//! Regular expressions, for `matches`.
//!
//! A switch of the crate: a build has them (`enabled`) or refuses them (`disabled`). Both files say
//! the same names.

#[cfg(feature = "dapr")]
mod enabled;
#[cfg(feature = "dapr")]
pub(super) use enabled::Pattern;

#[cfg(not(feature = "dapr"))]
mod disabled;
#[cfg(not(feature = "dapr"))]
pub(super) use disabled::Pattern;
