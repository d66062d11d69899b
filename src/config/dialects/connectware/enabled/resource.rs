//! Resources: what there is, and which of them is not for an edge agent.

use super::connection::Connection;
use super::endpoint::Endpoint;
use super::names::Names;
use super::read;
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Node, Value};
use crate::config::suggest;
use crate::system::plain::plain;

/// What becomes of a type of resource that is not for us: the type, and what to do instead.
const NOT_OURS: [(&str, &str); 10] = [
    ("Cybus::Container", RUNS_NOTHING),
    ("Cybus::Volume", RUNS_NOTHING),
    ("Cybus::Link", RUNS_NOTHING),
    ("Cybus::IngressRoute", RUNS_NOTHING),
    ("Cybus::File", RUNS_NOTHING),
    ("Cybus::Server", RUNS_NOTHING),
    ("Cybus::User", ACCOUNTS),
    ("Cybus::Role", ACCOUNTS),
    ("Cybus::Node", "custom connectors are programs; connect them over MQTT"),
    ("Cybus::Connector", "custom connectors are programs; connect them over MQTT"),
];

const RUNS_NOTHING: &str =
    "an edge agent runs no containers and serves no files; run it beside the agent";
const ACCOUNTS: &str =
    "accounts and permissions belong to the broker; write them into its configuration";

const OURS: [&str; 3] = ["Cybus::Connection", "Cybus::Endpoint", "Cybus::Mapping"];

/// The one protocol, and spellings of it that are let pass.
const MQTT: [&str; 3] = ["Mqtt", "MQTT", "mqtt"];

/// What a resource is.
pub(super) enum Kind {
    Connection(Option<Box<Connection>>),
    Endpoint(Option<Endpoint>),
    Mapping,
    /// Left out, as it is not supported.
    Skipped,
    /// It cannot be read; that is a fault already.
    Unknown,
}

impl Kind {
    fn words(&self) -> &'static str {
        match self {
            Kind::Connection(_) => "a connection",
            Kind::Endpoint(_) => "an endpoint",
            Kind::Mapping => "a mapping",
            Kind::Skipped | Kind::Unknown => "a resource",
        }
    }
}

/// A resource.
pub(super) struct Resource {
    pub(super) name: String,
    /// `valve4-flow`.
    pub(super) id: String,
    /// Where its name stands.
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What is known while a service is read.
pub(super) struct Reading<'r, 'f> {
    pub(super) file: &'r File<'f>,
    pub(super) names: &'r Names<'r>,
    pub(super) skip_unsupported: bool,
    pub(super) resources: Vec<Resource>,
    pub(super) warnings: Vec<String>,
}

impl Reading<'_, '_> {
    pub(super) fn warn(&mut self, at: usize, what: &str) {
        let place = self.file.place(at);
        self.warnings.push(format!("config: {place}: {what}"));
    }

    /// What the type of a resource says; without effect on others.
    pub(super) fn kind(&mut self, fields: &Fields<'_>, at: usize) -> Kind {
        let Some((text, at)) = read::text(fields, "type") else {
            if !fields.has(&["type"]) {
                let what = format!("a resource needs a `type`: {}", OURS.join(", "));
                fields.file.add(at, what);
            }
            return Kind::Unknown;
        };
        match text {
            "Cybus::Connection" => Kind::Connection(None),
            "Cybus::Endpoint" => Kind::Endpoint(None),
            "Cybus::Mapping" => Kind::Mapping,
            other => match NOT_OURS.iter().find(|(name, _)| *name == other) {
                Some((name, words)) => {
                    self.unsupported(at, &format!("{name} is not supported: {words}"))
                }
                None => {
                    let known = OURS.into_iter().chain(NOT_OURS.map(|(name, _)| name));
                    let hint = match suggest::nearest(other, known) {
                        Some(meant) => format!("; did you mean `{meant}`?"),
                        None => format!("; there are {}", OURS.join(", ")),
                    };
                    self.unsupported(at, &format!("there is no type `{}` here{hint}", plain(other)))
                }
            },
        }
    }

    /// Whether the protocol is ours; otherwise what becomes of the resource.
    pub(super) fn protocol(&mut self, fields: &Fields<'_>) -> Option<Kind> {
        let Some((text, at)) = read::text(fields, "protocol") else {
            if !fields.has(&["protocol"]) {
                fields.file.add(fields.at, "`properties` needs a `protocol: Mqtt`");
                return Some(Kind::Unknown);
            }
            return Some(Kind::Unknown);
        };
        if !MQTT.contains(&text) {
            let what =
                format!("the protocol `{}` is not supported: only Mqtt is spoken", plain(text));
            return Some(self.unsupported(at, &what));
        }
        if text != MQTT[0] {
            self.warn(at, "the protocol is written `Mqtt`");
        }
        None
    }

    fn unsupported(&mut self, at: usize, what: &str) -> Kind {
        if self.skip_unsupported {
            self.warn(at, &format!("{what}; it is left out"));
            return Kind::Skipped;
        }
        self.file.add(at, what);
        Kind::Unknown
    }

    /// The number of the connection that a value refers to.
    pub(super) fn connection(&self, node: &Node) -> Option<usize> {
        let number = self.referred(node, "a connection")?;
        let resource = &self.resources[number];
        match &resource.kind {
            Kind::Connection(found) => found.as_ref().map(|_| number),
            other => self.wrong(node, resource, other, "a connection"),
        }
    }

    /// The endpoint that a value refers to.
    pub(super) fn endpoint(&self, node: &Node) -> Option<&Endpoint> {
        let number = self.referred(node, "an endpoint")?;
        let resource = &self.resources[number];
        match &resource.kind {
            Kind::Endpoint(found) => found.as_ref(),
            other => self.wrong(node, resource, other, "an endpoint"),
        }
    }

    fn wrong<T>(&self, node: &Node, resource: &Resource, kind: &Kind, wanted: &str) -> Option<T> {
        let name = plain(&resource.name);
        match kind {
            Kind::Unknown => (),
            Kind::Skipped => {
                let what = format!("`{name}` is left out, as it is not supported");
                self.file.add(node.at, what);
            }
            other => {
                let what = format!("this names {wanted}, and `{name}` is {}", other.words());
                self.file.add(node.at, what);
            }
        }
        None
    }

    fn referred(&self, node: &Node, wanted: &str) -> Option<usize> {
        let name = self.names.resource_at(node.at);
        let number = name.and_then(|name| self.resources.iter().position(|it| it.name == name));
        if number.is_none() {
            let what = match &node.value {
                Value::Text(text) if self.names.origin_at(node.at).is_none() => {
                    format!("this is {wanted}: write `!ref {}`", plain(text))
                }
                _ => format!("this is {wanted}: write `!ref` and its name"),
            };
            self.file.add(node.at, what);
        }
        number
    }
}
