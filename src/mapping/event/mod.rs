//! From a message, a POST or a command line to an ilert event.

mod body;
mod consumed;
mod posted;

pub use consumed::from_message;
pub use posted::{HttpEvent, Reject, from_http};

use crate::config::{Enrichment, Service};
use crate::message::{Delivery, Kind, Lane};
use body::{Body, Details};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Event types that ilert knows.
const TYPES: [&str; 4] = ["ALERT", "ACCEPT", "RESOLVE", "COMMENT"];

/// Priorities that ilert knows.
const PRIORITIES: [&str; 2] = ["HIGH", "LOW"];

/// Severities that ilert knows.
const SEVERITIES: std::ops::RangeInclusive<i64> = 1..=5;

/// Below the host; the endpoint for events of any kind of alert source.
const EVENTS: &str = "/api/events";

/// What `ilagent event` sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneShot {
    /// Integration key of the alert source.
    pub integration_key: String,
    /// ALERT, ACCEPT or RESOLVE.
    pub event_type: String,
    /// What happened, in one line.
    pub summary: String,
    /// Events with the same alert key concern the same alert.
    pub alert_key: Option<String>,
    /// HIGH or LOW.
    pub priority: Option<String>,
    /// What happened, at length.
    pub details: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// URL of a link.
    pub link: Option<String>,
}

/// The event of a command line, as it is posted to `/api/events`.
#[must_use]
pub fn one_shot(asked: &OneShot) -> Vec<u8> {
    let images = asked.image.as_ref().map(|src| json!([{ "src": src, "href": null, "alt": null }]));
    let links = asked.link.as_ref().map(|href| json!([{ "href": href, "text": "Provided Url" }]));
    Body {
        integration_key: &asked.integration_key,
        event_type: &asked.event_type,
        summary: &asked.summary,
        alert_key: asked.alert_key.as_deref(),
        details: asked.details.as_deref(),
        priority: asked.priority.as_deref(),
        images: images.as_ref(),
        links: links.as_ref(),
        ..Body::default()
    }
    .to_bytes()
}

/// ilert trims alert keys and compares them without regard to case; so does the order of
/// deliveries. An empty one is none.
fn order_key(alert_key: Option<&str>) -> Option<String> {
    alert_key.map(|key| key.trim().to_lowercase()).filter(|key| !key.is_empty())
}

fn delivery(
    key: &str,
    alert_key: Option<&str>,
    target: String,
    body: Vec<u8>,
    origin: &str,
) -> Delivery {
    Delivery {
        lane: Lane { sink: super::SINK.to_owned(), key: key.to_owned() },
        order_key: order_key(alert_key),
        kind: Kind::Event,
        target,
        body,
        origin: origin.to_owned(),
    }
}

/// Labels of an event: static ones win over the others.
fn labels(
    mut own: BTreeMap<String, String>,
    enrichment: &Enrichment,
) -> Option<BTreeMap<String, String>> {
    own.extend(enrichment.labels.iter().map(|(name, value)| (name.clone(), value.clone())));
    (!own.is_empty()).then_some(own)
}

/// Services of an event: its own, or the static ones when it names none.
fn services(own: Option<&Value>, enrichment: &Enrichment) -> Option<Value> {
    match own {
        Some(Value::Array(named)) if !named.is_empty() => own.cloned(),
        _ if enrichment.services.is_empty() => None,
        _ => Some(
            enrichment
                .services
                .iter()
                .map(|service| match service {
                    Service::Id(id) => json!({ "id": id }),
                    Service::Alias(alias) => json!({ "alias": alias }),
                })
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_shot_has_all_thirteen_members() {
        let body = one_shot(&OneShot {
            integration_key: "k".to_owned(),
            event_type: "ALERT".to_owned(),
            summary: "s".to_owned(),
            link: Some("http://x".to_owned()),
            ..OneShot::default()
        });
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"alertKey":null,"customDetails":null,"details":null,"eventType":"ALERT","images":null,"integrationKey":"k","labels":null,"links":[{"href":"http://x","text":"Provided Url"}],"priority":null,"routingKey":null,"services":null,"severity":null,"summary":"s"}"#
        );
    }

    #[test]
    fn alert_keys_are_compared_as_ilert_compares_them() {
        for (key, wanted) in [(Some(" Pump 1 "), Some("pump 1")), (Some("  "), None), (None, None)]
        {
            assert_eq!(order_key(key).as_deref(), wanted);
        }
    }
}
