//! Dapr's dialect: the flags of `daprd` with the YAML folders that they name, and `[dapr]` in our
//! own file.
//!
//! A switch of the crate: a build knows Dapr's words (`enabled`), or it has words about how to get
//! one that does (`disabled`). Both files say the same names.

#[cfg(feature = "dapr")]
mod enabled;
#[cfg(feature = "dapr")]
pub(super) use enabled::own;
#[cfg(feature = "dapr")]
pub use enabled::{FLAGS, Flag, Use, part};

#[cfg(not(feature = "dapr"))]
mod disabled;
#[cfg(not(feature = "dapr"))]
pub(super) use disabled::own;
#[cfg(not(feature = "dapr"))]
pub use disabled::part;

use crate::config::Place;

/// A flag of `daprd`, or a key of `[dapr]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name, without dashes in front.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where it is.
    pub place: Place,
}
