//! What a sidecar says of itself: `GET /v1.0/metadata`, and what people see of it.

use super::routes::Sidecar;
use crate::config::{App, Confirm, Route, Subscription};
use crate::system::health::Table;
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

    /// The components for people.
    pub(super) fn components_shown(&self) -> Table {
        let rows = self.settings.components.iter().map(|it| {
            let safe = match it.confirm {
                Confirm::Stored => "it is stored here",
                Confirm::Broker => "the broker has it",
            };
            vec![it.name.clone(), it.kind.clone(), safe.to_owned()]
        });
        let columns = &["Component", "Type", "A publication is safe when"];
        Table { title: "Components of Dapr", columns, rows: rows.collect() }
    }

    /// The subscriptions for people.
    pub(super) fn subscriptions_shown(&self) -> Table {
        let rows = self.standing.subscriptions().into_iter().map(|it| {
            let rules = it.rules.iter().map(|rule| rule.path.as_str());
            let paths: Vec<&str> = rules.chain(it.default.as_deref()).collect();
            let declared = if it.is_declared { "a file" } else { "the application" };
            vec![it.topic, it.pubsub, paths.join(", "), declared.to_owned()]
        });
        let columns = &["Topic", "Component", "Goes to", "Asked for by"];
        Table { title: "Subscriptions of Dapr", columns, rows: rows.collect() }
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
