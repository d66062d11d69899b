//! What a reply means for the delivery it answers.
//!
//! Only a 2xx, or a definite client error from ilert itself, ends a delivery. A captive portal, a
//! proxy or an API in trouble must not empty the queue.

use crate::message::{Holds, Outcome};
use std::time::{Duration, SystemTime};

/// The wait after a 429 that names none; ilert suggests 10 to 30 s.
const RATE_LIMITED: Duration = Duration::from_secs(15);

/// The longest wait that is obeyed: for one key, and for the whole API.
const ASKED_MAX_LANE: Duration = Duration::from_secs(3_600);
const ASKED_MAX_SINK: Duration = Duration::from_secs(300);

/// Most characters of a reply that go into a log line.
const EXCERPT: usize = 200;

/// A reply, as far as it matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) retry_after: Option<String>,
    pub(super) date: Option<String>,
    /// Its header `correlation-id`, which ilert's support asks for.
    pub(super) correlation_id: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// A web page is not ilert: somebody between it and us answered.
    fn is_page(&self) -> bool {
        self.content_type.to_ascii_lowercase().starts_with("text/html")
    }

    /// Status and the beginning of the body, in one line.
    pub(super) fn words(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
        if body.is_empty() || self.is_page() {
            return format!("status {}", self.status);
        }
        format!("status {}: {}", self.status, body.chars().take(EXCERPT).collect::<String>())
    }
}

/// Judges a reply to an event, a ping or a request of a policy update.
pub(super) fn judge(reply: &Reply) -> Outcome {
    let later = |why: String, holds, after| Outcome::Later { why, holds, after };
    if reply.is_page() {
        let why =
            format!("answered with a web page ({}): a captive portal or proxy?", reply.words());
        return later(why, Holds::Sink, None);
    }
    match reply.status {
        200..=299 => Outcome::Delivered,
        400 | 404 | 413 | 422 => Outcome::Never { why: reply.words() },
        429 => {
            let after = asked(reply).unwrap_or(RATE_LIMITED).min(ASKED_MAX_LANE);
            later(reply.words(), Holds::Lane, Some(after))
        }
        401 | 403 => later(reply.words(), Holds::Lane, None),
        300..=399 | 407 | 502..=504 | 511 => {
            let after = asked(reply).map(|asked| asked.min(ASKED_MAX_SINK));
            later(reply.words(), Holds::Sink, after)
        }
        _ => later(
            reply.words(),
            Holds::Delivery,
            asked(reply).map(|asked| asked.min(ASKED_MAX_LANE)),
        ),
    }
}

/// How long the reply asks to wait (RFC 9110, 10.2.3): seconds, or a date, which is measured from
/// the reply's own date, because the clock here may stand in 1970.
fn asked(reply: &Reply) -> Option<Duration> {
    let text = reply.retry_after.as_deref()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| -> Option<SystemTime> { httpdate::parse_http_date(text).ok() };
    let until = date(text)?;
    let sent = date(reply.date.as_deref()?.trim())?;
    Some(until.duration_since(sent).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    #[test]
    fn only_ilert_itself_ends_a_delivery() {
        for status in [200, 201, 202, 204] {
            assert_eq!(judge(&reply(status)), Outcome::Delivered, "{status}");
        }
        for status in [400, 404, 413, 422] {
            assert!(matches!(judge(&reply(status)), Outcome::Never { .. }), "{status}");
        }
        for (status, wanted) in [
            (301, Holds::Sink),
            (302, Holds::Sink),
            (401, Holds::Lane),
            (403, Holds::Lane),
            (405, Holds::Delivery),
            (407, Holds::Sink),
            (408, Holds::Delivery),
            (409, Holds::Delivery),
            (425, Holds::Delivery),
            (429, Holds::Lane),
            (500, Holds::Delivery),
            (502, Holds::Sink),
            (503, Holds::Sink),
            (504, Holds::Sink),
            (511, Holds::Sink),
            (599, Holds::Delivery),
        ] {
            match judge(&reply(status)) {
                Outcome::Later { holds, .. } => assert_eq!(holds, wanted, "{status}"),
                other => panic!("{status}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_web_page_is_never_ilert() {
        for status in [200, 202, 400, 404] {
            let page =
                Reply { content_type: "text/html; charset=utf-8".to_owned(), ..reply(status) };
            let outcome = judge(&page);
            assert!(matches!(outcome, Outcome::Later { holds: Holds::Sink, .. }), "{status}");
        }
    }

    #[test]
    fn the_wait_that_is_asked_for_is_obeyed() {
        let secs = Duration::from_secs;
        for (status, retry_after, date, wanted) in [
            (429, None, None, Some(RATE_LIMITED)),
            (429, Some("3"), None, Some(secs(3))),
            (429, Some("999999"), None, Some(ASKED_MAX_LANE)),
            (
                429,
                Some("Wed, 21 Oct 2015 07:28:30 GMT"),
                Some("Wed, 21 Oct 2015 07:28:00 GMT"),
                Some(secs(30)),
            ),
            (429, Some("Wed, 21 Oct 2015 07:28:30 GMT"), None, Some(RATE_LIMITED)),
            (503, Some("7"), None, Some(secs(7))),
            (503, Some("soon"), None, None),
            (500, None, None, None),
        ] {
            let reply = Reply {
                retry_after: retry_after.map(str::to_owned),
                date: date.map(str::to_owned),
                ..reply(status)
            };
            match judge(&reply) {
                Outcome::Later { after, .. } => {
                    assert_eq!(after, wanted, "{status} {retry_after:?}");
                }
                other => panic!("{status}: {other:?}"),
            }
        }
    }
}
