//! What can be read of a damaged file is carried over into a new one.
//!
//! A page that is lost takes with it, for SQLite, all that is found through it: the tables with
//! the first page, a hundred pages of rows with one page of an inner node. The rows are still
//! there. So the pages are looked at one by one, those that hold rows are told by their form, and
//! a row by its columns and its sum.

use super::schema;
use super::store::Store;
use crate::message::LaneName;
use crate::queue::row::RowId;
use crate::queue::row::{self, Unchecked};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The first bytes of every file of SQLite.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The header at the beginning of the first page.
const HEADER_BYTES: usize = 100;

/// What a log begins with, and the sizes of the headers of it and of each page in it
/// (<https://sqlite.org/fileformat2.html>, 4.1).
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_MAGIC_BIG: u32 = 0x377f_0683;
const LOG_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// Kinds of pages, by their first byte.
const TABLE_LEAF: u8 = 0x0d;
const TABLE_INNER: u8 = 0x05;
const INDEX_LEAF: u8 = 0x0a;
const INDEX_INNER: u8 = 0x02;

/// The largest row that is believed: no delivery comes near.
const PAYLOAD_MAX: usize = 16 * 1024 * 1024;

/// Rows that are carried over in one transaction.
const ROWS_IN_COMMIT: usize = 1_000;

/// How far a file is looked into to find out whose it is.
const PAGES_LOOKED_AT: u32 = 64;

/// The roots of `lanes`, `deliveries` and `dead_letters` in a file that this agent made.
const ROOTS: [u32; 3] = [2, 3, 4];

/// What became of the file.
#[derive(Debug, Default)]
pub(in crate::queue) struct Salvaged {
    pub(in crate::queue) deliveries: usize,
    pub(in crate::queue) letters: usize,
    /// Rows that are not what was written; they are dead letters now.
    pub(in crate::queue) altered: usize,
    /// Rows and pages that cannot be read at all.
    pub(in crate::queue) rows_lost: usize,
    pub(in crate::queue) pages_lost: usize,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Salvaged { deliveries, letters, altered, rows_lost, pages_lost } = self;
        write!(
            f,
            "{deliveries} deliveries and {letters} dead letters were carried over into a new file; \
             {altered} rows are not what was written and are dead letters, {rows_lost} rows and \
             {pages_lost} pages cannot be read"
        )
    }
}

/// Carries over what can be read of the file at `damaged`.
pub(in crate::queue) fn carry_over(damaged: &Path, store: &mut Store) -> Result<Salvaged, String> {
    if !is_log(damaged) {
        settle_journal(damaged);
    }
    let mut unchecked = Unchecked::default();
    let mut look = |found: &Found| {
        unchecked = bounds(found).unwrap_or(unchecked);
        Ok(())
    };
    let words = |error: std::io::Error| format!("{}: {error}", damaged.display());
    Pages::open(damaged).map_err(words)?.rows(&mut look)?;
    let (mut salvaged, mut kept) = (Salvaged::default(), 0);
    let mut file = Pages::open(damaged).map_err(words)?;
    store.begin().map_err(|error| error.to_string())?;
    let carried = file.rows(&mut |found| {
        kept += 1;
        if kept % ROWS_IN_COMMIT == 0 {
            store.commit()?;
            store.begin()?;
        }
        keep(found, unchecked, store, &mut salvaged)
    });
    let carried = carried.and_then(|()| store.commit().map_err(|error| error.to_string()));
    if carried.is_err() {
        store.rollback();
    }
    (salvaged.rows_lost, salvaged.pages_lost) = (file.rows_lost, file.pages_lost);
    carried.map(|()| salvaged)
}

/// Whether the file, however it begins, holds a record that this agent wrote: every file of
/// version 2 does, near its beginning.
pub(in crate::queue) fn holds_our_rows(path: &Path) -> bool {
    let Ok(mut file) = Pages::open(path) else { return false };
    file.count = file.count.min(PAGES_LOOKED_AT);
    let mut ours = false;
    let looked = file.rows(&mut |found| {
        ours |= record(found).is_some();
        Ok(())
    });
    looked.is_ok() && ours
}

/// What the journal holds goes into the file first, as far as SQLite finds its way.
fn settle_journal(damaged: &Path) {
    let settled = Connection::open(damaged).and_then(|connection| {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    });
    if let Err(error) = settled {
        log::debug!("queue: the journal of {}: {error}", damaged.display());
    }
}

/// A row of any table, and its columns as the file has them.
struct Found {
    id: Option<i64>,
    columns: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(bytes) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

/// Which rows have no sum, if this is the record that says so.
fn bounds(found: &Found) -> Option<Unchecked> {
    let (scope, key, value) = record(found)?;
    ((scope.as_str(), key.as_str()) == Unchecked::RECORD).then(|| Unchecked::parse(&value))?
}

/// A record, if the row is one that is what was written.
fn record(found: &Found) -> Option<(String, String, String)> {
    let [scope, key, value, sum] = found.columns.as_slice() else { return None };
    let (scope, key) = (row::text(scope.as_ref())?, row::text(key.as_ref())?);
    let value = row::text(value.as_ref())?;
    let wanted = row::record_sum(&scope, &key, value.as_bytes());
    (found.id.is_none() && row::integer(sum.as_ref())? == wanted).then_some((scope, key, value))
}

/// Writes a row to the table it is of.
fn keep(
    found: &Found,
    unchecked: Unchecked,
    store: &mut Store,
    salvaged: &mut Salvaged,
) -> rusqlite::Result<()> {
    let Some(id) = found.id else {
        let Some((scope, key, value)) = record(found) else { return Ok(()) };
        return schema::remember(&store.connection, &scope, &key, Some(&value));
    };
    let mut columns: Vec<ValueRef> = found.columns.iter().map(Value::as_ref).collect();
    // The column of the id is empty, as the id is the key.
    let count = columns.len();
    columns[0] = ValueRef::Integer(id);
    let written = match count {
        3 | 4 => keep_lane(&columns, store),
        8 | row::DELIVERY_COLUMNS => {
            let first = Unchecked { deliveries: u64::MAX, ..unchecked };
            columns.resize(row::DELIVERY_COLUMNS, ValueRef::Null);
            // A row of so few columns was written by version 1.
            keep_delivery(&columns, if count == 8 { first } else { unchecked }, store, salvaged)
        }
        9 | row::LETTER_COLUMNS => {
            let sound = match columns.get(10) {
                None => true,
                Some(ValueRef::Null) => id < unchecked.letters,
                Some(sum) => row::integer(*sum) == Some(row::letter_sum(&columns)),
            };
            columns.resize(row::LETTER_COLUMNS - 1, ValueRef::Null);
            columns.resize(row::LETTER_COLUMNS, ValueRef::Text(b"ilert"));
            salvaged.letters += 1;
            store.keep_letter(&mut columns, sound)
        }
        _ => Ok(()),
    };
    match written {
        // An older copy of a row that was found already.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(()),
        other => other,
    }
}

fn keep_lane(columns: &[ValueRef], store: &Store) -> rusqlite::Result<()> {
    let texts = row::text(columns[1]).zip(row::text(columns[2]));
    let Some(((sink, key), id)) = texts.zip(row::integer(columns[0])) else { return Ok(()) };
    let fits = match columns.get(3) {
        None | Some(ValueRef::Null) => true,
        Some(sum) => row::integer(*sum) == Some(row::lane_sum(id, sink.as_bytes(), key.as_bytes())),
    };
    match u32::try_from(id) {
        Ok(number) if fits => store.add_lane(number, &LaneName { sink: sink.into(), key }),
        _ => Ok(()),
    }
}

fn keep_delivery(
    columns: &[ValueRef],
    unchecked: Unchecked,
    store: &mut Store,
    salvaged: &mut Salvaged,
) -> rusqlite::Result<()> {
    // Ids of version 0.12.0 that do not fit are found again later, see `recover`.
    let unfitting = row::integer(columns[0]).and_then(RowId::of).is_none();
    match row::delivery(columns, LaneName::default(), unchecked) {
        Err(why) if !unfitting => {
            salvaged.altered += 1;
            store.keep_altered(columns, why)
        }
        _ => {
            store.insert_row(columns)?;
            salvaged.deliveries += 1;
            Ok(())
        }
    }
}

/// What is done with a row.
type Each<'a> = &'a mut dyn FnMut(&Found) -> rusqlite::Result<()>;

/// Why the pages could not be gone through.
enum Failed {
    Reading(std::io::Error),
    Writing(rusqlite::Error),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Failed::Reading(error)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Failed::Writing(error)
    }
}

/// A file of SQLite, page by page; or a log, with the pages that are in it.
struct Pages {
    file: File,
    /// Where the newest copy of each page of a log begins.
    log: Option<HashMap<u32, u64>>,
    size: usize,
    count: u32,
    /// It begins as it should.
    headed: bool,
    rows_lost: usize,
    pages_lost: usize,
}

impl Pages {
    fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        if let Some((size, log)) = frames(&file)? {
            let count = log.keys().copied().max().unwrap_or(0);
            let log = Some(log);
            return Ok(Pages { file, log, size, count, headed: true, rows_lost: 0, pages_lost: 0 });
        }
        let mut header = [0; HEADER_BYTES];
        let headed = file.read_exact_at(&mut header, 0).is_ok() && header.starts_with(MAGIC);
        let size = match number(&header[16..18]) as usize {
            1 => 65_536,
            size if headed && size >= 512 && size.is_power_of_two() => size,
            _ => schema::PAGE_BYTES as usize,
        };
        let count = file.metadata()?.len() / size as u64;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Pages { file, log: None, size, count, headed, rows_lost: 0, pages_lost: 0 })
    }

    /// All rows that can be read, of all tables.
    fn rows(&mut self, each: Each<'_>) -> Result<(), String> {
        self.look(each).map_err(|failed| match failed {
            Failed::Reading(error) => error.to_string(),
            Failed::Writing(error) => error.to_string(),
        })
    }

    fn look(&mut self, each: Each<'_>) -> Result<(), Failed> {
        let mut odd = HashSet::new();
        let (passed_over, mut chained) = (self.free()?, HashSet::new());
        let only = if self.headed { None } else { self.reached()? };
        for number in 1..=self.count {
            if passed_over.contains(&number) || !self.is_there(number) {
                continue;
            }
            let page = self.page(number)?;
            let start = if number == 1 { HEADER_BYTES } else { 0 };
            match page[start] {
                TABLE_LEAF | INDEX_LEAF if only.as_ref().is_none_or(|o| o.contains(&number)) => {
                    self.cells(&page, start, each, &mut chained)?;
                }
                TABLE_LEAF | INDEX_LEAF | TABLE_INNER | INDEX_INNER => {}
                _ => {
                    odd.insert(number);
                }
            }
        }
        self.pages_lost = odd.difference(&chained).count();
        Ok(())
    }

    fn page(&self, number: u32) -> std::io::Result<Vec<u8>> {
        let mut page = vec![0; self.size];
        let in_log = self.log.as_ref().and_then(|log| log.get(&number)).copied();
        let at = in_log.unwrap_or(u64::from(number - 1) * self.size as u64);
        self.file.read_exact_at(&mut page, at)?;
        Ok(page)
    }

    fn is_there(&self, number: u32) -> bool {
        let in_log = self.log.as_ref().is_none_or(|log| log.contains_key(&number));
        in_log && (1..=self.count).contains(&number)
    }

    /// Pages that hold nothing, as far as their list can be read: what lies in them is old.
    fn free(&self) -> std::io::Result<HashSet<u32>> {
        let mut free = HashSet::new();
        if !self.headed || !self.is_there(1) {
            return Ok(free);
        }
        let mut next = number(&self.page(1)?[32..36]);
        while self.is_there(next) && free.insert(next) {
            let trunk = self.page(next)?;
            let leaves = (number(&trunk[4..8]) as usize).min(self.size / 4 - 2);
            free.extend(trunk[8..8 + 4 * leaves].chunks_exact(4).map(number));
            next = number(&trunk[..4]);
        }
        Ok(free)
    }

    /// Without a header nobody knows which pages are free; those that hold rows are then found
    /// from the roots. `None` when a page on the way is damaged, too: all are looked at then, and
    /// what was delivered before may be delivered again.
    fn reached(&self) -> std::io::Result<Option<HashSet<u32>>> {
        let (mut reached, mut ahead) = (HashSet::new(), ROOTS.to_vec());
        while let Some(next) = ahead.pop() {
            if !self.is_there(next) || !reached.insert(next) {
                return Ok(None);
            }
            let page = self.page(next)?;
            match page[0] {
                TABLE_LEAF => {}
                TABLE_INNER => {
                    ahead.push(number(&page[8..12]));
                    for at in pointers(&page, 0, 12) {
                        let Some(child) = page.get(at..at + 4) else { return Ok(None) };
                        ahead.push(number(child));
                    }
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(reached))
    }

    /// The rows of one page.
    fn cells(
        &mut self,
        page: &[u8],
        start: usize,
        each: Each<'_>,
        chained: &mut HashSet<u32>,
    ) -> Result<(), Failed> {
        let table = page[start] == TABLE_LEAF;
        for at in pointers(page, start, 8) {
            match self.cell(page, at, table, chained)? {
                Some(row) if !row.columns.is_empty() => each(&row)?,
                _ => self.rows_lost += 1,
            }
        }
        Ok(())
    }

    fn cell(
        &self,
        page: &[u8],
        at: usize,
        table: bool,
        chained: &mut HashSet<u32>,
    ) -> std::io::Result<Option<Found>> {
        let mut rest = page.get(at..).unwrap_or_default();
        let Some(length) = varint(&mut rest) else { return Ok(None) };
        let id = if table { varint(&mut rest) } else { None };
        let Some(length) = usize::try_from(length).ok().filter(|&length| length <= PAYLOAD_MAX)
        else {
            return Ok(None);
        };
        let local = self.local(length, table);
        let Some(begin) = rest.get(..local) else { return Ok(None) };
        let mut payload = begin.to_vec();
        let mut next = rest.get(local..local + 4).map_or(0, number);
        while payload.len() < length {
            if !self.is_there(next) {
                return Ok(None);
            }
            chained.insert(next);
            let page = self.page(next)?;
            let take = (length - payload.len()).min(self.size - 4);
            payload.extend_from_slice(&page[4..4 + take]);
            next = number(&page[..4]);
        }
        Ok(columns(&payload).map(|columns| Found { id, columns }))
    }

    /// How much of a row lies in its page; the rest is in a chain of others.
    fn local(&self, length: usize, table: bool) -> usize {
        let size = self.size;
        let most = if table { size - 35 } else { (size - 12) * 64 / 255 - 23 };
        if length <= most {
            return length;
        }
        let least = (size - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (size - 4);
        if fitting <= most { fitting } else { least }
    }
}

fn is_log(path: &Path) -> bool {
    File::open(path).and_then(|file| frames(&file)).is_ok_and(|frames| frames.is_some())
}

/// The size of the pages in a log and where they are, if the file is one. What was not committed
/// and what an older log left behind it do not count.
fn frames(file: &File) -> std::io::Result<Option<(usize, HashMap<u32, u64>)>> {
    let mut header = [0; LOG_HEADER_BYTES];
    let is_log = file.read_exact_at(&mut header, 0).is_ok()
        && matches!(number(&header[..4]), LOG_MAGIC | LOG_MAGIC_BIG);
    let size = number(&header[8..12]) as usize;
    if !is_log || !(512..=65_536).contains(&size) {
        return Ok(None);
    }
    let (salts, end) = (&header[16..24], file.metadata()?.len());
    let step = (FRAME_HEADER_BYTES + size) as u64;
    let (mut committed, mut open) = (HashMap::new(), Vec::new());
    let mut at = LOG_HEADER_BYTES as u64;
    while at + step <= end {
        let mut frame = [0; FRAME_HEADER_BYTES];
        file.read_exact_at(&mut frame, at)?;
        if &frame[8..16] != salts {
            break;
        }
        open.push((number(&frame[..4]), at + FRAME_HEADER_BYTES as u64));
        // Only the last frame of a transaction says how large the database is.
        if number(&frame[4..8]) != 0 {
            committed.extend(open.drain(..));
        }
        at += step;
    }
    Ok(Some((size, committed)))
}

/// Where the cells of a page begin.
fn pointers(page: &[u8], start: usize, header: usize) -> Vec<usize> {
    let count = usize::from(page[start + 3]) << 8 | usize::from(page[start + 4]);
    let table = page.get(start + header..).unwrap_or_default();
    table
        .chunks_exact(2)
        .take(count)
        .map(|two| usize::from(two[0]) << 8 | usize::from(two[1]))
        .collect()
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for at in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if at == 8 {
            return Some((value << 8 | u64::from(*byte)).cast_signed());
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(value.cast_signed())
}

/// The columns of a record of SQLite.
fn columns(payload: &[u8]) -> Option<Vec<Value>> {
    let mut rest = payload;
    let header = usize::try_from(varint(&mut rest)?).ok()?;
    let mut types = payload.get(payload.len() - rest.len()..header)?;
    let mut body = payload.get(header..)?;
    let mut columns = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let (bytes, behind) = body.split_at_checked(length)?;
        body = behind;
        let whole = || {
            let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
            bytes.iter().fold(sign, |number: i64, byte| number << 8 | i64::from(*byte))
        };
        columns.push(match kind {
            0 => Value::Null,
            8 | 9 => Value::Integer(kind - 8),
            7 => Value::Real(f64::from_bits(whole().cast_unsigned())),
            1..=6 => Value::Integer(whole()),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(bytes.to_vec()),
        });
    }
    Some(columns)
}
