//! Rules: which messages of a source become which deliveries.

use super::{AppRule, PointRule, Qos, Secret, Shape, Sink};
use crate::topic::TopicTemplate;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Which rules a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// The first that matches: ilagent's heartbeat, then policy, then event topics.
    First,
    /// Every one that matches, once each.
    Every,
}

/// Which messages become which deliveries.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Topic filter, as subscribed to, without the `$share` prefix; the name of a Kafka topic.
    pub filter: String,
    /// The QoS asked for; Kafka has only one.
    pub qos: Qos,
    /// What becomes of a message.
    pub to: Target,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// An ilert event.
    Event(Box<EventRule>),
    /// A heartbeat ping with the key in the payload.
    Heartbeat,
    /// An escalation policy update.
    Policy(Box<PolicyRule>),
    /// A publication at a broker.
    Publish(Box<PublishRule>),
    /// A call of a webhook.
    Call(Box<CallRule>),
    /// Points, for tasks to evaluate.
    Point(Box<PointRule>),
    /// A delivery to the application of a Dapr sidecar.
    App(Box<AppRule>),
}

impl Target {
    /// The name of the broker that is published to.
    #[must_use]
    pub fn broker(&self) -> Option<&str> {
        match self {
            Target::Publish(to) => Some(&to.to),
            Target::Event(_)
            | Target::Heartbeat
            | Target::Policy(_)
            | Target::Call(_)
            | Target::Point(_)
            | Target::App(_) => None,
        }
    }

    /// The name of the webhook that is called.
    #[must_use]
    pub fn webhook(&self) -> Option<&str> {
        match self {
            Target::Call(to) => Some(&to.to),
            Target::Event(_)
            | Target::Heartbeat
            | Target::Policy(_)
            | Target::Publish(_)
            | Target::Point(_)
            | Target::App(_) => None,
        }
    }

    /// The name of the sink that it leads to. What points lead to is for tasks to say.
    #[must_use]
    pub fn sink_name(&self) -> Cow<'static, str> {
        match self {
            Target::Event(_) | Target::Heartbeat | Target::Policy(_) => Sink::ILERT.into(),
            Target::Publish(rule) => PublishRule::sink_name(&rule.to).into(),
            Target::Call(rule) => CallRule::sink_name(&rule.to).into(),
            Target::Point(_) => PointRule::SINK.into(),
            Target::App(rule) => rule.sink.clone().into(),
        }
    }
}

/// How a payload becomes an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventRule {
    /// Ignores payloads that do not match.
    pub filter: Option<PayloadFilter>,
    /// Replaces the integration key of every event.
    pub event_key: Option<Secret>,
    /// Path of the event type, and what its values mean.
    pub event_type: EventTypeMap,
    /// Path of the alert key.
    pub alert_key: Option<JsonPath>,
    /// Path of the summary.
    pub summary: Option<JsonPath>,
    /// Path of the severity.
    pub severity: Option<JsonPath>,
    /// Path of the routing key.
    pub routing_key: Option<JsonPath>,
    /// Paths of labels, by label name.
    pub labels: BTreeMap<String, JsonPath>,
    /// The whole payload becomes `customDetails`, unless it has its own.
    pub forward_payload: bool,
    /// What is added to every event.
    pub enrichment: Enrichment,
}

/// Static additions to every event, of consumers and of the HTTP proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrichment {
    /// Labels; they win over mapped ones and those of the payload.
    pub labels: BTreeMap<String, String>,
    /// Severity 1 to 5 of events that have none.
    pub severity: Option<u8>,
    /// Services, in the order given; used when the event names none.
    pub services: Vec<Service>,
}

/// A service an event concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// By number.
    Id(i64),
    /// By alias.
    Alias(String),
}

/// Matches payloads that have the top-level member `key`, with the string `value` if that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadFilter {
    /// Name of a top-level member, literally.
    pub key: String,
    /// The string it must be.
    pub value: Option<String>,
}

/// Where the event type is and what its values mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventTypeMap {
    /// Path of the value.
    pub path: Option<JsonPath>,
    /// The value that means ALERT.
    pub alert: Option<String>,
    /// The value that means ACCEPT.
    pub accept: Option<String>,
    /// The value that means RESOLVE.
    pub resolve: Option<String>,
}

/// A dotted path into a JSON document: `data.sensors.0.name`; a number indexes an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(pub String);

/// How a payload becomes an update of an escalation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// Ignores payloads that do not match.
    pub filter: Option<PayloadFilter>,
    /// Top-level members whose values make the routing key, in order.
    pub routing_keys: Vec<String>,
    /// Path of the user's e-mail address.
    pub email: JsonPath,
    /// Path of the level.
    pub shift: JsonPath,
    /// Added to the level.
    pub shift_offset: i64,
}

impl Default for PolicyRule {
    /// As documented upstream.
    fn default() -> Self {
        PolicyRule {
            filter: None,
            routing_keys: Vec::new(),
            email: JsonPath("data.email".to_owned()),
            shift: JsonPath("data.shift".to_owned()),
            shift_offset: 0,
        }
    }
}

/// How a message becomes a publication to a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishRule {
    /// The name of the broker.
    pub to: String,
    /// The topic there.
    pub topic: TopicTemplate,
    /// Its QoS; `None` keeps that of the message.
    pub qos: Option<Qos>,
    /// Whether the broker keeps it for later subscribers; `None` keeps what the message says.
    pub retain: Option<bool>,
    /// What becomes of it on the way; with nothing, its bytes pass as they are.
    pub shape: Option<Box<Shape>>,
}

impl PublishRule {
    /// The name of the sink that publishes to the broker of this name.
    #[must_use]
    pub fn sink_name(broker: &str) -> String {
        format!("mqtt {broker}")
    }
}

/// How a message becomes a call of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRule {
    /// The name of the webhook.
    pub to: String,
    /// The path below the webhook's URL; may be empty.
    pub path: TopicTemplate,
    /// How the payload is sent.
    pub format: Format,
    /// Path of the order key; calls without one may overtake each other.
    pub order_by: Option<JsonPath>,
}

impl CallRule {
    /// The name of the sink that calls a webhook.
    #[must_use]
    pub fn sink_name(webhook: &str) -> String {
        format!("webhook {webhook}")
    }
}

/// How a payload is sent to a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As it came.
    #[default]
    Raw,
    /// Inside a CloudEvent 1.0, as JSON (structured mode).
    CloudEvent,
    /// As it came, with the attributes of a CloudEvent 1.0 in headers (binary mode).
    CloudEventBinary,
}
