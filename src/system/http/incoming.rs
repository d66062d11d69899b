//! The bytes of a connection: where a request begins and where it ends. No I/O and no clock.

use crate::system::http::Request;
use crate::system::http::chunked::{Chunked, Decoded};
use crate::system::http::head::{self, Body, HEAD_BYTES_MAX, Head, KeepAlive, Sizes};
use crate::system::http::refusal::Refusal;

/// The buffer of a new connection: most requests fit.
const BUFFER_BYTES_FIRST: usize = 2 * 1024;
/// A larger buffer is given back after the request that needed it.
const BUFFER_BYTES_KEPT: usize = 16 * 1024;
/// Room to read the next piece of a chunked body into.
const CHUNK_BYTES_ROOM: usize = 4 * 1024;

/// What can be done with the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes are needed.
    Partial,
    /// More bytes are needed, and the client waits for a 100 before it sends them.
    Awaited,
    /// A request is whole, see [`Incoming::request`].
    Whole,
}

/// The bytes of one connection that are not yet dealt with.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Filled with zeros after `filled`.
    bytes: Vec<u8>,
    filled: usize,
    sizes: Sizes,
    stage: Stage,
}

/// How much of the request at the front is known.
#[derive(Debug)]
enum Stage {
    /// Its head is not complete.
    Head,
    /// Its head is complete and its body ends at `end`.
    Counted { head: Head, end: usize },
    /// Its head is complete and its body is chunked.
    Chunked { head: Head, body: Chunked },
    /// It is complete.
    Whole { head: Head, end: usize },
}

impl Incoming {
    pub(super) fn new(sizes: Sizes) -> Self {
        let bytes = vec![0; BUFFER_BYTES_FIRST];
        Incoming { bytes, filled: 0, sizes, stage: Stage::Head }
    }

    /// Whether nothing of a request has come yet.
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Room to read into, never empty unless a request is whole; see [`Incoming::advance`].
    pub(super) fn room(&mut self) -> &mut [u8] {
        // The buffer grows with what has arrived, not with what was announced.
        let longest = match &self.stage {
            Stage::Head => self.sizes.head_bytes_max,
            Stage::Counted { end, .. } | Stage::Whole { end, .. } => *end,
            Stage::Chunked { .. } => self.filled + CHUNK_BYTES_ROOM,
        };
        if self.filled == self.bytes.len() && self.filled < longest {
            self.bytes.resize(longest.min(self.filled.saturating_mul(2)), 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Notes that the first `count` bytes of the room have been filled, and examines them.
    pub(super) fn advance(&mut self, count: usize) -> Result<Progress, Refusal> {
        self.filled += count;
        if let Stage::Head = self.stage {
            self.skip_empty_lines();
            let Some(stage) = self.read_head()? else { return Ok(Progress::Partial) };
            self.stage = stage;
        }
        match &mut self.stage {
            Stage::Counted { head, end } if self.filled >= *end => {
                self.stage = Stage::Whole { head: *head, end: *end };
            }
            Stage::Chunked { head, body } => match body.decode(&mut self.bytes[..self.filled])? {
                Decoded::More(body_end) => self.filled = body_end,
                Decoded::Whole { body_end, rest } => {
                    self.bytes.copy_within(rest..self.filled, body_end);
                    self.filled -= rest - body_end;
                    self.stage = Stage::Whole { head: *head, end: body_end };
                }
            },
            Stage::Head | Stage::Counted { .. } | Stage::Whole { .. } => (),
        }
        Ok(self.progress())
    }

    /// The head at the front, once it is there and while its body is not, without that body.
    pub(super) fn head<T>(&self, look: impl FnOnce(&Request) -> T) -> Option<T> {
        match self.stage {
            Stage::Counted { head, .. } | Stage::Chunked { head, .. } => {
                head::show(&self.bytes[..head.bytes], &[], look)
            }
            Stage::Head | Stage::Whole { .. } => None,
        }
    }

    /// The request at the front, if it is whole, and what its client wants to happen to the
    /// connection.
    pub(super) fn request<T>(&self, answer: impl FnOnce(&Request, KeepAlive) -> T) -> Option<T> {
        let Stage::Whole { head, end } = self.stage else { return None };
        let (head_bytes, body) = self.bytes[..end].split_at(head.bytes);
        head::show(head_bytes, body, |request| answer(request, head.keep_alive))
    }

    /// Forgets the request at the front. What follows it is kept; examine it with `advance(0)`.
    pub(super) fn next(&mut self) {
        let Stage::Whole { end, .. } = self.stage else { return };
        self.bytes.copy_within(end..self.filled, 0);
        self.filled -= end;
        self.stage = Stage::Head;
        if self.bytes.len() > BUFFER_BYTES_KEPT && self.filled <= BUFFER_BYTES_FIRST {
            self.bytes.truncate(BUFFER_BYTES_FIRST);
            self.bytes.shrink_to_fit();
        }
    }

    fn progress(&mut self) -> Progress {
        match &mut self.stage {
            Stage::Whole { .. } => Progress::Whole,
            Stage::Counted { head, .. } | Stage::Chunked { head, .. } => {
                // A client that has begun to send no longer waits.
                let awaits = std::mem::take(&mut head.awaits) && self.filled == head.bytes;
                if awaits { Progress::Awaited } else { Progress::Partial }
            }
            Stage::Head => Progress::Partial,
        }
    }

    /// Some clients send an empty line after a body; RFC 9112 section 2.2 asks to ignore it.
    fn skip_empty_lines(&mut self) {
        let filled = &self.bytes[..self.filled];
        let empty = filled.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if empty > 0 {
            self.bytes.copy_within(empty..self.filled, 0);
            self.filled -= empty;
        }
    }

    fn read_head(&self) -> Result<Option<Stage>, Refusal> {
        let head = head::read(&self.bytes[..self.filled], self.sizes)?;
        Ok(head.map(|head| match head.body {
            Body::Counted(length) => Stage::Counted { head, end: head.bytes + length },
            Body::Chunked => {
                Stage::Chunked { head, body: Chunked::new(head.bytes, self.sizes.body_bytes_max) }
            }
        }))
    }
}

/// Reads the requests of a connection whose bytes come in these pieces, and says how it was ended:
/// with a status and words, or not at all. For fuzzing, which a socket would make slow and which
/// has to decide where a piece ends.
#[doc(hidden)]
pub fn read_requests(
    pieces: &[&[u8]],
    body_bytes_max: usize,
    seen: &mut dyn FnMut(&Request),
) -> Option<(u16, &'static str)> {
    let mut incoming = Incoming::new(Sizes { head_bytes_max: HEAD_BYTES_MAX, body_bytes_max });
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let room = incoming.room();
            let mut count = rest.len().min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            loop {
                match incoming.advance(count) {
                    Ok(Progress::Whole) => incoming.request(|request, _| seen(request)),
                    Ok(Progress::Partial | Progress::Awaited) => break,
                    Err(refusal) => return Some((refusal.status, refusal.why)),
                };
                incoming.next();
                count = 0;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::http::head::{HEADERS_MAX, TARGET_BYTES_MAX};
    use proptest::prelude::*;

    const BODY_BYTES_MAX: usize = 64;

    fn incoming(body_bytes_max: usize) -> Incoming {
        Incoming::new(Sizes { head_bytes_max: HEAD_BYTES_MAX, body_bytes_max })
    }

    /// What a client sees of its stream: each request, and the refusal that ended it, if one did.
    type Seen = (Vec<(String, String, Vec<u8>)>, Option<u16>);

    /// Feeds the pieces one by one.
    fn see<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
        let mut incoming = incoming(BODY_BYTES_MAX);
        let mut seen = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                let room = incoming.room();
                assert!(!room.is_empty());
                let count = room.len().min(piece.len());
                room[..count].copy_from_slice(&piece[..count]);
                piece = &piece[count..];
                let mut progress = incoming.advance(count);
                while progress == Ok(Progress::Whole) {
                    seen.extend(incoming.request(|request, _| {
                        let (method, path) = (request.method.to_owned(), request.path.to_owned());
                        (method, path, request.body.to_vec())
                    }));
                    incoming.next();
                    progress = incoming.advance(0);
                }
                if let Err(refusal) = progress {
                    return (seen, Some(refusal.status));
                }
            }
        }
        (seen, None)
    }

    fn see_text(text: &str) -> Seen {
        see([text.as_bytes()])
    }

    #[track_caller]
    fn check(text: &str, wanted: &[(&str, &str, &str)]) {
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(method, path, body)| {
                ((*method).to_owned(), (*path).to_owned(), body.as_bytes().to_vec())
            })
            .collect();
        assert_eq!(see_text(text), (wanted, None), "{text:?}");
    }

    #[test]
    fn requests_are_found_one_after_another() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[("GET", "/", "")]);
        check("GET / HTTP/1.1\nHost: a\n\n", &[("GET", "/", "")]);
        check("GET / HTTP/1.1\r\n\r\n", &[("GET", "/", "")]);
        check("GET / HTTP/1.0\r\n\r\n", &[("GET", "/", "")]);
        check("\r\n\r\nGET / HTTP/1.0\r\n\r\n\r\n", &[("GET", "/", "")]);
        check("GET /a?b=/c HTTP/1.0\r\n\r\n", &[("GET", "/a", "")]);
        check("GET http://a:80/b?c HTTP/1.0\r\n\r\n", &[("GET", "/b", "")]);
        check("GET HTTP://a?c HTTP/1.0\r\n\r\n", &[("GET", "/", "")]);
        check("OPTIONS * HTTP/1.0\r\n\r\n", &[("OPTIONS", "*", "")]);
        check(
            "POST /x HTTP/1.1\r\nhost:\r\ncontent-length: 3\r\n\r\nabcPOST /y HTTP/1.1\r\nHost: a\r\n\
             Transfer-Encoding: Chunked\r\n\r\n2\r\nde\r\n0\r\n\r\nGET /z HTTP/1.0\r\n\r\nGET",
            &[("POST", "/x", "abc"), ("POST", "/y", "de"), ("GET", "/z", "")],
        );
        check("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nab", &[]);
    }

    #[test]
    fn what_could_be_misunderstood_is_refused() {
        let post = |headers: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
        let many = "A: b\r\n".repeat(HEADERS_MAX);
        for (text, status) in [
            ("bare garbage\r\n\r\n".to_owned(), 400),
            ("\u{16}\u{3}\u{1}".to_owned(), 400),
            ("GET /\r\n\r\n".to_owned(), 400),
            ("GET a/b HTTP/1.0\r\n\r\n".to_owned(), 400),
            ("GET ftp://a/b HTTP/1.0\r\n\r\n".to_owned(), 400),
            ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n".to_owned(), 400),
            ("GETGETGETGETGETGETGETGET / HTTP/1.0\r\n\r\n".to_owned(), 501),
            (format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(TARGET_BYTES_MAX)), 414),
            (format!("GET /{}", "a".repeat(HEAD_BYTES_MAX)), 414),
            (format!("GET / HTTP/1.0\r\nA: {}", "a".repeat(HEAD_BYTES_MAX)), 431),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
            (post("Content-Length: 65"), 413),
            (post("Content-Length: 99999999999999999999999"), 413),
            (post("Content-Length: +1"), 400),
            (post("Content-Length: 1, 1"), 400),
            (post("Content-Length:"), 400),
            (post("Content-Length: 1\r\nContent-Length: 1"), 400),
            (post("Content-Length: 1\r\nTransfer-Encoding: chunked"), 400),
            (post("Transfer-Encoding: gzip"), 501),
            (post("Transfer-Encoding: gzip, chunked"), 501),
            (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 501),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
            (post("Transfer-Encoding: chunked") + "41\r\n", 413),
            (post("Transfer-Encoding: chunked") + "x\r\n", 400),
            (post("Expect: a miracle"), 417),
        ] {
            assert_eq!(see_text(&text), (Vec::new(), Some(status)), "{text:?}");
        }
    }

    #[test]
    fn a_client_that_waits_is_asked_once_and_only_for_a_body_that_is_wanted() {
        for (head, wanted) in [
            ("HTTP/1.1\r\nHost: a\r\nContent-Length: 3", Ok(Progress::Awaited)),
            ("HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked", Ok(Progress::Awaited)),
            ("HTTP/1.1\r\nHost: a\r\nContent-Length: 0", Ok(Progress::Whole)),
            ("HTTP/1.1\r\nHost: a\r\nContent-Length: 65", Err(Refusal::TOO_LARGE)),
            ("HTTP/1.0\r\nContent-Length: 3", Ok(Progress::Partial)),
        ] {
            let text = format!("POST / {head}\r\nExpect: 100-Continue\r\n\r\n");
            let mut incoming = incoming(BODY_BYTES_MAX);
            incoming.room()[..text.len()].copy_from_slice(text.as_bytes());
            assert_eq!(incoming.advance(text.len()), wanted, "{head}");
            if wanted == Ok(Progress::Awaited) {
                assert_eq!(incoming.advance(0), Ok(Progress::Partial), "{head}");
            }
        }
    }

    #[test]
    fn a_connection_is_kept_as_the_client_says() {
        for (version, connection, wanted) in [
            ("1.1", "Host: a", KeepAlive::Yes),
            ("1.1", "Host: a\r\nConnection: close", KeepAlive::No),
            ("1.1", "Host: a\r\nConnection: TE, Close", KeepAlive::No),
            ("1.1", "Host: a\r\nConnection: keep-alive", KeepAlive::Yes),
            ("1.0", "A: b", KeepAlive::No),
            ("1.0", "Connection: Keep-Alive", KeepAlive::YesAndSaySo),
        ] {
            let text = format!("GET / HTTP/{version}\r\n{connection}\r\n\r\n");
            let mut incoming = incoming(BODY_BYTES_MAX);
            incoming.room()[..text.len()].copy_from_slice(text.as_bytes());
            assert_eq!(incoming.advance(text.len()), Ok(Progress::Whole));
            assert_eq!(incoming.request(|_, wish| wish), Some(wanted), "{text:?}");
        }
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut incoming = incoming(1 << 20);
        let head = "POST / HTTP/1.0\r\nContent-Length: 200000\r\n\r\n";
        let text = head.to_owned() + &"x".repeat(200_000) + "GET";
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let room = incoming.room();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if incoming.advance(count) == Ok(Progress::Whole) {
                incoming.next();
            }
        }
        assert_eq!((incoming.bytes.capacity(), incoming.filled), (BUFFER_BYTES_FIRST, 3));
    }

    /// Streams that look enough like HTTP to get past the first line.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
            Just(b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345".to_vec()),
            Just(b"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
            Just(b"3;x\r\nabc\r\n0\r\nT: v\r\n\r\n".to_vec()),
            Just(b"Expect: 100-continue\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(vec![b'a'; 3_000]),
            proptest::collection::vec(any::<u8>(), 0..12),
        ];
        proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn it_does_not_matter_how_a_stream_is_cut(
            stream in stream(),
            cuts in proptest::collection::vec(1_usize..2_000, 1..8),
        ) {
            let whole = see([stream.as_slice()]);
            prop_assert_eq!(&see(stream.chunks(1)), &whole);
            let mut pieces = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(&see(pieces), &whole);
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (_, refused) = see([bytes.as_slice()]);
            prop_assert!(refused.is_none_or(|status| (400..=505).contains(&status)));
        }
    }
}
