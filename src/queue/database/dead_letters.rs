//! Dead letters: deliveries that were given up, with the reason, bounded in number and size.

use crate::message::{Delivery, Errand, Keep, LaneName, SinkName};
use crate::queue::push::DeadLetter;
use crate::queue::row::{self, Unchecked};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use std::collections::BTreeMap;

/// Most bytes of dead letters kept; beyond it some are removed.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What never became a delivery; version 0.12.0 wrote down what it would have been.
const CHATTER: &str = "(kind IS NULL OR target = '')";

/// How many there are and may be.
#[derive(Debug)]
pub(in crate::queue) struct Bounds {
    pub(in crate::queue) count: u64,
    /// How many each sink has; those that never became deliveries have none.
    pub(in crate::queue) of_sinks: BTreeMap<String, u64>,
    bytes: u64,
    count_max: u64,
    /// Those that had to go in this transaction, and since the start.
    pub(in crate::queue) gone: Option<Gone>,
    pub(in crate::queue) lost: u64,
}

/// Dead letters of deliveries that had to make room.
#[derive(Debug)]
pub(in crate::queue) struct Gone {
    pub(in crate::queue) count: u64,
    pub(in crate::queue) first: i64,
    pub(in crate::queue) last: i64,
    /// What the last of them was kept for.
    pub(in crate::queue) reason: String,
}

/// A dead letter as it is stored.
pub(in crate::queue) struct Stored {
    pub(in crate::queue) id: i64,
    pub(in crate::queue) buried_at: i64,
    pub(in crate::queue) letter: DeadLetter,
    /// It is what was written.
    pub(in crate::queue) sound: bool,
}

impl DeadLetter {
    /// The dead letter of a delivery that is given up.
    pub(in crate::queue) fn of(delivery: Delivery, reason: String) -> Self {
        DeadLetter {
            reason,
            lane: Some(delivery.lane),
            order_key: delivery.order_key,
            errand: Some(delivery.errand),
            origin: delivery.origin,
            body: delivery.body,
        }
    }

    /// The delivery it was; `None` when it never became one.
    pub(in crate::queue) fn into_delivery(self) -> Option<Delivery> {
        Some(Delivery {
            lane: self.lane?,
            order_key: self.order_key,
            errand: self.errand?,
            keep: Keep::UntilDelivered,
            body: self.body,
            origin: self.origin,
        })
    }
}

impl Bounds {
    pub(in crate::queue) fn of(connection: &Connection, count_max: u64) -> rusqlite::Result<Self> {
        let of_sinks = BTreeMap::new();
        let mut bounds = Bounds { count: 0, of_sinks, bytes: 0, count_max, gone: None, lost: 0 };
        bounds.recount(connection)?;
        Ok(bounds)
    }

    /// Looks again how many there are.
    pub(in crate::queue) fn recount(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.gone = None;
        let (count, bytes): (i64, i64) = connection.query_row(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM dead_letters",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.count = u64::try_from(count).unwrap_or(0);
        self.bytes = u64::try_from(bytes).unwrap_or(0);
        self.of_sinks = of_sinks(connection)?;
        Ok(())
    }

    /// Keeps one more. When there are too many, messages that never became deliveries go first, and
    /// then the oldest.
    pub(in crate::queue) fn bury(
        &mut self,
        connection: &Connection,
        letter: &DeadLetter,
        buried_at: i64,
    ) -> rusqlite::Result<()> {
        self.bury_as(connection, letter, letter.errand.as_ref().map(Errand::kind), buried_at)
    }

    /// Keeps what can be read of a damaged row.
    pub(in crate::queue) fn bury_damaged(
        &mut self,
        connection: &Connection,
        letter: &DeadLetter,
        buried_at: i64,
    ) -> rusqlite::Result<()> {
        self.bury_as(connection, letter, Some(row::DAMAGED), buried_at)
    }

    fn bury_as(
        &mut self,
        connection: &Connection,
        letter: &DeadLetter,
        kind: Option<&str>,
        buried_at: i64,
    ) -> rusqlite::Result<()> {
        let lane = letter.lane.clone().unwrap_or_default();
        let note = letter.errand.as_ref().and_then(Errand::note);
        let columns = [
            ValueRef::Null,
            ValueRef::from(letter.reason.as_str()),
            kind.map_or(ValueRef::Null, ValueRef::from),
            ValueRef::from(lane.key.as_str()),
            letter.order_key.as_deref().map_or(ValueRef::Null, ValueRef::from),
            ValueRef::from(letter.errand.as_ref().map_or("", Errand::target)),
            ValueRef::from(letter.origin.as_str()),
            ValueRef::Integer(buried_at),
            ValueRef::Blob(&letter.body),
            note.as_deref().map_or(ValueRef::Null, ValueRef::from),
            ValueRef::Null,
            ValueRef::from(lane.sink.as_str()),
        ];
        insert_row(connection, &columns)?;
        self.count += 1;
        self.bytes += letter.body.len() as u64;
        if lane.sink != SinkName::default() {
            *self.of_sinks.entry(lane.sink.as_str().to_owned()).or_default() += 1;
        }
        while self.count > self.count_max.max(1) || (self.bytes > BYTES_MAX && self.count > 1) {
            self.let_oldest_go(connection)?;
        }
        Ok(())
    }

    fn let_oldest_go(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let oldest = |which: &str| {
            connection
                .prepare_cached(&format!(
                    "SELECT id, reason, LENGTH(body) FROM dead_letters WHERE {which}
                     ORDER BY id LIMIT 1"
                ))?
                .query_row([], |row| {
                    Ok((row.get(0)?, row::lossy(row.get_ref(1)?), row.get::<_, Option<i64>>(2)?))
                })
                .optional()
        };
        let size = |bytes: Option<i64>| u64::try_from(bytes.unwrap_or(0)).unwrap_or(0);
        if let Some((id, _, bytes)) = oldest(CHATTER)? {
            return self.delete(connection, id, size(bytes));
        }
        let Some((id, reason, bytes)) = oldest("TRUE")? else {
            (self.count, self.bytes) = (0, 0);
            return Ok(());
        };
        self.delete(connection, id, size(bytes))?;
        let before = self.gone.take();
        self.gone = Some(Gone {
            count: 1 + before.as_ref().map_or(0, |gone| gone.count),
            first: before.map_or(id, |gone| gone.first),
            last: id,
            reason,
        });
        Ok(())
    }

    pub(in crate::queue) fn delete(
        &mut self,
        connection: &Connection,
        id: i64,
        bytes: u64,
    ) -> rusqlite::Result<()> {
        let sink = connection
            .prepare_cached("DELETE FROM dead_letters WHERE id = ?1 RETURNING sink")?
            .query_row([id], |found| Ok(row::lossy(found.get_ref(0)?)))
            .optional()?;
        if let Some(sink) = sink {
            self.of_sinks.entry(sink).and_modify(|count| *count = count.saturating_sub(1));
            self.of_sinks.retain(|_, count| *count > 0);
        }
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        Ok(())
    }
}

/// How many each sink has; those that never became deliveries have none.
fn of_sinks(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut counted = connection
        .prepare("SELECT sink, COUNT(*) FROM dead_letters WHERE sink != '' GROUP BY sink")?;
    let counted = counted.query_map([], |found| {
        let count = u64::try_from(found.get::<_, i64>(1)?).unwrap_or(0);
        Ok((row::lossy(found.get_ref(0)?), count))
    })?;
    counted.collect()
}

/// The number of the last one.
pub(in crate::queue) fn last(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT COALESCE(MAX(id), 0) FROM dead_letters", [], |row| row.get(0))
}

/// Dead letters, or those of a sink, behind a number and up to another one, bounded in number and
/// in bytes.
pub(in crate::queue) fn piece(
    connection: &Connection,
    sink: Option<&SinkName>,
    (after, until): (i64, i64),
    count_max: usize,
    bytes_max: u64,
    unchecked: Unchecked,
) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {} FROM dead_letters
         WHERE id > ?1 AND id <= ?2 AND (?3 IS NULL OR sink = ?3) ORDER BY id",
        row::LETTER
    ))?;
    let mut rows = statement.query(params![after, until, sink.map(SinkName::as_str)])?;
    let (mut piece, mut bytes) = (Vec::new(), 0);
    while piece.len() < count_max
        && bytes < bytes_max
        && let Some(row) = rows.next()?
    {
        let one = read(row, unchecked)?;
        bytes += one.letter.body.len() as u64;
        piece.push(one);
    }
    Ok(piece)
}

/// Writes a dead letter whose columns are at hand, with a new sum.
pub(in crate::queue) fn insert_row(
    connection: &Connection,
    columns: &[ValueRef],
) -> rusqlite::Result<()> {
    let mut columns = columns.to_vec();
    columns[10] = ValueRef::Integer(row::letter_sum(&columns));
    connection
        .prepare_cached(&format!(
            "INSERT INTO dead_letters ({})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            row::LETTER
        ))?
        .execute(params_from_iter(columns.into_iter().map(ToSqlOutput::Borrowed)))
        .map(|_| ())
}

/// Dead letters, oldest first; `only` picks one.
pub(in crate::queue) fn shown(
    connection: &Connection,
    only: Option<i64>,
    limit: usize,
    unchecked: Unchecked,
) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare(&format!(
        "SELECT {} FROM dead_letters WHERE ?1 < 0 OR id = ?1 ORDER BY id LIMIT ?2",
        row::LETTER
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement
        .query_map(rusqlite::params![only.unwrap_or(-1), limit], |row| read(row, unchecked))?
        .collect()
}

/// What is damaged is shown as far as it can be read, and is of no kind: it cannot be tried again.
pub(in crate::queue) fn stored(columns: &[ValueRef], unchecked: Unchecked) -> Stored {
    let id = row::integer(columns[0]).unwrap_or_default();
    let sound = match columns[10] {
        ValueRef::Null => id < unchecked.letters,
        sum => row::integer(sum) == Some(row::letter_sum(columns)),
    };
    let text = |at: usize| row::lossy(columns[at]);
    let reason = if sound { text(1) } else { format!("{} ({})", text(1), row::ALTERED) };
    let (order_key, note) = (text(4), row::text(columns[9]));
    // A row that was put away as it is also says until when it was kept.
    let (_, note) = Keep::of_note(note.as_deref());
    Stored {
        id,
        buried_at: row::integer(columns[7]).unwrap_or(0),
        letter: DeadLetter {
            reason,
            lane: Some(LaneName { sink: text(11).into(), key: text(3) }),
            order_key: (!order_key.is_empty()).then_some(order_key),
            errand: Errand::of(&text(2), text(5), note).filter(|_| sound),
            origin: text(6),
            body: row::bytes(columns[8]).to_vec(),
        },
        sound,
    }
}

fn read(found: &Row, unchecked: Unchecked) -> rusqlite::Result<Stored> {
    Ok(stored(&row::columns(found, row::LETTER_COLUMNS)?, unchecked))
}
