//! Events of the HTTP proxy: the body has ilert's own form, and its sender is told what is wrong.

use super::{Body, Details, EVENTS, PRIORITIES, SEVERITIES, TYPES, delivery, labels, services};
use crate::config::Enrichment;
use crate::message::{Delivery, path_segment};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An event that came over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpEvent {
    /// What goes to the queue.
    pub delivery: Delivery,
    /// The event as it will be sent, which is what the client is shown.
    pub echo: Vec<u8>,
}

/// Why an event is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// What the client is told.
    pub body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(alias = "apiKey")]
    integration_key: String,
    event_type: String,
    summary: String,
    details: Option<String>,
    alert_key: Option<String>,
    priority: Option<String>,
    images: Option<Vec<Image>>,
    links: Option<Vec<Link>>,
    custom_details: Option<Value>,
    labels: Option<BTreeMap<String, String>>,
    severity: Option<i64>,
    routing_key: Option<String>,
    services: Option<Value>,
    comments: Option<Value>,
}

#[derive(Deserialize, serde::Serialize)]
struct Image {
    src: String,
    href: Option<String>,
    alt: Option<String>,
}

#[derive(Deserialize, serde::Serialize)]
struct Link {
    href: String,
    text: Option<String>,
}

/// Maps the body of a POST to `/api/events`, strictly, with upstream's words for what is wrong.
///
/// # Errors
///
/// Says what the client is answered.
pub fn from_http(body: &[u8], enrichment: &Enrichment) -> Result<HttpEvent, Reject> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(malformed("expected a JSON object"));
    }
    let posted: Posted =
        serde_json::from_slice(body).map_err(|error| malformed(&error.to_string()))?;
    check(&posted)?;
    let images = posted.images.as_ref().map(|images| json!(images));
    let links = posted.links.as_ref().map(|links| json!(links));
    let bytes = Body {
        alert_key: posted.alert_key.as_deref(),
        comments: posted.comments.as_ref().filter(|_| posted.event_type == "COMMENT"),
        custom_details: posted.custom_details.as_ref().map_or(Details::None, Details::Given),
        details: posted.details.as_deref(),
        event_type: &posted.event_type,
        images: images.as_ref(),
        integration_key: &posted.integration_key,
        labels: labels(posted.labels.unwrap_or_default(), enrichment),
        links: links.as_ref(),
        priority: posted.priority.as_deref(),
        routing_key: posted.routing_key.as_deref(),
        services: services(posted.services.as_ref(), enrichment),
        severity: posted.severity.or(enrichment.severity.map(i64::from)),
        summary: &posted.summary,
    }
    .to_bytes();
    let key = &posted.integration_key;
    let echo = bytes.clone();
    let delivery = delivery(key, posted.alert_key.as_deref(), EVENTS.to_owned(), bytes, "http");
    Ok(HttpEvent { delivery, echo })
}

fn check(posted: &Posted) -> Result<(), Reject> {
    let known_priority =
        posted.priority.as_deref().is_none_or(|priority| PRIORITIES.contains(&priority));
    let known_severity = posted.severity.is_none_or(|severity| SEVERITIES.contains(&severity));
    for (field, known) in [
        ("eventType", TYPES.contains(&posted.event_type.as_str())),
        ("priority", known_priority),
        ("severity", known_severity),
        ("integrationKey", path_segment(&posted.integration_key).is_some()),
    ] {
        if !known {
            let error = format!("Unsupported value for field '{field}'.");
            return Err(Reject {
                status: 400,
                content_type: "application/json",
                body: json!({ "error": error }).to_string().into_bytes(),
            });
        }
    }
    Ok(())
}

fn malformed(what: &str) -> Reject {
    Reject {
        status: 400,
        content_type: "text/plain; charset=utf-8",
        body: format!("Json deserialize error: {what}").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_event_is_echoed_with_all_its_members() {
        let body =
            br#"{"apiKey":"k","eventType":"ALERT","summary":"","extra":1,"images":[{"src":"s"}]}"#;
        let event = from_http(body, &Enrichment::default()).unwrap();
        let echo: Value = serde_json::from_slice(&event.echo).unwrap();
        assert_eq!(echo["integrationKey"], "k");
        assert_eq!(echo["images"], json!([{"src":"s","href":null,"alt":null}]));
        assert_eq!(echo.as_object().unwrap().len(), 13);
        assert_eq!(event.delivery.target, "/api/events");
    }

    #[test]
    fn a_sender_is_told_what_is_wrong() {
        for (body, wanted) in [
            ("", "Json deserialize error: expected a JSON object"),
            (r#"["k","ALERT","s"]"#, "Json deserialize error: expected a JSON object"),
            (
                r#"{"eventType":"ALERT","summary":"s"}"#,
                "Json deserialize error: missing field `integrationKey`",
            ),
            (
                r#"{"integrationKey":"k","apiKey":"k","eventType":"ALERT","summary":"s"}"#,
                "Json deserialize error: duplicate field `integrationKey`",
            ),
            (
                r#"{"integrationKey":"k","eventType":"alert","summary":"s"}"#,
                r#"{"error":"Unsupported value for field 'eventType'."}"#,
            ),
            (
                r#"{"integrationKey":"k","eventType":"ALERT","summary":"s","priority":"MID"}"#,
                r#"{"error":"Unsupported value for field 'priority'."}"#,
            ),
            (
                r#"{"integrationKey":"k","eventType":"ALERT","summary":"s","severity":6}"#,
                r#"{"error":"Unsupported value for field 'severity'."}"#,
            ),
            (
                r#"{"integrationKey":"","eventType":"ALERT","summary":"s"}"#,
                r#"{"error":"Unsupported value for field 'integrationKey'."}"#,
            ),
        ] {
            let reject = from_http(body.as_bytes(), &Enrichment::default()).unwrap_err();
            assert_eq!(reject.status, 400, "{body}");
            let said = String::from_utf8(reject.body).unwrap();
            assert!(said.starts_with(wanted), "{body}: {said}");
        }
    }
}
