//! What iLert's own agent left in its database, in any version: `event_items` and `mqtt_queue`.
//!
//! Its columns came and went over the versions, and one migration can stop half way, so they are
//! looked up before they are read. What the rows mean is for others. The tables stay, empty, so that
//! one can go back.

use super::store::Store;
use crate::queue::push::{Upstream, UpstreamRow};
use crate::queue::row;
use rusqlite::types::ValueRef;

/// Rows handed out at a time.
const ROWS: usize = 256;

/// A column by its last name, and the names it had.
type Names = (&'static str, &'static [&'static str]);

const EVENTS: [Names; 14] = [
    ("integration_key", &["integration_key", "api_key"]),
    ("alert_key", &["alert_key", "incident_key"]),
    ("event_type", &["event_type"]),
    ("summary", &["summary"]),
    ("details", &["details"]),
    ("priority", &["priority"]),
    ("images", &["images"]),
    ("links", &["links"]),
    ("custom_details", &["custom_details"]),
    ("event_api_path", &["event_api_path"]),
    ("labels", &["labels"]),
    ("severity", &["severity"]),
    ("routing_key", &["routing_key"]),
    ("services", &["services"]),
];

const MESSAGES: [Names; 2] = [("topic", &["topic"]), ("payload", &["payload"])];

/// The name of a table, and its columns.
fn table(table: Upstream) -> (&'static str, &'static [Names]) {
    match table {
        Upstream::Events => ("event_items", &EVENTS),
        Upstream::Messages => ("mqtt_queue", &MESSAGES),
    }
}

/// The oldest rows of a table, in their order.
pub(in crate::queue) fn rows(store: &Store, of: Upstream) -> Vec<UpstreamRow> {
    read(store, of).unwrap_or_else(|error| {
        let (name, _) = table(of);
        log::error!("queue: what iLert's agent had queued ({name}) cannot be read: {error}");
        Vec::new()
    })
}

fn read(store: &Store, of: Upstream) -> rusqlite::Result<Vec<UpstreamRow>> {
    let (name, wanted) = table(of);
    let columns = columns(store, name)?;
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    store
        .connection
        .prepare(&select(name, wanted, &columns))?
        .query_map([], |found| {
            let value = |(at, (name, _)): (usize, &Names)| {
                let bytes = match found.get_ref(at + 1)? {
                    ValueRef::Null => None,
                    value => Some(row::bytes(value).to_vec()),
                };
                Ok::<_, rusqlite::Error>((*name, bytes))
            };
            let columns = wanted.iter().enumerate().map(value);
            Ok(UpstreamRow { row: found.get(0)?, columns: columns.collect::<Result<_, _>>()? })
        })?
        .collect()
}

fn columns(store: &Store, table: &str) -> rusqlite::Result<Vec<String>> {
    store
        .connection
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Reads every column under its last name, and NULL where the version did not have it.
fn select(table: &str, wanted: &[Names], columns: &[String]) -> String {
    let first_of = |names: &[&str]| {
        let found = names.iter().find(|name| columns.iter().any(|column| column == *name));
        found.map_or("NULL".to_owned(), |name| format!("CAST({name} AS TEXT)"))
    };
    let list: Vec<String> = wanted.iter().map(|(_, names)| first_of(names)).collect();
    let order = first_of(&["inserted_at", "created_at"]);
    format!(
        "SELECT CAST(rowid AS TEXT), {} FROM {table} ORDER BY {order}, rowid LIMIT {ROWS}",
        list.join(", ")
    )
}

/// Deletes rows of a table.
pub(in crate::queue) fn forget(
    store: &Store,
    of: Upstream,
    rows: &[String],
) -> rusqlite::Result<()> {
    let (name, _) = table(of);
    for row in rows {
        store
            .connection
            .prepare_cached(&format!("DELETE FROM {name} WHERE rowid = CAST(?1 AS INTEGER)"))?
            .execute([row])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use rusqlite::Connection;
    use std::path::{Path, PathBuf};

    const ORIGINAL: &str = "CREATE TABLE event_items (id TEXT PRIMARY KEY, api_key TEXT NOT NULL,
        event_type TEXT NOT NULL, incident_key TEXT NULL, summary TEXT NOT NULL,
        created_at TEXT NOT NULL, priority TEXT NULL, images TEXT NULL, links TEXT NULL,
        custom_details TEXT NULL, details TEXT NULL);";
    const ROWS: &str = "INSERT INTO event_items VALUES
        ('b', 'key', 'RESOLVE', 'K 1', 'two', '2026-05-02 10:11:13 UTC', NULL, NULL, NULL, NULL, NULL),
        ('a', 'key', 'ALERT', 'K 1', 'one', '2026-05-02 10:11:12 UTC', 'HIGH', 'no json', NULL,
         '{\"a\":89490200001234567890}', NULL);";

    /// The states a file can be in, by the migrations it went through.
    const STATES: [(&str, &str); 5] = [
        ("mig_1", ""),
        ("half of mig_2", "ALTER TABLE event_items RENAME COLUMN incident_key TO alert_key;"),
        (
            "mig_2",
            "ALTER TABLE event_items RENAME COLUMN incident_key TO alert_key;
             ALTER TABLE event_items ADD COLUMN inserted_at DATETIME;
             UPDATE event_items SET inserted_at = created_at;",
        ),
        (
            "mig_4",
            "ALTER TABLE event_items RENAME COLUMN incident_key TO alert_key;
             ALTER TABLE event_items ADD COLUMN inserted_at DATETIME;
             UPDATE event_items SET inserted_at = created_at;
             ALTER TABLE event_items ADD COLUMN event_api_path TEXT NULL;
             ALTER TABLE event_items RENAME COLUMN api_key TO integration_key;",
        ),
        (
            "0.11",
            "ALTER TABLE event_items RENAME COLUMN incident_key TO alert_key;
             ALTER TABLE event_items ADD COLUMN inserted_at DATETIME;
             UPDATE event_items SET inserted_at = created_at;
             ALTER TABLE event_items ADD COLUMN event_api_path TEXT NULL;
             ALTER TABLE event_items RENAME COLUMN api_key TO integration_key;
             ALTER TABLE event_items ADD COLUMN labels TEXT NULL;
             ALTER TABLE event_items ADD COLUMN severity INTEGER NULL;",
        ),
    ];

    fn scratch(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("ilagent-upstream-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir.join("ilagent.db3")
    }

    fn open(path: &Path) -> Store {
        Store::open(&config::Queue {
            path: path.to_owned(),
            bytes_max: 1 << 20,
            dead_letters_max: 10,
            sync: config::Safety::Full,
            age_max: config::defaults::AGE_MAX,
        })
        .unwrap()
    }

    fn texts(rows: &[UpstreamRow], name: &str) -> Vec<String> {
        let texts = rows.iter().filter_map(|row| row.column(name));
        texts.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    #[test]
    fn events_of_every_version_are_read_in_their_order() {
        for (state, migrations) in STATES {
            let path = scratch(&state.replace(' ', "-"));
            let made = Connection::open(&path).unwrap();
            made.execute_batch(&format!("{ORIGINAL}{ROWS}{migrations}")).unwrap();
            drop(made);
            let store = open(&path);
            let found = rows(&store, Upstream::Events);
            assert_eq!(texts(&found, "summary"), ["one", "two"], "{state}");
            assert_eq!(texts(&found, "alert_key"), ["K 1", "K 1"], "{state}");
            assert_eq!(texts(&found, "integration_key"), ["key", "key"], "{state}");
            assert_eq!(found[0].column("routing_key"), None, "{state}: it never had one");
            forget(&store, Upstream::Events, &[found[0].row.clone()]).unwrap();
            assert_eq!(texts(&rows(&store, Upstream::Events), "summary"), ["two"], "{state}");
            std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn what_is_in_a_damaged_file_is_taken_over_too() {
        const MESSAGES: &str = "CREATE TABLE mqtt_queue (id TEXT PRIMARY KEY, topic TEXT NOT NULL,
              payload TEXT NOT NULL, inserted_at DATETIME);
            INSERT INTO mqtt_queue VALUES ('m', 'a/b', 'payload', '2026-01-01');";
        for (state, migrations) in STATES {
            let path = scratch(&format!("damaged-{}", state.replace(' ', "-")));
            let made = Connection::open(&path).unwrap();
            made.execute_batch(&format!("{ORIGINAL}{ROWS}{migrations}{MESSAGES}")).unwrap();
            drop(made);
            // The list of tables is lost.
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[100..108].fill(0xff);
            std::fs::write(&path, bytes).unwrap();
            let store = open(&path);
            let found = rows(&store, Upstream::Events);
            assert_eq!(texts(&found, "summary"), ["one", "two"], "{state}: in their order");
            assert_eq!(texts(&rows(&store, Upstream::Messages), "topic"), ["a/b"], "{state}");
            std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        }
    }
}
