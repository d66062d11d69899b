//! The head of a request: where its body ends, and what is wrong with it.

use crate::system::http::Request;
use crate::system::http::refusal::Refusal;
use httparse::{EMPTY_HEADER, Header, Status};

/// Bytes of a request line and headers, unless a listener says otherwise.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Headers of a request.
pub(super) const HEADERS_MAX: usize = 64;
/// Bytes of a request target.
pub(super) const TARGET_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a method. No registered one is longer.
const METHOD_BYTES_MAX: usize = 20;

/// What a head says about the bytes around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Its own length.
    pub(super) bytes: usize,
    /// What follows it.
    pub(super) body: Body,
    pub(super) keep_alive: KeepAlive,
    /// The client waits for a 100 before it sends the body.
    pub(super) awaits: bool,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// By its length in bytes.
    Counted(usize),
    /// By its last chunk.
    Chunked,
}

/// What the client wants to happen to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepAlive {
    /// It is done after this request.
    No,
    /// It will send more, as usual in HTTP/1.1.
    Yes,
    /// It will send more; because it speaks HTTP/1.0, the answer must permit that.
    YesAndSaySo,
}

/// How large a request may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) head_bytes_max: usize,
    pub(super) body_bytes_max: usize,
}

/// Reads the head at the beginning of `bytes`, if it is complete.
pub(super) fn read(bytes: &[u8], sizes: Sizes) -> Result<Option<Head>, Refusal> {
    let Sizes { head_bytes_max, body_bytes_max } = sizes;
    let bytes = &bytes[..bytes.len().min(head_bytes_max)];
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(Status::Complete(count)) => judge(&parsed, count, body_bytes_max).map(Some),
        Ok(Status::Partial) if bytes.len() < head_bytes_max => Ok(None),
        Ok(Status::Partial) if bytes.contains(&b'\n') => Err(Refusal::HEAD_TOO_LARGE),
        Ok(Status::Partial) => Err(Refusal::TARGET_TOO_LONG),
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::HEAD_TOO_LARGE),
        Err(httparse::Error::Version) => {
            Err(Refusal { status: 505, why: "only HTTP/1.0 and HTTP/1.1 are spoken here" })
        }
        Err(_) => Err(Refusal::bad("malformed request head")),
    }
}

/// Shows the request with this head, which was read before, and this body.
pub(super) fn show<T>(head: &[u8], body: &[u8], look: impl FnOnce(&Request) -> T) -> Option<T> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(head).ok()?;
    let (path, query) = path_and_query(parsed.path?)?;
    Some(look(&Request { method: parsed.method?, path, query, headers: parsed.headers, body }))
}

fn judge(parsed: &httparse::Request, bytes: usize, body_bytes_max: usize) -> Result<Head, Refusal> {
    let headers = &*parsed.headers;
    let target = parsed.path.unwrap_or_default();
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TARGET_TOO_LONG);
    }
    if parsed.method.is_none_or(|method| method.len() > METHOD_BYTES_MAX) {
        return Err(Refusal { status: 501, why: "unknown method" });
    }
    if path_and_query(target).is_none() {
        return Err(Refusal::bad("malformed request target"));
    }
    // RFC 9112 section 3.2 asks for a Host in HTTP/1.1, but upstream takes what a small device
    // sends without, and nothing here depends on it. Two may be meant to mislead a proxy.
    if values(headers, "host").count() > 1 {
        return Err(Refusal::bad("a request has one Host header"));
    }
    let modern = parsed.version == Some(1);
    let awaits = awaits(headers, modern)?;
    let body = framing(headers, modern, body_bytes_max)?;
    Ok(Head { bytes, body, keep_alive: keep_alive(headers, modern), awaits })
}

fn awaits(headers: &[Header], modern: bool) -> Result<bool, Refusal> {
    // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
    let mut expected = values(headers, "expect").filter(|_| modern).peekable();
    let awaits = expected.peek().is_some();
    if expected.all(|expectation| expectation.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(awaits);
    }
    Err(Refusal { status: 417, why: "only 100-continue can be expected" })
}

fn framing(headers: &[Header], modern: bool, body_bytes_max: usize) -> Result<Body, Refusal> {
    let mut encodings = values(headers, "transfer-encoding");
    let mut lengths = values(headers, "content-length");
    match (encodings.next(), lengths.next()) {
        (None, None) => Ok(Body::Counted(0)),
        (None, Some(length)) => {
            if lengths.next().is_some() {
                return Err(Refusal::bad("a request has one Content-Length"));
            }
            let length = content_length(length)?;
            if length > body_bytes_max {
                return Err(Refusal::TOO_LARGE);
            }
            Ok(Body::Counted(length))
        }
        (Some(_), Some(_)) => {
            Err(Refusal::bad("Content-Length and Transfer-Encoding exclude each other"))
        }
        (Some(_), None) if !modern => Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding")),
        (Some(encoding), None)
            if encoding.eq_ignore_ascii_case(b"chunked") && encodings.next().is_none() =>
        {
            Ok(Body::Chunked)
        }
        (Some(_), None) => {
            Err(Refusal { status: 501, why: "the only transfer encoding known is chunked" })
        }
    }
}

/// The values of all headers called `name`, without spaces around them.
fn values<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.trim_ascii())
}

/// Path and query of a request target; `None` when it has none of the known forms.
fn path_and_query(target: &str) -> Option<(&str, &str)> {
    let path = if target.starts_with('/') || target == "*" {
        target
    } else {
        // The absolute form, which proxies get and servers have to understand.
        let (scheme, rest) = target.split_once("://")?;
        if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            return None;
        }
        rest.find(['/', '?']).map_or("", |at| &rest[at..])
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Some((if path.is_empty() { "/" } else { path }, query))
}

fn content_length(value: &[u8]) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad("malformed Content-Length"));
    }
    // Digits that do not parse are more than the machine can count.
    let digits = std::str::from_utf8(value).ok();
    digits.and_then(|digits| digits.parse().ok()).ok_or(Refusal::TOO_LARGE)
}

fn keep_alive(headers: &[Header], modern: bool) -> KeepAlive {
    let says = |word: &str| {
        values(headers, "connection")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    if says("close") {
        KeepAlive::No
    } else if modern {
        KeepAlive::Yes
    } else if says("keep-alive") {
        KeepAlive::YesAndSaySo
    } else {
        KeepAlive::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_and_a_query() {
        for (target, wanted) in [
            ("/write?db=a&rp=", Some(("/write", "db=a&rp="))),
            ("/write?a?b", Some(("/write", "a?b"))),
            ("/a%3Fb", Some(("/a%3Fb", ""))),
            ("/?", Some(("/", ""))),
            ("*", Some(("*", ""))),
            ("http://host:80/a?b", Some(("/a", "b"))),
            ("HTTPS://host?b", Some(("/", "b"))),
            ("http://host", Some(("/", ""))),
            ("ftp://host/a", None),
            ("a/b", None),
        ] {
            assert_eq!(path_and_query(target), wanted, "{target}");
        }
    }
}
