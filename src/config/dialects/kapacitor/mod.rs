//! Kapacitor's dialect: `kapacitor.conf`, and `[kapacitor]` in our own file.
//!
//! A switch of the crate: a build knows Kapacitor's words (`enabled`), or it has words about how to
//! get one that does (`disabled`). Both files say the same names.

#[cfg(feature = "kapacitor")]
mod enabled;
#[cfg(feature = "kapacitor")]
pub(super) use enabled::own;
#[cfg(feature = "kapacitor")]
pub use enabled::{part, whereabouts};

#[cfg(not(feature = "kapacitor"))]
mod disabled;
#[cfg(not(feature = "kapacitor"))]
pub(super) use disabled::own;
#[cfg(not(feature = "kapacitor"))]
pub use disabled::{part, whereabouts};
