//! The queue as version 0.12 and older wrote it.

/// Its tables, empty; their rows have no checksums, which a test would have to know.
pub const TABLES: &str = "
    CREATE TABLE lanes (number INTEGER PRIMARY KEY, sink TEXT NOT NULL, key TEXT NOT NULL);
    CREATE TABLE deliveries (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, order_key TEXT,
      target TEXT NOT NULL, origin TEXT NOT NULL, attempts INTEGER NOT NULL,
      stored_at INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE dead_letters (id INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL,
      kind TEXT, lane_key TEXT NOT NULL, order_key TEXT, target TEXT NOT NULL,
      origin TEXT NOT NULL, buried_at INTEGER NOT NULL, body BLOB NOT NULL);
    PRAGMA user_version = 1;";
