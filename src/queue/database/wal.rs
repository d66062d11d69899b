//! A write-ahead log of SQLite, read without SQLite: where the pages in it are.

use super::pages::number;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a log begins with, and the sizes of the headers of it and of each page in it
/// (<https://sqlite.org/fileformat2.html>, 4.1).
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_MAGIC_BIG: u32 = 0x377f_0683;
const LOG_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

pub(in crate::queue) fn is_log(path: &Path) -> bool {
    File::open(path).and_then(Log::of).is_ok_and(|log| log.is_some())
}

/// A log of SQLite.
pub(super) struct Log {
    pub(super) file: File,
    pub(super) size: usize,
    /// Where the newest copy of each page begins.
    pub(super) places: HashMap<u32, u64>,
}

impl Log {
    pub(super) fn of(file: File) -> io::Result<Option<Self>> {
        Ok(frames(&file)?.map(|(size, places)| Log { file, size, places }))
    }
}

/// The size of the pages in a log and where they are, if the file is one. What was not committed
/// and what an older log left behind it do not count.
fn frames(file: &File) -> io::Result<Option<(usize, HashMap<u32, u64>)>> {
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
