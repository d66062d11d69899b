//! What the agent is to do: one model, in which every dialect ends. Pure: `main` reads files and
//! passes their text in.

pub mod dialects;
pub mod document;
mod fault;
pub mod hush;
pub mod model;
mod repeats;
mod routes;
mod secret;
pub mod suggest;
mod surroundings;
pub mod values;
pub mod whole;

pub use fault::{Fault, Faults, Place, a_line_each};
pub use model::{
    Address, App, AppHealth, AppRoute, AppRule, Breaker, Broker, Bulk, Burst, CallRule, Change,
    ClientCertificate, Clients, Cluster, Commissioned, Component, Config, Confirm, Dapr,
    Enrichment, EventRule, EventTypeMap, FileSink, Format, Http, Ilert, JsonPath, JsonPoint,
    Kapacitor, Mechanism, Pace, PayloadFilter, Pem, Piece, PointRule, Policy, PolicyRule,
    Precision, PubSub, PublishRule, Qos, Queue, Raw, Reading, Resource, ResourceKind, Retry, Route,
    Routing, Rule, Safety, Sasl, Scheme, Scopes, Service, Shape, Sink, StatusFormat, StatusTopic,
    Statuses, Step, Subscription, Target, Tls, Trip, Udp, Version, Webhook, Window, Written,
    defaults,
};
pub use secret::Secret;
pub use surroundings::Surroundings;
pub use whole::{Checked, Part, warnings};
