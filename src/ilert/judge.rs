//! What a reply means for the delivery it answers.
//!
//! Only ilert's own 2xx, or its own definite client error, ends a delivery. A captive portal, a
//! proxy, a gateway or an API in trouble must not empty the queue. We recognise ilert by its
//! manner: it takes events and pings with 202, which may have no body, and answers everything else
//! in JSON, with a content type that says so, in HTTP/1.1.

use crate::message::{Holds, Outcome};
use crate::system::web::is_json;
use crate::verdict::{RATE_LIMITED, Reply, Secrets};
use serde::de::IgnoredAny;

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

fn manner(reply: &Reply) -> Manner {
    let Some(body) = reply.body.as_deref().filter(|_| !reply.is_http_1_0) else {
        return Manner::Strange;
    };
    let says_json = is_json(&reply.content_type);
    let accepted = reply.status == 202;
    if reply.to_head {
        return match () {
            () if says_json => Manner::Ilerts,
            () if reply.content_type.is_empty() || accepted && !reply.is_page() => Manner::Bare,
            () => Manner::Strange,
        };
    }
    if body.is_empty() {
        return if reply.is_page() { Manner::Strange } else { Manner::Bare };
    }
    let is_object = || {
        body.trim_ascii_start().starts_with(b"{")
            && serde_json::from_slice::<IgnoredAny>(body).is_ok()
    };
    // Either will do with a 202: nobody else has a reason to send one.
    let ilerts = match accepted {
        true => says_json || reply.content_type.is_empty() && is_object(),
        false => says_json && is_object(),
    };
    if ilerts { Manner::Ilerts } else { Manner::Strange }
}

/// Judges a reply to an event or a request of a policy update.
pub(super) fn judge(reply: &Reply, secrets: &Secrets<'_>) -> Outcome {
    judged(reply, false, secrets)
}

/// Judges a reply to a ping, which is useless when it comes late.
pub(super) fn judge_ping(reply: &Reply, secrets: &Secrets<'_>) -> Outcome {
    judged(reply, true, secrets)
}

fn judged(reply: &Reply, is_ping: bool, secrets: &Secrets<'_>) -> Outcome {
    let words = || reply.words(secrets);
    match (reply.status, manner(reply)) {
        (_, Manner::Strange) => strange(reply, secrets),
        (202, _) | (200..=299, Manner::Ilerts) => Outcome::Delivered,
        (400 | 404 | 413 | 422, Manner::Ilerts) => Outcome::never(words()),
        // ilert's answers to pings are not documented, and a wrong key must not hold up events.
        (400 | 404 | 413 | 422, Manner::Bare) if is_ping => Outcome::never(words()),
        (200..=299 | 400 | 404 | 413 | 422, Manner::Bare) => strange(reply, secrets),
        // ilert suggests 10 to 30 s.
        (429, _) => reply.later_or_after(words(), Holds::Lane, RATE_LIMITED),
        (401 | 403, _) => reply.later(words(), Holds::Lane),
        (300..=399 | 407 | 502..=504 | 511, _) => reply.later(words(), Holds::Sink),
        _ => reply.later(words(), Holds::Delivery),
    }
}

/// Somebody between ilert and us answered, which says nothing about the delivery.
fn strange(reply: &Reply, secrets: &Secrets<'_>) -> Outcome {
    let why = format!(
        "not answered in ilert's manner ({}): a captive portal, proxy or gateway?",
        reply.words(secrets)
    );
    reply.later(why, Holds::Sink)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{ASKED_MAX_LANE, ASKED_MAX_SINK};
    use std::time::Duration;

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
        judge(reply, &Secrets::of(vec!["il1apiSECRET"]))
    }

    fn verdict_on_ping(reply: &Reply) -> Outcome {
        judge_ping(reply, &Secrets::of(Vec::new()))
    }

    /// `None` when the reply ends the delivery.
    fn held(reply: &Reply) -> Option<Holds> {
        held_by(&verdict(reply))
    }

    fn held_by(outcome: &Outcome) -> Option<Holds> {
        match outcome {
            Outcome::Later { holds, .. } => Some(*holds),
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
        let to_head =
            |status, content_type: &str| Reply { to_head: true, ..made(status, content_type, "") };
        for (status, content_type) in [(202, ""), (202, JSON), (202, PLAIN), (200, JSON)] {
            let outcome = verdict_on_ping(&to_head(status, content_type));
            assert_eq!(outcome, Outcome::Delivered, "{status} {content_type}");
        }
        for content_type in ["", JSON] {
            let outcome = verdict_on_ping(&to_head(404, content_type));
            assert!(matches!(outcome, Outcome::Never { .. }), "{content_type}");
        }
        assert!(matches!(verdict_on_ping(&made(404, "", "")), Outcome::Never { .. }));
        let to_get = verdict_on_ping(&made(404, PLAIN, "404 page not found"));
        assert_eq!(held_by(&to_get), Some(Holds::Sink));
        for (status, content_type) in
            [(200, ""), (204, ""), (200, HTML), (202, HTML), (404, HTML), (404, PLAIN)]
        {
            let held = held_by(&verdict_on_ping(&to_head(status, content_type)));
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
}
