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
    Address, Broker, CallRule, ClientCertificate, Clients, Cluster, Config, Enrichment, EventRule,
    EventTypeMap, FileSink, Format, Http, Ilert, JsonPath, JsonPoint, Kapacitor, Mechanism,
    PayloadFilter, Piece, PointRule, PolicyRule, Precision, PublishRule, Qos, Queue, Routing, Rule,
    Safety, Sasl, Scheme, Service, Sink, StatusFormat, StatusTopic, Statuses, Target, Tls, Udp,
    Version, Webhook, Written, defaults,
};
pub use secret::Secret;
pub use surroundings::Surroundings;
pub use whole::{Checked, Part, warnings};
