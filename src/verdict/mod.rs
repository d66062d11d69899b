//! What all HTTP sinks need to judge a reply: its words without secrets, the marks of a web page,
//! and the wait it asks for. Pure. What a status means to a sink is for the sink.

mod secrets;

pub use secrets::Secrets;

use crate::message::{Holds, Outcome};
use crate::system::plain::plain;
use crate::system::web;
use std::time::{Duration, SystemTime};

/// The longest `Retry-After` we obey: for one lane, and for a whole sink.
pub const ASKED_MAX_LANE: Duration = Duration::from_secs(3_600);
/// See [`ASKED_MAX_LANE`].
pub const ASKED_MAX_SINK: Duration = Duration::from_secs(300);

/// The wait after a 429 without a `Retry-After`.
pub const RATE_LIMITED: Duration = Duration::from_secs(15);

/// The slowest line on which large bodies still get through, in bytes a second. A call has as much
/// extra time as its bytes need on it.
const SLOWEST: u64 = 4 * 1024;

/// Most characters of a reply that go into a log line.
const EXCERPT: usize = 200;

/// A reply, as far as it matters.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// It answers a HEAD, so it could not have a body.
    pub to_head: bool,
    /// Its sender speaks HTTP/1.0.
    pub is_http_1_0: bool,
    /// Its media type, empty if it has none.
    pub content_type: String,
    /// Where a redirection leads; we do not follow it.
    pub location: Option<String>,
    /// How long it asks to wait.
    pub retry_after: Option<String>,
    /// When it was sent, by the clock of its sender.
    pub date: Option<String>,
    /// Its header `correlation-id`, which the support of the other side asks for.
    pub correlation_id: Option<String>,
    /// `None` for one that is too long.
    pub body: Option<Vec<u8>>,
}

impl From<web::Reply> for Reply {
    fn from(reply: web::Reply) -> Self {
        Reply {
            status: reply.status,
            to_head: false,
            is_http_1_0: reply.is_http_1_0,
            content_type: reply.header("content-type").unwrap_or_default(),
            location: reply.header("location"),
            retry_after: reply.header("retry-after"),
            date: reply.header("date"),
            correlation_id: reply.header("correlation-id"),
            body: reply.body,
        }
    }
}

impl Reply {
    /// Whether it says that it is a web page.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.content_type.to_ascii_lowercase().starts_with("text/html")
    }

    /// Status and the beginning of the body, in one line that can do no harm.
    #[must_use]
    pub fn words(&self, secrets: &Secrets<'_>) -> String {
        let body = self.body.as_deref().unwrap_or_default();
        let body = excerpt(&String::from_utf8_lossy(body), secrets);
        if let Some(location) = &self.location {
            return format!("status {}, to {}", self.status, excerpt(location, secrets));
        }
        if self.is_page() {
            return format!("status {}, a web page", self.status);
        }
        if body.is_empty() {
            return format!("status {}", self.status);
        }
        format!("status {}: {body}", self.status)
    }

    /// The number by which the support of the other side finds the request.
    #[must_use]
    pub fn correlation(&self, secrets: &Secrets<'_>) -> String {
        self.correlation_id.as_deref().map_or("-".to_owned(), |id| excerpt(id, secrets))
    }

    /// Not now, for this reason. It holds back what `holds` says, for as long as the reply asks.
    #[must_use]
    pub fn later(&self, why: String, holds: Holds) -> Outcome {
        let longest = if holds == Holds::Sink { ASKED_MAX_SINK } else { ASKED_MAX_LANE };
        let after = self.asked().map(|asked| asked.min(longest));
        Outcome::Later { why, holds, after }
    }

    /// The same, for this long if the reply does not say how long.
    #[must_use]
    pub fn later_or_after(&self, why: String, holds: Holds, usual: Duration) -> Outcome {
        match self.later(why, holds) {
            Outcome::Later { why, holds, after } => {
                Outcome::Later { why, holds, after: after.or(Some(usual)) }
            }
            outcome => outcome,
        }
    }

    /// How long it asks to wait (RFC 9110, 10.2.3): seconds, or a date, which is measured from the
    /// reply's own date, because our clock may stand in 1970. Zero, or a date that has passed, asks
    /// for nothing: caches send that for want of something better.
    fn asked(&self) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Duration::from_secs(seconds)).filter(|asked| !asked.is_zero());
        }
        let date = |text: &str| -> Option<SystemTime> { httpdate::parse_http_date(text).ok() };
        let until = date(text)?;
        let sent = date(self.date.as_deref()?.trim())?;
        until.duration_since(sent).ok().filter(|asked| !asked.is_zero())
    }
}

/// The beginning of a text from outside, fit for a log: without secrets, and on one line that is
/// mere text to terminals and journals. It is cut last, so that no half of a key is left.
#[must_use]
pub fn excerpt(text: &str, secrets: &Secrets<'_>) -> String {
    let masked = secrets.mask(text);
    let line = masked.split_whitespace().collect::<Vec<_>>().join(" ");
    plain(&line).within(EXCERPT).to_string()
}

/// How much time these bytes need on the slowest line.
#[must_use]
pub fn time_for(bytes: usize) -> Duration {
    Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX) / SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_one_short_line_without_keys() {
        let secrets = Secrets::of(vec!["il1apiSECRET"]);
        for (body, wanted) in [
            (r#"{"message":"key 'il1apiSECRET'"}"#, r#"{"message":"key 'il1api…'"}"#),
            ("two\nlines\r\n\tof it", "two lines of it"),
            ("\u{1b}[31mred\u{7f}\u{202e}", "\\u{1b}[31mred\\u{7f}\\u{202e}"),
        ] {
            assert_eq!(excerpt(body, &secrets), wanted);
        }
        // A key that begins where the excerpt ends is masked before it is cut.
        let long = format!("{}il1apiSECRET", "-".repeat(EXCERPT - 8));
        assert_eq!(excerpt(&long, &secrets), format!("{}il1api…", "-".repeat(EXCERPT - 8)));
        let cut = format!("{}… (400 bytes)", "x".repeat(EXCERPT));
        assert_eq!(excerpt(&"x".repeat(EXCERPT * 2), &secrets), cut);
    }
}
