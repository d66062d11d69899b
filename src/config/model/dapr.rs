//! What a Dapr sidecar does: pub/sub of one application over MQTT brokers.
//!
//! Its listeners are [`super::Http`] for clients of Dapr, its brokers are among the others.

use super::{Bulk, Qos, Secret};
use crate::topic;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a Dapr sidecar does, beside its listeners and its brokers.
#[derive(Clone, Debug, PartialEq)]
pub struct Dapr {
    /// The id of the application, which is the `source` of its events.
    pub app_id: String,
    /// The namespace that it is in.
    pub namespace: String,
    /// Largest head of a request, in bytes.
    pub head_bytes_max: usize,
    /// The application, if it listens; without one nothing is subscribed to.
    pub app: Option<App>,
    /// The components that are brokers, each name once.
    pub components: Vec<PubSub>,
    /// The other components, which are only listed.
    pub others: Vec<Component>,
    /// The subscriptions of the folder that are for this application.
    pub subscriptions: Vec<Subscription>,
}

impl Dapr {
    /// The name of the application in the queue, the log, `/ready` and `/status`.
    #[must_use]
    pub fn sink_name(&self) -> String {
        format!("app {}", self.app_id)
    }

    /// A component by its name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&PubSub> {
        self.components.iter().find(|component| component.name == name)
    }
}

/// What is listed of a component that does nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its type: `secretstores.local.file`.
    pub kind: String,
    /// Its version.
    pub version: String,
}

/// An application that gets what is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it speaks HTTPS. Its certificate is not checked, as there.
    pub tls: bool,
    /// What it is shown in `dapr-api-token`.
    pub token: Option<Secret>,
    /// Most deliveries to it at a time.
    pub in_flight_max: usize,
    /// Whether it is asked for its configuration.
    pub is_asked_config: bool,
    /// Whether it is asked for its subscriptions.
    pub is_asked_subscriptions: bool,
    /// How it is asked if it is well, if it is.
    pub health: Option<AppHealth>,
}

impl App {
    /// Its scheme, host and port, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

/// How an application is asked if it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppHealth {
    /// The path that is asked.
    pub path: String,
    /// The time between two questions.
    pub interval: Duration,
    /// Longest time that an answer may take.
    pub timeout: Duration,
    /// Failures in a row after which it is not well.
    pub failures: u32,
}

/// A component that is a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct PubSub {
    /// Its name, which clients put into URLs.
    pub name: String,
    /// `pubsub.mqtt` or `pubsub.mqtt3`.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// The name of its broker.
    pub broker: String,
    /// The QoS of every publication and subscription.
    pub qos: Qos,
    /// Whether the broker keeps what is published, unless a request says otherwise.
    pub retain: bool,
    /// What stands in front of every topic at the broker and is cut off again for the application.
    pub prefix: String,
    /// What the application may publish and subscribe to.
    pub scopes: Scopes,
    /// When a publication counts as safe.
    pub confirm: Confirm,
    /// What happens to deliveries to the application that fail.
    pub inbound: Policy,
    /// The same for publications.
    pub outbound: Policy,
}

/// Which topics of a component an application may use. They are compared as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// If there are any, no others can be used.
    pub allowed: Vec<String>,
    /// Topics that need a word in `publish` or `subscribe`.
    pub protected: Vec<String>,
    /// What this application may publish to, if that is said.
    pub publish: Option<Vec<String>>,
    /// What this application may subscribe to, if that is said.
    pub subscribe: Option<Vec<String>>,
}

impl Scopes {
    /// Whether the application may publish to a topic.
    #[must_use]
    pub fn allow_publishing(&self, topic: &str) -> bool {
        self.allow(topic, self.publish.as_deref())
    }

    /// Whether the application may subscribe to a topic.
    #[must_use]
    pub fn allow_subscribing(&self, topic: &str) -> bool {
        self.allow(topic, self.subscribe.as_deref())
    }

    fn allow(&self, topic: &str, own: Option<&[String]>) -> bool {
        let is_in = |topics: &[String]| topics.iter().any(|known| known == topic);
        if !self.allowed.is_empty() && !is_in(&self.allowed) {
            return false;
        }
        own.map_or_else(|| !is_in(&self.protected), is_in)
    }
}

/// When a publication counts as safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// Once it is stored here.
    #[default]
    Stored,
    /// Once the broker has it.
    Broker,
}

/// What happens to deliveries that fail. What is not said is for the sink to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Longest time that one attempt may take.
    pub timeout: Option<Duration>,
    /// Whether and when it is made again.
    pub retry: Option<Retry>,
    /// When no attempts are made at all.
    pub breaker: Option<Breaker>,
}

/// Whether and when a delivery is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The waits between attempts.
    pub pace: Pace,
    /// Attempts after the first; `None` never gives up.
    pub retries_max: Option<u32>,
    /// The statuses that are tried again; `None` means all.
    pub statuses: Option<Vec<RangeInclusive<u16>>>,
}

/// The waits between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Always the same.
    Constant(Duration),
    /// From half a second, growing by half of it each time, up to this.
    Exponential(Duration),
}

/// When no attempts are made at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Attempts that are let through to find out if all is well again.
    pub probes_max: u32,
    /// How often its counts begin again; zero never.
    pub interval: Duration,
    /// How long it stays open.
    pub open: Duration,
    /// What opens it.
    pub trip: Trip,
}

/// What opens a breaker: a count that is as high as this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// Failures in a row.
    ConsecutiveFailures(u32),
    /// Failures.
    TotalFailures(u32),
    /// Attempts.
    Requests(u32),
}

/// A topic of a component that the application subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The name of the component.
    pub pubsub: String,
    /// A topic filter, perhaps of a shared subscription, without the component's prefix.
    pub topic: String,
    /// Where its events go: the first rule that is true.
    pub rules: Vec<Route>,
    /// Where they go if none is.
    pub default: Option<String>,
    /// The topic for what the application never takes.
    pub dead_letter_topic: Option<String>,
    /// What payloads are.
    pub raw: Raw,
    /// How its events go together, if they do.
    pub bulk: Option<Bulk>,
    /// All its metadata, as it is listed.
    pub metadata: BTreeMap<String, String>,
    /// Whether it stood in the folder; otherwise the application asked for it.
    pub is_declared: bool,
}

impl Subscription {
    /// Whether messages of a topic, without the component's prefix, belong to it.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        topic::matches(topic::unshared(&self.topic), topic)
    }
}

/// Where events go that an expression is true of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The expression; none is always true.
    pub matches: Option<String>,
    /// The path at the application, with its leading slash.
    pub path: String,
}

/// What payloads of a subscription are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Raw {
    /// Events.
    #[default]
    No,
    /// Bytes that become the data of an event.
    Yes,
    /// Events, if they look like one, otherwise bytes.
    Auto,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_say_what_an_application_may_use() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (allowed, protected, own, topic, wanted) in [
            ("", "", None, "a", true),
            ("a b", "", None, "a", true),
            ("a b", "", None, "c", false),
            ("", "a", None, "a", false),
            ("", "a", None, "b", true),
            ("", "a", Some("a"), "a", true),
            ("", "", Some("a"), "b", false),
            ("", "", Some(""), "b", false),
            ("b", "", Some("a"), "a", false),
            ("a/+", "", None, "a/b", false),
        ] {
            let scopes = Scopes {
                allowed: list(allowed),
                protected: list(protected),
                publish: own.map(list),
                subscribe: None,
            };
            let found = scopes.allow_publishing(topic);
            assert_eq!(found, wanted, "{allowed} / {protected} / {own:?}: {topic}");
        }
    }

    #[test]
    fn the_address_of_an_application_is_a_url() {
        let app = |host: &str, tls| App {
            host: host.to_owned(),
            port: 6001,
            tls,
            token: None,
            in_flight_max: 1,
            is_asked_config: true,
            is_asked_subscriptions: true,
            health: None,
        };
        assert_eq!(app("127.0.0.1", false).url(), "http://127.0.0.1:6001");
        assert_eq!(app("::1", true).url(), "https://[::1]:6001");
    }
}
