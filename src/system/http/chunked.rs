//! Chunked bodies, decoded in place. Strict: anything that two readers could understand differently
//! is refused. Extensions and trailers are skipped.

use crate::system::http::refusal::Refusal;

/// Most bytes of extensions and trailers in one body.
const EXTRA_BYTES_MAX: usize = 8 * 1024;
/// Digits of a chunk size, leading zeros included.
const SIZE_DIGITS_MAX: usize = 16;

/// A chunked body on its way in.
#[derive(Debug)]
pub(super) struct Chunked {
    /// Where the decoded bytes end in the buffer.
    body_end: usize,
    /// How far they may go.
    body_end_max: usize,
    extra: usize,
    expected: Expected,
}

/// What the next byte must be.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// A digit of a chunk size or, after the first one, its end.
    Size { size: usize, digits: usize },
    /// The rest of a chunk size's line, which is skipped.
    Extension { size: usize },
    /// The line feed of a chunk size's line.
    SizeLf { size: usize },
    /// This many bytes of content.
    Content { left: usize },
    /// The end of the line after the content.
    ContentCr,
    /// Its line feed.
    ContentLf,
    /// A trailer, or the empty line that ends the body.
    TrailerOrEnd,
    /// The rest of a trailer, which is skipped.
    Trailer,
    /// The line feed of a trailer.
    TrailerLf,
    /// The line feed that ends the body.
    EndLf,
}

/// How far the decoder came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// All bytes were used; decoded ones end at this place, and the body goes on.
    More(usize),
    /// The body is whole. Its decoded bytes end at `body_end`, unused ones begin at `rest`.
    Whole { body_end: usize, rest: usize },
}

impl Chunked {
    /// A body whose first byte goes to `start` of the buffer.
    pub(super) fn new(start: usize, body_bytes_max: usize) -> Self {
        Chunked {
            body_end: start,
            body_end_max: start.saturating_add(body_bytes_max),
            extra: 0,
            expected: Expected::Size { size: 0, digits: 0 },
        }
    }

    /// Decodes what follows the bytes decoded so far.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, Refusal> {
        let mut at = self.body_end;
        while let Some(&byte) = bytes.get(at) {
            if let Expected::Content { left } = self.expected {
                let taken = left.min(bytes.len() - at);
                bytes.copy_within(at..at + taken, self.body_end);
                self.body_end += taken;
                at += taken;
                self.expected = match left - taken {
                    0 => Expected::ContentCr,
                    left => Expected::Content { left },
                };
                continue;
            }
            at += 1;
            match self.after(byte)? {
                Some(expected) => self.expected = expected,
                None => return Ok(Decoded::Whole { body_end: self.body_end, rest: at }),
            }
        }
        Ok(Decoded::More(self.body_end))
    }

    /// What is expected after `byte`, which is no content; `None` at the end of the body.
    fn after(&mut self, byte: u8) -> Result<Option<Expected>, Refusal> {
        Ok(Some(match (self.expected, byte) {
            (Expected::Size { size, digits: 1.. }, b'\r') => Expected::SizeLf { size },
            (Expected::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => {
                self.extra_byte()?;
                Expected::Extension { size }
            }
            (Expected::Size { size, digits }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(MALFORMED)?;
                if digits == SIZE_DIGITS_MAX {
                    return Err(MALFORMED);
                }
                let size = size.checked_mul(16).ok_or(Refusal::TOO_LARGE)? + digit as usize;
                if size > self.body_end_max - self.body_end {
                    return Err(Refusal::TOO_LARGE);
                }
                Expected::Size { size, digits: digits + 1 }
            }
            (Expected::Extension { size }, b'\r') => Expected::SizeLf { size },
            (Expected::SizeLf { size: 0 }, b'\n') => Expected::TrailerOrEnd,
            (Expected::SizeLf { size }, b'\n') => Expected::Content { left: size },
            (Expected::ContentCr, b'\r') => Expected::ContentLf,
            (Expected::ContentLf, b'\n') => Expected::Size { size: 0, digits: 0 },
            (Expected::TrailerOrEnd, b'\r') => Expected::EndLf,
            (Expected::Trailer, b'\r') => Expected::TrailerLf,
            (Expected::TrailerLf, b'\n') => Expected::TrailerOrEnd,
            (Expected::EndLf, b'\n') => return Ok(None),
            (Expected::TrailerOrEnd | Expected::Trailer, _) if byte != b'\n' => {
                self.extra_byte()?;
                Expected::Trailer
            }
            (Expected::Extension { .. }, _) if byte != b'\n' => {
                self.extra_byte()?;
                self.expected
            }
            _ => return Err(MALFORMED),
        }))
    }

    fn extra_byte(&mut self) -> Result<(), Refusal> {
        self.extra += 1;
        if self.extra > EXTRA_BYTES_MAX { Err(Refusal::HEAD_TOO_LARGE) } else { Ok(()) }
    }
}

const MALFORMED: Refusal = Refusal::bad("malformed chunked body");

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body decodes to, with what is left over, or the status of its refusal.
    fn decode(raw: &str) -> Result<Option<(String, String)>, u16> {
        let mut bytes = raw.as_bytes().to_vec();
        match Chunked::new(0, 32).decode(&mut bytes) {
            Ok(Decoded::Whole { body_end, rest }) => Ok(Some((
                String::from_utf8_lossy(&bytes[..body_end]).into_owned(),
                String::from_utf8_lossy(&bytes[rest..]).into_owned(),
            ))),
            Ok(Decoded::More(_)) => Ok(None),
            Err(refusal) => Err(refusal.status),
        }
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_read_over() {
        for (raw, body, rest) in [
            ("0\r\n\r\n", "", ""),
            ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", "abcde", "GET"),
            ("00A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""),
            ("3;a=b\r\nabc\r\n0 ;c=\"d\"\r\n\r\n", "abc", ""),
            ("1\r\nx\r\n0\r\nDigest: none\r\nA: b\r\n\r\n", "x", ""),
            (
                "20\r\n01234567890123456789012345678901\r\n0\r\n\r\n",
                &"0123456789".repeat(4)[..32],
                "",
            ),
        ] {
            assert_eq!(decode(raw), Ok(Some((body.to_owned(), rest.to_owned()))), "{raw:?}");
        }
    }

    #[test]
    fn what_is_not_exactly_right_is_refused() {
        let long_extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(EXTRA_BYTES_MAX));
        for (raw, status) in [
            ("\r\n", 400),
            (";a\r\n", 400),
            ("x\r\n", 400),
            ("-1\r\n", 400),
            ("+1\r\n", 400),
            ("0x1\r\n", 400),
            ("1\nx\r\n0\r\n\r\n", 400),
            ("1\rx", 400),
            ("1;a\nx", 400),
            ("1\r\nxy\r\n", 400),
            ("1\r\nx\n0\r\n\r\n", 400),
            ("0\r\n\n", 400),
            ("0\r\nA: b\n\r\n", 400),
            ("0\r\n\rx", 400),
            ("00000000000000001\r\n", 400),
            ("21\r\n", 413),
            ("1f\r\n0123456789012345678901234567890\r\n2\r\n", 413),
            ("ffffffffffffffff\r\n", 413),
            (&long_extension, 431),
        ] {
            assert_eq!(decode(raw), Err(status), "{raw:?}");
        }
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let raw = b"3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n";
        for cut in 0..raw.len() {
            let mut chunked = Chunked::new(0, 32);
            let mut bytes = raw[..cut].to_vec();
            let Ok(Decoded::More(end)) = chunked.decode(&mut bytes) else {
                panic!("cut at {cut}: the body is not whole yet");
            };
            bytes.truncate(end);
            bytes.extend_from_slice(&raw[cut..]);
            let whole = Decoded::Whole { body_end: 5, rest: bytes.len() };
            assert_eq!(chunked.decode(&mut bytes).ok(), Some(whole), "cut at {cut}");
            assert_eq!(&bytes[..5], b"abcde");
        }
    }
}
