//! The command lines of `kapacitord` and `kapacitor`.
//!
//! A switch of the crate: a build knows them (`enabled`), or it says that it does not
//! (`disabled`). Both files say the same names.

#[cfg(feature = "kapacitor")]
mod enabled;
#[cfg(feature = "kapacitor")]
pub use enabled::{Ask, Failure, read, run};

#[cfg(not(feature = "kapacitor"))]
mod disabled;
#[cfg(not(feature = "kapacitor"))]
pub use disabled::{Ask, Failure, read, run};

/// The programs whose command lines this one understands, by their names.
pub(super) const PROGRAMS: [&str; 2] = ["kapacitord", "kapacitor"];
