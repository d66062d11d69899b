//! The model that every dialect ends in, in files by noun. It says what to do, not how,
//! and holds nothing that would have to be opened or waited for.

mod app;
mod broker;
mod cluster;
mod connectware;
mod dapr;
pub mod defaults;
mod kapacitor;
mod listener;
mod point;
mod queue;
mod rule;
mod sink;
mod step;

pub use super::Secret;
pub use crate::message::{Bulk, Qos};
pub use app::{AppRoute, AppRule};
pub use broker::{
    Address, Broker, ClientCertificate, Pem, Scheme, StatusFormat, StatusTopic, Tls, Version,
    Window,
};
pub use cluster::{Cluster, Mechanism, Sasl};
pub use connectware::{Commissioned, Resource, ResourceKind};
pub use dapr::{
    App, AppHealth, Breaker, Component, Confirm, Dapr, Pace, Policy, PubSub, Raw, Retry, Route,
    Scopes, Subscription, Trip,
};
pub use kapacitor::{Kapacitor, Udp};
pub use listener::{Clients, Http};
pub use point::{JsonPoint, Piece, PointRule, Precision, Written};
pub use queue::{Queue, Safety};
pub use rule::{
    CallRule, Enrichment, EventRule, EventTypeMap, Format, JsonPath, PayloadFilter, PolicyRule,
    PublishRule, Routing, Rule, Service, Target,
};
pub use sink::{FileSink, Ilert, Sink, Statuses, Webhook};
pub use step::{Burst, Change, Reading, Shape, Step};

/// Everything `ilagent daemon` has to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// MQTT brokers; one session each.
    pub brokers: Vec<Broker>,
    /// Kafka clusters; one consumer each.
    pub clusters: Vec<Cluster>,
    /// HTTP listeners.
    pub http: Vec<Http>,
    /// Tasks that make alerts of points, if there are any.
    pub kapacitor: Option<Kapacitor>,
    /// Pub/sub of an application that was written for Dapr, if there is one.
    pub dapr: Option<Dapr>,
    /// Services of Connectware, whose work is among the brokers.
    pub services: Vec<Commissioned>,
    /// ilert's API and how it is used.
    pub ilert: Ilert,
    /// Journals of what was sent.
    pub files: Vec<FileSink>,
    /// Webhooks.
    pub webhooks: Vec<Webhook>,
    /// Where deliveries wait.
    pub queue: Queue,
}

impl Config {
    /// Every sink, ilert first.
    pub fn sinks(&self) -> impl Iterator<Item = Sink<'_>> {
        let ilert = std::iter::once(Sink::Ilert(&self.ilert));
        let brokers = self.brokers.iter().filter(|broker| self.is_published_to(broker));
        let apps = self.dapr.iter().filter(|dapr| dapr.app.is_some());
        ilert
            .chain(self.webhooks.iter().map(Sink::Webhook))
            .chain(self.files.iter().map(Sink::File))
            .chain(brokers.map(Sink::Mqtt))
            .chain(apps.map(Sink::App))
    }

    /// The rules of all sources.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        let of_brokers = self.brokers.iter().flat_map(|broker| &broker.rules);
        of_brokers.chain(self.clusters.iter().flat_map(|cluster| &cluster.rules))
    }

    /// Whether any broker is published to.
    #[must_use]
    pub fn publishes(&self) -> bool {
        self.brokers.iter().any(|broker| self.is_published_to(broker))
    }

    /// Whether a broker is a component of a Dapr sidecar, and so read from when that is asked for.
    #[must_use]
    pub fn is_component(&self, broker: &Broker) -> bool {
        let components = self.dapr.iter().flat_map(|dapr| &dapr.components);
        components.into_iter().any(|component| component.broker == broker.name)
    }

    /// Whether a broker is published to.
    #[must_use]
    pub fn is_published_to(&self, broker: &Broker) -> bool {
        broker.is_published_to(self.rules())
    }
}
