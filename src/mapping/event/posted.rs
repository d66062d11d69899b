//! Events from HTTP clients: the body has ilert's own form, and the answer says what is wrong.

use super::{Body, Details, EVENTS, PRIORITIES, SEVERITIES, TYPES};
use super::{delivery, labels, raw, services};
use crate::config::Enrichment;
use crate::mapping::json::{self, Document, Json};
use crate::message::{Delivery, path_segment};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An event that came over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpEvent {
    /// What goes to the queue.
    pub delivery: Delivery,
    /// The event as it will be sent, for the answer.
    pub echo: Vec<u8>,
}

/// Why an event is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The words of the answer.
    pub body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    #[serde(alias = "apiKey")]
    integration_key: String,
    event_type: String,
    summary: String,
    details: Option<String>,
    alert_key: Option<String>,
    priority: Option<String>,
    images: Option<Vec<Image>>,
    links: Option<Vec<Link>>,
    #[serde(borrow)]
    custom_details: Option<&'a RawValue>,
    labels: Option<BTreeMap<String, String>>,
    severity: Option<i64>,
    routing_key: Option<String>,
    #[serde(borrow)]
    services: Option<&'a RawValue>,
    #[serde(borrow)]
    comments: Option<&'a RawValue>,
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
/// The answer for the client.
pub fn from_http(body: &[u8], enrichment: &Enrichment) -> Result<HttpEvent, Reject> {
    let body = json::trimmed(body);
    if body.trim_ascii_start().first() != Some(&b'{') {
        let why = Document::read(body).err();
        return Err(malformed(why.as_deref().unwrap_or("expected a JSON object")));
    }
    let posted: Posted<'_> = serde_json::from_slice(body).map_err(|error| {
        // A body that is not JSON is refused in our own words, a wrong field in upstream's.
        malformed(&Document::read(body).err().unwrap_or_else(|| error.to_string()))
    })?;
    check(&posted)?;
    let images = posted.images.as_ref().map(raw);
    let links = posted.links.as_ref().map(raw);
    let bytes = Body {
        alert_key: posted.alert_key.as_deref(),
        comments: posted.comments.filter(|_| posted.event_type == "COMMENT"),
        custom_details: posted.custom_details.map_or(Details::None, Details::Given),
        details: posted.details.as_deref(),
        event_type: &posted.event_type,
        images: images.as_deref(),
        integration_key: &posted.integration_key,
        labels: labels(posted.labels.unwrap_or_default(), enrichment),
        links: links.as_deref(),
        priority: posted.priority.as_deref(),
        routing_key: posted.routing_key.as_deref(),
        services: services(posted.services.map(Json::of), enrichment),
        severity: posted.severity.or(enrichment.severity.map(i64::from)),
        summary: &posted.summary,
    }
    .to_bytes();
    let key = &posted.integration_key;
    let echo = bytes.clone();
    let delivery = delivery(key, posted.alert_key.as_deref(), EVENTS.to_owned(), bytes, "http");
    Ok(HttpEvent { delivery, echo })
}

fn check(posted: &Posted<'_>) -> Result<(), Reject> {
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
    use serde_json::Value;

    #[test]
    fn a_valid_event_is_echoed_with_all_its_members() {
        let body =
            br#"{"apiKey":"k","eventType":"ALERT","summary":"","extra":1,"images":[{"src":"s"}]}"#;
        let event = from_http(body, &Enrichment::default()).unwrap();
        let echo: Value = serde_json::from_slice(&event.echo).unwrap();
        assert_eq!(echo["integrationKey"], "k");
        assert_eq!(echo["images"], json!([{"src":"s","href":null,"alt":null}]));
        assert_eq!(echo.as_object().unwrap().len(), 13);
        assert_eq!(event.delivery.errand.target(), "/api/events");
    }

    #[test]
    fn what_is_passed_on_is_passed_on_byte_for_byte() {
        let details = r#"{"id": 89490200001234567890,"x":[-0,1e3,0.1000,1e400],"s":"\ud800"}"#;
        let body = format!(
            "\u{feff}{{\"apiKey\":\"k\",\"eventType\":\"COMMENT\",\"summary\":\"s\",\
             \"customDetails\":{details},\"services\":[{{\"id\":1.0}}],\"comments\":[1.50]}}\0"
        );
        let event = from_http(body.as_bytes(), &Enrichment::default()).unwrap();
        let echo = String::from_utf8(event.echo).unwrap();
        assert!(echo.contains(&format!("\"customDetails\":{details},")), "{echo}");
        assert!(echo.contains(r#""services":[{"id":1.0}]"#), "{echo}");
        assert!(echo.contains(r#""comments":[1.50]"#), "{echo}");
        assert_eq!(event.delivery.body, echo.into_bytes());
    }

    #[test]
    fn a_sender_is_told_what_is_wrong() {
        for (body, wanted) in [
            ("", "Json deserialize error: it is empty"),
            ("\0{}", "Json deserialize error: a NUL (byte 0x00) at line 1 column 1"),
            ("{\"a\":\0}", "Json deserialize error: a NUL (byte 0x00) at line 1 column 6"),
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
