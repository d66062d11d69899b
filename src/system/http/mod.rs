//! A small HTTP/1.1 listener with whole-request deadlines, bounds and a stop.
//!
//! One thread accepts; each connection has its own thread, up to a limit, and reads into one buffer
//! that it keeps. `incoming` decides what the bytes mean and does no I/O, with `head` and `chunked`
//! for its parts; `connection` moves bytes by deadlines; `slots` knows the open connections and
//! makes room; `listener` accepts and stops.

mod chunked;
mod connection;
pub mod encoding;
pub mod form;
mod head;
mod incoming;
mod listener;
mod refusal;
mod slots;
pub mod token;

pub use httparse::Header;
#[doc(hidden)]
pub use incoming::read_requests;
pub use listener::{Listener, Running, bind};

use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

/// What answers requests.
pub type Handler = dyn Serve;

/// Answers requests. A function will do, if it needs only whole requests.
pub trait Serve: Send + Sync {
    /// Called with a head before its body has arrived: an answer ends the request there.
    fn door(&self, _head: &Request) -> Option<Response> {
        None
    }

    /// Whether this is answered even when all connections are in use. It must be quick.
    fn is_probe(&self, _head: &Request) -> bool {
        false
    }

    /// Answers a whole request.
    fn answer(&self, request: &Request) -> Response;

    /// The answer to what is no acceptable request, with its status and the reason.
    fn refused(&self, status: u16, why: &str) -> Response {
        Response::text(status, why)
    }
}

impl<F: Fn(&Request) -> Response + Send + Sync> Serve for F {
    fn answer(&self, request: &Request) -> Response {
        self(request)
    }
}

/// A set of routes: some of the paths of a listener.
pub trait Routes: Send + Sync {
    /// As [`Serve::door`].
    fn door(&self, _head: &Request) -> Option<Response> {
        None
    }

    /// As [`Serve::is_probe`].
    fn is_probe(&self, _head: &Request) -> bool {
        false
    }

    /// Answers a whole request, or `None` when its path is not one of these.
    fn answer(&self, request: &Request) -> Option<Response>;

    /// As [`Serve::refused`], if its clients read something else than words.
    fn refused(&self, _status: u16, _why: &str) -> Option<Response> {
        None
    }
}

/// From the first byte of a request to the last one of its body.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// How long a connection may be idle between two requests. The same as [`REQUEST_MAX`], so that the
/// timeout of the socket seldom changes.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a client may take to receive an answer.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A request, read whole. It borrows from the buffer of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, …, as sent.
    pub method: &'a str,
    /// The path as sent, still percent-encoded, without the query.
    pub path: &'a str,
    /// The query as sent, without its question mark; empty when there is none.
    pub query: &'a str,
    /// The headers in the order they came, names as sent; see [`Request::header`].
    pub headers: &'a [Header<'a>],
    /// The body, with any chunking undone.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The value of the first header called `name`, in whatever case; `None` when there is none
    /// or when it is not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    }
}

/// Undoes the percent-encoding of one path segment: `a%2Fb` is `a/b`.
///
/// `None` when the result is not UTF-8. A `%` that encodes nothing stays what it is.
#[must_use]
pub fn decode_segment(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The media type of the body, or empty.
    pub content_type: &'static str,
    /// Other header names and values; length and connection headers are the listener's.
    pub headers: Vec<(&'static str, String)>,
    /// The body; a request with `HEAD` is sent its length only.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Response { status, content_type: "", headers: Vec::new(), body: Vec::new() }
    }

    /// An answer with a body of some media type.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Response { status, content_type, headers: Vec::new(), body: body.into() }
    }

    /// An answer in words.
    #[must_use]
    pub fn text(status: u16, words: impl Into<Vec<u8>>) -> Self {
        Response::new(status, "text/plain; charset=utf-8", words)
    }

    /// 503, when all connections are in use.
    fn crowded() -> Self {
        Response::json(503, r#"{"error":"too many connections"}"#).with("Retry-After", "1")
    }

    /// An answer with a JSON document.
    #[must_use]
    pub fn json(status: u16, document: impl Into<Vec<u8>>) -> Self {
        Response::new(status, "application/json", document)
    }

    /// 405: the path is known, the method is not.
    #[must_use]
    pub fn method_not_allowed(allowed: &str) -> Self {
        Response::empty(405).with("Allow", allowed)
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds the answer as it goes out to `out`.
    fn put(&self, out: &mut Vec<u8>, ending: Ending, head_only: bool) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        if !self.content_type.is_empty() {
            let _ = write!(out, "Content-Type: {}\r\n", self.content_type);
        }
        for (name, value) in &self.headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        // A 204 has no body by definition, and may not say how long it is.
        if self.status != 204 {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        out.extend_from_slice(match ending {
            Ending::Close => b"Connection: close\r\n\r\n".as_slice(),
            Ending::KeepAliveTold => b"Connection: keep-alive\r\n\r\n",
            Ending::KeepAlive => b"\r\n",
        });
        if !head_only && self.status != 204 {
            out.extend_from_slice(&self.body);
        }
    }
}

/// What happens to a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It is closed.
    Close,
    /// It stays open, which is the default of HTTP/1.1.
    KeepAlive,
    /// It stays open, and the answer must say so to an HTTP/1.0 client.
    KeepAliveTold,
}

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest request line with its headers, in bytes.
    pub head_bytes_max: usize,
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Most connections at a time.
    pub connections_max: usize,
    /// From the first byte of a request to its last, and from the start of a connection to the
    /// end of its first request.
    pub request_max: Duration,
    /// How long a connection may be idle between two requests.
    pub idle_max: Duration,
    /// How long a client may take to receive an answer.
    pub write_max: Duration,
}

impl Limits {
    /// The usual times with these sizes.
    #[must_use]
    pub fn new(body_bytes_max: usize, connections_max: usize) -> Self {
        Limits {
            head_bytes_max: head::HEAD_BYTES_MAX,
            body_bytes_max,
            connections_max,
            request_max: REQUEST_MAX,
            idle_max: IDLE_MAX,
            write_max: WRITE_MAX,
        }
    }
}

/// The words of a status line. Clients read the number only.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(response: &Response, ending: Ending, head_only: bool, wanted: &str) {
        let mut out = Vec::new();
        response.put(&mut out, ending, head_only);
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn answers_say_how_long_they_are_and_what_becomes_of_the_connection() {
        check(
            &Response::json(200, "{}").with("X-A", "b"),
            Ending::KeepAlive,
            false,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A: b\r\nContent-Length: 2\r\n\r\n{}",
        );
        check(
            &Response::empty(404),
            Ending::Close,
            false,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
        check(
            &Response::text(200, "hello"),
            Ending::KeepAliveTold,
            true,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\
             Connection: keep-alive\r\n\r\n",
        );
        check(&Response::empty(204), Ending::KeepAlive, false, "HTTP/1.1 204 No Content\r\n\r\n");
    }

    #[test]
    fn a_segment_is_decoded_once() {
        for (given, wanted) in [
            ("plain", Some("plain")),
            ("a%2Fb", Some("a/b")),
            ("%252F", Some("%2F")),
            ("..", Some("..")),
            ("100%", Some("100%")),
            ("%zz", Some("%zz")),
            ("%C3%BC", Some("ü")),
            ("%FF", None),
        ] {
            assert_eq!(decode_segment(given).as_deref(), wanted, "{given}");
        }
    }
}
