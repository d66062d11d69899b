//! The JSON document that goes to ilert: all thirteen members, null where there is no value.

use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Members in the order of their names, as upstream writes them.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    pub(super) alert_key: Option<&'a str>,
    /// Only events of type COMMENT have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comments: Option<&'a RawValue>,
    pub(super) custom_details: Details<'a>,
    pub(super) details: Option<&'a str>,
    pub(super) event_type: &'a str,
    pub(super) images: Option<&'a RawValue>,
    pub(super) integration_key: &'a str,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) links: Option<&'a RawValue>,
    pub(super) priority: Option<&'a str>,
    pub(super) routing_key: Option<&'a str>,
    pub(super) services: Option<Cow<'a, RawValue>>,
    pub(super) severity: Option<i64>,
    pub(super) summary: &'a str,
}

/// `customDetails`.
#[derive(Debug, Default, Serialize)]
#[serde(untagged)]
pub(super) enum Details<'a> {
    #[default]
    None,
    /// Those of the payload, or the whole payload.
    Given(&'a RawValue),
    /// Where the message came from.
    Mqtt { topic: &'a str },
    /// The same for a Kafka record.
    #[serde(rename_all = "camelCase")]
    Kafka { message_key: &'a str, topic: &'a str },
}

impl Body<'_> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and JSON are JSON")
    }
}
