//! What was given up, kept with its reason, in bounded number and size.

use super::DeadLetter;
use crate::message::{Delivery, Kind, Lane};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Most bytes of dead letters kept; beyond it the oldest go.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The name of the only sink that dead letters can go back to.
const SINK: &str = "ilert";

/// How many there are and may be.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) count: u64,
    bytes: u64,
    count_max: u64,
}

/// A dead letter as it is stored.
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) buried_at: i64,
    pub(super) letter: DeadLetter,
}

impl DeadLetter {
    /// What becomes of a delivery that is given up.
    pub(super) fn of(delivery: Delivery, reason: String) -> Self {
        DeadLetter {
            reason,
            kind: Some(delivery.kind),
            lane_key: delivery.lane.key,
            order_key: delivery.order_key,
            target: delivery.target,
            origin: delivery.origin,
            body: delivery.body,
        }
    }

    /// The delivery it was; `None` when it never became one.
    pub(super) fn into_delivery(self) -> Option<Delivery> {
        let kind = self.kind?;
        (!self.target.is_empty()).then(|| Delivery {
            lane: Lane { sink: SINK.to_owned(), key: self.lane_key },
            order_key: self.order_key,
            kind,
            target: self.target,
            body: self.body,
            origin: self.origin,
        })
    }
}

impl Bounds {
    pub(super) fn of(connection: &Connection, count_max: u64) -> rusqlite::Result<Self> {
        let mut bounds = Bounds { count: 0, bytes: 0, count_max };
        bounds.recount(connection)?;
        Ok(bounds)
    }

    /// Looks again how many there are.
    pub(super) fn recount(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let (count, bytes): (i64, i64) = connection.query_row(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM dead_letters",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.count = u64::try_from(count).unwrap_or(0);
        self.bytes = u64::try_from(bytes).unwrap_or(0);
        Ok(())
    }

    /// Keeps one more; the oldest go when there are too many.
    pub(super) fn bury(
        &mut self,
        connection: &Connection,
        letter: &DeadLetter,
        buried_at: i64,
    ) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO dead_letters
                   (reason, kind, lane_key, order_key, target, origin, buried_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                letter.reason,
                letter.kind.map(Kind::as_str),
                letter.lane_key,
                letter.order_key,
                letter.target,
                letter.origin,
                buried_at,
                letter.body,
            ])?;
        self.count += 1;
        self.bytes += letter.body.len() as u64;
        while self.count > self.count_max.max(1) || (self.bytes > BYTES_MAX && self.count > 1) {
            self.let_oldest_go(connection)?;
        }
        Ok(())
    }

    fn let_oldest_go(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let oldest = connection
            .prepare_cached(
                "SELECT id, reason, LENGTH(body) FROM dead_letters ORDER BY id LIMIT 1",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)))
            .optional()?;
        let Some((id, reason, bytes)) = oldest else {
            (self.count, self.bytes) = (0, 0);
            return Ok(());
        };
        self.delete(connection, id, u64::try_from(bytes).unwrap_or(0))?;
        log::warn!("queue: too many dead letters, d{id} had to go ({reason})");
        Ok(())
    }

    pub(super) fn delete(
        &mut self,
        connection: &Connection,
        id: i64,
        bytes: u64,
    ) -> rusqlite::Result<()> {
        connection.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?.execute([id])?;
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        Ok(())
    }
}

/// The number of the last one.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT COALESCE(MAX(id), 0) FROM dead_letters", [], |row| row.get(0))
}

/// Whether one was a delivery; `None` when it is not there.
pub(super) fn can_be_raised(connection: &Connection, id: i64) -> rusqlite::Result<Option<bool>> {
    connection
        .prepare_cached("SELECT kind IS NOT NULL AND target <> '' FROM dead_letters WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// Dead letters behind a number and up to another one: so many, or as many as have so many bytes.
pub(super) fn piece(
    connection: &Connection,
    after: i64,
    until: i64,
    count_max: usize,
    bytes_max: u64,
) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, reason, kind, lane_key, order_key, target, origin, buried_at, body
         FROM dead_letters WHERE id > ?1 AND id <= ?2 ORDER BY id",
    )?;
    let mut rows = statement.query([after, until])?;
    let (mut piece, mut bytes) = (Vec::new(), 0);
    while piece.len() < count_max
        && bytes < bytes_max
        && let Some(row) = rows.next()?
    {
        let one = stored(row)?;
        bytes += one.letter.body.len() as u64;
        piece.push(one);
    }
    Ok(piece)
}

/// Dead letters, oldest first; `only` picks one.
pub(super) fn shown(
    connection: &Connection,
    only: Option<i64>,
    limit: usize,
) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare(
        "SELECT id, reason, kind, lane_key, order_key, target, origin, buried_at, body
         FROM dead_letters WHERE ?1 < 0 OR id = ?1 ORDER BY id LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map(params![only.unwrap_or(-1), limit], stored)?.collect()
}

fn stored(row: &Row) -> rusqlite::Result<Stored> {
    let kind: Option<String> = row.get(2)?;
    Ok(Stored {
        id: row.get(0)?,
        buried_at: row.get(7)?,
        letter: DeadLetter {
            reason: row.get(1)?,
            kind: kind.as_deref().and_then(Kind::parse),
            lane_key: row.get(3)?,
            order_key: row.get(4)?,
            target: row.get(5)?,
            origin: row.get(6)?,
            body: row.get(8)?,
        },
    })
}
