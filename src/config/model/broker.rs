//! An MQTT broker: how to reach it, our identity there, and what to read from it.

use super::{Commissioned, PublishRule, Routing, Rule, Secret, defaults};
pub use crate::system::tls::Pem;
use std::path::Path;
use std::time::Duration;

/// One MQTT broker and what to read from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// Its name in the log, `/ready` and `check`; unique among brokers.
    pub name: String,
    /// Host name or address, without a port; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The MQTT client id, never empty; the broker keeps the session under it.
    pub client_id: String,
    /// The client id of the session that publishes; `None` is [`Broker::publisher_id`]'s to say.
    pub out_client_id: Option<String>,
    /// The path of the WebSocket that MQTT is spoken through, if it is.
    pub websocket: Option<String>,
    /// User name, if the broker needs one.
    pub username: Option<String>,
    /// Password; only with a user name.
    pub password: Option<Secret>,
    /// TLS, if used.
    pub tls: Option<Tls>,
    /// The protocol version to try first.
    pub version: Version,
    /// Longest silence before we ping.
    pub keep_alive: Duration,
    /// Largest MQTT packet accepted, in bytes; a larger one becomes a dead letter.
    pub packet_bytes_max: usize,
    /// A session ends with its connection, and the broker keeps nothing for us in between.
    pub clean: bool,
    /// The group of a shared subscription (`$share/<group>/…`).
    pub shared_group: Option<String>,
    /// Messages are stored before they are acknowledged (otherwise: acknowledged once delivered).
    pub buffer: bool,
    /// With `buffer`: how long a delivery may wait in memory, unsigned, before it is stored. One
    /// that is delivered in that time is never written. Zero stores at once.
    pub hold: Duration,
    /// What is kept back for a moment after each connection.
    pub window: Option<Window>,
    /// Alerts may be published to it.
    pub alerts: bool,
    /// Where the broker says if we are there.
    pub status: Option<StatusTopic>,
    /// Whether a message goes to the first rule that matches or to every one.
    pub routing: Routing,
    /// What to subscribe to and what becomes of it, in order of precedence.
    pub rules: Vec<Rule>,
}

impl Broker {
    /// A broker at an address, named after its host, with all defaults and no rules.
    #[must_use]
    pub fn at(address: Address) -> Self {
        let tls = address.scheme == Some(Scheme::Tls);
        let port = match (&address.path, tls) {
            (None, false) => defaults::MQTT_PORT,
            (None, true) => defaults::MQTT_TLS_PORT,
            (Some(_), false) => defaults::HTTP_PORT,
            (Some(_), true) => defaults::HTTPS_PORT,
        };
        Broker {
            name: address.host.clone(),
            host: address.host,
            port: address.port.unwrap_or(port),
            client_id: defaults::CLIENT_ID.to_owned(),
            out_client_id: None,
            websocket: address.path,
            username: None,
            password: None,
            tls: tls.then(Tls::default),
            version: Version::V311,
            keep_alive: defaults::KEEP_ALIVE,
            packet_bytes_max: defaults::PACKET_BYTES_MAX,
            clean: false,
            shared_group: None,
            buffer: false,
            hold: defaults::HOLD,
            window: None,
            alerts: false,
            status: None,
            routing: Routing::Every,
            rules: Vec::new(),
        }
    }

    /// The client id of the session that publishes. Subscriber and publisher are two sessions.
    #[must_use]
    pub fn publisher_id(&self) -> String {
        self.out_client_id.clone().unwrap_or_else(|| format!("{}-out", self.client_id))
    }

    /// Whether it is published to: one of these rules names it, it says that we are there, or it is
    /// there for nothing else.
    pub fn is_published_to<'r>(&self, mut rules: impl Iterator<Item = &'r Rule>) -> bool {
        self.rules.is_empty()
            || self.out_client_id.is_some()
            || self.status.is_some()
            || self.alerts
            || rules.any(|rule| rule.to.broker() == Some(&self.name))
    }

    /// The name of the sink that publishes to it.
    #[must_use]
    pub fn sink_name(&self) -> String {
        PublishRule::sink_name(&self.name)
    }

    /// Shares the subscriptions with a group, which only MQTT 5 guarantees.
    pub fn share(&mut self, group: String) {
        self.version = Version::V5;
        self.shared_group = Some(group);
    }
}

/// Messages that come soon after a connection are stored, and delivered a little later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How long they wait, counted from the connection.
    pub time: Duration,
    /// Once this many wait, all of them go, and those that follow do not wait.
    pub messages_max: usize,
}

/// A retained topic that says whether we are there, with a last will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusTopic {
    /// The topic.
    pub topic: String,
    /// What is published there.
    pub format: StatusFormat,
    /// The service whose resources have topics of their own below it.
    pub service: Option<Commissioned>,
}

/// What is published on a status topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusFormat {
    /// `online` or `offline`.
    #[default]
    Text,
    /// JSON, with the counts of `/status`.
    Json,
}

impl StatusFormat {
    /// What is said when we are gone.
    #[must_use]
    pub fn offline(self) -> &'static str {
        match self {
            StatusFormat::Text => "offline",
            StatusFormat::Json => r#"{"status":"offline"}"#,
        }
    }
}

/// How an address says to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `mqtt://`, `tcp://` or `ws://`.
    Plain,
    /// `mqtts://`, `ssl://`, `tls://` or `wss://`.
    Tls,
}

/// Where a broker is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// What the part before `://` means, if there is one.
    pub scheme: Option<Scheme>,
    /// Host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port, if one was given.
    pub port: Option<u16>,
    /// The path of a WebSocket: `ws://` or `wss://`.
    pub path: Option<String>,
}

/// The version of MQTT that a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V311,
    /// 5; if the broker refuses it we warn and use 3.1.1.
    V5,
}

/// TLS to a broker. An MQTT session reads files when it connects and looks at them again every
/// 30 s; a Kafka consumer, which knows only files, reads them when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only bundle to trust; without one, the system's roots.
    pub ca: Option<Pem>,
    /// Whoever answers is trusted, whatever certificate it has.
    pub unverified: bool,
    /// Client certificate chain and its key: both or none.
    pub client: Option<ClientCertificate>,
}

impl Tls {
    /// The files that it consists of.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.client.iter().flat_map(|own| [&own.chain, &own.key]);
        self.ca.iter().chain(own).filter_map(Pem::path)
    }
}

/// A client certificate chain and its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, leaf first.
    pub chain: Pem,
    /// The key.
    pub key: Pem,
}
