//! What an application that was written for Dapr publishes: what it asks for beside a body, and the
//! event that is made of that.

pub mod bulk;
pub mod envelope;
pub mod manner;
