//! From a message or a POST to an ilert event.

mod body;
mod consumed;
mod posted;
mod raised;
mod upstream;

pub use consumed::from_message;
pub use posted::{HttpEvent, Reject, from_http};
pub use raised::{Raised, from_alert};
pub use upstream::from_upstream;

use crate::config::{Enrichment, Service};
use crate::mapping::json::Json;
use crate::message::{Delivery, Errand, ILERT, Keep, LaneName};
use body::{Body, Details};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Event types that ilert knows.
const TYPES: [&str; 4] = ["ALERT", "ACCEPT", "RESOLVE", "COMMENT"];

/// Priorities that ilert knows.
const PRIORITIES: [&str; 2] = ["HIGH", "LOW"];

/// Severities that ilert knows.
const SEVERITIES: std::ops::RangeInclusive<i64> = 1..=5;

/// Below the host; the endpoint for events of any kind of alert source.
const EVENTS: &str = "/api/events";

/// ilert trims alert keys and ignores their case, and so do we when we order deliveries. An empty
/// one counts as none.
fn order_key(alert_key: Option<&str>) -> Option<String> {
    alert_key.map(|key| key.trim().to_lowercase()).filter(|key| !key.is_empty())
}

fn delivery(
    key: &str,
    alert_key: Option<&str>,
    path: String,
    body: Vec<u8>,
    origin: &str,
) -> Delivery {
    Delivery {
        lane: LaneName { sink: ILERT, key: key.to_owned() },
        order_key: order_key(alert_key),
        errand: Errand::Event { path },
        keep: Keep::UntilDelivered,
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

/// Services of an event: its own, or the static ones if it names none.
fn services<'a>(own: Option<Json<'a>>, enrichment: &Enrichment) -> Option<Cow<'a, RawValue>> {
    if let Some(own) = own.filter(|own| !own.elements().is_empty()) {
        return Some(Cow::Borrowed(own.raw()));
    }
    let service = |service: &Service| match service {
        Service::Id(id) => json!({ "id": id }),
        Service::Alias(alias) => json!({ "alias": alias }),
    };
    let fixed: Vec<_> = enrichment.services.iter().map(service).collect();
    (!fixed.is_empty()).then(|| Cow::Owned(raw(&fixed)))
}

fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alert_keys_are_compared_as_ilert_compares_them() {
        for (key, wanted) in [(Some(" Pump 1 "), Some("pump 1")), (Some("  "), None), (None, None)]
        {
            assert_eq!(order_key(key).as_deref(), wanted);
        }
    }
}
