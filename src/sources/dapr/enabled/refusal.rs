//! Why a request is refused, as clients of Dapr read it.

use super::path::Topic;
use crate::system::http::Response;
use crate::system::plain::plain;
use log::{debug, info, warn};

/// What is wrong with a publication.
pub(super) const PUBLISH_MESSAGE: &str = "ERR_PUBSUB_PUBLISH_MESSAGE";

/// What the application subscribes to is not known yet.
pub(super) const NOT_READY: &str = "ERR_HEALTH_NOT_READY";

/// When a client that was refused for lack of room should try again, in seconds.
const RETRY_AFTER: &str = "5";

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    words: String,
    /// The word for it among the details; none if it has nothing to do with components.
    reason: Option<&'static str>,
    /// The component that it is about.
    pubsub: Option<String>,
    /// The entries that were refused, of several.
    entries: Vec<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, words: impl Into<String>) -> Self {
        let words = words.into();
        Refusal { status, code, words, reason: None, pubsub: None, entries: Vec::new() }
    }

    /// The same with the word for it.
    pub(super) fn because(self, reason: &'static str) -> Self {
        Refusal { reason: Some(reason), ..self }
    }

    /// The same about a component.
    pub(super) fn about(self, to: &Topic) -> Self {
        Refusal { pubsub: Some(to.pubsub.clone()), ..self }
    }

    /// The same for all of these entries.
    pub(super) fn of(self, entries: Vec<String>) -> Self {
        Refusal { entries, ..self }
    }

    /// A sidecar has it, and this one has not.
    pub(super) fn not_offered(part: &str) -> Self {
        let words = match part {
            "" => "this sidecar offers pub/sub only".to_owned(),
            part => format!("this sidecar offers pub/sub only: there is no {}", plain(part)),
        };
        Refusal::new(404, "ERR_DIRECT_INVOKE", words)
    }

    /// It could not be stored.
    pub(super) fn publish(status: u16, to: &Topic, cause: &str) -> Self {
        let Topic { pubsub, topic } = to;
        let words = format!("error when publishing to topic {topic} in pubsub {pubsub}: {cause}");
        Refusal::new(status, PUBLISH_MESSAGE, words)
            .because("DAPR_PUBSUB_PUBLISH_MESSAGE")
            .about(to)
    }

    /// The answer of the sidecar of an application.
    pub(super) fn response(&self, app_id: &str) -> Response {
        let words = plain(&self.words);
        match self.status {
            // Clients ask several times a second, and what it waits for is in the log.
            _ if self.code == NOT_READY => debug!("http: {words}"),
            500.. => warn!("http: refused a request: {words}"),
            _ => info!("http: refused a request: {words}"),
        }
        let body = if self.entries.is_empty() { self.body(app_id) } else { self.failed() };
        let response = Response::json(self.status, body);
        if self.status == 503 { response.with("Retry-After", RETRY_AFTER) } else { response }
    }

    fn body(&self, app_id: &str) -> String {
        let words = quoted(&self.words);
        let mut body = format!(r#"{{"errorCode":"{}","message":{words}"#, self.code);
        if let Some(reason) = self.reason {
            body.push_str(r#","details":["#);
            if let Some(pubsub) = &self.pubsub {
                body.push_str(&format!(
                    r#"{{"@type":"type.googleapis.com/google.rpc.ResourceInfo","resource_type":"pubsub","resource_name":{},"owner":{},"description":{words}}},"#,
                    quoted(pubsub),
                    quoted(app_id),
                ));
            }
            body.push_str(&format!(
                r#"{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","domain":"dapr.io","metadata":{{"appID":{}}}}}]"#,
                quoted(app_id),
            ));
        }
        body + "}"
    }

    /// Clients disagree about how the id of an entry is spelled, so both get theirs.
    fn failed(&self) -> String {
        let error = quoted(&self.words);
        let entry = |id: &String| {
            let id = quoted(id);
            format!(r#"{{"entryId":{id},"entryID":{id},"error":{error}}}"#)
        };
        let entries: Vec<String> = self.entries.iter().map(entry).collect();
        format!(r#"{{"failedEntries":[{}],"errorCode":"{}"}}"#, entries.join(","), self.code)
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
