//! Messages from a Kafka cluster.
//!
//! The one switch of the crate: a build has the consumer (`enabled`), or it has words about how to
//! get one (`disabled`). Both files say the same names.

#[cfg(feature = "kafka")]
mod enabled;
#[cfg(feature = "kafka")]
pub use enabled::{BUILT_IN, Consumer, Running, check, prepare};

#[cfg(not(feature = "kafka"))]
mod disabled;
#[cfg(not(feature = "kafka"))]
pub use disabled::{BUILT_IN, Consumer, Running, check, prepare};
