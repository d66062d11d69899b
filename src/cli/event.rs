//! `ilagent event`: one event, sent at once.

use crate::config::{Faults, Ilert, Surroundings};
use crate::ilert::Client;
use crate::message::Outcome;
use argh::{ArgsInfo, FromArgValue, FromArgs};
use serde_json::{Value, json};

/// Below the host; the endpoint for events of any kind of alert source.
const PATH: &str = "/api/events";

/// Send one event to ilert.
#[derive(ArgsInfo, Clone, Debug, FromArgs, PartialEq, Eq)]
pub struct Event {
    /// integration key of the alert source; without it, ILERT_INTEGRATION_KEY
    #[argh(option, short = 'k', arg_name = "KEY")]
    pub integration_key: Option<String>,
    /// ALERT, ACCEPT or RESOLVE
    #[argh(option, short = 't', arg_name = "TYPE")]
    pub event_type: EventType,
    /// what happened, in one line
    #[argh(option, short = 's', arg_name = "TEXT")]
    pub summary: String,
    /// events with the same alert key concern the same alert
    #[argh(option, short = 'i', arg_name = "KEY")]
    pub alert_key: Option<String>,
    /// LOW or HIGH
    #[argh(option, short = 'o', arg_name = "PRIORITY")]
    pub priority: Option<Priority>,
    /// what happened, at length
    #[argh(option, short = 'd', arg_name = "TEXT")]
    pub details: Option<String>,
    /// URL of an image
    #[argh(option, short = 'g', arg_name = "URL")]
    pub image: Option<String>,
    /// URL of a link
    #[argh(option, short = 'l', arg_name = "URL")]
    pub link: Option<String>,
}

/// One of upstream's three; a COMMENT cannot be sent from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventType(String);

/// LOW or HIGH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priority(String);

impl FromArgValue for EventType {
    fn from_arg_value(value: &str) -> Result<Self, String> {
        one_of(value, &["ALERT", "ACCEPT", "RESOLVE"]).map(EventType)
    }
}

impl FromArgValue for Priority {
    fn from_arg_value(value: &str) -> Result<Self, String> {
        one_of(value, &["HIGH", "LOW"]).map(Priority)
    }
}

fn one_of(value: &str, words: &[&str]) -> Result<String, String> {
    match words.contains(&value) {
        true => Ok(value.to_owned()),
        false => Err(format!("this is one of {}", words.join(", "))),
    }
}

/// Sends one event.
///
/// # Errors
///
/// Says in words why ilert does not have it.
pub fn run(asked: &Event, around: &Surroundings<'_>) -> Result<(), String> {
    let key = asked
        .integration_key
        .clone()
        .filter(|key| !key.is_empty())
        .or_else(|| around.variable("ILERT_INTEGRATION_KEY"))
        .ok_or_else(|| "event: give a key with -k or in ILERT_INTEGRATION_KEY".to_owned())?;
    let client = Client::new(&settings(around)?)?;
    outcome(client.event(PATH, body(asked, &key).to_string().as_bytes()))
}

/// The document, with all the members that upstream sends, used or not.
fn body(asked: &Event, key: &str) -> Value {
    let image = |url: &String| json!([{ "src": url, "href": null, "alt": null }]);
    let link = |url: &String| json!([{ "href": url, "text": "Provided Url" }]);
    json!({
        "integrationKey": key,
        "eventType": asked.event_type.0,
        "summary": asked.summary,
        "alertKey": asked.alert_key,
        "details": asked.details,
        "priority": asked.priority.as_ref().map(|priority| &priority.0),
        "severity": null,
        "images": asked.image.as_ref().map(image),
        "links": asked.link.as_ref().map(link),
        "customDetails": null,
        "routingKey": null,
        "labels": null,
        "services": null,
    })
}

/// How a command that sends one thing reaches ilert: without a token.
pub(super) fn settings(around: &Surroundings<'_>) -> Result<Ilert, String> {
    let mut ilert = Ilert::default();
    let mut faults = Faults::default();
    around.hosts(&mut ilert, &mut faults);
    if faults.0.is_empty() { Ok(ilert) } else { Err(faults.to_string()) }
}

/// Whether the one attempt was enough.
pub(super) fn outcome(outcome: Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Delivered => Ok(()),
        Outcome::Later { why, .. } | Outcome::Never { why } => Err(format!("ilert: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_all_the_members_of_upstream() {
        let asked = Event {
            integration_key: None,
            event_type: EventType("ALERT".to_owned()),
            summary: "fire".to_owned(),
            alert_key: Some("a".to_owned()),
            priority: None,
            details: None,
            image: Some("http://i".to_owned()),
            link: Some("http://l".to_owned()),
        };
        let wanted = r#"{"alertKey":"a","customDetails":null,"details":null,"eventType":"ALERT","images":[{"alt":null,"href":null,"src":"http://i"}],"integrationKey":"il1","labels":null,"links":[{"href":"http://l","text":"Provided Url"}],"priority":null,"routingKey":null,"services":null,"severity":null,"summary":"fire"}"#;
        let wanted: Value = serde_json::from_str(wanted).unwrap();
        assert_eq!(body(&asked, "il1"), wanted);
    }
}
