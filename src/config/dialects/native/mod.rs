//! Our own dialect: TOML, and the same keys as JSON.
