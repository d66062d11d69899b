//! What a sidecar says of itself: `GET /v1.0/metadata`.

use super::routes::Sidecar;
use crate::config::{App, Route, Subscription};
use serde_json::{Map, Value};

impl Sidecar {
    /// The document that clients wait for at their start.
    pub(super) fn metadata(&self) -> String {
        let settings = &self.settings;
        let brokers = settings.components.iter().map(|it| {
            component(&it.name, &it.kind, &it.version, vec!["SUBSCRIBE_WILDCARDS".into()])
        });
        let others = settings.others.iter();
        let others = others.map(|it| component(&it.name, &it.kind, &it.version, Vec::new()));
        let notes = self.standing.notes().into_iter().map(|(key, text)| (key, text.into()));
        let subscriptions = self.standing.subscriptions();
        let mut members = vec![
            ("id", settings.app_id.as_str().into()),
            ("runtimeVersion", concat!("ilagent/", env!("CARGO_PKG_VERSION")).into()),
            ("enabledFeatures", Value::Array(Vec::new())),
            ("actors", Value::Array(Vec::new())),
            ("components", brokers.chain(others).collect()),
            ("extended", Value::Object(notes.collect())),
            ("subscriptions", subscriptions.iter().map(subscription).collect()),
            ("actorRuntime", object(vec![("runtimeStatus", "DISABLED".into())])),
        ];
        members
            .extend(settings.app.as_ref().map(|app| ("appConnectionProperties", connection(app))));
        object(members).to_string()
    }
}

fn component(name: &str, kind: &str, version: &str, capabilities: Vec<Value>) -> Value {
    object(vec![
        ("name", name.into()),
        ("type", kind.into()),
        ("version", version.into()),
        ("capabilities", capabilities.into()),
    ])
}

fn subscription(it: &Subscription) -> Value {
    let rule = |expression: &str, path: &str| {
        object(vec![("match", expression.into()), ("path", path.into())])
    };
    let rules = it
        .rules
        .iter()
        .map(|Route { matches, path }| rule(matches.as_deref().unwrap_or_default(), path));
    let default = it.default.iter().map(|path| rule("", path));
    let metadata = it.metadata.iter().map(|(key, text)| (key.clone(), text.as_str().into()));
    object(vec![
        ("pubsubname", it.pubsub.as_str().into()),
        ("topic", it.topic.as_str().into()),
        ("metadata", Value::Object(metadata.collect())),
        ("rules", rules.chain(default).collect()),
        ("deadLetterTopic", it.dead_letter_topic.as_deref().unwrap_or_default().into()),
        ("type", if it.is_declared { "DECLARATIVE" } else { "PROGRAMMATIC" }.into()),
    ])
}

fn connection(app: &App) -> Value {
    object(vec![
        ("port", app.port.into()),
        ("protocol", if app.tls { "https" } else { "http" }.into()),
        ("channelAddress", app.host.as_str().into()),
        ("maxConcurrency", app.in_flight_max.into()),
    ])
}

fn object(members: Vec<(&str, Value)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Object(members.collect::<Map<_, _>>())
}
