//! Where deliveries go: one attempt, one verdict. A `crew` of threads claims for a sink that blocks.

pub mod crew;
pub mod ilert;
