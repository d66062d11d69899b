//! An HTTP listener.

use super::{Enrichment, Secret, defaults};
use std::net::{IpAddr, Ipv4Addr};

/// Which clients a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Those of an ilagent.
    Agent,
    /// Those of a Kapacitor.
    Kapacitor,
    /// Those of a Dapr sidecar.
    Dapr,
}

/// An HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Address to bind.
    pub bind: IpAddr,
    /// Port to bind; 0 lets the system choose.
    pub port: u16,
    /// Which clients it is for.
    pub clients: Clients,
    /// Who may use it, with their passwords; nobody has to say who they are if this is empty.
    /// Kapacitor's clients only.
    pub users: Vec<(String, Secret)>,
    /// Bearer token that clients of `/api/` must show; what those of Dapr show in `dapr-api-token`.
    pub token: Option<Secret>,
    /// Largest request body, in bytes.
    pub body_bytes_max: usize,
    /// Most connections at a time.
    pub connections_max: usize,
    /// What is added to every event.
    pub enrichment: Enrichment,
}

impl Http {
    /// A listener on all addresses, as documented upstream, with our own bounds.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Http {
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port,
            clients: Clients::Agent,
            users: Vec::new(),
            token: None,
            body_bytes_max: defaults::BODY_BYTES_MAX,
            connections_max: defaults::CONNECTIONS_MAX,
            enrichment: Enrichment::default(),
        }
    }

    /// A listener for Kapacitor's clients, for this machine alone, with our own bounds.
    #[must_use]
    pub fn for_kapacitor() -> Self {
        Http {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            clients: Clients::Kapacitor,
            body_bytes_max: defaults::WRITE_BYTES_MAX,
            ..Http::on_port(defaults::KAPACITOR_PORT)
        }
    }

    /// A listener for clients of a Dapr sidecar, for this machine alone, with our own bounds.
    #[must_use]
    pub fn for_dapr() -> Self {
        Http {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            clients: Clients::Dapr,
            body_bytes_max: defaults::DAPR_BODY_BYTES_MAX,
            ..Http::on_port(defaults::DAPR_PORT)
        }
    }
}
