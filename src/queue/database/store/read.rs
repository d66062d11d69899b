//! Rows as the board wants them: what waits in which lane, and how much it is.

use super::Store;
use crate::message::{LaneName, SinkName};
use crate::queue::row::{self, Amount, LANE_MAX, ReadRow, RowId, SEQ_MAX, StoredLane};
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// Rows are counted one by one at the start only in a database of at most this many bytes; in a
/// larger one the count is an estimate until it has drained once.
const COUNT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Most rows of a sink that are counted in a large database.
const COUNTED: i64 = 1_000;

/// Rows an estimate is made from.
const SAMPLE: i64 = 200;

/// Most bytes of bodies read at a time.
const READ_BYTES_MAX: usize = 512 * 1024;

/// What a row counts for, as [`row::weight`] has it.
const WEIGHT: &str = "40 + octet_length(body) + octet_length(target) + octet_length(origin)
    + COALESCE(octet_length(order_key), 0) + COALESCE(octet_length(note), 0)";

/// The row with the number `?1`, looked up in one lane after the other.
const ONE_ROW: &str = "lanes l JOIN deliveries d ON d.id = (l.number << 40) | ?1";

/// Rows of a lane.
#[derive(Default)]
pub(in crate::queue) struct Read {
    pub(in crate::queue) rows: Vec<ReadRow>,
    /// Rows that cannot be delivered as they are, and why.
    pub(in crate::queue) damaged: Vec<(RowId, &'static str)>,
    /// Where others follow, if they do.
    pub(in crate::queue) next: Option<u64>,
}

impl Store {
    /// Rows of a lane in order, from `from` on: at most `limit` of them.
    pub(in crate::queue) fn read(
        &self,
        lane: u32,
        name: &LaneName,
        from: u64,
        limit: usize,
    ) -> rusqlite::Result<Read> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {} FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id",
            row::DELIVERY
        ))?;
        let first = RowId { lane, seq: from }.rowid();
        let end = first_of(lane + 1);
        let mut rows = statement.query(params![first, end])?;
        let (mut read, mut bytes) = (Read::default(), 0);
        while let Some(row) = rows.next()? {
            let Some(id) = RowId::of(row.get(0)?) else { continue };
            if read.rows.len() + read.damaged.len() >= limit || bytes >= READ_BYTES_MAX {
                read.next = Some(id.seq);
                break;
            }
            let columns = row::columns(row, row::DELIVERY_COLUMNS)?;
            match row::delivery(&columns, name.clone(), self.unchecked) {
                Ok(row) => {
                    bytes += row.delivery.body.len();
                    read.rows.push(row);
                }
                Err(why) => read.damaged.push((id, why)),
            }
        }
        Ok(read)
    }

    /// All lanes that have rows; rows of lanes that have none are forgotten.
    pub(in crate::queue) fn lanes(&self) -> rusqlite::Result<Vec<StoredLane>> {
        let mut stored = Vec::new();
        let mut names = self.lane_names()?;
        let mut from = 0;
        while let Some(first) = self.first_from(from)? {
            let first = RowId::of(first).filter(|row| row.lane <= LANE_MAX);
            // No lane has this number: a row that could not be adopted, and nothing behind it.
            let Some(RowId { lane: number, seq: first }) = first else { break };
            let last = self.last_before(first_of(number + 1))?.and_then(RowId::of);
            let name = match names.remove(&number).flatten() {
                Some(name) => name,
                None => {
                    let name = self.name_after_rows(number)?;
                    log::error!("queue: lane {number} lost its name, it is called {name} now");
                    // On a disk that cannot be written its name is found the same way each time.
                    if let Err(error) = self.add_lane(number, &name) {
                        log::debug!("queue: lane {number}: {error}");
                    }
                    name
                }
            };
            stored.push(StoredLane {
                number,
                name,
                seqs: (first, last.map_or(first, |row| row.seq)),
            });
            from = first_of(number + 1);
        }
        if !names.is_empty() {
            let forget = || {
                self.begin()?;
                names.keys().try_for_each(|number| self.forget_lane(*number))?;
                self.commit()
            };
            // They do no harm, so a disk that cannot be written is no reason not to start.
            if let Err(error) = forget() {
                log::debug!("queue: lanes cannot be forgotten: {error}");
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        Ok(stored)
    }

    /// The lanes that have a row of their own, and their names unless those are damaged.
    pub(super) fn lane_names(&self) -> rusqlite::Result<BTreeMap<u32, Option<LaneName>>> {
        let mut statement = self.connection.prepare("SELECT number, sink, key, sum FROM lanes")?;
        let mut rows = statement.query([])?;
        let mut names = BTreeMap::new();
        while let Some(row) = rows.next()? {
            if let Ok(number) = u32::try_from(row.get::<_, i64>(0)?) {
                names.insert(number, lane_name(row)?);
            }
        }
        Ok(names)
    }

    pub(in crate::queue) fn lane(&self, number: u32) -> rusqlite::Result<Option<LaneName>> {
        let found = self
            .connection
            .prepare_cached("SELECT number, sink, key, sum FROM lanes WHERE number = ?1")?
            .query_row([number], lane_name)
            .optional()?;
        Ok(found.flatten())
    }

    pub(super) fn name_after_rows(&self, number: u32) -> rusqlite::Result<LaneName> {
        const LOOKED_AT: usize = 16;
        let read = self.read(number, &LaneName::default(), 0, LOOKED_AT)?;
        let named = read.rows.first().map(|row| &row.delivery);
        Ok(named.and_then(|one| one.errand.lane_after(&one.body)).unwrap_or_default())
    }

    /// The first row of a lane from a number on.
    pub(super) fn first(&self, lane: u32, seq: u64) -> rusqlite::Result<Option<RowId>> {
        if seq > SEQ_MAX {
            return Ok(None);
        }
        let from = RowId { lane, seq };
        self.connection
            .prepare_cached(
                "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1",
            )?
            .query_row([from.rowid(), from.lane_end()], |row| row.get(0))
            .optional()
            .map(|id| id.and_then(RowId::of))
    }

    pub(super) fn first_from(&self, id: i64) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT id FROM deliveries WHERE id >= ?1 ORDER BY id LIMIT 1")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    pub(super) fn last_before(&self, id: i64) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT id FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    /// How many rows there are and how large they are, at a cost that does not grow with them.
    pub(in crate::queue) fn amount(&self) -> rusqlite::Result<Amount> {
        let pragma = |name: &str| {
            self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
        };
        let pages = pragma("page_count")? - pragma("freelist_count")?;
        let file = u64::try_from(pages * pragma("page_size")?).unwrap_or(0);
        let sized = |from: &str| {
            self.connection.query_row(
                &format!("SELECT COUNT(*), COALESCE(SUM({WEIGHT}), 0) FROM {from}"),
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )
        };
        if file <= COUNT_BYTES_MAX {
            let (count, bytes) = sized("deliveries")?;
            return Ok(amount(count, bytes, false));
        }
        let (count, bytes) = sized(&format!("(SELECT * FROM deliveries LIMIT {SAMPLE})"))?;
        let file = i64::try_from(file).unwrap_or(i64::MAX);
        Ok(amount(file / (bytes / count.max(1)).max(1), file, true))
    }

    /// How many rows each sink has. Where `all` is an estimate, those that have many share what the
    /// others leave, by the numbers that were given out meanwhile.
    pub(in crate::queue) fn counts(
        &self,
        lanes: &[StoredLane],
        all: Amount,
    ) -> rusqlite::Result<Vec<(SinkName, u64)>> {
        let mut spans: BTreeMap<&SinkName, u64> = BTreeMap::new();
        for StoredLane { name, seqs: (first, last), .. } in lanes {
            *spans.entry(&name.sink).or_default() += last - first + 1;
        }
        let most = if all.roughly { COUNTED } else { i64::MAX };
        let (mut counts, mut many) = (Vec::new(), Vec::new());
        for (sink, span) in spans {
            match self.count_of(sink, most)? {
                count if count >= most => many.push((sink, span)),
                count => counts.push((sink.clone(), u64::try_from(count).unwrap_or(0))),
            }
        }
        let rest = all.count.saturating_sub(counts.iter().map(|(_, count)| count).sum());
        let span: u64 = many.iter().map(|(_, span)| span).sum();
        let share = |own: u64| u128::from(rest) * u128::from(own) / u128::from(span.max(1));
        counts.extend(
            many.iter()
                .map(|&(sink, own)| (sink.clone(), u64::try_from(share(own)).unwrap_or(rest))),
        );
        Ok(counts)
    }

    /// Ids and sizes of rows from an id on, bounded in number and in bytes.
    pub(in crate::queue) fn sizes(
        &self,
        from: i64,
        rows_max: usize,
        bytes_max: u64,
    ) -> rusqlite::Result<Vec<(RowId, u64)>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id, {WEIGHT} FROM deliveries WHERE id >= ?1 ORDER BY id"
        ))?;
        let mut rows = statement.query([from])?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < rows_max
            && bytes < bytes_max
            && let Some(row) = rows.next()?
        {
            let Some(id) = RowId::of(row.get(0)?) else { continue };
            let size = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            bytes += size;
            found.push((id, size));
        }
        Ok(found)
    }

    /// Where the row with this number is, and its size.
    pub(in crate::queue) fn find(&self, seq: u64) -> rusqlite::Result<Option<(RowId, u64)>> {
        self.connection
            .prepare_cached(&format!("SELECT d.id, {WEIGHT} FROM {ONE_ROW}"))?
            .query_row([seq.cast_signed()], |row| {
                let size = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                Ok(RowId::of(row.get(0)?).map(|id| (id, size)))
            })
            .optional()
            .map(Option::flatten)
    }
}

/// The name in a row of `lanes`, unless it is damaged. Version 1 wrote no sums.
fn lane_name(found: &Row) -> rusqlite::Result<Option<LaneName>> {
    let (number, sum) = (found.get_ref(0)?, found.get_ref(3)?);
    let Some((sink, key)) = row::text(found.get_ref(1)?).zip(row::text(found.get_ref(2)?)) else {
        return Ok(None);
    };
    let wanted =
        row::lane_sum(row::integer(number).unwrap_or_default(), sink.as_bytes(), key.as_bytes());
    let fits = matches!(sum, ValueRef::Null) || row::integer(sum) == Some(wanted);
    Ok(fits.then_some(LaneName { sink: sink.into(), key }))
}

/// The smallest id of a lane.
fn first_of(lane: u32) -> i64 {
    RowId { lane, seq: 0 }.rowid()
}

fn amount(count: i64, bytes: i64, roughly: bool) -> Amount {
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    Amount { count: whole(count), bytes: whole(bytes), roughly }
}
