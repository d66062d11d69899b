//! Flags and environment, as iLert documents them.
