//! What an application says to an event. Pure.

use crate::system::plain::plain;
use crate::verdict::{Reply, Secrets};
use serde::Deserialize;

/// Most characters of its answer that are quoted.
const WORD_MAX: usize = 40;

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The application has it.
    Taken,
    /// It does not want it, for this reason.
    Dropped(&'static str),
    /// It has no route for it.
    Unknown,
    /// It did not take it.
    Failed {
        /// What went wrong, in words.
        why: String,
        /// The status, if that is what says so.
        status: Option<u16>,
    },
    /// It is not there, in words.
    Away(String),
}

/// The member of an answer that counts.
#[derive(Deserialize)]
struct Answer {
    #[serde(default, alias = "Status")]
    status: Option<String>,
}

/// What an answer says. A page or a text is an answer of a web framework to whom the event is
/// nothing special: its status says it all.
pub(super) fn judge(reply: &Reply, secrets: &Secrets<'_>) -> Verdict {
    match reply.status {
        200..=299 => match &reply.body {
            Some(body) => said(body),
            // What it says may be anything.
            None => {
                Verdict::Failed { why: "the application's answer is too long".into(), status: None }
            }
        },
        404 => Verdict::Unknown,
        status => Verdict::Failed { why: reply.words(secrets), status: Some(status) },
    }
}

fn said(body: &[u8]) -> Verdict {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    meant(&answer.and_then(|answer| answer.status).unwrap_or_default())
}

/// What the word means that an application has for an event.
pub(super) fn meant(word: &str) -> Verdict {
    match word {
        "" | "SUCCESS" => Verdict::Taken,
        "DROP" => Verdict::Dropped("the application dropped it"),
        other => {
            let why = format!("the application answered {}", plain(other).within(WORD_MAX));
            Verdict::Failed { why, status: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        let reply = Reply { status, body: Some(body.into()), ..Reply::default() };
        judge(&reply, &Secrets::of(vec![]))
    }

    #[test]
    fn an_application_says_what_becomes_of_an_event() {
        let dropped = Verdict::Dropped("the application dropped it");
        let answered = |word: &str| Verdict::Failed {
            why: format!("the application answered {word}"),
            status: None,
        };
        for (status, body, wanted) in [
            (200, "", Verdict::Taken),
            (204, "", Verdict::Taken),
            (299, "<html>", Verdict::Taken),
            (200, "OK", Verdict::Taken),
            (200, "[]", Verdict::Taken),
            (200, "null", Verdict::Taken),
            (200, "{}", Verdict::Taken),
            (200, r#"{"status":null}"#, Verdict::Taken),
            (200, r#"{"status":200}"#, Verdict::Taken),
            (200, r#"{"status":""}"#, Verdict::Taken),
            (200, r#"{"status":"SUCCESS","more":[1]}"#, Verdict::Taken),
            (200, r#" {"status": "DROP"} "#, dropped.clone()),
            (202, r#"{"Status":"DROP"}"#, dropped),
            (200, r#"{"status":"RETRY"}"#, answered("RETRY")),
            (200, r#"{"status":"success"}"#, answered("success")),
            (200, r#"{"status":"\u001b[31m"}"#, answered("\\u{1b}[31m")),
            (404, "", Verdict::Unknown),
            (404, r#"{"status":"SUCCESS"}"#, Verdict::Unknown),
        ] {
            assert_eq!(verdict(status, body), wanted, "{status} {body}");
        }
    }

    #[test]
    fn any_other_status_is_a_failure_and_so_is_an_endless_answer() {
        let endless = Reply { status: 200, body: None, ..Reply::default() };
        let why = "the application's answer is too long".to_owned();
        assert_eq!(judge(&endless, &Secrets::of(vec![])), Verdict::Failed { why, status: None });
        for status in [100, 301, 303, 400, 401, 403, 405, 429, 500, 503] {
            let why = format!("status {status}: no");
            let wanted = Verdict::Failed { why, status: Some(status) };
            assert_eq!(verdict(status, "no"), wanted);
        }
    }
}
