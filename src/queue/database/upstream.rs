//! What iLert's own agent left in its database: `event_items` and `mqtt_queue`, of any version.
//!
//! Its columns came and went over the versions, and one migration can stop half way, so they are
//! looked up before they are read. The tables stay, empty, so that one can go back.

use super::orphans;
use super::store::Store;
use crate::message::{Delivery, Errand, ILERT, Keep, LaneName, path_segment};
use crate::queue::push::{DeadLetter, UpstreamMessage};
use crate::queue::row::{self, RowId};
use percent_encoding::percent_decode_str;
use rusqlite::Row;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, HashMap};

/// Rows converted in one transaction.
const CHUNK: usize = 500;

/// Raw messages handed out at a time.
const MESSAGES: usize = 256;

/// Where upstream sends an event that names no path.
const EVENTS: &str = "/events";

/// Turns the rows of `event_items` into deliveries, in their order.
pub(in crate::queue) fn convert(store: &mut Store) -> rusqlite::Result<()> {
    let columns = columns(store, "event_items")?;
    if columns.is_empty() {
        return Ok(());
    }
    let query = select(&columns);
    let mut last = store.lanes()?.iter().map(|lane| lane.seqs.1).max().unwrap_or(0);
    let mut numbers = HashMap::new();
    let mut converted = 0;
    loop {
        let rows: Vec<(i64, Result<Delivery, DeadLetter>)> = store
            .connection
            .prepare(&query)?
            .query_map([], |row| {
                Ok((row.get("rowid")?, delivery(row).map_err(|error| unreadable(row, &error))))
            })?
            .collect::<Result<_, _>>()?;
        if rows.is_empty() {
            break;
        }
        store.begin()?;
        for (rowid, delivery) in &rows {
            match delivery {
                Ok(delivery) => {
                    let lane = orphans::number(store, &delivery.lane, &mut numbers)?;
                    last += 1;
                    store.insert(RowId { lane, seq: last }, delivery, 0)?;
                }
                Err(letter) => {
                    log::error!("queue: {}; `ilagent queue list` shows it", letter.reason);
                    store.bury(letter)?;
                }
            }
            store.connection.execute("DELETE FROM event_items WHERE rowid = ?1", [rowid])?;
        }
        store.commit()?;
        converted += rows.len();
    }
    if converted > 0 {
        log::info!("queue: took over {converted} events that iLert's agent had queued");
    }
    Ok(())
}

fn columns(store: &Store, table: &str) -> rusqlite::Result<Vec<String>> {
    store
        .connection
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Reads every column under its last name, and NULL where the version did not have it.
fn select(columns: &[String]) -> String {
    let first_of = |names: &[&str]| {
        let found = names.iter().find(|name| columns.iter().any(|column| column == *name));
        found.map_or("NULL".to_owned(), |name| format!("CAST({name} AS TEXT)"))
    };
    let wanted = [
        ("integration_key", &["integration_key", "api_key"][..]),
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
    let list: Vec<String> =
        wanted.iter().map(|(name, names)| format!("{} AS {name}", first_of(names))).collect();
    let order = first_of(&["inserted_at", "created_at"]);
    format!(
        "SELECT rowid AS rowid, {} FROM event_items ORDER BY {order}, rowid LIMIT {CHUNK}",
        list.join(", ")
    )
}

fn delivery(row: &Row) -> rusqlite::Result<Delivery> {
    let text = |name: &str| row.get::<_, Option<String>>(name);
    let json = |name: &str| {
        // What does not parse counts as absent, as upstream reads it; the rest goes as it stands.
        let parsed = text(name)?.and_then(|text| RawValue::from_string(text).ok());
        Ok::<_, rusqlite::Error>(parsed.unwrap_or_else(|| raw(&())))
    };
    let key = text("integration_key")?.unwrap_or_default();
    let alert_key = text("alert_key")?;
    let event_type = text("event_type")?.unwrap_or_else(|| "ALERT".to_owned());
    let body = BTreeMap::from([
        ("integrationKey", raw(&key)),
        ("eventType", raw(&event_type)),
        ("summary", raw(&text("summary")?.unwrap_or_default())),
        ("alertKey", raw(&alert_key)),
        ("details", raw(&text("details")?)),
        ("priority", raw(&text("priority")?)),
        ("severity", json("severity")?),
        ("images", json("images")?),
        ("links", json("links")?),
        ("customDetails", json("custom_details")?),
        ("routingKey", raw(&text("routing_key")?)),
        ("labels", json("labels")?),
        ("services", json("services")?),
    ]);
    let path = text("event_api_path")?.unwrap_or_else(|| EVENTS.to_owned());
    Ok(Delivery {
        order_key: alert_key.map(|key| key.trim().to_lowercase()).filter(|key| !key.is_empty()),
        lane: LaneName { sink: ILERT, key },
        errand: Errand::Event { path: format!("/api{}", encoded(&path)) },
        keep: Keep::UntilDelivered,
        body: serde_json::to_vec(&body).expect("texts and JSON are JSON"),
        origin: "upstream".to_owned(),
    })
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("a text is JSON")
}

/// What can be read of a row that is no event.
fn unreadable(row: &Row, error: &rusqlite::Error) -> DeadLetter {
    let columns = row.as_ref().column_names();
    let text = |name: &str| row.get_ref(name).map(row::lossy).unwrap_or_default();
    let body: serde_json::Value = columns.map(|name| (name, text(name))).collect();
    DeadLetter {
        reason: format!("an event that iLert's agent had queued is damaged: {error}"),
        lane: Some(LaneName { sink: ILERT, key: text("integration_key") }),
        order_key: None,
        errand: None,
        origin: "upstream".to_owned(),
        body: body.to_string().into_bytes(),
    }
}

/// The path with its last segment, a key that upstream did not escape, made safe.
fn encoded(path: &str) -> String {
    const BEFORE_KEY: [&str; 2] = ["/v1/events/mqtt/", "/v1/events/kafka/"];
    for before in BEFORE_KEY {
        if let Some(key) = path.strip_prefix(before) {
            let plain = percent_decode_str(key).decode_utf8_lossy();
            if let Some(segment) = path_segment(&plain) {
                return format!("{before}{segment}");
            }
        }
    }
    EVENTS.to_owned()
}

/// The oldest raw messages in `mqtt_queue`.
pub(in crate::queue) fn messages(store: &Store) -> Vec<UpstreamMessage> {
    read_messages(store).unwrap_or_else(|error| {
        log::error!("queue: the messages that iLert's agent had queued cannot be read: {error}");
        Vec::new()
    })
}

fn read_messages(store: &Store) -> rusqlite::Result<Vec<UpstreamMessage>> {
    if columns(store, "mqtt_queue")?.is_empty() {
        return Ok(Vec::new());
    }
    store
        .connection
        .prepare(&format!(
            "SELECT CAST(rowid AS TEXT), topic, CAST(payload AS BLOB) FROM mqtt_queue
             ORDER BY inserted_at, rowid LIMIT {MESSAGES}"
        ))?
        .query_map([], |row| {
            let topic = row::lossy(row.get_ref(1)?);
            Ok(UpstreamMessage { row: row.get(0)?, topic, payload: row.get(2)? })
        })?
        .collect()
}

/// Deletes rows of `mqtt_queue`.
pub(in crate::queue) fn forget(store: &Store, rows: &[String]) -> rusqlite::Result<()> {
    for row in rows {
        store
            .connection
            .prepare_cached("DELETE FROM mqtt_queue WHERE rowid = CAST(?1 AS INTEGER)")?
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

    #[test]
    fn events_of_every_version_become_deliveries_in_their_order() {
        for (state, migrations) in STATES {
            let path = scratch(&state.replace(' ', "-"));
            let made = Connection::open(&path).unwrap();
            made.execute_batch(&format!("{ORIGINAL}{ROWS}{migrations}")).unwrap();
            drop(made);
            let mut store = open(&path);
            convert(&mut store).unwrap();
            let listed = store.listed(None, 10).unwrap();
            let shown: Vec<_> =
                listed.iter().filter_map(|one| store.shown(one.seq).unwrap()).collect();
            let summaries: Vec<serde_json::Value> = shown
                .iter()
                .map(|shown| {
                    serde_json::from_slice::<serde_json::Value>(&shown.delivery.body).unwrap()
                })
                .map(|body| body["summary"].clone())
                .collect();
            assert_eq!(summaries, ["one", "two"], "{state}");
            assert_eq!(shown[0].delivery.order_key.as_deref(), Some("k 1"), "{state}");
            assert_eq!(shown[0].delivery.errand.target(), "/api/events", "{state}");
            let body = String::from_utf8_lossy(&shown[0].delivery.body);
            assert!(body.contains(r#""customDetails":{"a":89490200001234567890}"#), "{body}");
            convert(&mut store).unwrap();
            assert_eq!(store.listed(None, 10).unwrap().len(), 2, "{state}: only once");
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
            // The table of contents is lost.
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[100..108].fill(0xff);
            std::fs::write(&path, bytes).unwrap();
            let mut store = open(&path);
            convert(&mut store).unwrap();
            let listed = store.listed(None, 10).unwrap();
            let keys = listed.iter().map(|one| one.delivery.lane.key.as_str());
            assert_eq!(keys.collect::<Vec<_>>(), ["key", "key"], "{state}");
            let first = store.shown(listed[0].seq).unwrap().unwrap().delivery;
            let body: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
            assert_eq!(body["summary"], "one", "{state}: in their order");
            assert_eq!(messages(&store)[0].topic, "a/b", "{state}");
            std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_key_in_a_path_is_made_safe() {
        for (path, safe) in [
            ("/events", "/events"),
            ("/v1/events/mqtt/il1api1", "/v1/events/mqtt/il1api1"),
            ("/v1/events/mqtt/../../../users", "/v1/events/mqtt/..%2F..%2F..%2Fusers"),
            ("/../users", "/events"),
        ] {
            assert_eq!(encoded(path), safe, "{path}");
        }
    }
}
