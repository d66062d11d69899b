//! What a reply means for the delivery it answers.
//!
//! Only ilert's own 2xx, or its own definite client error, ends a delivery. A captive portal, a
//! proxy, a gateway or an API in trouble must not empty the queue. We recognise ilert by its
//! manner: it takes events and pings with 202, which may have no body, and answers everything else
//! in JSON, with a content type that says so, in HTTP/1.1.

use super::secrets::Secrets;
use crate::message::{Holds, Outcome};
use crate::system::plain::plain;
use crate::system::web::is_json;
use serde::de::IgnoredAny;
use std::time::{Duration, SystemTime};

/// The wait after a 429 without a `Retry-After`; ilert suggests 10 to 30 s.
const RATE_LIMITED: Duration = Duration::from_secs(15);

/// The longest `Retry-After` we obey: for one key, and for the whole API.
const ASKED_MAX_LANE: Duration = Duration::from_secs(3_600);
const ASKED_MAX_SINK: Duration = Duration::from_secs(300);

/// Most characters of a reply that go into a log line.
const EXCERPT: usize = 200;

/// A reply, as far as it matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// It answers a HEAD, so it could not have a body.
    pub(super) to_head: bool,
    /// It answers a ping, which is useless when it comes late.
    pub(super) to_ping: bool,
    /// Its sender speaks HTTP/1.0.
    pub(super) is_http_1_0: bool,
    pub(super) content_type: String,
    /// Where a redirection leads; we do not follow it.
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) date: Option<String>,
    /// Its header `correlation-id`, which ilert's support asks for.
    pub(super) correlation_id: Option<String>,
    /// `None` for one that is longer than any of ilert's.
    pub(super) body: Option<Vec<u8>>,
}

/// Whose manner a reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// ilert's: JSON, and it says so.
    Ilerts,
    /// It has no body, so there is little to judge by.
    Bare,
    /// Somebody else's.
    Strange,
}

impl Reply {
    fn manner(&self) -> Manner {
        let Some(body) = self.body.as_deref().filter(|_| !self.is_http_1_0) else {
            return Manner::Strange;
        };
        let says_json = is_json(&self.content_type);
        let accepted = self.status == 202;
        if self.to_head {
            return match () {
                () if says_json => Manner::Ilerts,
                () if self.content_type.is_empty() || accepted && !self.is_page() => Manner::Bare,
                () => Manner::Strange,
            };
        }
        if body.is_empty() {
            return if self.is_page() { Manner::Strange } else { Manner::Bare };
        }
        let is_object = || {
            body.trim_ascii_start().starts_with(b"{")
                && serde_json::from_slice::<IgnoredAny>(body).is_ok()
        };
        // Either will do with a 202: nobody else has a reason to send one.
        let ilerts = match accepted {
            true => says_json || self.content_type.is_empty() && is_object(),
            false => says_json && is_object(),
        };
        if ilerts { Manner::Ilerts } else { Manner::Strange }
    }

    fn is_page(&self) -> bool {
        self.content_type.to_ascii_lowercase().starts_with("text/html")
    }

    /// Status and the beginning of the body, in one line that can do no harm.
    pub(super) fn words(&self, secrets: &Secrets<'_>) -> String {
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

    /// The number by which ilert's support finds the request.
    pub(super) fn correlation(&self, secrets: &Secrets<'_>) -> String {
        self.correlation_id.as_deref().map_or("-".to_owned(), |id| excerpt(id, secrets))
    }
}

/// The beginning of a text from outside, fit for a log: without secrets, and on one line that is
/// mere text to terminals and journals. It is cut last, so that no half of a key is left.
pub(super) fn excerpt(text: &str, secrets: &Secrets<'_>) -> String {
    let masked = secrets.mask(text);
    let line = masked.split_whitespace().collect::<Vec<_>>().join(" ");
    plain(&line).within(EXCERPT).to_string()
}

/// Judges a reply to an event, a ping or a request of a policy update.
pub(super) fn judge(reply: &Reply, secrets: &Secrets<'_>) -> Outcome {
    let later = |why: String, holds, after| Outcome::Later { why, holds, after };
    let words = || reply.words(secrets);
    let asked = |longest: Duration| asked(reply).map(|asked| asked.min(longest));
    match (reply.status, reply.manner()) {
        (_, Manner::Strange) => strange(reply, secrets),
        (202, _) | (200..=299, Manner::Ilerts) => Outcome::Delivered,
        (400 | 404 | 413 | 422, Manner::Ilerts) => Outcome::never(words()),
        // ilert's answers to pings are not documented, and a wrong key must not hold up events.
        (400 | 404 | 413 | 422, Manner::Bare) if reply.to_ping => Outcome::never(words()),
        (200..=299 | 400 | 404 | 413 | 422, Manner::Bare) => strange(reply, secrets),
        (429, _) => {
            let after = asked(ASKED_MAX_LANE).unwrap_or(RATE_LIMITED);
            later(words(), Holds::Lane, Some(after))
        }
        (401 | 403, _) => later(words(), Holds::Lane, asked(ASKED_MAX_LANE)),
        (300..=399 | 407 | 502..=504 | 511, _) => {
            later(words(), Holds::Sink, asked(ASKED_MAX_SINK))
        }
        _ => later(words(), Holds::Delivery, asked(ASKED_MAX_LANE)),
    }
}

/// Somebody between ilert and us answered, which says nothing about the delivery.
fn strange(reply: &Reply, secrets: &Secrets<'_>) -> Outcome {
    Outcome::Later {
        why: format!(
            "not answered in ilert's manner ({}): a captive portal, proxy or gateway?",
            reply.words(secrets)
        ),
        holds: Holds::Sink,
        after: asked(reply).map(|asked| asked.min(ASKED_MAX_SINK)),
    }
}

/// How long the reply asks to wait (RFC 9110, 10.2.3): seconds, or a date, which is measured from
/// the reply's own date, because our clock may stand in 1970. Zero, or a date that has passed, asks
/// for nothing: caches send that for want of something better.
fn asked(reply: &Reply) -> Option<Duration> {
    let text = reply.retry_after.as_deref()?.trim();
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds)).filter(|asked| !asked.is_zero());
    }
    let date = |text: &str| -> Option<SystemTime> { httpdate::parse_http_date(text).ok() };
    let until = date(text)?;
    let sent = date(reply.date.as_deref()?.trim())?;
    until.duration_since(sent).ok().filter(|asked| !asked.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const JSON: &str = "application/json";
    const PLAIN: &str = "text/plain; charset=utf-8";
    const HTML: &str = "text/html";

    /// As ilert answers: 202 without a body, everything else in JSON.
    fn reply(status: u16) -> Reply {
        match status {
            202 => made(status, "", ""),
            _ => made(status, JSON, r#"{"status":0,"message":"words"}"#),
        }
    }

    fn made(status: u16, content_type: &str, body: &str) -> Reply {
        Reply {
            status,
            content_type: content_type.to_owned(),
            body: Some(body.as_bytes().to_vec()),
            ..Reply::default()
        }
    }

    fn verdict(reply: &Reply) -> Outcome {
        let settings = config::Ilert::default();
        judge(reply, &Secrets::of(&settings, "il1apiSECRET"))
    }

    /// `None` when the reply ends the delivery.
    fn held(reply: &Reply) -> Option<Holds> {
        match verdict(reply) {
            Outcome::Later { holds, .. } => Some(holds),
            Outcome::Delivered | Outcome::Never { .. } => None,
        }
    }

    #[test]
    fn only_ilert_itself_ends_a_delivery() {
        for status in [200, 201, 202] {
            assert_eq!(verdict(&reply(status)), Outcome::Delivered, "{status}");
        }
        for status in [400, 404, 413, 422] {
            assert!(matches!(verdict(&reply(status)), Outcome::Never { .. }), "{status}");
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
            assert_eq!(held(&reply(status)), Some(wanted), "{status}");
        }
    }

    #[test]
    fn a_redirection_says_where_it_leads() {
        let to = "https://login.example/?key=il1apiSECRET".to_owned();
        let reply = Reply { location: Some(to), ..made(302, HTML, "<html>") };
        let Outcome::Later { why, holds: Holds::Sink, .. } = verdict(&reply) else { panic!() };
        assert!(why.contains("(status 302, to https://login.example/?key=il1api…)"), "{why}");
    }

    #[test]
    fn a_202_may_have_no_body_or_say_little() {
        for (content_type, body) in [
            ("", ""),
            (JSON, ""),
            (JSON, "{}"),
            (JSON, "{not json"),
            ("application/json;charset=UTF-8", "null"),
            ("", "{}"),
            (PLAIN, ""),
        ] {
            let reply = made(202, content_type, body);
            assert_eq!(verdict(&reply), Outcome::Delivered, "{content_type} {body}");
        }
    }

    #[test]
    fn whoever_does_not_answer_as_ilert_does_ends_nothing() {
        for status in [200, 201, 204, 400, 401, 403, 404, 405, 413, 422, 429, 500, 503] {
            for (content_type, body) in [
                (PLAIN, "default backend - 404"),
                (PLAIN, r#"{"message":"no Route matched"}"#),
                (HTML, "<html>Please log in</html>"),
                (HTML, ""),
                ("", "<html>Please log in</html>"),
                ("", r#"{"message":"it does not say that this is JSON"}"#),
                (JSON, "404 page not found"),
                (JSON, r#"{"message":"cut"#),
                (JSON, r#""a word""#),
            ] {
                let reply = made(status, content_type, body);
                assert_eq!(held(&reply), Some(Holds::Sink), "{status} {content_type} {body}");
            }
        }
        for status in [200, 201, 204, 400, 404, 413, 422] {
            for content_type in ["", JSON, PLAIN] {
                let empty = made(status, content_type, "");
                assert_eq!(held(&empty), Some(Holds::Sink), "{status} {content_type}");
            }
        }
        for (content_type, body) in [(PLAIN, "OK"), (HTML, ""), (HTML, "{}"), ("", "OK")] {
            let reply = made(202, content_type, body);
            assert_eq!(held(&reply), Some(Holds::Sink), "{content_type} {body}");
        }
        for status in [202, 404] {
            let old = Reply { is_http_1_0: true, ..reply(status) };
            assert_eq!(held(&old), Some(Holds::Sink), "{status}");
            let endless = Reply { body: None, ..made(status, JSON, "") };
            assert_eq!(held(&endless), Some(Holds::Sink), "{status}");
        }
    }

    #[test]
    fn a_ping_is_answered_without_a_body() {
        let to_head = |status, content_type: &str| {
            let reply = made(status, content_type, "");
            Reply { to_head: true, to_ping: true, ..reply }
        };
        for (status, content_type) in [(202, ""), (202, JSON), (202, PLAIN), (200, JSON)] {
            let outcome = verdict(&to_head(status, content_type));
            assert_eq!(outcome, Outcome::Delivered, "{status} {content_type}");
        }
        for content_type in ["", JSON] {
            let outcome = verdict(&to_head(404, content_type));
            assert!(matches!(outcome, Outcome::Never { .. }), "{content_type}");
        }
        let to_get = Reply { to_ping: true, ..made(404, "", "") };
        assert!(matches!(verdict(&to_get), Outcome::Never { .. }));
        let to_get = Reply { to_ping: true, ..made(404, PLAIN, "404 page not found") };
        assert_eq!(held(&to_get), Some(Holds::Sink));
        for (status, content_type) in
            [(200, ""), (204, ""), (200, HTML), (202, HTML), (404, HTML), (404, PLAIN)]
        {
            let held = held(&to_head(status, content_type));
            assert_eq!(held, Some(Holds::Sink), "{status} {content_type}");
        }
    }

    #[test]
    fn the_wait_that_is_asked_for_is_obeyed() {
        let secs = Duration::from_secs;
        const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
        const NEXT: &str = "Wed, 21 Oct 2015 07:28:30 GMT";
        for (status, retry_after, date, wanted) in [
            (429, None, None, Some(RATE_LIMITED)),
            (429, Some("3"), None, Some(secs(3))),
            (429, Some("999999"), None, Some(ASKED_MAX_LANE)),
            (429, Some("99999999999999999999999"), None, Some(ASKED_MAX_LANE)),
            (429, Some(NEXT), Some(DATE), Some(secs(30))),
            (429, Some(NEXT), None, Some(RATE_LIMITED)),
            (503, Some("7"), None, Some(secs(7))),
            (503, Some("999999"), None, Some(ASKED_MAX_SINK)),
            (503, Some("soon"), None, None),
            (500, None, None, None),
            // What asks for nothing is as good as no header.
            (429, Some("0"), None, Some(RATE_LIMITED)),
            (429, Some(DATE), Some(NEXT), Some(RATE_LIMITED)),
            (503, Some("0"), None, None),
            (503, Some(DATE), Some(NEXT), None),
            (503, Some(DATE), Some(DATE), None),
            (302, Some("00"), None, None),
            (500, Some("0"), None, None),
            (500, Some("-1"), None, None),
            (403, Some(""), None, None),
        ] {
            let reply = Reply {
                retry_after: retry_after.map(str::to_owned),
                date: date.map(str::to_owned),
                ..reply(status)
            };
            match verdict(&reply) {
                Outcome::Later { after, .. } => {
                    assert_eq!(after, wanted, "{status} {retry_after:?}");
                }
                other => panic!("{status}: {other:?}"),
            }
        }
    }

    #[test]
    fn words_of_others_are_one_short_line_without_keys() {
        let settings = config::Ilert::default();
        let secrets = Secrets::of(&settings, "il1apiSECRET");
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
