//! Events that go together: one document around all of them, and what its answer says of each. Pure.

use super::base64;
use super::verdict::{Verdict, judge, meant};
use crate::message::{RAW, is_sent};
use crate::verdict::{Reply, Secrets};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// What the document is.
pub(super) const CONTENT_TYPE: &str = "application/json";

/// The header that says the same of all events.
pub(super) const OF_ALL: &str = "Pubsubname";

/// What an entry is whose event was built from bytes.
const BYTES: &str = "application/octet-stream";

/// An event: its document, what that is, its headers.
pub(super) type Entry<'a> = (&'a [u8], &'a str, &'a [(String, String)]);

/// The document around several events. Entries are named by its id and their places.
pub(super) struct Envelope {
    id: String,
    count: usize,
    pub(super) body: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer {
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "entryId", alias = "entryID")]
    entry: String,
    #[serde(default)]
    status: Option<String>,
}

impl Envelope {
    /// For events of a subscription to a topic of a component.
    pub(super) fn of(
        id: String,
        (component, topic): (&str, &str),
        entries: &mut dyn Iterator<Item = Entry<'_>>,
    ) -> Self {
        let mut body = Vec::new();
        for (before, text) in [
            ("{\"id\":", &*id),
            (",\"type\":\"com.dapr.event.sent.bulk\",\"topic\":", topic),
            (",\"pubsubname\":", component),
        ] {
            body.extend(before.bytes());
            body.extend(quoted(text).bytes());
        }
        body.extend(b",\"metadata\":{},\"entries\":[");
        let mut count = 0;
        for (event, content_type, headers) in entries {
            let raw = headers.iter().find(|(name, _)| name == RAW).and_then(|_| base64(event));
            let (event, content_type) = match raw {
                Some(text) => (Cow::Owned(quoted(&text).into_bytes()), BYTES),
                None => (Cow::Borrowed(event), content_type),
            };
            let of_it = |(name, _): &&(String, String)| is_sent(name) && name != OF_ALL;
            let metadata = headers.iter().filter(of_it);
            let metadata = metadata.map(|(name, value)| (name.clone(), value.as_str().into()));
            let metadata = Value::Object(metadata.collect());
            let comma = if count > 0 { "," } else { "" };
            let name = named(&id, count);
            body.extend(format!("{comma}{{\"entryId\":\"{name}\",\"event\":").bytes());
            body.extend(&*event);
            let content_type = quoted(content_type);
            body.extend(
                format!(",\"contentType\":{content_type},\"metadata\":{metadata}}}").bytes(),
            );
            count += 1;
        }
        body.extend(b"]}");
        Envelope { id, count, body }
    }

    /// What an answer says of each event. One that it does not name is not taken.
    pub(super) fn judge(&self, reply: &Reply, secrets: &Secrets<'_>) -> Vec<Verdict> {
        let (200..=299, Some(body)) = (reply.status, &reply.body) else {
            return vec![judge(reply, secrets); self.count];
        };
        let answer: Option<Answer> = serde_json::from_slice(body).ok();
        let statuses = answer.map(|answer| answer.statuses).unwrap_or_default();
        let of = |place| {
            let name = named(&self.id, place);
            let status = statuses.iter().find(|status| status.entry == name);
            match status.and_then(|status| status.status.as_deref()) {
                None | Some("") => {
                    let why = "the application's answer does not say what became of it".to_owned();
                    Verdict::Failed { why, status: None }
                }
                Some(word) => meant(word),
            }
        };
        (0..self.count).map(of).collect()
    }
}

fn named(id: &str, place: usize) -> String {
    format!("{id}-{place}")
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_events_stand_in_one_document() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let plain = [
            header(OF_ALL, "plantbus"),
            header("Mqtt-Topic", "a/b"),
            header(":dead-letter", "dead"),
            header(":bulk", "100 1000"),
        ];
        let raw = [header(RAW, "yes")];
        let entries: [Entry<'_>; 2] = [
            (b"{\"n\": 18446744073709551615}\n", "application/cloudevents+json", &plain),
            (b"{\"id\":\"1\",\"data_base64\":\"AQBi\"}", "application/cloudevents+json", &raw),
        ];
        let envelope =
            Envelope::of("7".to_owned(), ("plantbus", "a/\"+"), &mut entries.into_iter());
        let wanted = concat!(
            r#"{"id":"7","type":"com.dapr.event.sent.bulk","topic":"a/\"+","pubsubname":"plantbus","#,
            r#""metadata":{},"entries":[{"entryId":"7-0","event":{"n": 18446744073709551615}"#,
            "\n",
            r#","contentType":"application/cloudevents+json","metadata":{"Mqtt-Topic":"a/b"}},"#,
            r#"{"entryId":"7-1","event":"AQBi","contentType":"application/octet-stream","metadata":{}}]}"#,
        );
        assert_eq!(String::from_utf8(envelope.body).unwrap(), wanted);
    }

    #[test]
    fn an_answer_says_what_becomes_of_each() {
        let envelope = Envelope { id: "e".to_owned(), count: 2, body: Vec::new() };
        let words = |status: u16, body: &str| -> String {
            let reply = Reply { status, body: Some(body.into()), ..Reply::default() };
            let word = |verdict| match verdict {
                Verdict::Taken => "taken",
                Verdict::Dropped(_) => "dropped",
                Verdict::Unknown => "unknown",
                Verdict::Failed { status: None, .. } => "refused",
                Verdict::Failed { .. } => "failed",
                Verdict::Away(_) => "away",
            };
            let words = envelope.judge(&reply, &Secrets::of(vec![])).into_iter().map(word);
            words.collect::<Vec<_>>().join(" ")
        };
        for (status, body, wanted) in [
            (
                200,
                r#"{"statuses":[{"entryId":"e-1","status":"DROP"},{"entryId":"e-0","status":"SUCCESS"}]}"#,
                "taken dropped",
            ),
            (
                200,
                r#"{"statuses":[{"entryID":"e-0","status":"RETRY"},{"entryId":"e-1","status":"Success"}]}"#,
                "refused refused",
            ),
            (200, r#"{"statuses":[{"entryId":"e-1","status":"SUCCESS"}]}"#, "refused taken"),
            (
                200,
                r#"{"statuses":[{"entryId":"e-0"},{"entryId":"e-1","status":""}]}"#,
                "refused refused",
            ),
            (200, r#"{"statuses":[{"entryId":"e-2","status":"SUCCESS"}]}"#, "refused refused"),
            (200, r#"{"status":"SUCCESS"}"#, "refused refused"),
            (204, "", "refused refused"),
            (404, "", "unknown unknown"),
            (503, r#"{"statuses":[{"entryId":"e-0","status":"SUCCESS"}]}"#, "failed failed"),
        ] {
            assert_eq!(words(status, body), wanted, "{status} {body}");
        }
        let endless = Reply { status: 200, body: None, ..Reply::default() };
        let verdicts = envelope.judge(&endless, &Secrets::of(vec![]));
        assert!(matches!(verdicts[..], [Verdict::Failed { .. }, Verdict::Failed { .. }]));
    }
}
