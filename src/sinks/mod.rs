//! Where deliveries go: one attempt, one verdict. `worker` is the loop every sink shares.

pub mod ilert;
pub mod worker;
