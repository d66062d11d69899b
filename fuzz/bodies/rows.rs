//! Rows of a database that somebody else has written into.

use super::{Input, are_words};
use crossbeam_channel::{Receiver, bounded};
use ilagent::config;
use ilagent::message::{Delivery, Errand, Keep, LaneName, Outcome};
use ilagent::queue::admin::{self, Command};
use ilagent::queue::{DeadLetter, Push, Queue, Storing, Terms};
use ilagent::sinks::ilert::BACKOFF;
use ilagent::system::health::Health;
use ilagent::system::threads::Failures;
use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long what is bound to happen may take.
const PATIENCE: Duration = Duration::from_secs(20);

const TABLES: [&str; 4] = ["deliveries", "lanes", "dead_letters", "records"];

/// Deliveries that are there before anybody writes.
const GOOD: [&str; 4] = ["1", "2", "3", "4"];

/// Changes of a database in one input.
const CHANGES_MAX: usize = 4;

/// A folder of its own, in memory where there is such a place, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        if number == 0 {
            remove_left_behind(&parent);
        }
        let folder = parent.join(format!("ilagent-fuzz-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        Scratch(folder)
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("q.db3")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the folders of processes that libFuzzer or a signal ended.
fn remove_left_behind(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("ilagent-fuzz-").and_then(|rest| rest.rsplit('-').nth(1));
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

pub fn open(database: &Path) -> Result<(Queue, Receiver<String>), String> {
    let settings = config::Queue { path: database.to_owned(), ..config::Queue::default() };
    let (tell, failed) = bounded(1);
    Queue::open(&settings, true, &Health::default(), &Failures(tell)).map(|queue| (queue, failed))
}

/// One of two lanes; its number is its body.
pub fn delivery(number: &str) -> Delivery {
    let lane = if number < "3" { "one" } else { "two" };
    Delivery {
        lane: LaneName { sink: "ilert".into(), key: lane.to_owned() },
        order_key: Some("a".to_owned()),
        errand: Errand::Event { path: "/api/events".to_owned() },
        keep: Keep::UntilDelivered,
        body: number.as_bytes().to_vec(),
        origin: "test".to_owned(),
    }
}

/// The bytes of a database with the good ones in it.
fn prepared() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let scratch = Scratch::new("prepared");
        let queue = open(&scratch.database()).expect("a new queue opens").0;
        let mut batch: Vec<Push> = GOOD
            .iter()
            .map(|number| Push::Delivery {
                delivery: delivery(number),
                storing: Storing::AtOnce,
                receipt: None,
            })
            .collect();
        let letter = DeadLetter {
            reason: "no".to_owned(),
            lane: Some(LaneName { sink: "ilert".into(), key: "one".to_owned() }),
            order_key: None,
            errand: Some(Errand::Event { path: "/api/events".to_owned() }),
            origin: "test".to_owned(),
            body: b"{}".to_vec(),
        };
        batch.push(Push::DeadLetter { letter, receipt: None });
        queue.push(batch, None).expect("there is room");
        queue.close();
        fs::read(scratch.database()).expect("it was made")
    })
}

/// Somebody writes any values into any columns: the agent starts, what is as it was is delivered,
/// once, and a person can look at the rest.
pub fn rows(data: &[u8]) {
    let scratch = Scratch::new("rows");
    let database = scratch.database();
    fs::write(&database, prepared()).expect("a database can be written");
    let expected = write_into(&database, Input(data));
    let mut delivered = deliver_all(&database, &expected);
    for command in [
        Command::List { limit: 100, json: true, sink: None },
        Command::List { limit: 100, json: false, sink: None },
        Command::Show { id: "d1".to_owned(), raw: false },
    ] {
        match admin::run(&database, &command) {
            Ok(text) => {
                let control = |letter: char| letter.is_control() && letter != '\n';
                assert!(!text.contains(control), "{text:?}");
            }
            Err(why) => are_words(&why),
        }
    }
    delivered.extend(deliver_all(&database, &BTreeSet::new()));
    for number in expected {
        let times = delivered.iter().filter(|body| **body == *number.as_bytes()).count();
        assert_eq!(times, 1, "delivery {number}");
    }
}

/// Starts a queue, takes what is expected and whatever else can be had, and closes it.
fn deliver_all(database: &Path, expected: &BTreeSet<&str>) -> Vec<Vec<u8>> {
    let (queue, failed) = match open(database) {
        Ok(opened) => opened,
        Err(why) => panic!("the agent does not start: {why}"),
    };
    let terms = Terms {
        sink: "ilert".into(),
        in_flight_max: 10,
        backoff: BACKOFF,
        attempts_max: None,
        in_order: false,
        by_policy: false,
    };
    let claims = queue.claims(terms, None);
    let (mut delivered, mut missing) = (Vec::new(), expected.clone());
    let until = Instant::now() + PATIENCE;
    loop {
        let patience = Duration::from_millis(if missing.is_empty() { 0 } else { 10 });
        if let Some(claim) = claims.wait(Some(patience)) {
            are_words(&claim.delivery.to_string());
            let body = claim.delivery.body.clone();
            missing.retain(|number| number.as_bytes() != body);
            delivered.push(body);
            claims.settle(claim, Outcome::Delivered);
        } else if missing.is_empty() {
            break;
        }
        assert!(failed.is_empty(), "the queue ended: {:?}", failed.try_recv());
        assert!(Instant::now() < until, "not delivered: {missing:?}");
    }
    queue.stop_claims();
    queue.close();
    assert!(failed.is_empty(), "the queue ended: {:?}", failed.try_recv());
    delivered
}

/// Writes as the input says, and tells which of the good ones are still as they were.
fn write_into(database: &Path, mut input: Input) -> BTreeSet<&'static str> {
    let connection = Connection::open(database).expect("the database opens");
    let before = good(&connection);
    for _ in 0..CHANGES_MAX {
        if input.0.is_empty() {
            break;
        }
        let table = TABLES[usize::from(input.byte()) % TABLES.len()];
        let columns = columns(&connection, table);
        let how = input.byte();
        if how.is_multiple_of(2) {
            let values: Vec<Value> = columns.iter().map(|name| value(&mut input, name)).collect();
            let marks = vec!["?"; columns.len()].join(", ");
            let sql = format!("INSERT OR REPLACE INTO {table} VALUES ({marks})");
            // What the table refuses, nobody has written.
            let _ = connection.execute(&sql, rusqlite::params_from_iter(values));
        } else {
            let column = &columns[usize::from(how / 2) % columns.len()];
            let sql = format!(
                "UPDATE OR IGNORE {table} SET {column} = ?1 WHERE rowid IN \
                 (SELECT rowid FROM {table} LIMIT 1 OFFSET ?2)"
            );
            let at = i64::from(input.byte() % 4);
            let value = value(&mut input, column);
            let _ = connection.execute(&sql, rusqlite::params![value, at]);
        }
    }
    // Text that is none: SQLite does not look.
    if input.byte() % 2 == 1 {
        let sql = "UPDATE deliveries SET target = CAST(x'ff41' AS TEXT) WHERE body = x'31'";
        let _ = connection.execute(sql, []);
    }
    let after = good(&connection);
    let still: Vec<&(Vec<Value>, &str)> = before.iter().filter(|row| after.contains(row)).collect();
    still.into_iter().map(|(_, number)| *number).collect()
}

/// The good deliveries with all that is written about them and their lanes.
fn good(connection: &Connection) -> Vec<(Vec<Value>, &'static str)> {
    let mut statement = connection
        .prepare("SELECT d.*, l.* FROM deliveries d JOIN lanes l ON l.number = d.id >> 40")
        .expect("the tables are there");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|at| match row.get_ref(at)? {
                ValueRef::Text(text) if std::str::from_utf8(text).is_err() => {
                    Ok(Value::Blob(text.to_vec()))
                }
                _ => row.get(at),
            })
            .collect::<rusqlite::Result<Vec<Value>>>()
    });
    rows.expect("they can be read")
        .filter_map(Result::ok)
        .filter_map(|row| {
            let is = |number: &&&str| row.contains(&Value::Blob(number.as_bytes().to_vec()));
            let number = *GOOD.iter().find(is)?;
            Some((row, number))
        })
        .collect()
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement =
        connection.prepare(&format!("PRAGMA table_info({table})")).expect("a table");
    let names = statement.query_map([], |row| row.get(1)).expect("it has columns");
    names.map(|name| name.expect("a name")).collect()
}

/// Any value, and often one that the column could have.
fn value(input: &mut Input, column: &str) -> Value {
    let kind = input.byte();
    let length = usize::from(kind / 16);
    let integer = |input: &mut Input| {
        let mut bytes = [0; 8];
        let taken = input.take(8);
        bytes[..taken.len()].copy_from_slice(taken);
        i64::from_le_bytes(bytes)
    };
    match kind % 16 {
        0 => Value::Null,
        1 => Value::Integer(integer(input)),
        2 => Value::Real(f64::from_bits(integer(input).cast_unsigned())),
        3 => Value::Text(String::from_utf8_lossy(input.take(length)).into_owned()),
        4 => Value::Blob(input.take(length).to_vec()),
        5 => Value::Integer(i64::from(input.byte())),
        6 => Value::Integer(i64::MAX - i64::from(input.byte())),
        7 => Value::Integer((i64::from(input.byte()) << 40) | i64::from(input.byte())),
        8 => Value::Text("x\u{1b}[2J\ny".to_owned()),
        _ => match column {
            "id" => Value::Integer((1 << 40) | i64::from(5 + input.byte() % 3)),
            "kind" => Value::Text(["event", "heartbeat", "policy"][length % 3].to_owned()),
            "sink" => Value::Text("ilert".to_owned()),
            "key" | "lane_key" => Value::Text("one".to_owned()),
            "attempts" | "stored_at" | "buried_at" | "number" => Value::Integer(1),
            "body" => Value::Blob(b"{}".to_vec()),
            "order_key" | "sum" | "note" => Value::Null,
            _ => Value::Text("/api/events".to_owned()),
        },
    }
}
