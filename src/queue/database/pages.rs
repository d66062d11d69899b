//! A file of SQLite without SQLite: its pages one by one, and the rows in those that hold rows.
//!
//! A page that is lost takes with it, for SQLite, all that is found through it: the tables with
//! the first page, a hundred pages of rows with one page of an inner node. The rows are still
//! there, and so are those in a log whose database is gone.

use super::schema;
use super::wal::Log;
use rusqlite::types::ValueRef;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The first bytes of every file of SQLite.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The header at the beginning of the first page.
const HEADER_BYTES: usize = 100;

/// Kinds of pages, by their first byte.
const TABLE_LEAF: u8 = 0x0d;
const TABLE_INNER: u8 = 0x05;
const INDEX_LEAF: u8 = 0x0a;
const INDEX_INNER: u8 = 0x02;

/// The largest row that is believed: no delivery comes near.
const PAYLOAD_MAX: usize = 16 * 1024 * 1024;

/// The roots of `lanes`, `deliveries` and `dead_letters` in a file that this agent made.
const ROOTS: [u32; 3] = [2, 3, 4];

/// A row of any table, its columns as the file has them, and where it lies: the number of its page
/// and the place in it.
pub(in crate::queue) struct Found {
    pub(in crate::queue) id: Option<i64>,
    pub(in crate::queue) columns: Vec<Value>,
    pub(in crate::queue) place: (u32, usize),
}

#[derive(Clone, Debug)]
pub(in crate::queue) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    pub(in crate::queue) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(bytes) => ValueRef::Text(bytes),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

/// A file of SQLite, page by page, with its log or without; or a log alone, with the pages that
/// are in it.
pub(in crate::queue) struct Pages {
    file: File,
    /// How many pages the file itself has.
    in_file: u32,
    log: Option<Log>,
    size: usize,
    count: u32,
    /// It begins as it should.
    headed: bool,
    /// Pages that no table reaches are looked at, too.
    every: bool,
    pub(in crate::queue) rows_lost: usize,
    walk: Option<Walk>,
}

/// How far the pages were gone through.
#[derive(Default)]
struct Walk {
    passed_over: HashSet<u32>,
    only: Option<HashSet<u32>>,
    odd: HashSet<u32>,
    chained: HashSet<u32>,
    number: u32,
    page: Vec<u8>,
    in_table: bool,
    /// Where its rows begin that are still to come.
    cells: std::vec::IntoIter<usize>,
}

impl Pages {
    pub(in crate::queue) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if let Some(log) = Log::of(File::open(path)?)? {
            let (size, in_file, rows_lost) = (log.size, 0, 0);
            let pages = Pages {
                file,
                in_file,
                log: None,
                size,
                count: 0,
                headed: false,
                every: false,
                rows_lost,
                walk: None,
            };
            return Ok(pages.with(log));
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
        Ok(Pages {
            file,
            in_file: count,
            log: None,
            size,
            count,
            headed,
            every: false,
            rows_lost: 0,
            walk: None,
        })
    }

    /// With the log beside the file, if there is one that fits.
    pub(in crate::queue) fn open_with_log(path: &Path) -> io::Result<Self> {
        let pages = Pages::open(path)?;
        let log = File::open(schema::beside(path, "-wal")).and_then(Log::of);
        let fits = |log: &Log| pages.count == 0 || log.size == pages.size;
        Ok(match log.ok().flatten().filter(fits) {
            Some(log) => pages.with(log),
            None => pages,
        })
    }

    fn with(mut self, log: Log) -> Self {
        self.size = log.size;
        self.count = self.count.max(log.places.keys().copied().max().unwrap_or(0));
        self.headed = self.headed || self.in_file == 0 || log.places.contains_key(&1);
        self.log = Some(log);
        self
    }

    /// The next row that can be read, of any table; `None` behind the last one.
    pub(in crate::queue) fn next_row(&mut self) -> io::Result<Option<Found>> {
        let mut walk = match self.walk.take() {
            Some(walk) => walk,
            None => self.begin()?,
        };
        let row = self.step(&mut walk);
        self.walk = Some(walk);
        row
    }

    /// Every page is looked at, but none behind this one.
    pub(in crate::queue) fn look_at_first(&mut self, number: u32) {
        self.every = true;
        self.count = self.count.min(number);
    }

    /// Begins again at the first page.
    pub(in crate::queue) fn rewind(&mut self) {
        (self.walk, self.rows_lost) = (None, 0);
    }

    fn begin(&self) -> io::Result<Walk> {
        Ok(Walk {
            passed_over: self.free()?,
            only: if self.headed || self.every { None } else { self.reached()? },
            ..Walk::default()
        })
    }

    fn step(&mut self, walk: &mut Walk) -> io::Result<Option<Found>> {
        loop {
            for at in walk.cells.by_ref() {
                let (page, number) = (&walk.page, walk.number);
                match self.cell(page, at, walk.in_table, &mut walk.chained)? {
                    Some((id, columns)) if !columns.is_empty() => {
                        return Ok(Some(Found { id, columns, place: (number, at) }));
                    }
                    _ => self.rows_lost += 1,
                }
            }
            if walk.number >= self.count {
                return Ok(None);
            }
            walk.number += 1;
            if !walk.passed_over.contains(&walk.number) && self.is_there(walk.number) {
                self.turn_to(walk)?;
            }
        }
    }

    /// Finds the cells of the page that is next.
    fn turn_to(&self, walk: &mut Walk) -> io::Result<()> {
        let number = walk.number;
        walk.page = self.page(number)?;
        let start = if number == 1 { HEADER_BYTES } else { 0 };
        match walk.page[start] {
            kind @ (TABLE_LEAF | INDEX_LEAF)
                if walk.only.as_ref().is_none_or(|only| only.contains(&number)) =>
            {
                walk.in_table = kind == TABLE_LEAF;
                walk.cells = pointers(&walk.page, start, 8).into_iter();
            }
            TABLE_LEAF | INDEX_LEAF | TABLE_INNER | INDEX_INNER => {}
            _ => {
                walk.odd.insert(number);
            }
        }
        Ok(())
    }

    /// Pages that are none of rows, as far as the walk has come.
    pub(in crate::queue) fn pages_lost(&self) -> usize {
        self.walk.as_ref().map_or(0, |walk| walk.odd.difference(&walk.chained).count())
    }

    /// The row of a table that was found at a place.
    pub(in crate::queue) fn row_at(&self, place: (u32, usize)) -> io::Result<Option<Found>> {
        let found = self.cell(&self.page(place.0)?, place.1, true, &mut HashSet::new())?;
        Ok(found.map(|(id, columns)| Found { id, columns, place }))
    }

    fn page(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.size];
        match self.in_log(number) {
            Some((log, at)) => log.file.read_exact_at(&mut page, at)?,
            None => self.file.read_exact_at(&mut page, u64::from(number - 1) * self.size as u64)?,
        }
        Ok(page)
    }

    fn is_there(&self, number: u32) -> bool {
        (1..=self.in_file.min(self.count)).contains(&number) || self.in_log(number).is_some()
    }

    fn in_log(&self, number: u32) -> Option<(&Log, u64)> {
        let log = self.log.as_ref()?;
        log.places.get(&number).map(|at| (log, *at))
    }

    /// Pages that hold nothing, as far as their list can be read: what lies in them is old.
    fn free(&self) -> io::Result<HashSet<u32>> {
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
    fn reached(&self) -> io::Result<Option<HashSet<u32>>> {
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

    fn cell(
        &self,
        page: &[u8],
        at: usize,
        table: bool,
        chained: &mut HashSet<u32>,
    ) -> io::Result<Option<(Option<i64>, Vec<Value>)>> {
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
        Ok(columns(&payload).map(|columns| (id, columns)))
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

pub(super) fn number(bytes: &[u8]) -> u32 {
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
