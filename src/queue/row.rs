//! Rows: where they are in the file, what can be read of them, and whether that is what was written.
//!
//! SQLite has no checksums: a bit that flips in a row gives another text, a text that is no
//! UTF-8, or a column of another type. So every row has a sum over all its columns, and what
//! does not agree with it is never delivered. A delivery's sum covers its id and so the number of
//! its lane; the sum of the lane covers that number and its name.

use crate::message::{Delivery, Errand, Keep, LaneName, Record};
use rusqlite::Row;
use rusqlite::types::ValueRef;

/// Bits of a row's id that hold its sequence number.
pub(super) const SEQ_BITS: u32 = 40;

/// The greatest number of a row.
pub(super) const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;

/// The greatest number of a lane: an id has 63 bits, and the end of a lane has to fit, too.
pub(super) const LANE_MAX: u32 = (1 << (63 - SEQ_BITS)) - 2;

/// Where a row is: its lane's number and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RowId {
    pub(super) lane: u32,
    pub(super) seq: u64,
}

/// A row as it comes back from the database.
pub(super) struct ReadRow {
    pub(super) seq: u64,
    pub(super) delivery: Delivery,
    pub(super) attempts: u32,
}

impl RowId {
    /// The id of the row. One that does not fit would be that of another lane, or of none, and
    /// what is stored there is never found again.
    pub(super) fn rowid(self) -> i64 {
        assert!(
            self.lane <= LANE_MAX + 1 && self.seq <= SEQ_MAX,
            "{self:?} does not fit into an id"
        );
        (i64::from(self.lane) << SEQ_BITS) | self.seq.cast_signed()
    }

    /// The first id that no row of its lane can have.
    pub(super) fn lane_end(self) -> i64 {
        RowId { lane: self.lane + 1, seq: 0 }.rowid()
    }

    /// The reverse of [`RowId::rowid`]; `None` for an id this agent did not make.
    pub(super) fn of(rowid: i64) -> Option<Self> {
        let lane = u32::try_from(rowid >> SEQ_BITS).ok()?;
        let seq = u64::try_from(rowid & ((1 << SEQ_BITS) - 1)).ok()?;
        Some(RowId { lane, seq })
    }
}

/// A lane with rows.
pub(super) struct StoredLane {
    pub(super) number: u32,
    pub(super) name: LaneName,
    /// The numbers of its first and last row.
    pub(super) seqs: (u64, u64),
}

/// How many, and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Estimated, not counted.
    pub(super) roughly: bool,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }

    pub(super) fn take(&mut self, bytes: u64) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What a row takes beside what is in it, about.
const ROW: usize = 40;

/// What a delivery counts for, in bytes: its texts, and a row's overhead.
pub(super) fn weight(delivery: &Delivery) -> u64 {
    let order_key = delivery.order_key.as_ref().map_or(0, String::len);
    let errand = delivery.errand.bytes() + delivery.note_bytes();
    (ROW + delivery.body.len() + errand + delivery.origin.len() + order_key) as u64
}

/// The same of a record.
pub(super) fn weight_of_record(record: &Record) -> u64 {
    let value = record.value.as_ref().map_or(0, String::len);
    (ROW + record.scope.len() + record.key.len() + value) as u64
}

/// The columns of a delivery, in the order of its table.
pub(super) const DELIVERY: &str =
    "id, kind, order_key, target, origin, attempts, stored_at, body, note, sum";
pub(super) const DELIVERY_COLUMNS: usize = 10;

/// The columns of a dead letter, in the order of its table.
pub(super) const LETTER: &str = "id, reason, kind, lane_key, order_key, target, origin, buried_at, \
                                 body, note, sum, sink";
pub(super) const LETTER_COLUMNS: usize = 12;

/// What the column of kinds says of a dead letter that was a row that could not be read. It is
/// no kind, so it is not tried again by mistake.
pub(super) const DAMAGED: &str = "damaged";

/// Why a row is not used: its checksum differs.
pub(super) const ALTERED: &str = "it is not what was written: its checksum does not fit";

/// Sums are cut to 31 bits, which SQLite stores in four bytes.
pub(super) const SUM_MASK: i64 = 0x7fff_ffff;

/// Rows without a sum are from version 1, and have smaller numbers than these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unchecked {
    pub(super) deliveries: u64,
    pub(super) letters: i64,
}

impl Unchecked {
    /// In a file of version 1.
    pub(super) const ALL: Self = Unchecked { deliveries: u64::MAX, letters: i64::MAX };

    /// Where both are kept among the records.
    pub(super) const RECORD: (&'static str, &'static str) = ("queue", "unchecked");

    pub(super) fn to_text(self) -> String {
        format!("{} {}", self.deliveries, self.letters)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (deliveries, letters) = text.split_once(' ')?;
        Some(Unchecked { deliveries: deliveries.parse().ok()?, letters: letters.parse().ok()? })
    }
}

/// FNV-1a over values, each with its type and length, so that none passes for another.
pub(super) fn sum<'a>(values: impl IntoIterator<Item = ValueRef<'a>>) -> i64 {
    let mut sum: u32 = 0x811c_9dc5;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            sum = (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    for value in values {
        let (tag, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                feed(&[1]);
                feed(&number.to_le_bytes());
                continue;
            }
            ValueRef::Real(number) => {
                feed(&[2]);
                feed(&number.to_le_bytes());
                continue;
            }
            ValueRef::Text(bytes) => (3, bytes),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        feed(&[tag]);
        feed(&bytes.len().to_le_bytes()[..4]);
        feed(bytes);
    }
    i64::from(sum) & SUM_MASK
}

/// The sum of a delivery's columns. Attempts are added, so that they can be counted without the
/// other columns at hand.
pub(super) fn delivery_sum(columns: &[ValueRef]) -> i64 {
    let attempts = integer(columns[5]).unwrap_or(0);
    let others = columns[..5].iter().chain(&columns[6..DELIVERY_COLUMNS - 1]);
    sum(others.copied()).wrapping_add(attempts) & SUM_MASK
}

/// The sum of a delivery's columns that do not change while it waits.
pub(super) fn lasting_sum(columns: &[ValueRef]) -> i64 {
    let attempts = integer(columns[5]).unwrap_or(0);
    delivery_sum(columns).wrapping_sub(attempts) & SUM_MASK
}

/// Adds the columns that a row of version 1 does not have.
pub(super) fn complete(columns: &mut Vec<ValueRef>) {
    match columns.len() {
        8 => columns.resize(DELIVERY_COLUMNS, ValueRef::Null),
        9 => {
            columns.resize(LETTER_COLUMNS - 1, ValueRef::Null);
            columns.push(ValueRef::Text(b"ilert"));
        }
        _ => {}
    }
}

/// The sum of a dead letter's columns without its id, which is not known before it is written.
pub(super) fn letter_sum(columns: &[ValueRef]) -> i64 {
    sum(columns[1..10].iter().chain(&columns[11..]).copied())
}

/// A row's columns as they are; reading them cannot fail for what is in them.
pub(super) fn columns<'a>(row: &'a Row, count: usize) -> rusqlite::Result<Vec<ValueRef<'a>>> {
    (0..count).map(|at| row.get_ref(at)).collect()
}

/// The delivery in a row, or why it is not one.
pub(super) fn delivery(
    columns: &[ValueRef],
    lane: LaneName,
    unchecked: Unchecked,
) -> Result<ReadRow, &'static str> {
    const NOT_ONE: &str = "it is not a delivery";
    let id = integer(columns[0]).and_then(RowId::of).ok_or(NOT_ONE)?;
    match columns[9] {
        ValueRef::Null if id.seq < unchecked.deliveries => {}
        ValueRef::Integer(sum) if sum == delivery_sum(columns) => {}
        _ => return Err(ALTERED),
    }
    let text = |at: usize| text(columns[at]).ok_or("it has a text that cannot be read");
    let order_key = match columns[2] {
        ValueRef::Null => None,
        _ => Some(text(2)?),
    };
    let note = match columns[8] {
        ValueRef::Null => None,
        _ => Some(text(8)?),
    };
    let (keep, note) = Keep::of_note(note.as_deref());
    let ValueRef::Blob(body) = columns[7] else { return Err("its body cannot be read") };
    let attempts = integer(columns[5]).and_then(|attempts| u32::try_from(attempts).ok());
    Ok(ReadRow {
        seq: id.seq,
        delivery: Delivery {
            lane,
            order_key,
            errand: Errand::of(&text(1)?, text(3)?, note)
                .ok_or("it is of no kind that is known")?,
            keep,
            origin: text(4)?,
            body: body.to_vec(),
        },
        attempts: attempts.ok_or("its attempts cannot be read")?,
    })
}

/// What can be read of a row that is no delivery any more, for people.
pub(super) fn remains(columns: &[ValueRef], lane: LaneName) -> Delivery {
    let (order_key, target) = (lossy(columns[2]), lossy(columns[3]));
    let note = text(columns[8]);
    let (keep, note) = Keep::of_note(note.as_deref());
    Delivery {
        lane,
        order_key: (!order_key.is_empty()).then_some(order_key),
        errand: Errand::of(&lossy(columns[1]), target.clone(), note)
            .unwrap_or(Errand::Event { path: target }),
        keep,
        origin: lossy(columns[4]),
        body: bytes(columns[7]).to_vec(),
    }
}

/// The sum of a lane's row.
pub(super) fn lane_sum(number: i64, sink: &[u8], key: &[u8]) -> i64 {
    sum([ValueRef::Integer(number), ValueRef::Text(sink), ValueRef::Text(key)])
}

/// The sum of a record.
pub(super) fn record_sum(scope: &str, key: &str, value: &[u8]) -> i64 {
    sum([scope.as_bytes(), key.as_bytes(), value].map(ValueRef::Text))
}

pub(super) fn integer(value: ValueRef) -> Option<i64> {
    if let ValueRef::Integer(number) = value { Some(number) } else { None }
}

pub(super) fn text(value: ValueRef) -> Option<String> {
    let ValueRef::Text(bytes) = value else { return None };
    String::from_utf8(bytes.to_vec()).ok()
}

/// A value as people can read it; empty for NULL.
pub(super) fn lossy(value: ValueRef) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
}

pub(super) fn bytes(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: [ValueRef; 9] = [
        ValueRef::Integer((1 << 40) | 1),
        ValueRef::Text(b"event"),
        ValueRef::Null,
        ValueRef::Text(b"/api/events"),
        ValueRef::Text(b"http"),
        ValueRef::Integer(2),
        ValueRef::Integer(1_700_000_000),
        ValueRef::Blob(b"{}"),
        ValueRef::Null,
    ];

    #[test]
    fn a_row_that_is_not_what_was_written_is_no_delivery() {
        let lane = || LaneName { sink: "ilert".into(), key: "k".to_owned() };
        let read = |columns: &[ValueRef]| delivery(columns, lane(), Unchecked::default());
        let mut whole = WRITTEN.to_vec();
        whole.push(ValueRef::Integer(delivery_sum(&[&WRITTEN[..], &[ValueRef::Null]].concat())));
        assert_eq!(read(&whole).map(|read| (read.seq, read.attempts)), Ok((1, 2)));
        for (at, other) in [
            (0, ValueRef::Integer((2 << 40) | 1)),
            (0, ValueRef::Integer(-1)),
            (1, ValueRef::Text(b"policy")),
            (1, ValueRef::Null),
            (2, ValueRef::Text(b"")),
            (3, ValueRef::Text(b"/api/eventr")),
            (3, ValueRef::Blob(b"/api/events")),
            (4, ValueRef::Text(b"ht\xffp")),
            (5, ValueRef::Integer(3)),
            (5, ValueRef::Text(b"many")),
            (6, ValueRef::Integer(1_700_000_001)),
            (7, ValueRef::Blob(b"{]")),
            (8, ValueRef::Text(b"")),
            (9, ValueRef::Null),
        ] {
            let mut altered = whole.clone();
            altered[at] = other;
            assert!(read(&altered).is_err(), "{at}: {other:?}");
        }
        let mut unchecked = whole.clone();
        unchecked[9] = ValueRef::Null;
        let bounds = Unchecked { deliveries: 2, letters: 0 };
        assert!(delivery(&unchecked, lane(), bounds).is_ok(), "a row of version 1");
    }

    #[test]
    fn a_row_finds_its_lane_and_its_number_again() {
        for row in [
            RowId { lane: 1, seq: 1 },
            RowId { lane: LANE_MAX, seq: SEQ_MAX },
            RowId { lane: 7, seq: 123_456_789_012 },
        ] {
            assert_eq!(RowId::of(row.rowid()), Some(row));
        }
        assert_eq!(RowId::of(-1), None);
    }
}
