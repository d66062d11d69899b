//! `ilagent event`: one event, sent at once.

use crate::config::{Faults, Ilert, Surroundings};
use crate::ilert::Client;
use crate::message::Outcome;
use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

/// Below the host; the endpoint for events of any kind of alert source.
const PATH: &str = "/api/events";

/// Send one event to ilert.
#[derive(ArgsInfo, Clone, FromArgs, PartialEq, Eq)]
pub struct Event {
    /// integration key of the alert source; without it, ILERT_INTEGRATION_KEY
    #[argh(option, short = 'k', arg_name = "KEY")]
    pub integration_key: Option<String>,
    /// ALERT, ACCEPT or RESOLVE
    #[argh(option, short = 't', arg_name = "TYPE")]
    pub event_type: String,
    /// what happened, in one line
    #[argh(option, short = 's', arg_name = "TEXT")]
    pub summary: String,
    /// events with the same alert key concern the same alert
    #[argh(option, short = 'i', arg_name = "KEY")]
    pub alert_key: Option<String>,
    /// LOW or HIGH
    #[argh(option, short = 'o', arg_name = "PRIORITY")]
    pub priority: Option<String>,
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

impl Event {
    /// Checks the words that upstream checks before anything is sent.
    pub(super) fn check(self) -> Result<Self, String> {
        one_of("--event_type", &self.event_type, &["ALERT", "ACCEPT", "RESOLVE"])?;
        if let Some(priority) = &self.priority {
            one_of("--priority", priority, &["HIGH", "LOW"])?;
        }
        Ok(self)
    }
}

fn one_of(flag: &str, value: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&value) {
        return Ok(());
    }
    Err(format!("`{flag}` is one of {}, not `{value}`", words.join(", ")))
}

/// What a command that sends one thing needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Ready {
    /// How to reach ilert, without a token.
    pub(super) ilert: Ilert,
    /// The integration key.
    pub(super) key: String,
}

impl Ready {
    /// Finds the key, in the flag or else in the first of these variables, and the host.
    ///
    /// # Errors
    ///
    /// Says which of them are missing or wrong.
    pub fn find(
        flag: Option<&String>,
        variables: &[&str],
        around: &Surroundings<'_>,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut ilert = Ilert::nowhere();
        around.hosts(&mut ilert, &mut faults);
        let from_variable = || variables.iter().find_map(|name| around.variable(name));
        let key = flag.filter(|key| !key.is_empty()).cloned().or_else(from_variable);
        if key.is_none() {
            let what = format!("give a key with it or in {}", variables.join(" or "));
            faults.add("--integration_key", what);
        }
        match key {
            Some(key) if faults.0.is_empty() => Ok(Ready { ilert, key }),
            _ => Err(faults),
        }
    }
}

/// Variables that hold the key of an event if there is no flag.
pub const VARIABLES: [&str; 1] = ["ILERT_INTEGRATION_KEY"];

/// Sends one event.
///
/// # Errors
///
/// Says why ilert does not have it.
pub fn run(asked: &Event, ready: &Ready) -> Result<(), String> {
    let client = Client::new(&ready.ilert)?;
    let body = body(asked, &ready.key).to_string();
    outcome(client.event("event", &ready.key, PATH, body.as_bytes()))
}

/// The document, with all the members that upstream sends, used or not.
fn body(asked: &Event, key: &str) -> Value {
    let image = |url: &String| json!([{ "src": url, "href": null, "alt": null }]);
    let link = |url: &String| json!([{ "href": url, "text": "Provided Url" }]);
    json!({
        "integrationKey": key,
        "eventType": asked.event_type,
        "summary": asked.summary,
        "alertKey": asked.alert_key,
        "details": asked.details,
        "priority": asked.priority,
        "severity": null,
        "images": asked.image.as_ref().map(image),
        "links": asked.link.as_ref().map(link),
        "customDetails": null,
        "routingKey": null,
        "labels": null,
        "services": null,
    })
}

/// Fails unless the one attempt succeeded.
pub(super) fn outcome(outcome: Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Delivered => Ok(()),
        Outcome::Later { why, .. } | Outcome::Never { why, .. } => Err(format!("ilert: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_all_the_members_of_upstream() {
        let asked = Event {
            integration_key: None,
            event_type: "ALERT".to_owned(),
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
