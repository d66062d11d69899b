//! An alert that the agent raises itself becomes an event.

use super::{Body, EVENTS, delivery};
use crate::message::Delivery;
use std::collections::BTreeMap;

/// What is known of an alert that a Kapacitor raises.
#[derive(Clone, Debug)]
pub struct Raised<'a> {
    /// The key of the alert source.
    pub integration_key: &'a str,
    /// `ALERT` or `RESOLVE`.
    pub event_type: &'a str,
    /// What its recovery will have in common with it.
    pub alert_key: &'a str,
    /// What it says.
    pub summary: &'a str,
    /// What else there is to say; may be empty.
    pub details: &'a str,
    /// `HIGH` or `LOW`; a recovery has none.
    pub priority: Option<&'a str>,
    /// What it is about.
    pub labels: BTreeMap<String, String>,
    /// Where it comes from, for people.
    pub origin: &'a str,
}

/// Maps an alert.
#[must_use]
pub fn from_alert(raised: &Raised<'_>) -> Delivery {
    let key = raised.integration_key;
    let body = Body {
        alert_key: Some(raised.alert_key),
        details: Some(raised.details).filter(|details| !details.is_empty()),
        event_type: raised.event_type,
        integration_key: key,
        labels: Some(&raised.labels).filter(|labels| !labels.is_empty()).cloned(),
        priority: raised.priority,
        summary: raised.summary,
        ..Body::default()
    };
    delivery(key, Some(raised.alert_key), EVENTS.to_owned(), body.to_bytes(), raised.origin)
}
