//! From a message to a heartbeat ping.
