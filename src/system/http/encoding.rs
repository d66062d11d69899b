//! Compressed bodies: `Content-Encoding: gzip` (RFC 1952) and `deflate` (RFC 1950, and what some
//! clients send under its name).

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use std::borrow::Cow;

/// What can be unpacked, for the header that says so.
pub const KNOWN: &str = "gzip, deflate";

/// Most bytes of an [`Opening`].
const OPENING_BYTES_MAX: usize = 64 * 1024;

/// The initial room for the unpacked body; it grows as needed.
const ROOM_FIRST: usize = 4 * 1024;

/// Why a body cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// We do not know this encoding.
    Unknown,
    /// It is not what it says.
    Broken,
    /// It would be larger than allowed.
    TooLarge,
}

/// The unpacked body, and never more of it than `bytes_max`.
///
/// # Errors
///
/// Says why it cannot be unpacked.
pub fn unpacked<'a>(
    encoding: Option<&str>,
    body: &'a [u8],
    bytes_max: usize,
) -> Result<Cow<'a, [u8]>, Packed> {
    let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
    match encoding.as_str() {
        "" | "identity" => Ok(Cow::Borrowed(body)),
        "gzip" | "x-gzip" => gunzip(body, bytes_max).map(Cow::Owned),
        "deflate" => {
            // The two bytes in front of zlib's form are a multiple of 31.
            let is_zlib = matches!(body, [first, second, ..]
                if first & 0x0f == 8 && (u32::from(*first) << 8 | u32::from(*second)) % 31 == 0);
            let flags = if is_zlib { inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER } else { 0 };
            let (bytes, _) = inflate(body, flags, bytes_max)?;
            Ok(Cow::Owned(bytes))
        }
        _ => Err(Packed::Unknown),
    }
}

/// Members of a file in this form follow one another, and count as one text.
fn gunzip(mut packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Packed> {
    let mut bytes = Vec::new();
    loop {
        let rest = header_end(packed).ok_or(Packed::Broken)?;
        let (member, used) = inflate(rest, 0, bytes_max - bytes.len())?;
        let (sums, rest) = rest[used..].split_at_checked(8).ok_or(Packed::Broken)?;
        // The length counts modulo 2^32, as the low half of this does.
        let length = (member.len() as u64).to_le_bytes();
        if sums[..4] != crc(0, &member).to_le_bytes() || sums[4..] != length[..4] {
            return Err(Packed::Broken);
        }
        bytes.extend(member);
        if rest.is_empty() {
            return Ok(bytes);
        }
        packed = rest;
    }
}

/// What follows the header of a member.
fn header_end(packed: &[u8]) -> Option<&[u8]> {
    const CHECKED: u8 = 2;
    const EXTRA: u8 = 4;
    const NAMED: u8 = 8;
    const COMMENTED: u8 = 16;
    let (fixed, mut rest) = packed.split_at_checked(10)?;
    if fixed[..3] != [0x1f, 0x8b, 8] {
        return None;
    }
    let flags = fixed[3];
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_at_checked(2)?;
        rest = after.get(usize::from(u16::from_le_bytes([length[0], length[1]]))..)?;
    }
    for text in [NAMED, COMMENTED] {
        if flags & text != 0 {
            rest = &rest[rest.iter().position(|byte| *byte == 0)? + 1..];
        }
    }
    if flags & CHECKED != 0 { rest.get(2..) } else { Some(rest) }
}

/// The inflated bytes, and how many compressed ones they took.
fn inflate(packed: &[u8], flags: u32, bytes_max: usize) -> Result<(Vec<u8>, usize), Packed> {
    let flags = flags | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    // One byte more than allowed shows that there is more.
    let longest = bytes_max.saturating_add(1);
    let mut bytes = vec![0; ROOM_FIRST.min(longest)];
    let (mut used, mut filled) = (0, 0);
    loop {
        let (status, read, wrote) =
            decompress(&mut state, &packed[used..], &mut bytes, filled, flags);
        used += read;
        filled += wrote;
        match status {
            _ if filled > bytes_max => return Err(Packed::TooLarge),
            TINFLStatus::Done => {
                bytes.truncate(filled);
                return Ok((bytes, used));
            }
            TINFLStatus::HasMoreOutput => {
                bytes.resize(longest.min(bytes.len().saturating_mul(2)), 0);
            }
            _ => return Err(Packed::Broken),
        }
    }
}

/// Whether a client takes gzip, by its `Accept-Encoding`.
#[must_use]
pub fn takes_gzip(accepted: Option<&str>) -> bool {
    accepted.unwrap_or_default().split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let is_refused = weight
            .trim()
            .strip_prefix("q=0")
            .is_some_and(|rest| rest.bytes().all(|byte| byte == b'.' || byte == b'0'));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// The beginning of a text that is sent again and again with another end. It is packed when the
/// agent is built, so nothing is packed on the box: what follows goes out as it is, in blocks that
/// the format has for that.
pub struct Opening {
    /// Deflated, without a last block, up to the end of a byte.
    packed: &'static [u8],
    crc: u32,
    length: u32,
}

impl Opening {
    /// Of what was packed.
    #[must_use]
    pub fn new(packed: &'static [u8]) -> Self {
        let mut opening = Opening { packed, crc: 0, length: 0 };
        let text = opening.unpacked();
        (opening.crc, opening.length) = (crc(0, &text), length(&text));
        opening
    }

    /// It as it was.
    #[must_use]
    pub fn unpacked(&self) -> Vec<u8> {
        /// A last block with nothing in it.
        const END: [u8; 2] = [3, 0];
        let whole = [self.packed, &END].concat();
        inflate(&whole, 0, OPENING_BYTES_MAX).map(|(text, _)| text).unwrap_or_default()
    }

    /// It and what follows, for clients that take gzip.
    #[must_use]
    pub fn gzip(&self, rest: &[u8]) -> Vec<u8> {
        const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        let mut out = [&HEAD, self.packed].concat();
        let mut blocks = rest.chunks(usize::from(u16::MAX)).peekable();
        while let Some(block) = blocks.next() {
            let is_last = blocks.peek().is_none();
            let count = u16::try_from(block.len()).unwrap_or(u16::MAX);
            out.push(u8::from(is_last));
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(&(!count).to_le_bytes());
            out.extend_from_slice(block);
        }
        if rest.is_empty() {
            out.extend_from_slice(&[3, 0]);
        }
        out.extend_from_slice(&crc(self.crc, rest).to_le_bytes());
        out.extend_from_slice(&self.length.wrapping_add(length(rest)).to_le_bytes());
        out
    }
}

/// As gzip has it.
#[expect(clippy::cast_possible_truncation, reason = "it counts modulo 2^32")]
fn length(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

/// CRC-32 as gzip has it, of what `crc` is of and these bytes behind it.
fn crc(crc: u32, bytes: &[u8]) -> u32 {
    const OF_BYTES: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < table.len() {
            #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes
        .iter()
        .fold(!crc, |crc, byte| (crc >> 8) ^ OF_BYTES[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf hello | gzip -9n`, and what zlib and deflate make of it.
    const GZIP: &[u8] =
        b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";
    const ZLIB: &[u8] = b"x\x9c\xcbH\xcd\xc9\xc9\x07\0\x06,\x02\x15";
    const RAW: &[u8] = b"\xcbH\xcd\xc9\xc9\x07\0";

    #[test]
    fn what_was_packed_is_unpacked() {
        let named =
            [b"\x1f\x8b\x08\x1e\0\0\0\0\x02\x03\x02\0xxname\0words\0cc", &GZIP[10..]].concat();
        let twice = [GZIP, GZIP].concat();
        for (encoding, body, wanted) in [
            (None, b"hello".as_slice(), "hello"),
            (Some("identity"), b"hello", "hello"),
            (Some("gzip"), GZIP, "hello"),
            (Some(" GZip "), GZIP, "hello"),
            (Some("x-gzip"), &named, "hello"),
            (Some("gzip"), &twice, "hellohello"),
            (Some("deflate"), ZLIB, "hello"),
            (Some("deflate"), RAW, "hello"),
        ] {
            let found = unpacked(encoding, body, 10).unwrap();
            assert_eq!(found, wanted.as_bytes(), "{encoding:?}");
        }
    }

    #[test]
    fn what_is_broken_or_unknown_or_too_large_is_not() {
        let mut wrong_sum = GZIP.to_vec();
        wrong_sum[GZIP.len() - 8] ^= 1;
        let mut wrong_length = GZIP.to_vec();
        wrong_length[GZIP.len() - 1] ^= 1;
        for (encoding, body, wanted) in [
            ("br", GZIP, Packed::Unknown),
            ("gzip, gzip", GZIP, Packed::Unknown),
            ("gzip", b"hello", Packed::Broken),
            ("gzip", b"", Packed::Broken),
            ("gzip", &wrong_sum, Packed::Broken),
            ("gzip", &wrong_length, Packed::Broken),
            ("deflate", b"", Packed::Broken),
            ("deflate", &ZLIB[..9], Packed::Broken),
        ] {
            assert_eq!(unpacked(Some(encoding), body, 10), Err(wanted), "{encoding} {body:?}");
        }
        for length in 0..GZIP.len() {
            let cut = unpacked(Some("gzip"), &GZIP[..length], 10);
            assert_eq!(cut, Err(Packed::Broken), "{length}");
        }
        assert_eq!(unpacked(Some("gzip"), GZIP, 4), Err(Packed::TooLarge));
        let twice = [GZIP, GZIP].concat();
        assert_eq!(unpacked(Some("gzip"), &twice, 9), Err(Packed::TooLarge));
    }

    #[test]
    fn what_follows_an_opening_is_packed_with_it() {
        // `printf hello`, deflated up to the end of a byte.
        const HELLO: &[u8] = b"\xcaH\xcd\xc9\xc9\x07\0\0\0\xff\xff";
        let opening = Opening::new(HELLO);
        assert_eq!(opening.unpacked(), b"hello");
        for length in [0, 1, 65_535, 65_536, 200_000] {
            let rest: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[0]).collect();
            let whole = [b"hello", &rest[..]].concat();
            let packed = opening.gzip(&rest);
            let found = unpacked(Some("gzip"), &packed, whole.len());
            assert_eq!(found.as_deref(), Ok(&whole[..]), "{length}");
        }
    }

    #[test]
    fn a_client_says_whether_it_takes_gzip() {
        for (accepted, wanted) in [
            (None, false),
            (Some(""), false),
            (Some("gzip, deflate, br, zstd"), true),
            (Some("br;q=1.0, GZIP;q=0.8"), true),
            (Some("gzip;q=0"), false),
            (Some("gzip; q=0.000"), false),
            (Some("deflate, identity"), false),
            (Some("x-gzipped"), false),
        ] {
            assert_eq!(takes_gzip(accepted), wanted, "{accepted:?}");
        }
    }
}
